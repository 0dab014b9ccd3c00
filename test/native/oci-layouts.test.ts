import { existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveManifest } from '../../src/oci/resolve.ts'
import { can } from '../helpers/can.ts'
import { buildImage, copyImage, type ImageLike, must, readBlob, writeLayout } from '../helpers/oci.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { amd64, open, readEverything, resolved, sha256 } from './sources.ts'

const { signal } = new AbortController()
const folderOf = () => join(temporaryFolder(), 'layout')

const image = (text: string, more: Partial<ImageLike> = {}): ImageLike => ({
  layers: [[{ path: 'one', data: text }], [{ path: 'two', data: `${text}2` }]],
  config: { Cmd: ['/bin/echo', text] },
  ...more,
})

const platforms = ['amd64', 'arm64', 's390x'].map((architecture) =>
  image(architecture, { platform: { architecture } }),
)

/** Write index.json anew. */
function changeIndex(folder: string, change: (index: { manifests: object[] }) => unknown): void {
  const path = join(folder, 'index.json')
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))))
}

describe('a layout', () => {
  it.each(['gzip', 'zstd', 'none'] as const)('with layers of %s is read', async (compression) => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('hello') }, { compression })
    const { config, named, descriptor } = await readEverything(`oci:${folder}`)
    expect(config).toMatchObject({ command: ['/bin/echo', 'hello'], created: 1577934245, platform: amd64 })
    expect(named).toBe(digests.one)
    expect(descriptor.digest).toBe(digests.one)
  })

  it('with types of Docker is read', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('hello') }, { docker: true })
    const { manifest } = await readEverything(`oci:${folder}:one`)
    expect(manifest.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json')
  })

  it('may be a link, and have links', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('hello') })
    const other = temporaryFolder()
    renameSync(join(folder, 'blobs'), join(other, 'blobs'))
    symlinkSync(join(other, 'blobs'), join(folder, 'blobs'))
    symlinkSync(folder, join(other, 'link'))
    await readEverything(`oci:${join(other, 'link')}`)
  })

  it('picks by tag, by digest and by name in full', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('1'), two: image('2') })
    changeIndex(folder, ({ manifests: [one = {}, two = {}] }) => {
      const annotations = {
        'io.containerd.image.name': 'docker.io/library/app:two',
        'org.opencontainers.image.ref.name': 'two',
      }
      return { schemaVersion: 2, manifests: [one, { ...two, annotations }] }
    })
    for (const tag of [':two', `@${digests.two}`, `:one@${digests.two}`, ':docker.io/library/app:two'])
      expect((await resolved(`oci:${folder}${tag}`)).config.command).toEqual(['/bin/echo', '2'])
  })

  it('with several images tells which there are', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('1'), two: image('2') })
    await expect(resolved(`oci:${folder}`)).rejects.toMatchObject({
      code: 'REFERENCE',
      message: `oci:${folder} holds several images`,
      hint: `It has: oci:${folder}:one, oci:${folder}:two`,
    })
    await expect(resolved(`oci:${folder}:three`)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `oci:${folder} holds no image three`,
      hint: `It has: oci:${folder}:one, oci:${folder}:two`,
    })
    changeIndex(folder, ({ manifests: [one = {}] }) => ({
      manifests: Array.from({ length: 25 }, () => ({ ...one, annotations: {} })),
    }))
    const hint = new RegExp(`^It has: oci:${folder}@${digests.one}, .* and 5 more$`)
    await expect(resolved(`oci:${folder}`)).rejects.toMatchObject({ hint: expect.stringMatching(hint) })
  })

  it('without images says so', async () => {
    const { folder } = writeLayout(folderOf(), {})
    await expect(resolved(`oci:${folder}`)).rejects.toThrow(`oci:${folder} holds no image`)
  })

  it('chooses the platform in an index, and tells which there are', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: platforms })
    const found = await resolved(`oci:${folder}`, { os: 'linux', architecture: 'arm64' })
    expect(found).toMatchObject({ named: digests.one, config: { command: ['/bin/echo', 'arm64'] } })
    await expect(resolved(`oci:${folder}`, { os: 'linux', architecture: 'riscv64' })).rejects.toMatchObject({
      code: 'IMAGE_ARCHITECTURE',
      message: `oci:${folder} has no image for linux/riscv64`,
      hint: 'It has: linux/amd64, linux/arm64, linux/s390x',
    })
  })

  it('whose index.json counts the platforms of one image is one image', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: platforms })
    const { manifests } = JSON.parse(readBlob({ folder }, digests.one ?? '').toString())
    changeIndex(folder, () => ({ schemaVersion: 2, manifests }))
    const found = await resolved(`oci:${folder}`, { os: 'linux', architecture: 's390x' })
    expect(found.config.command).toEqual(['/bin/echo', 's390x'])
    expect(found.named).not.toBe(found.descriptor.digest)
  })

  it('takes a document inside an index by its digest', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: platforms })
    const { manifests } = JSON.parse(readBlob({ folder }, digests.one ?? '').toString())
    expect((await resolved(`oci:${folder}@${manifests[0].digest}`)).config.platform).toEqual(amd64)
  })

  it('looks into indexes in indexes, but not without end', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: platforms })
    const wrap = (digest: string): string => {
      const mediaType = 'application/vnd.oci.image.index.v1+json'
      const size = readBlob({ folder }, digest).length
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, digest, size }] }),
      )
      writeFileSync(join(folder, 'blobs/sha256', sha256(bytes).slice(7)), bytes)
      return sha256(bytes)
    }
    const deep = wrap(wrap(digests.one ?? ''))
    expect((await resolved(`oci:${folder}@${deep}`)).config.platform).toEqual(amd64)
    await expect(resolved(`oci:${folder}@${wrap(wrap(deep))}`)).rejects.toThrow('its indexes have no end')
  })

  it('for another machine is refused, with the way to take it all the same', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('x', { platform: { architecture: 'arm64' } }) })
    await expect(resolved(`oci:${folder}`)).rejects.toMatchObject({
      code: 'IMAGE_ARCHITECTURE',
      message: `oci:${folder} is for linux/arm64, not for linux/amd64`,
      hint: 'To fetch it all the same: sing pull --platform linux/arm64 ...',
    })
    const unsaid = writeLayout(folderOf(), {
      one: image('x', { platform: { os: '', architecture: '' } }),
      win: image('x', { platform: { os: 'windows' } }),
    })
    await resolved(`oci:${unsaid.folder}:one`)
    await expect(resolved(`oci:${unsaid.folder}:win`)).rejects.toThrow('is for windows/amd64')
  })

  it('that holds something else is refused', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('x') })
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: {
          mediaType: 'application/vnd.cncf.helm.config.v1+json',
          digest: sha256(Buffer.of()),
          size: 0,
        },
        layers: [],
      }),
    )
    writeFileSync(join(folder, 'blobs/sha256', sha256(bytes).slice(7)), bytes)
    await expect(resolved(`oci:${folder}@${sha256(bytes)}`)).rejects.toThrow('it is a Helm chart')
    await using source = await open(`oci:${folder}@${sha256(bytes)}`)
    expect((await resolveManifest(source, amd64, signal)).manifest.layers).toEqual([])
  })
})

describe('a damaged layout', () => {
  it('that is not there, or is a file, is refused', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    await expect(open(`oci:${folder}/none`)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `cannot open the OCI layout ${folder}/none: no such file or directory`,
    })
    await expect(open(`oci:${folder}/file`)).rejects.toMatchObject({
      message: `cannot open the OCI layout ${folder}/file: it is no directory`,
      hint: `For an archive of a layout: oci-archive:${folder}/file`,
    })
  })

  it.each([
    ['index.json', undefined, 'is no OCI layout: it has no index.json'],
    ['index.json', 'x', 'is damaged: it is not JSON'],
    [
      'index.json',
      '{"schemaVersion":2,"config":{"digest":"sha256:0","size":1}}',
      'is damaged: config.digest',
    ],
    ['oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'is a layout of version "2.0.0", not 1'],
    ['oci-layout', '{}', 'is a layout of version "", not 1'],
  ])('%s being %s is refused', async (file, text, reason) => {
    const { folder } = writeLayout(folderOf(), { one: image('x') })
    rmSync(join(folder, file))
    if (text !== undefined) writeFileSync(join(folder, file), text)
    give(folder)
    await expect(resolved(`oci:${folder}`)).rejects.toThrow(reason)
  })

  it('whose index.json is a manifest is refused', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('x') })
    writeFileSync(join(folder, 'index.json'), readBlob({ folder }, digests.one ?? ''))
    await expect(resolved(`oci:${folder}`)).rejects.toThrow('is damaged: its index.json is no index')
  })

  it('whose index.json is a folder has none', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('x') })
    renameSync(join(folder, 'blobs'), join(folder, 'index.json.d'))
    rmSync(join(folder, 'index.json'))
    renameSync(join(folder, 'index.json.d'), join(folder, 'index.json'))
    await expect(resolved(`oci:${folder}`)).rejects.toThrow('it has no index.json')
  })

  it('that works without the file oci-layout is read', async () => {
    const { folder } = writeLayout(folderOf(), { one: image('x') })
    rmSync(join(folder, 'oci-layout'))
    await readEverything(`oci:${folder}`)
  })

  it('that lacks a blob, or has a changed document, names its digest', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('x') })
    const manifest = join(folder, 'blobs', ...(digests.one ?? '').split(':'))
    const text = readFileSync(manifest, 'utf8')
    const { layers, config } = JSON.parse(text)
    writeFileSync(manifest, text.replace('"size":', '"size": '))
    await expect(resolved(`oci:${folder}`)).rejects.toMatchObject({
      code: 'DIGEST',
      message: expect.stringContaining(`${digests.one} is damaged: its bytes have the digest sha256:`),
    })
    rmSync(manifest)
    await expect(resolved(`oci:${folder}`)).rejects.toThrow(`is damaged: it lacks the blob ${digests.one}`)
    writeFileSync(manifest, text)
    rmSync(join(folder, 'blobs', ...layers[0].digest.split(':')))
    await using source = await open(`oci:${folder}`)
    expect(source.locate?.(layers[0])).toBeUndefined()
    await expect(source.blob(layers[0], 0, signal)).rejects.toThrow(`it lacks the blob ${layers[0].digest}`)
    writeFileSync(join(folder, 'blobs', ...config.digest.split(':')), Buffer.alloc(9 * 1024 * 1024))
    await expect(resolved(`oci:${folder}`)).rejects.toThrow('has 9437184 bytes, more than 8388608')
  })
})

describe('layouts of other programs', () => {
  it.skipIf(!can('skopeo'))('skopeo', async () => {
    const { folder, digests } = writeLayout(folderOf(), { one: image('hello'), all: platforms })
    const copy = folderOf()
    await copyImage(`oci:${folder}:one`, `oci:${copy}:mine`)
    await copyImage(`oci:${folder}:all`, `oci:${copy}:all`, ['--all'])
    expect((await readEverything(`oci:${copy}:mine`)).named).toBe(digests.one)
    expect((await readEverything(`oci:${copy}:all`)).config.command).toEqual(['/bin/echo', 'amd64'])
  })

  it.skipIf(!can('umoci'))('umoci', async () => {
    const folder = folderOf()
    await must(['umoci', 'init', '--layout', folder])
    await must(['umoci', 'new', '--image', `${folder}:bb`])
    const files = temporaryFolder()
    writeFileSync(join(files, 'file'), 'text')
    await must(['umoci', 'insert', '--rootless', '--image', `${folder}:bb`, join(files, 'file'), '/file'])
    await must(['umoci', 'config', '--image', `${folder}:bb`, '--config.cmd', '/bin/sh'])
    const { config, manifest } = await readEverything(`oci:${folder}:bb`)
    expect(config.command).toEqual(['/bin/sh'])
    expect(manifest.layers).toHaveLength(1)
  })

  it.skipIf(!can('buildah'))('buildah', async () => {
    const context = temporaryFolder()
    writeFileSync(join(context, 'Containerfile'), 'FROM scratch\nCOPY Containerfile /\nCMD ["/x"]\n')
    const folder = folderOf()
    await buildImage(context, `oci:${folder}:built`, temporaryFolder())
    expect((await readEverything(`oci:${folder}:built`)).config.command).toEqual(['/x'])
    expect(existsSync(join(folder, 'index.json'))).toBe(true)
  })
})
