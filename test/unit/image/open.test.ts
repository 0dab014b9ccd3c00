import { execFileSync } from 'node:child_process'
import { statfsSync, writeFileSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { hostArchitecture } from '../../../src/image/architecture.ts'
import { openImage } from '../../../src/image/open.ts'
import { partitionExtra } from '../../../src/sif/details.ts'
import { architectureCode, dataTypes } from '../../../src/sif/format.ts'
import { SifWriter } from '../../../src/sif/write.ts'
import { broken, fileOf, folder, sample, seeded } from '../sif/samples.ts'

const partitionAt = 32768
/** Descriptor of the partition in `tiny.sif`. */
const descriptorAt = 4096 + 2 * 585
const here = Buffer.from(architectureCode(hostArchitecture())).toString('hex')

/** `tiny.sif`, for the architecture of this machine, with a change. */
async function image(...edits: [number, string][]) {
  return await fileOf(broken(await sample('tiny'), { edits: [[descriptorAt + 209, here], ...edits] }))
}

async function squashfs(): Promise<Buffer> {
  return (await sample('tiny')).subarray(partitionAt)
}

describe('a SIF', () => {
  it('is opened with the place of its root file system', async () => {
    const path = await image()
    expect(await openImage(path)).toEqual({
      path,
      name: basename(path),
      kind: 'sif',
      rootfs: { file: path, offset: partitionAt, size: 4096 },
      arch: hostArchitecture(),
      writable: true,
      bashEnvironment: false,
      overlays: [],
      metadata: { data: { attributes: { labels: { a: 'b' } } }, type: 'container' },
    })
  })

  it('may leave its architecture open', async () => {
    expect((await openImage(await image([descriptorAt + 209, '3939']))).arch).toBeUndefined()
  })

  it('for another machine is refused with both names, but can be looked into', async () => {
    const path = await image([descriptorAt + 209, '3131'])
    const error = {
      code: 'IMAGE_ARCHITECTURE',
      message: expect.stringContaining(`s390x, this machine is ${hostArchitecture()}`),
    }
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining(error))
    expect((await openImage(path, { anyArchitecture: true })).arch).toBe('s390x')
  })

  it.each([
    ['encrypted (LUKS)', descriptorAt + 201, '05', 'LUKS'],
    ['ext3', descriptorAt + 201, '02', 'ext3'],
    ['without a squashfs', partitionAt, '00', 'does not begin like a squashfs'],
    ['squashfs of another version', partitionAt + 28, '03', 'version 3'],
    ['squashfs of unknown compression', partitionAt + 20, '63', 'unknown compression'],
    ['squashfs that is cut off', partitionAt + 41, '20', 'cut off'],
  ])('that is %s is refused in one sentence', async (_, offset, hex, sentence) => {
    const path = await image([offset, hex])
    const expected = {
      code: 'IMAGE_FORMAT',
      message: expect.stringMatching(`^cannot open .*${sentence}[^\n]*$`),
    }
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining(expected))
  })

  it('that is encrypted needs a key, or is left as it is', async () => {
    const path = await image([descriptorAt + 201, '06'])
    const refusal = { code: 'ENCRYPTION', message: `cannot open ${path}: it is encrypted` }
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining(refusal))
    expect((await openImage(path, { unlock: 'keep' })).encryption).toEqual({ sealed: false, open: false })
    const place = { path, offset: partitionAt, size: 4096 }
    const asked: unknown[] = []
    const unlock = async (locked: unknown) => asked.push(locked) + 100
    const opened = await openImage(path, { unlock })
    expect(asked).toEqual([place])
    expect(opened).toMatchObject({ rootfs: { key: 101 }, encryption: { sealed: false, open: true } })
  })

  it.each([0, 1, 31, 100, 2047, 2048, 20000, 32768, 36000])('cut to %i bytes is refused', async (length) => {
    const path = await fileOf(broken(await sample('tiny'), { edits: [], length }))
    await expect(openImage(path)).rejects.toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(IMAGE|SIF)_/) }),
    )
  })

  it('knows the overlays of its root file system, not those of others', async () => {
    const path = join(await folder(), 'a.sif')
    const arch = architectureCode(hostArchitecture())
    await using writer = await SifWriter.create(path)
    const add = async (kind: number, group: number) =>
      writer.add({
        dataType: dataTypes.partition,
        extra: partitionExtra(1, kind, arch),
        group,
        data: await squashfs(),
      })
    await add(4, 1)
    await add(2, 1)
    await add(4, 2)
    await add(3, 1)
    await add(4, 1)
    await writer.commit()
    expect((await openImage(path)).overlays).toEqual([
      { file: path, offset: 32768, size: 4096, filesystem: 'squashfs' },
      { file: path, offset: 32768 + 4 * 4096, size: 4096, filesystem: 'squashfs' },
    ])
  })

  it('tells when its scripts, or those of its apps, need bash', async () => {
    const withMetadata = async (attributes?: unknown) => {
      const path = join(await folder(), 'a.sif')
      await using writer = await SifWriter.create(path)
      const data = Buffer.from(JSON.stringify({ data: { attributes } }))
      const name = attributes === undefined ? 'other.json' : 'inspect-metadata.json'
      await writer.add({ dataType: dataTypes.genericJson, name, data })
      const extra = partitionExtra(1, 2, '00')
      await writer.add({ dataType: dataTypes.partition, extra, data: await squashfs() })
      await writer.commit()
      return (await openImage(path)).bashEnvironment
    }
    expect(await withMetadata({ environment: { '90-environment.sh': 'export A=1' } })).toBe(false)
    expect(await withMetadata({ environment: { '90-environment.sh': 'source /x' } })).toBe(true)
    expect(await withMetadata({ apps: { foo: { environment: { x: 'A+=1' } } } })).toBe(true)
    expect(await withMetadata({ apps: null, environment: [1] })).toBe(false)
    expect(await withMetadata(null)).toBe(false)
    expect(await withMetadata()).toBe(true)
  })
})

describe('a bare squashfs', () => {
  it('is opened as it is, or behind the line of old images', async () => {
    const bytes = await squashfs()
    const path = await fileOf(bytes)
    expect(await openImage(path)).toMatchObject({
      kind: 'squashfs',
      rootfs: { file: path, offset: 0, size: 4096 },
    })
    const line = Buffer.from('#!/usr/bin/env run-singularity\n')
    const old = await fileOf(Buffer.concat([line, bytes]))
    expect(await openImage(old)).toMatchObject({
      kind: 'squashfs',
      rootfs: { file: old, offset: 31, size: 4096 },
    })
  })

  it('may have scripts for bash', async () => {
    expect((await openImage(await fileOf(await squashfs()))).bashEnvironment).toBe(true)
  })

  it('that is cut off is refused', async () => {
    const bytes = Buffer.from((await squashfs()).subarray(0, 200))
    const path = await fileOf(bytes)
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining({ code: 'IMAGE_FORMAT' }))
  })
})

describe('a sandbox', () => {
  it('is a directory', async () => {
    const path = await folder()
    expect(await openImage(`${path}/`)).toEqual({
      path,
      name: basename(path),
      kind: 'sandbox',
      rootfs: { directory: path, type: statfsSync(path).type },
      arch: undefined,
      writable: true,
      bashEnvironment: false,
    })
  })

  it('tells when its scripts need bash', async () => {
    const path = await folder()
    await mkdir(join(path, '.singularity.d/env'), { recursive: true })
    await writeFile(join(path, '.singularity.d/env/91-environment.sh'), 'source /etc/profile\n')
    expect((await openImage(path)).bashEnvironment).toBe(true)
  })

  it('cannot show files of the machine through links', async () => {
    const path = await folder()
    const outside = await folder()
    await mkdir(join(outside, 'env'))
    await writeFile(join(outside, 'env/91-environment.sh'), 'source /x')
    await symlink(outside, join(path, '.singularity.d'))
    expect((await openImage(path)).bashEnvironment).toBe(false)
  })
})

describe('anything else', () => {
  it.each([
    ['text', 'hello\n', 'neither a SIF nor a squashfs'],
    ['nothing', '', 'the file is empty'],
    ['a definition', 'Bootstrap: docker\nFrom: alpine\n', 'definition file'],
    ['a tar archive', `${'a'.repeat(257)}ustar`, 'tar archive'],
    ['text about SIF_MAGIC', `about ${' '.repeat(26)}SIF MAGIC and SIF_MAGIC`, 'neither a SIF nor'],
    ['ext3', `${'\0'.repeat(0x438)}\x53\xef${'\0'.repeat(1000)}`, 'can be run and not be looked into'],
  ])('such as %s is refused', async (_, content, sentence) => {
    const path = await fileOf(Buffer.from(content, 'latin1'))
    const expected = { code: 'IMAGE_FORMAT', message: expect.stringContaining(sentence) }
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining(expected))
  })

  it('is refused without waiting when it is a pipe', async () => {
    const path = join(await folder(), 'pipe')
    execFileSync('mkfifo', [path])
    await expect(openImage(path)).rejects.toThrow('neither a file nor a directory')
  })

  it.each([
    ['none.sif', undefined],
    ['alpine', 'If it is the name of an image in a registry: docker://alpine'],
    ['library/alpine:3.20', 'If it is the name of an image in a registry: docker://library/alpine:3.20'],
    ['/abs/olute', undefined],
    ['./relative', undefined],
  ])('that is missing is named: %s', async (path, hint) => {
    const error = { code: 'IMAGE_NOT_FOUND', message: `cannot open ${path}: no such file or directory`, hint }
    await expect(openImage(path)).rejects.toThrow(expect.objectContaining(error))
  })
})

it('opens or refuses two thousand damaged images, and never fails otherwise', {
  timeout: 60_000,
}, async () => {
  const tiny = await sample('tiny')
  const random = seeded(42)
  const upTo = (limit: number) => Math.floor(random() * limit)
  // Header, the descriptors in use, metadata, superblock.
  const places = [
    [0, 128],
    [4096, 3 * 585],
    [32195, 64],
    [partitionAt, 96],
  ] as const
  const path = join(await folder(), 'a.sif')
  let opened = 0
  for (let round = 0; round < 2000; round += 1) {
    const [start, length] = places[round % 4] ?? places[0]
    const edits = Array.from({ length: 1 + upTo(3) }, (): [number, string] => [
      start + upTo(length),
      upTo(256).toString(16).padStart(2, '0'),
    ])
    // Over the old bytes: a file system may make a truncated file wait for the disk.
    writeFileSync(path, broken(tiny, { edits }), { flag: round === 0 ? 'w' : 'r+' })
    try {
      await openImage(path, { anyArchitecture: true })
      opened += 1
    } catch (error) {
      expect(error).toBeInstanceOf(SingError)
    }
  }
  expect(opened).toBeGreaterThan(500)
})
