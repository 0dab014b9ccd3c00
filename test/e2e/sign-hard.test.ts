/** `sing sign` when things go wrong: killed at any moment, many at once. */

import { spawn } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readSif } from '../../src/sif/read.ts'
import { commandLine, environment, program } from '../helpers/sing.ts'
import { prints } from './keys.ts'
import { newSigner, type Signer, signaturesIn } from './signing.ts'

const [rsa, ed25519] = ['pgp-private-nopass.asc', 'pgp-private-ed25519.asc'] as const

/** Two groups, so that a run adds two signatures, and enough data that it takes a moment. */
async function twoGroups({ image, sing, write }: Signer, size = 4096): Promise<string> {
  const path = image('two.sif')
  const more = write('more', Buffer.alloc(size, 'x'))
  const { status } = await sing(['sif', 'add', '--datatype', '7', '--groupid', '2', path, more])
  expect(status).toBe(0)
  return path
}

/** Sign, and be killed at a moment; whether it was over before that. */
async function signAndKill({ home }: Signer, path: string, moment: Promise<unknown>): Promise<boolean> {
  const [file = '', ...args] = commandLine([program, 'sign', '-k', '0', path])
  const child = spawn(file, args, { cwd: home, env: environment({ env: { HOME: home } }), stdio: 'ignore' })
  const ended = new Promise<boolean>((resolve) => child.on('exit', (code) => resolve(code === 0)))
  await Promise.race([ended, moment])
  child.kill('SIGKILL')
  return await ended
}

/** When the first byte was written, and some time more. */
async function writing(path: string, more: number): Promise<void> {
  const { size } = statSync(path)
  while (statSync(path).size === size) await sleep(0)
  await sleep(more)
}

describe('who is killed while they sign', () => {
  it('leaves an image without the signatures, or with all of them', async () => {
    const signer = await newSigner(rsa)
    const original = await twoGroups(signer)
    const path = signer.write('a.sif', readFileSync(original), 0o644)
    for (let round = 0; round < 30; round += 1) {
      writeFileSync(path, readFileSync(original))
      const isOver = await signAndKill(
        signer,
        path,
        round % 3 === 0 ? sleep(round * 15) : writing(path, round % 5),
      )
      const signatures = await signaturesIn(path)
      expect([0, 2]).toContain(signatures.length)
      if (isOver) expect(signatures).toHaveLength(2)
      const verdict = await signer.sing(['verify', '--local', path])
      expect(verdict.status).toBe(signatures.length === 0 ? 255 : 0)
      expect(await signer.sign(['-k', '0', path])).toMatchObject({ status: 0 })
      expect(await signer.sing(['verify', '--local', path])).toMatchObject({ status: 0 })
    }
  })
})

describe('twenty who sign at once', () => {
  it('put all signatures into one image', async () => {
    const signer = await newSigner(rsa, ed25519)
    const path = await twoGroups(signer)
    const ends = await Promise.all(
      Array.from({ length: 20 }, (_, index) => signer.sign(['-k', String(index % 2), path])),
    )
    expect(ends.map(({ status }) => status)).toEqual(Array(20).fill(0))
    const signatures = await signaturesIn(path)
    expect(signatures).toHaveLength(40)
    const [one, other] = [prints.nopass, prints.ed25519].map(
      (print) =>
        signatures.filter(({ extra }) => Buffer.from(extra).toString('hex', 4, 24) === print.toLowerCase())
          .length,
    )
    expect([one, other]).toEqual([20, 20])
    expect(await signer.sing(['verify', '--local', path])).toMatchObject({ status: 0 })
    const { header } = await readSif(path)
    expect([header.tableOffset, header.free]).toEqual([4096, 48 - 44])
    expect(statSync(path).size).toBe(header.dataOffset + header.dataSize)
  })

  it('sign twenty copies', async () => {
    const signer = await newSigner(rsa)
    const paths = Array.from({ length: 20 }, (_, index) => signer.image(`${index}.sif`))
    const ends = await Promise.all(paths.map((path) => signer.sign([path])))
    expect(ends.map(({ status }) => status)).toEqual(Array(20).fill(0))
    for (const path of paths) expect(await signaturesIn(path)).toHaveLength(1)
  })

  it('wait for somebody who changes the image otherwise, too', async () => {
    const signer = await newSigner(rsa)
    const path = await twoGroups(signer)
    const more = signer.write('else', 'y')
    const add = () => signer.sing(['sif', 'add', '--datatype', '7', '--groupid', '3', path, more])
    const ends = await Promise.all([
      ...Array.from({ length: 6 }, add),
      ...Array.from({ length: 6 }, () => signer.sign(['-g', '1', path])),
    ])
    expect(ends.map(({ status }) => status)).toEqual(Array(12).fill(0))
    expect(await signaturesIn(path)).toHaveLength(6)
    expect(await signer.sing(['verify', '--local', '-g', '1', path])).toMatchObject({ status: 0 })
  })
})
