/** Passphrases and private keys: what commands that know one print, leave, and start other programs with. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { base } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { commandLine, environment, type Outcome, program, projectRoot, run } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { keyFile, prints } from './keys.ts'
import { newSigner, pemFile } from './signing.ts'

const oldWords = 'singpass'
const imageWords = 'secretpass'
const words = 'correct-horse-battery'
const pem = pemFile('rsa-private.pkcs8.pem')
const secrets = [oldWords, imageWords, words, 'PRIVATE KEY']
const told = (text: string): string[] => secrets.filter((secret) => text.includes(secret))

type Given = { readonly input?: string; readonly env?: Readonly<Record<string, string>> }
type Seen = Outcome & {
  /** A line for each program that the engine started, with all its arguments and its whole environment. */
  readonly started: readonly string[]
}

/** Only root may look into a process that hides itself. */
async function watched(home: string, args: readonly string[], { input = '', env }: Given): Promise<Seen> {
  const log = join(temporaryFolder(), 'log')
  const flags = ['-f', '-qq', '-e', 'trace=execve', '-e', 'signal=none', '-v', '-s', '65536', '-o', log]
  const command = ['strace', ...flags, ...commandLine([program, '--debug', ...args])]
  const itself = environment({ env: { HOME: home, TMPDIR: home, ...env } })
  const outcome = await run(command, { as: 'self', cwd: home, env: itself, input })
  const lines = readFileSync(log, 'latin1').split('\n').slice(0, -1)
  // What the caller has in the environment gets as far as the engine.
  const engine = lines.findIndex((line) => /execve\("[^"]*(\/engine"|node", .*main\.[jt]s")/.test(line))
  expect(engine).toBeGreaterThan(0)
  return { ...outcome, started: lines.slice(engine + 1) }
}

/** Files that somebody else may read or write, and that are in `folder`. */
const openFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => {
      const entry = statSync(path, { throwIfNoEntry: false })
      return entry?.isFile() && (entry.mode & 0o077) !== 0
    })

describe.skipIf(!can('root', 'strace', 'userns', 'fuse'))('no secret is told by', () => {
  const pair = ['-N', 'A', '-E', 'a@example.org', '-C', '', '--type', 'ed25519']
  const withWords = { SINGULARITY_ENCRYPTION_PASSPHRASE: imageWords, SING_SIGN_KEY: 'key.pem' }
  const locked = join(projectRoot, 'fixtures/encrypted/pass.sif')
  const server = 'http://127.0.0.1:9'
  const keyWords = { SING_KEY_PASSPHRASE: oldWords }
  const cases: readonly (readonly [string, readonly string[], Given, number])[] = [
    ['sign', ['sign', '-k', prints.rsa, 'a.sif'], { input: `${oldWords}\n` }, 0],
    ['sign with wrong words', ['sign', '-k', prints.rsa, 'a.sif'], { input: `${words}\n` }, 255],
    ['sign --key', ['sign', '--key', 'key.pem', 'a.sif'], {}, 0],
    ['key newpair', ['key', 'newpair', ...pair, '--password-stdin'], { input: words }, 0],
    [
      'key import',
      ['key', 'import', '--new-password', 'old.asc'],
      { input: `${oldWords}\n${words}\n${words}` },
      0,
    ],
    ['key export', ['key', 'export', '-s', '-a', 'out.asc', prints.rsa], {}, 0],
    ['keyserver login', ['keyserver', 'login', '-u', 'a', '--password-stdin', server], { input: words }, 255],
    ['sign by a variable', ['sign', '-k', prints.rsa, 'a.sif'], { env: keyWords }, 0],
    ['exec with a key that signs', ['exec', base, 'env'], { env: keyWords }, 0],
    ['exec', ['exec', locked, 'env'], { env: withWords }, 0],
    ['exec --fakeroot', ['exec', '--fakeroot', locked, 'env'], { env: withWords }, 0],
    ['build', ['build', '--encrypt', 'x.sif', base], { env: withWords }, 0],
    ['build of a base', ['build', '--sandbox', 'x', locked], { env: withWords }, 0],
  ]
  it.each(cases)('%s', { timeout: 60_000 }, async (_, args, given, status) => {
    const { home, image, write, sing } = await newSigner(...(args[1] === 'import' ? [] : ['pgp-private.asc']))
    image()
    write('key.pem', readFileSync(pem))
    write('old.asc', readFileSync(keyFile('pgp-private.asc')))
    await sing(['keyserver', 'add', server])
    const seen = await watched(home, args, given)
    expect([seen.status, told(seen.stdout), told(seen.stderr)]).toEqual([status, [], []])
    expect(seen.started.filter((line) => told(line).length > 0)).toEqual([])
    expect(openFiles(home).filter((path) => told(readFileSync(path, 'latin1')).length > 0)).toEqual([])
  })
})
