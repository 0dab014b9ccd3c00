/** Many processes and one ring of keys, and processes that are killed while they write. */

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateKey } from 'openpgp'
import { describe, expect, it } from 'vitest'
import { toBlocks } from '../../src/trust/blocks.ts'
import { commandLine, environment, program } from '../helpers/sing.ts'
import { listed, newHome, prints, ringFile } from './keys.ts'
import { newSigner, signaturesIn } from './signing.ts'

async function makeKey(name: string): Promise<{ readonly print: string; readonly secret: Uint8Array }> {
  const { privateKey } = await generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: { name },
    format: 'object',
  })
  return { print: privateKey.getFingerprint().toUpperCase(), secret: privateKey.write() }
}

const makeKeys = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, index) => makeKey(`Key ${index}`)))

describe('twenty processes at once', () => {
  it('import, make, list, remove and sign, and the rings have what they were told', async () => {
    const { key, keys, write, sign, image } = await newSigner()
    const images = [image('a.sif'), image('a.sif'), image('b.sif')]
    const made = await makeKeys(8)
    const paths = made.map(({ secret }, index) => write(`key${index}`, secret))
    await key(['import', ringFile('pgp-secret')])
    const done = await Promise.all([
      ...paths.map((path) => key(['import', path])),
      ...[1, 2, 3, 4].map((n) => key(['newpair', '-N', `Pair ${n}`, '--type', 'ed25519', '-P', ''])),
      key(['remove', '--both', prints.rsa]),
      ...[1, 2, 3, 4].map((n) => key(['list', ...(n % 2 ? ['-s'] : [])])),
      ...images.map((image) => sign(['-k', prints.nopass, image])),
    ])
    expect(done.map(({ status, stderr }) => [status, stderr.replace(/^(WARNING|INFO).*\n/gm, '')])).toEqual(
      done.map(() => [0, '']),
    )
    for (const name of ['pgp-public', 'pgp-secret']) {
      const { keys: blocks, damage } = toBlocks(readFileSync(join(keys, name)))
      expect(damage).toEqual([])
      const found = blocks.map(({ fingerprint }) => fingerprint)
      expect(found).toHaveLength(13)
      expect(new Set(found).size).toBe(13)
      expect(found).toEqual(expect.arrayContaining([prints.nopass, ...made.map(({ print }) => print)]))
      expect(found).not.toContain(prints.rsa)
    }
    expect(readdirSync(keys).sort()).toEqual(['pgp-public', 'pgp-secret'])
    expect((await Promise.all(images.map(signaturesIn))).map(({ length }) => length)).toEqual([2, 2, 1])
  })
})

describe('a process that is killed while it writes', () => {
  it('leaves the old ring or the new one, and the next one goes on', async () => {
    const { home, key, keys, write } = newHome()
    await key(['import', ringFile('pgp-secret')])
    const made = await makeKeys(12)
    const added: string[] = []
    for (const [index, { secret, print }] of made.entries()) {
      const path = write(`key${index}`, secret)
      const [file = '', ...args] = commandLine([program, 'key', 'import', path])
      const child = spawn(file, args, { env: environment({ env: { HOME: home } }), stdio: 'ignore' })
      const ended = new Promise((resolve) => child.on('close', resolve))
      await sleep(40 + index * 12)
      child.kill('SIGKILL')
      await ended
      for (const name of ['pgp-secret', 'pgp-public']) {
        const { keys: blocks, damage } = toBlocks(readFileSync(join(keys, name)))
        expect(damage).toEqual([])
        const found = blocks.map(({ fingerprint }) => fingerprint).filter((one) => one !== print)
        expect(found).toEqual([prints.rsa, prints.nopass, ...added])
      }
      await key(['import', path])
      added.push(print)
    }
    expect(listed(await key(['list', '-s']))).toEqual([prints.rsa, prints.nopass, ...added])
    expect(listed(await key(['list']))).toEqual([prints.rsa, prints.nopass, ...added])
    expect(readdirSync(keys).sort()).toEqual(['pgp-public', 'pgp-secret'])
  })
})
