/** Layers packed into one image: what of them shows, and what is refused. */

import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { SquashfsImage } from '../../src/native/addon.ts'
import { type LayerOptions, LayerPacker } from '../../src/native/layers.ts'
import { sha256 } from '../helpers/oci.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { entry, file } from './images.ts'

const folder = temporaryFolder()
let names = 0
function newPath(): string {
  names += 1
  return join(folder, `new-${names}`)
}

type Options = Partial<LayerOptions> & { top?: (packer: LayerPacker) => Promise<void> }

/** Pack layers, given from the lowest up as images list them; returns the path of the image. */
async function packLayers(layers: readonly Uint8Array[], { top, ...options }: Options = {}): Promise<string> {
  const path = newPath()
  const fd = openSync(path, 'w+')
  try {
    using packer = LayerPacker.open({ fd, offset: 0, ...options })
    for (const [index, bytes] of [...layers.entries()].reverse())
      await addLayer(packer, bytes, `number ${index}`)
    await top?.(packer)
    await packer.finish()
  } finally {
    closeSync(fd)
  }
  return path
}

async function addLayer(packer: LayerPacker, bytes: Uint8Array, name: string) {
  const path = newPath()
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  try {
    return await packer.layer({ fd, offset: 0, size: bytes.length, name })
  } finally {
    closeSync(fd)
  }
}

/** `a file, b/ directory, c -> target, d = contents`: every path of an image but the root, in order. */
async function listing(path: string): Promise<Record<string, string>> {
  await using image = await SquashfsImage.open(path, 0, statSync(path).size)
  const lines: Record<string, string> = {}
  const walk = async (at: string): Promise<void> => {
    for (const name of (await image.list(`/${at}`)) ?? []) {
      const full = at === '' ? name : `${at}/${name}`
      lines[full] = await describeNode(image, full)
      if (lines[full] === '/') await walk(full)
    }
  }
  await walk('')
  return lines
}

async function describeNode(image: SquashfsImage, path: string): Promise<string> {
  const { type } = (await image.stat(path, false)) ?? {}
  switch (type) {
    case 'directory':
      return '/'
    case 'symlink':
      return `-> ${await image.readlink(path)}`
    case 'file':
      return `${await image.read(path, 1000)}`
    default:
      return String(type)
  }
}

/** Paths as entries: `a/` is a directory, `a -> b` a link, `a => b` a hard link, `a` a file that holds its own name and the layer. */
const entriesOf = (layer: number, words: readonly string[]): TarEntry[] =>
  words.map((word) => {
    const [path = '', arrow, link = ''] = word.split(' ')
    if (arrow === '->') return { path, type: 'symlink', link }
    if (arrow === '=>') return { path, type: 'hardlink', link }
    return path.endsWith('/') ? { path, type: 'directory' } : { path, data: `${path} of ${layer}` }
  })

const merge = (layers: readonly (readonly string[])[]) =>
  packLayers(layers.map((words, index) => tarOf(entriesOf(index, words))))

describe('layers', () => {
  it.each<[string, string[][], Record<string, string>]>([
    ['show what one of them has', [['a/', 'a/b'], ['c']], { a: '/', 'a/b': 'a/b of 0', c: 'c of 1' }],
    ['show the file of the upper one', [['a'], ['a']], { a: 'a of 1' }],
    ['show the later of two in one layer', [['a -> x', 'a']], { a: 'a of 0' }],
    [
      'hide what a whiteout removes',
      [
        ['a', 'b/c'],
        ['.wh.a', '.wh.b'],
      ],
      {},
    ],
    ['do not let a whiteout remove its own layer', [['a'], ['.wh.a', 'a']], { a: 'a of 1' }],
    [
      'do not let a whiteout remove what is above',
      [['a/b'], ['.wh.a'], ['a/c']],
      { a: '/', 'a/c': 'a/c of 2' },
    ],
    [
      'empty an opaque directory',
      [
        ['a/b', 'a/c/d'],
        ['a/.wh..wh..opq', 'a/e'],
      ],
      { a: '/', 'a/e': 'a/e of 1' },
    ],
    ['let a file hide a directory', [['a/b'], ['a']], { a: 'a of 1' }],
    ['let a directory hide a file', [['a'], ['a/', 'a/b']], { a: '/', 'a/b': 'a/b of 1' }],
    ['let a file come between', [['a/b'], ['a'], ['a/', 'a/c']], { a: '/', 'a/c': 'a/c of 2' }],
    ['know hard links', [['a', 'b => a']], { a: 'a of 0', b: 'a of 0' }],
    ['know hard links to a layer below', [['a'], ['b => a']], { a: 'a of 0', b: 'a of 0' }],
    ['know hard links to what is removed', [['a', 'b => a'], ['.wh.a']], { b: 'a of 0' }],
    ['know hard links to what is replaced', [['a', 'b => a'], ['a']], { a: 'a of 1', b: 'a of 0' }],
    [
      'go through a link below',
      [['usr/lib/', 'lib -> usr/lib'], ['lib/a']],
      {
        lib: '-> usr/lib',
        usr: '/',
        'usr/lib': '/',
        'usr/lib/a': 'lib/a of 1',
      },
    ],
  ])('%s', async (_, layers, expected) => {
    expect(await listing(await merge(layers))).toEqual(expected)
  })

  it('may be compressed in any way', async () => {
    const tar = tarOf([{ path: 'a', data: 'text' }])
    for (const layer of [tar, gzipSync(tar), zstdCompressSync(tar)])
      expect(await listing(await packLayers([layer]))).toEqual({ a: 'text' })
  })

  it('tell what is in them, and take entries on top', async () => {
    const path = await packLayers(
      [tarOf(entriesOf(0, ['bin -> usr/bin', 'usr/bin/sh', 'etc/hosts', 'x/y']))],
      {
        capture: ['/etc'],
        top: async (packer) => {
          await packer.merge()
          expect(packer.lookup('/bin')).toEqual({ type: 'symlink', link: 'usr/bin' })
          expect(packer.lookup('/bin/sh')).toEqual({ type: 'file' })
          expect(packer.lookup('/bin/no')).toBeUndefined()
          expect([...packer.captured()]).toEqual([
            ['/etc/hosts', { mode: 0o644, data: Buffer.from('etc/hosts of 0') }],
          ])
          await packer.add([
            file('bin/new', 'new'),
            file('x', 'flat'),
            entry('etc', 'directory', { mode: 0o700 }),
          ])
        },
      },
    )
    expect(await listing(path)).toEqual({
      bin: '-> usr/bin',
      etc: '/',
      'etc/hosts': 'etc/hosts of 0',
      usr: '/',
      'usr/bin': '/',
      'usr/bin/new': 'new',
      'usr/bin/sh': 'usr/bin/sh of 0',
      x: 'flat',
    })
  })

  it('give the same bytes again', async () => {
    const layers = [
      ['a/b', 'a/c -> b'],
      ['d', '.wh.a', 'a/e'],
    ]
    const [one, other] = [await merge(layers), await merge(layers)]
    expect(sha256(readFileSync(one))).toBe(sha256(readFileSync(other)))
  })
})
