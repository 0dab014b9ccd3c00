/** Changing a signed image with `sing sif`: what would no longer be signed is said, and asked about where somebody sits. */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BuildFolder, buildFolder, onTerminal } from '../helpers/builds.ts'
import { sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { signedSample } from '../unit/sif/signed.ts'

const fingerprintOf = /\(by [0-9A-F]{40}\)/

async function signed(): Promise<{ folder: BuildFolder; image: string }> {
  const folder = buildFolder()
  const image = join(folder.path, 'signed.sif')
  writeFileSync(image, await signedSample('tiny-signed.sif'))
  give(folder.path)
  return { folder, image }
}

const add = (image: string, ...flags: string[]) => [
  'sif',
  'add',
  '--datatype',
  '7',
  ...flags,
  image,
  '/etc/hostname',
]

const changes: [string, (image: string) => string[], string][] = [
  ['an object for the signed group', (image) => add(image, '--groupid', '1'), 'the new object is not signed'],
  ['the deletion of a signed object', (image) => ['sif', 'del', '1', image], 'object 1 is gone'],
]

describe('a signed image', () => {
  it.each(changes)('takes %s with a warning that names the signature', async (_, line, reason) => {
    const { image } = await signed()
    const before = readFileSync(image)
    const { status, stderr } = await sing(line(image))
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(fingerprintOf) })
    expect(stderr).toMatch(/^WARNING: .*: signature 4 of group 1 .* does not hold any more: /)
    expect(stderr).toContain(reason)
    expect(readFileSync(image).equals(before)).toBe(false)
  })

  it('takes an object without a group, and cannot be verified as a whole any more', async () => {
    const { image } = await signed()
    const { status, stderr } = await sing(add(image))
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `WARNING: ${image}: the image can no longer be verified: no signature can be about an object without a group\n`,
    })
  })

  it.each([
    ['n', 1],
    ['y', 0],
  ])('is changed only if whoever sits at the terminal says so (%s)', async (answer, status) => {
    const { folder, image } = await signed()
    copyFileSync(image, `${image}.before`)
    const job = onTerminal(['sif', 'del', '1', image], folder)
    await job.shows(/Change it all the same\? \[y\/N\]/)
    job.type(`${answer}\r`)
    expect(await job.status).toBe(status)
    expect(readFileSync(image).equals(readFileSync(`${image}.before`))).toBe(status !== 0)
    if (status !== 0) expect(job.text()).toContain(`${image} is left as it is`)
  })

  it('is changed at a terminal without a question with --force', async () => {
    const { folder, image } = await signed()
    const job = onTerminal(['sif', 'del', '--force', '1', image], folder)
    expect(await job.status).toBe(0)
    expect(job.text()).not.toContain('Change it all the same?')
  })

  it('loses a signature without a word', async () => {
    const { image } = await signed()
    expect(await sing(['sif', 'del', '4', image])).toEqual({ status: 0, stdout: '', stderr: '' })
  })
})
