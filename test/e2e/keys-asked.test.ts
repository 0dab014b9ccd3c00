/** Keys for a person at a terminal, and what others can see of a secret meanwhile. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../helpers/sing.ts'
import { talk } from '../helpers/terminal.ts'
import { keyFile, listed, newHome, prints, ringFile } from './keys.ts'

const who = [
  { question: 'Enter your name (e.g., John Doe) : ', answer: 'Ada Example' },
  { question: 'Enter your email address (e.g., john.doe@example.com) : ', answer: 'ada@example.org' },
  { question: 'Enter optional comment (e.g., development keys) : ', answer: '' },
]
const push = { question: 'Would you like to push it to the keystore? [y/N] ', answer: '' }
const first = 'Enter a passphrase : '
const again = 'Retype your passphrase : '

describe('a pair of keys', () => {
  it('is made after the questions of the peers, and the passphrase is not shown', async () => {
    const { home, key } = newHome()
    const env = { HOME: home }
    const secrets = [
      { question: first, answer: 'one thing' },
      { question: again, answer: 'another' },
      { question: first, answer: 'hidden words' },
      { question: again, answer: 'hidden words' },
    ]
    const { status, output } = await talk(
      ['key', 'newpair', '--type', 'ed25519'],
      [...who, ...secrets, push],
      { env },
    )
    expect(output).toContain('Generating Entity and OpenPGP Key Pair... done')
    expect(status).toBe(0)
    for (const secret of ['one thing', 'another', 'hidden words']) expect(output).not.toContain(secret)
    const list = await key(['list', '--secret', '--json'])
    expect(JSON.parse(list.stdout)).toMatchObject([
      { keys: [{ users: [{ name: 'Ada Example', email: 'ada@example.org' }], protection: 'all' }] },
    ])
  })

  it('has no passphrase only for who says so', async () => {
    const { home, key } = newHome()
    const env = { HOME: home }
    const none = [
      { question: first, answer: '' },
      { question: again, answer: '' },
    ]
    const question = 'if there is no password set, your key is not secure. Do you want to continue? [y/n] '
    const args = ['key', 'newpair', '--type', 'ed25519']
    const no = await talk(args, [...who, ...none, { question, answer: 'n' }], { env })
    expect(no).toMatchObject({
      status: 2,
      output: expect.stringContaining('no key is kept without a passphrase'),
    })
    expect(listed(await key(['list']))).toEqual([])
    const yes = await talk(args, [...who, ...none, { question, answer: 'y' }, push], { env })
    expect(yes.status).toBe(0)
    expect(listed(await key(['list']))).toHaveLength(1)
  })

  it('is not made when the two passphrases never are the same, or by who gives up', async () => {
    const { home, key } = newHome()
    const env = { HOME: home }
    const differ = [
      { question: first, answer: 'one' },
      { question: again, answer: 'two' },
    ]
    const args = ['key', 'newpair', '--type', 'ed25519']
    const different = await talk(args, [...who, ...differ, ...differ, ...differ], { env })
    expect(different).toMatchObject({
      status: 2,
      output: expect.stringContaining('the two passphrases are not the same'),
    })
    expect(different.output).toContain('They are not the same. Again:')
    const ctrlD = { question: who[0]?.question ?? '', answer: '\u0004' }
    expect(await talk(args, [ctrlD], { env })).toMatchObject({
      status: 130,
      output: expect.stringContaining('interrupted'),
    })
    expect((await talk(args, [...who, { question: first }], { env })).status).toBe(130)
    expect(listed(await key(['list']))).toEqual([])
  })
})

describe('a person', () => {
  it('chooses the key to export from a list', async () => {
    const { home, key } = newHome()
    await key(['import', ringFile('pgp-public')])
    const turns = [{ question: 'Enter # of public key to use : ', answer: '1' }]
    const { status, output } = await talk(['key', 'export', `${home}/out`], turns, { env: { HOME: home } })
    expect(status).toBe(0)
    expect(output).toContain(`Public key with fingerprint ${prints.nopass} correctly exported`)
  })

  it('gives an imported key another passphrase', async () => {
    const { home, key } = newHome()
    const turns = [
      { question: 'Enter your key password : ', answer: 'singpass' },
      { question: 'Enter a new password for this key : ', answer: 'better words' },
      { question: again, answer: 'better words' },
    ]
    const env = { HOME: home }
    const { status } = await talk(['key', 'import', '--new-password', keyFile('pgp-private.asc')], turns, {
      env,
    })
    expect(status).toBe(0)
    expect((await key(['list', '-s', '--json'])).stdout).toContain('"protection": "all"')
  })
})

describe('a secret', () => {
  it('stays in the process: nobody of the same user may look into it, and no word of it is written down', async () => {
    const { home, keys } = newHome()
    const turns = [
      { question: first, answer: 'hidden words' },
      { question: again, answer: 'hidden words' },
    ]
    let seen: Awaited<ReturnType<typeof run>> | undefined
    const during = async (pid: number) => {
      seen = await run(['cat', `/proc/${pid}/environ`])
    }
    const args = [
      'key',
      'newpair',
      '-N',
      'Ada',
      '-E',
      'a@example.org',
      '-C',
      'c',
      '--push=false',
      '--type',
      'ed25519',
    ]
    const { status } = await talk(['--debug', ...args], turns, { env: { HOME: home }, during })
    expect(status).toBe(0)
    expect(seen).toMatchObject({ status: 1, stderr: expect.stringContaining('Permission denied') })
    for (const name of readdirSync(keys))
      expect(readFileSync(join(keys, name), 'latin1')).not.toContain('hidden words')
  })
})
