/** A home of its own with rings of keys in it, for tests. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Outcome, projectRoot, type RunOptions, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

export const keyFile = (name: string): string => join(projectRoot, 'fixtures/keys/openpgp', name)
export const ringFile = (name: string): string => join(projectRoot, 'fixtures/keys/ring', name)

/** Fingerprints of the keys in `fixtures/keys`. */
export const prints = {
  rsa: '424D327F6C0016D8057C1516C8D2D6A994F4A643',
  nopass: 'F27B0D831C7680EA12A3275608CD639E798292F7',
  ed25519: 'B7331FDDE5D6CE126F033964C1403783358E25F4',
  p256: 'D48508D23B32FD9F22B80B4995F961A7A0DBF013',
  revoked: 'B0A0C5943BD99FD60504AB0C3FE1A9193E71879A',
  expired: '3A7673834465BCC3EE4DF899676C8ED0D1505E60',
} as const

export type Home = {
  readonly home: string
  /** Our directory of keys. */
  readonly keys: string
  /** `sing key ...` in it. */
  readonly key: (args: readonly string[], options?: RunOptions) => Promise<Outcome>
  /** Make a file in it, and the directories above. */
  readonly write: (name: string, content: string | Uint8Array, mode?: number) => string
}

export function newHome(): Home {
  const home = temporaryFolder()
  const write = (name: string, content: string | Uint8Array, mode = 0o600): string => {
    const path = join(home, name)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, content)
    chmodSync(path, mode)
    give(home)
    return path
  }
  const key = (args: readonly string[], { env, ...more }: RunOptions = {}): Promise<Outcome> =>
    sing(['key', ...args], { env: { HOME: home, ...env }, cwd: home, ...more })
  return { home, keys: join(home, '.local/share/sing/keys'), key, write }
}

/** Fingerprints in a list, in its order. */
export const listed = ({ stdout }: Outcome): string[] =>
  [...stdout.matchAll(/Fingerprint: +(\w+)/g)].map(([, print = '']) => print)
