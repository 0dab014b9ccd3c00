/** `sing pull --oci`: OCI images become OCI-SIF files that run, of one layer or of as many as they have. */

import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { layerTypes } from '../../src/image/oci-sif.ts'
import { can } from '../helpers/can.ts'
import { type Layout, must, sha256, writeLayout } from '../helpers/oci.ts'
import { program, squashfsOf, file as textFile } from '../helpers/oci-sif.ts'
import { peer } from '../helpers/peer.ts'
import { type Outcome, projectRoot, type RunOptions, sing } from '../helpers/sing.ts'
import type { TarEntry } from '../helpers/tar.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

let base: TarEntry[] = []
let layout: Layout
let folder = ''

beforeAll(async () => {
  base = await busyboxLayer()
  const opaque: TarEntry[] = [
    { path: 'data/.wh..wh..opq' },
    { path: 'data/only', data: 'only\n' },
    { path: 'bin/.wh.wc' },
  ]
  const squashfs = await squashfsOf({
    'bin/busybox': program(readFileSync('/bin/busybox')),
    text: textFile('packed\n'),
  })
  layout = writeLayout(join(temporaryFolder(), 'layout'), {
    app: printingImage(base),
    opaque: printingImage(base, { layers: [base, opaque] }),
    twin: printingImage(base, { layers: [base, [], base] }),
    packed: {
      layers: [{ tar: squashfs, compression: 'none', mediaType: layerTypes.squashfs }],
      config: { Entrypoint: ['/bin/busybox', 'cat', '/text'] },
    },
    mixed: { layers: [base, { tar: squashfs, compression: 'none', mediaType: layerTypes.squashfs }] },
  })
})
beforeEach(() => {
  folder = temporaryFolder()
})

function our(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = { SINGULARITY_CACHEDIR: join(folder, 'cache'), SINGULARITY_TMPDIR: folder, ...options.env }
  return sing(args, { cwd: folder, ...options, env })
}

async function succeeds(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await our(args, options)
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

const objects = async (
  image: string,
): Promise<{ type: string; size: number; offset: number; digest: string }[]> =>
  JSON.parse(await succeeds(['sif', 'list', '--json', image]))
const sumOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

describe.skipIf(!can('userns', 'fuse', 'overlay'))('an OCI-SIF that is pulled', () => {
  it.each([
    ['of one layer', [], 1],
    ['of all layers', ['--keep-layers'], 3],
  ])('%s runs as its image', async (_, flags, layers) => {
    await succeeds(['pull', '--oci', ...flags, 'x.oci.sif', `oci:${layout.folder}:app`])
    expect((await objects('x.oci.sif')).map(({ type }) => type)).toEqual([
      ...Array.from({ length: layers + 2 }, () => 'OCI.Blob'),
      'OCI.RootIndex',
    ])
    expect(await succeeds(['run', 'x.oci.sif'])).toBe(`[entry][from cmd][it's "$HOME"]\n`)
    expect(await succeeds(['exec', 'x.oci.sif', 'cat', '/data/change', '/data/hard', '/data/added'])).toBe(
      'new\nnew\nadded\n',
    )
    expect(await succeeds(['exec', 'x.oci.sif', 'ls', '/data'])).toBe('added\nchange\nhard\n')
    expect(await succeeds(['run', '--oci', '--cwd', '/data', 'x.oci.sif', 'a b'])).toBe('[entry][a b]\n')
    expect(await succeeds(['inspect', 'x.oci.sif'])).toBe('org.example.label: two words\n')
  })

  it.each([[[]], [['--keep-layers']]])('keeps what upper layers hide hidden (%j)', async (flags) => {
    await succeeds(['pull', '--oci', ...flags, 'x.oci.sif', `oci:${layout.folder}:opaque`])
    for (const how of [[], ['--unsquash']]) {
      const seen = ['exec', ...how, 'x.oci.sif', 'sh', '-c', 'ls /data; test -e /bin/wc || echo none']
      expect(await succeeds(seen)).toBe('only\nnone\n')
    }
  })

  it.skipIf(!can('umoci'))('shows what umoci put into its layers, and nothing else', async () => {
    const copy = join(folder, 'copy')
    cpSync(layout.folder, copy, { recursive: true })
    const image = (tag: string) => ['--image', `${copy}:${tag}`]
    const bundle = join(folder, 'bundle')
    const rootless = process.getuid?.() === 0 ? [] : ['--rootless']
    await must(['umoci', 'unpack', ...rootless, ...image('app'), bundle])
    const tree = join(bundle, 'rootfs')
    rmSync(join(tree, 'data/added'))
    rmSync(join(tree, 'data/hard'))
    mkdirSync(join(tree, 'data/hard'))
    writeFileSync(join(tree, 'data/hard/inside'), 'inside\n')
    await must(['umoci', 'repack', '--refresh-bundle', ...image('second'), bundle])
    rmSync(join(tree, 'data/hard'), { recursive: true })
    writeFileSync(join(tree, 'data/hard'), 'file\n')
    writeFileSync(join(tree, 'data/added'), 'again\n')
    await must(['umoci', 'repack', ...image('third'), bundle])
    give(copy)
    for (const [tag, seen] of [
      ['second', 'data/change=new data/hard/inside=inside '],
      ['third', 'data/added=again data/change=new data/hard=file '],
    ] as const)
      for (const flags of [[], ['--keep-layers']]) {
        await succeeds(['pull', '--force', '--oci', ...flags, 'x.sif', `oci:${copy}:${tag}`])
        const script =
          'cd /; for f in data/* data/*/*; do test -f $f && printf "%s=%s " $f "$(cat $f)"; done; true'
        expect(await succeeds(['exec', 'x.sif', 'sh', '-c', script]), `${tag} ${flags}`).toBe(seen)
        if (can('root'))
          expect(await succeeds(['exec', 'x.sif', 'sh', '-c', script], { as: 'self' })).toBe(seen)
      }
  })

  it.each([
    ['before', (file: TarEntry, removed: TarEntry) => [removed, file]],
    ['behind', (file: TarEntry, removed: TarEntry) => [file, removed]],
  ])('has a file where a directory was, with its old content removed %s it', async (_, order) => {
    const copy = writeLayout(join(folder, 'copy'), {
      app: {
        layers: [
          [...base, { path: 'hard/', type: 'directory' }, { path: 'hard/inside', data: 'x' }],
          order({ path: 'hard', data: 'file\n' }, { path: 'hard/.wh.inside' }),
        ],
      },
    })
    await succeeds(['pull', '--oci', '--keep-layers', 'x.sif', `oci:${copy.folder}:app`])
    expect(await succeeds(['exec', 'x.sif', 'cat', '/hard'])).toBe('file\n')
  })

  it('may hold the same layer twice, and an empty one', async () => {
    await succeeds(['pull', '--oci', '--keep-layers', 'x.oci.sif', `oci:${layout.folder}:twin`])
    expect(await succeeds(['exec', 'x.oci.sif', 'cat', '/data/change'])).toBe('old\n')
  })

  it('is a program, and the same bytes whenever it is made', async () => {
    for (const name of ['a', 'b'])
      await succeeds(['pull', '--oci', '--keep-layers', '--disable-cache', name, `oci:${layout.folder}:app`])
    expect(sumOf(join(folder, 'a'))).toBe(sumOf(join(folder, 'b')))
    expect(readFileSync(join(folder, 'a')).toString('latin1', 0, 31)).toBe('#!/usr/bin/env run-singularity\n')
  })

  it('comes from the cache the second time, apart from the SIF of the same image', async () => {
    const reference = `oci:${layout.folder}:app`
    for (const flags of [['--oci'], [], ['--oci', '--keep-layers'], ['--oci']])
      await succeeds(['pull', '--force', ...flags, 'x.sif', reference])
    expect((await objects('x.sif')).at(-1)?.type).toBe('OCI.RootIndex')
    expect(await succeeds(['run', 'x.sif', 'a'])).toBe('[entry][a]\n')
  })

  it('has documents whose digests are theirs, and a history with an entry for each layer', async () => {
    await succeeds(['pull', '--oci', '--keep-layers', 'x.oci.sif', `oci:${layout.folder}:app`])
    const bytes = readFileSync(join(folder, 'x.oci.sif'))
    const all = await objects('x.oci.sif')
    const parts = all.map(({ offset, size }) => bytes.subarray(offset, offset + size))
    expect(parts.map((part) => sha256(part))).toEqual(all.map(({ digest }) => digest))
    const [config, manifest] = parts.slice(3).map((part) => JSON.parse(part.toString()))
    expect(config.rootfs.diff_ids).toEqual(all.slice(0, 3).map(({ digest }) => digest))
    expect(config.history.filter((entry: { empty_layer?: boolean }) => !entry.empty_layer)).toHaveLength(3)
    expect(config.config.WorkingDir).toBe('/data')
    expect(manifest.layers.map(({ mediaType }: { mediaType: string }) => mediaType)).toEqual(
      Array.from({ length: 3 }, () => layerTypes.squashfs),
    )
  })

  it('keeps file systems that the image has as layers, and its documents', async () => {
    await succeeds(['pull', '--oci', 'x.oci.sif', `oci:${layout.folder}:packed`])
    expect(await succeeds(['run', 'x.oci.sif'])).toBe('packed\n')
    expect((await objects('x.oci.sif'))[2]?.digest).toBe(layout.digests.packed)
  })

  it('is called after its reference, as such', async () => {
    await succeeds(['pull', '--oci', `oci:${layout.folder}:app`])
    expect(readdirSync(folder).filter((name) => name !== 'cache')).toEqual(['layout_app.oci.sif'])
  })

  it('can be built, and becomes an image of the usual kind', async () => {
    await succeeds(['build', '--oci', 'x.oci.sif', `oci:${layout.folder}:app`])
    await succeeds(['build', 'x.sif', 'x.oci.sif'])
    expect(await succeeds(['run', 'x.sif', '--no-eval', 'a b'])).toBe('[entry][--no-eval][a b]\n')
  })
})

describe('an OCI-SIF is not made', () => {
  it.each([
    ['of archives and file systems', ['--oci'], 'mixed', 'has archives and file systems as layers'],
    ['as a directory', ['--oci', '--sandbox'], 'app', '--oci and --sandbox exclude each other'],
    ['without --oci', ['--keep-layers'], 'app', '--keep-layers is about --oci'],
  ])('%s', async (_, flags, tag, message) => {
    const { status, stderr } = await our(['pull', ...flags, 'x', `oci:${layout.folder}:${tag}`])
    expect(status).not.toBe(0)
    expect(stderr).toContain(message)
    expect(existsSync(join(folder, 'x'))).toBe(false)
  })
})

it.each([
  [join(projectRoot, 'fixtures/images/everything.sif'), 'everything.sif is no image of OCI'],
  ['oras://127.0.0.1:1/x', 'oras://127.0.0.1:1/x is a file, which is fetched as it is'],
])('an OCI-SIF is not built of %s', async (spec, message) => {
  const { status, stderr } = await our(['build', '--oci', 'new.sif', spec])
  expect(status).toBe(255)
  expect(stderr).toContain(message)
})

describe.skipIf(!can('peer'))('beside the peer', () => {
  it('lists and shows its objects', async () => {
    await succeeds(['pull', '--oci', '--keep-layers', 'x.oci.sif', `oci:${layout.folder}:app`])
    for (const words of [
      ['list', 'x.oci.sif'],
      ['header', 'x.oci.sif'],
      ['info', '1', 'x.oci.sif'],
      ['dump', '5', 'x.oci.sif'],
    ]) {
      const { stdout } = await peer(['sif', ...words], { cwd: folder })
      expect(stdout, words.join(' ')).toBe(await succeeds(['sif', ...words]))
    }
  })
})
