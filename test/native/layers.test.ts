/** Layers packed into one image: what of them shows, and what is refused. */

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { SquashfsImage } from '../../src/native/addon.ts'
import { LayerPacker } from '../../src/native/layers.ts'
import { hasProgram } from '../helpers/can.ts'
import { sha256 } from '../helpers/oci.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { entry, file, noise } from './images.ts'
import { type Options, packLayers } from './layers.ts'

const folder = temporaryFolder()
let names = 0
function newPath(): string {
  names += 1
  return join(folder, `new-${names}`)
}

const pack = (layers: readonly Uint8Array[], options: Options = {}) => packLayers(layers, newPath(), options)

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
  pack(layers.map((words, index) => tarOf(entriesOf(index, words))))

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
      'know hard links to links that come later',
      [['a => b', 'b => c', 'c']],
      { a: 'c of 0', b: 'c of 0', c: 'c of 0' },
    ],
    [
      'know hard links to links through links',
      [['d -> e', 'e/a => d/b', 'e/b => d/c', 'e/c => f', 'f']],
      { d: '-> e', e: '/', 'e/a': 'f of 0', 'e/b': 'f of 0', 'e/c': 'f of 0', f: 'f of 0' },
    ],
    [
      'leave alone what was a hard link before',
      [['a => b', 'b', 'a/', 'a/c', 'b']],
      { a: '/', 'a/c': 'a/c of 0', b: 'b of 0' },
    ],
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
      expect(await listing(await pack([layer]))).toEqual({ a: 'text' })
  })

  it('tell what is in them, and take entries on top', async () => {
    const path = await pack([tarOf(entriesOf(0, ['bin -> usr/bin', 'usr/bin/sh', 'etc/hosts', 'x/y']))], {
      capture: ['/etc'],
      top: async (packer) => {
        await packer.merge()
        await expect(packer.layer({ fd: 0, offset: 0, name: 'late' })).rejects.toThrow('merged already')
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
    })
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

/** What the messages of refused layers say after the name of the layer. */
const refused = (layer: Uint8Array, options: Options = {}) =>
  pack([layer], options).then(
    () => 'packed',
    (error: Error) => error.message.replace('cannot unpack layer number 0: ', ''),
  )

const one = (entry: Partial<TarEntry>): Buffer => tarOf([{ path: 'it', ...entry }])

/** Other bytes in a tar, whose headers are summed up again. */
function replaceBytes(tar: Buffer, from: Buffer, to: Buffer): Buffer {
  const bytes = Buffer.from(tar)
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at)) to.copy(bytes, at)
  for (let at = 0; at < bytes.length; at += 512) {
    if (bytes.toString('latin1', at + 257, at + 262) !== 'ustar') continue
    const header = bytes.subarray(at, at + 512).fill(' ', 148, 156)
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
  }
  return bytes
}

describe('an archive without the end of its last block', () => {
  const tar = tarOf([{ path: 'a', data: 'text' }])
  it('is taken as whole, as umoci writes it', async () => {
    expect(await listing(await pack([tar.subarray(0, 512 + 4)]))).toEqual({ a: 'text' })
  })

  it('and without the end of the last file is refused', async () => {
    await expect(pack([tar.subarray(0, 512 + 3)])).rejects.toMatchObject({
      message: expect.stringContaining('a: it ends too early'),
    })
  })
})

describe('a layer is refused', () => {
  const tar = tarOf([{ path: 'a', data: noise(100_000) }])
  it.each<[string, Uint8Array, string, Options?]>([
    ['that ends too early', tar.subarray(0, 50_000), 'a: it ends too early'],
    ['whose compressed data ends too early', gzipSync(tar).subarray(0, 50_000), 'it ends too early'],
    ['whose zstd data ends too early', zstdCompressSync(tar).subarray(0, 50_000), 'it ends too early'],
    ['with damage in its compressed data', damaged(gzipSync(tar)), 'damaged compressed data'],
    ['that is no archive', noise(5000), 'not a tar archive'],
    ['that is a text', Buffer.from('<html>sorry</html>'), 'not a tar archive'],
    [
      'that is compressed in another way',
      Buffer.from('BZh91AY&SY'),
      'compressed with something else than gzip, zstd or xz',
    ],
    ['with a damaged header', damaged(tarOf([{ path: 'a' }, { path: 'b' }]), 600), 'damaged tar archive'],
    ['that leads out of the image', one({ path: '../a' }), '../a: not a name that a directory may hold'],
    [
      'that leads out of the image somewhere',
      one({ path: 'a/../../b' }),
      'a/../../b: not a name that a directory may hold',
    ],
    [
      'with a link out of the image',
      one({ type: 'hardlink', link: '../../etc/passwd' }),
      'it: not a name that a directory may hold',
    ],
    [
      'that removes its own directory',
      one({ path: 'a/.wh..' }),
      'a/.wh..: not a name that a directory may hold',
    ],
    [
      'with a root that is no directory',
      one({ path: '.', type: 'fifo' }),
      '.: not a name that a directory may hold',
    ],
    ['with a name that is too long', one({ path: 'x'.repeat(256) }), `${'x'.repeat(256)}: name too long`],
    ['with a link that is too long', one({ type: 'symlink', link: 'x'.repeat(4096) }), 'it: name too long'],
    [
      'with directories that are too deep',
      one({ path: 'd/'.repeat(1100) }),
      `${'d/'.repeat(1100)}: directories are nested too deeply or inside themselves`,
    ],
    [
      'with an owner that nobody can be',
      one({ uid: 2 ** 32 }),
      'it: its owner or device number is larger than squashfs can hold',
    ],
    [
      'with a device that there cannot be',
      one({ type: 'character', device: [4096, 0] }),
      'it: its owner or device number is larger than squashfs can hold',
    ],
    [
      'with too many names',
      tarOf([{ path: 'a' }, { path: 'b' }, { path: 'c' }]),
      'c: more names than the limit allows',
      { limits: { entries: 2 } },
    ],
    [
      'with too many directories',
      one({ path: 'a/b/c/d' }),
      'a/b/c/d: more names than the limit allows',
      { limits: { entries: 3 } },
    ],
    ['with too many bytes', tar, 'a: more bytes than the limit allows', { limits: { bytes: 99_999 } }],
    [
      'with too many attributes',
      one({ xattrs: { 'user.a': 'x'.repeat(1000) } }),
      'it: more extended attributes than the limit allows',
      { limits: { xattrs: 999 } },
    ],
  ])('%s', async (_, layer, message, options) => {
    expect(await refused(layer, options)).toBe(message)
  })

  it('that is much larger than its compressed bytes', async () => {
    const zeros = Buffer.alloc(2 ** 28)
    const parts = Array.from({ length: 5 }, () => zstdCompressSync(zeros))
    const header = one({ pax: { size: String(5 * 2 ** 28) } }).subarray(0, 1536)
    const layer = Buffer.concat([zstdCompressSync(header), ...parts])
    expect(await refused(layer, { limits: { ratio: 2 } })).toBe(
      'it: it grows more by unpacking than the limit allows',
    )
  })

  it.each([
    ['nothing', [{ path: 'a', type: 'hardlink', link: 'b' }]],
    [
      'a directory',
      [
        { path: 'b', type: 'directory' },
        { path: 'a', type: 'hardlink', link: 'b' },
      ],
    ],
    [
      'itself',
      [
        { path: 'a', type: 'hardlink', link: 'c' },
        { path: 'c', type: 'hardlink', link: 'a' },
      ],
    ],
  ] as [string, TarEntry[]][])('with a hard link to %s', async (_, entries) => {
    await expect(pack([tarOf(entries)])).rejects.toMatchObject({
      code: 'IMAGE_FORMAT',
      message: expect.stringMatching(
        /^cannot merge the layers: \/[ac]: there is no file that it could be a hard link to$/,
      ),
    })
  })

  it('with links that lead deeper and deeper', async () => {
    const link = 'x/'.repeat(500)
    const entries = Array.from(
      { length: 200 },
      (_, depth): TarEntry => ({ path: 'y/'.repeat(depth + 1).slice(0, -1), type: 'symlink', link }),
    )
    await expect(pack([tarOf(entries)])).rejects.toMatchObject({
      code: 'IMAGE_FORMAT',
      message: expect.stringMatching(
        /^cannot merge the layers: .*\/y: directories are nested too deeply or inside themselves$/,
      ),
    })
  })

  it.each([
    ['in a circle', [{ path: 'b', type: 'symlink', link: 'b' }], 'too many symbolic links'],
    ['to a file', [{ path: 'c' }, { path: 'b', type: 'symlink', link: 'c' }], 'not a directory'],
  ] as [string, TarEntry[], string][])('that goes through a link %s', async (_, below, reason) => {
    await expect(pack([tarOf(below), tarOf([{ path: 'b/a' }])])).rejects.toMatchObject({
      message: `cannot merge the layers: /b: ${reason}`,
    })
  })

  it('whose digest is another one', async () => {
    const layer = gzipSync(one({}))
    const path = newPath()
    writeFileSync(path, layer)
    const fd = openSync(path, 'r+')
    using packer = LayerPacker.open({ fd: openSync(newPath(), 'w+'), offset: 0 })
    const input = { fd, offset: 0, size: layer.length, name: 'it' }
    const right = { diffId: sha256(one({})), digest: sha256(layer) }
    expect(await packer.layer({ ...input, ...right })).toMatchObject({ ...right, entries: 1, bytes: 1536 })
    const wrong = sha256('else')
    await expect(packer.layer({ ...input, ...right, diffId: wrong })).rejects.toMatchObject({
      code: 'DIGEST',
      message: `cannot use layer it: its unpacked bytes should have the digest ${wrong}, but have ${right.diffId}`,
    })
    await expect(packer.layer({ ...input, ...right, digest: wrong })).rejects.toMatchObject({
      message: `cannot use layer it: its bytes should have the digest ${wrong}, but have ${right.digest}`,
    })
    await expect(packer.layer({ ...input, diffId: 'md5:1' })).rejects.toMatchObject({
      message: 'cannot check md5:1: unknown kind of digest',
    })
  })
})

/** The same bytes but one, in the middle or at `at`. */
function damaged(bytes: Buffer, at = bytes.length / 2): Buffer {
  const copy = Buffer.from(bytes)
  for (let index = Math.floor(at); index < at + 20; index += 1) copy[index] = (copy[index] ?? 0) ^ 0xff
  return copy
}

describe('names', () => {
  it('that are no text stay byte for byte, in old headers and in new ones', async () => {
    const tar = tarOf([
      { path: 'AA-old' },
      { path: 'AA-\u00e9', type: 'directory' },
      { path: 'link', type: 'symlink', link: 'AA-old' },
      { path: `AA-${'long'.repeat(40)}` },
      { path: 'hard', type: 'hardlink', link: 'AA-old' },
    ])
    const path = await pack([replaceBytes(tar, Buffer.from('AA'), Buffer.from([0xff, 0xc3]))])
    const { stdout } = spawnSync('unsquashfs', ['-ls', path], {
      encoding: 'latin1',
    })
    const found = stdout.split('\n').flatMap((line) => line.split('squashfs-root/')[1] ?? [])
    const raw = '\xff\xc3'
    expect(found.sort()).toEqual(
      ['hard', 'link', `${raw}-${'long'.repeat(40)}`, `${raw}-old`, `${raw}-\xc3\xa9`].sort(),
    )
  })

  it('of all sizes keep what is said of them', async () => {
    const path = await pack([
      tarOf([
        {
          path: `/${'a'.repeat(200)}/./${'b'.repeat(255)}`,
          uid: 4_000_000_000,
          gid: 5,
          time: 1.5,
          mode: 0o6751,
        },
        { path: 'early', time: -5 },
        { path: 'late', time: 2 ** 33 + 0.5 },
      ]),
    ])
    await using image = await SquashfsImage.open(path, 0, statSync(path).size)
    const long = `/${'a'.repeat(200)}/${'b'.repeat(255)}`
    expect(await image.stat(long)).toMatchObject({ uid: 4_000_000_000, gid: 5, mtime: 1, mode: 0o6751 })
    expect(await image.stat('early')).toMatchObject({ mtime: 0 })
    expect(await image.stat('late')).toMatchObject({ mtime: 2 ** 32 - 1 })
  })

  it('of attributes without a place are left out, and counted', async () => {
    const events: Event[] = []
    const xattrs = { 'user.kept': '1', 'system.posix_acl_access': '2', 'other.thing': '3' }
    const path = await pack([one({ xattrs })], { report: (event) => events.push(event) })
    await using image = await SquashfsImage.open(path, 0, statSync(path).size)
    expect(await image.xattrs('it')).toEqual({ 'user.kept': Buffer.from('1') })
    expect(events).toContainEqual({
      kind: 'verbose',
      text: '2 extended attributes were left out: squashfs has a place for user., trusted. and security. only',
    })
  })
})

describe('a layer may', () => {
  it('be empty, or nothing at all, or come twice', async () => {
    const layer = tarOf(entriesOf(0, ['a/b', '.wh.c']))
    const layers = [Buffer.alloc(0), layer, tarOf([]), layer, Buffer.alloc(1024), gzipSync('')]
    expect(await listing(await pack(layers))).toEqual({ a: '/', 'a/b': 'a/b of 0' })
  })

  it('come in several members or frames, or have bytes behind its end', async () => {
    const tar = tarOf([{ path: 'a', data: 'text' }])
    const [front, back] = [tar.subarray(0, 700), tar.subarray(700)]
    // What some tools put behind a layer: a frame that is skipped, with a table of contents.
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    for (const layer of [
      Buffer.concat([gzipSync(front), gzipSync(back)]),
      Buffer.concat([zstdCompressSync(front), zstdCompressSync(back)]),
      Buffer.concat([zstdCompressSync(tar), skippable, skippable]),
      Buffer.concat([tar, noise(100_000)]),
    ])
      expect(await listing(await pack([layer]))).toEqual({ a: 'text' })
  })

  it('have hard links to hard links to hard links', async () => {
    const count = 30_000
    const links = Array.from(
      { length: count },
      (_, at): TarEntry => ({ path: `${at}`, type: 'hardlink', link: `${at + 1}` }),
    )
    const path = await pack([tarOf([...links, { path: `${count}`, data: 'text' }])])
    await using image = await SquashfsImage.open(path, 0, statSync(path).size)
    expect(await image.read('/0', 10)).toEqual(Buffer.from('text'))
  })

  it.skipIf(!hasProgram('xz'))('be compressed with xz', async () => {
    const layer = spawnSync('xz', { input: tarOf([{ path: 'a', data: 'text' }]) }).stdout
    expect(await listing(await pack([layer]))).toEqual({ a: 'text' })
  })

  it.each(['gnu', 'pax', 'posix --sparse-version=0.1', 'posix --sparse-version=0.0'])(
    'have files with holes, as tar writes them in format %s',
    async (format) => {
      const work = newPath()
      spawnSync('mkdir', [work])
      const name = join(work, 'holes')
      writeFileSync(name, 'start')
      truncateSync(name, 2 ** 30)
      const fd = openSync(name, 'r+')
      writeSync(fd, 'middle', 2 ** 29)
      closeSync(fd)
      const tar = spawnSync('sh', ['-c', `tar -C "$0" --sparse --format=${format} -cf - holes`, work]).stdout
      expect(tar.length).toBeLessThan(100_000)
      rmSync(work, { recursive: true })
      const path = await pack([tar])
      expect(statSync(path).size).toBeLessThan(100_000)
      await using image = await SquashfsImage.open(path, 0, statSync(path).size)
      expect(await image.stat('holes')).toMatchObject({ size: 2 ** 30 })
      expect(image.info.bytes).toBeGreaterThan(0)
    },
  )

  it('have a hundred thousand small files', async () => {
    const entries = Array.from({ length: 100_000 }, (_, index) => ({
      path: `d${index % 317}/f${index}`,
      data: `${index % 1000}`,
    }))
    const path = await pack([tarOf(entries)])
    await using image = await SquashfsImage.open(path, 0, statSync(path).size)
    expect(image.info.entries).toBe(100_000 + 317 + 1)
    expect(String(await image.read('d0/f99855', 10))).toBe('855')
  })

  it('keep the names that it removes, for overlayfs', async () => {
    const layer = tarOf([
      { path: 'a/.wh.b' },
      { path: 'c/.wh..wh..opq' },
      { path: 'c', type: 'directory', mode: 0o701, xattrs: { 'user.a': '1' } },
      { path: '.wh.d' },
      { path: 'd', type: 'directory' },
      { path: '.wh.e' },
      { path: 'e' },
    ])
    const path = await pack([layer], { whiteouts: 'keep' })
    await using image = await SquashfsImage.open(path, 0, statSync(path).size)
    expect(await listing(path)).toEqual({ a: '/', 'a/b': 'character', c: '/', d: '/', e: '' })
    const opaque = { 'trusted.overlay.opaque': Buffer.from('y') }
    expect(await image.xattrs('c')).toEqual({ ...opaque, 'user.a': Buffer.from('1') })
    expect(await image.stat('c')).toMatchObject({ mode: 0o701 })
    expect(await image.xattrs('d')).toEqual(opaque)
    expect(await image.xattrs('a')).toEqual({})
  })
})

describe('a file that grows', () => {
  const tar = tarOf([{ path: 'a', data: noise(3_000_000) }])
  const layer = gzipSync(tar)

  /** A packer, and a layer of which nothing is there yet. */
  function begin(options: Options = {}) {
    const path = newPath()
    const fd = openSync(path, 'w+')
    const image = newPath()
    const packer = LayerPacker.open({ fd: openSync(image, 'w+'), offset: 0, ...options })
    const work = packer.layer({ fd, offset: 100, name: 'it', diffId: sha256(tar) })
    return { packer, work, fd, image }
  }

  it('is read while it does', async () => {
    const { packer, work, fd, image } = begin()
    for (let at = 0; at < layer.length; at += 700_000) {
      const piece = layer.subarray(at, at + 700_000)
      writeSync(fd, piece, 0, piece.length, 100 + at)
      packer.advance(at + piece.length)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    packer.complete(layer.length)
    expect(await work).toMatchObject({ entries: 1, bytes: tar.length })
    await packer.finish()
    packer[Symbol.dispose]()
    await using result = await SquashfsImage.open(image, 0, statSync(image).size)
    expect((await result.read('a', 2 ** 22))?.equals(noise(3_000_000))).toBe(true)
  })

  it('may stop growing', async () => {
    const { packer, work, fd } = begin()
    writeSync(fd, layer, 0, 100_000, 100)
    packer.advance(100_000)
    const error = new Error('the server is gone')
    setTimeout(() => packer.abort(error), 20)
    await expect(work).rejects.toBe(error)
    packer[Symbol.dispose]()
  })

  it('may be shorter than it was said to be', async () => {
    const { packer, work } = begin()
    packer.complete(layer.length)
    await expect(work).rejects.toMatchObject({ message: 'cannot unpack layer it: it ends too early' })
    packer[Symbol.dispose]()
  })

  it('is not waited for when nobody wants it any more', async () => {
    const controller = new AbortController()
    const { packer, work } = begin({ signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 20)
    await expect(work).rejects.toThrow('enough')
    await expect(packer.finish()).rejects.toThrow('enough')
    packer[Symbol.dispose]()
  })

  it('is let go of by a packer that is closed', async () => {
    const { packer, work } = begin()
    packer[Symbol.dispose]()
    await expect(work).rejects.toMatchObject({ message: 'cannot unpack layer it: cancelled' })
    await expect(packer.finish()).rejects.toThrow('closed or busy')
  })
})
