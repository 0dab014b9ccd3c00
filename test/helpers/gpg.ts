/** A real GnuPG with a home of its own, run as the ordinary user. */

import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Outcome, type RunOptions, run } from './sing.ts'
import { give, temporaryFolder } from './temp.ts'

export interface Gpg extends AsyncDisposable {
  readonly home: string
  /** `gpg --batch ...` that asks nobody: secret keys have the passphrase. */
  readonly gpg: (args: readonly string[], options?: RunOptions) => Promise<Outcome>
  /** Make a key of RSA for signing; its fingerprint. */
  readonly makeKey: (user: string) => Promise<string>
}

export function newGpg(passphrase = ''): Gpg {
  const home = join(temporaryFolder(), 'g')
  mkdirSync(home)
  chmodSync(home, 0o700)
  give(home)
  const env = { GNUPGHOME: home }
  const quiet = ['--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback', '--passphrase', passphrase]
  const gpg = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
    run(['gpg', ...quiet, ...args], { ...options, cwd: home, env })
  const makeKey = async (user: string): Promise<string> => {
    await gpg(['--quick-gen-key', user, 'rsa2048', 'sign', 'never'])
    const { stdout } = await gpg(['--list-keys', '--with-colons', user])
    return /^fpr:+(\w+):/m.exec(stdout)?.[1] ?? ''
  }
  return {
    home,
    gpg,
    makeKey,
    async [Symbol.asyncDispose]() {
      await run(['gpgconf', '--kill', 'all'], { env })
    },
  }
}
