/** Layers made of images: what other readers of tar find in them, and that the same files give the same bytes. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../src/native/addon.ts'
import { LayerExport, type LayerFiles, type LayerResult } from '../../src/native/export.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { describeTree, entry, file, makeTree, noise, packList, packTree } from './images.ts'

const folder = temporaryFolder()
const tree = makeTree(folder)
const never = new AbortController().signal

let names = 0
function newPath(): string {
  names += 1
  return join(folder, `new-${names}`)
}

async function treeImage(): Promise<LayerFiles> {
  const path = newPath()
  await packTree(tree, path)
  return whole(path)
}

async function listImage(entries: readonly Entry[]): Promise<string> {
  const path = newPath()
  await packList(entries, path)
  return path
}

const whole = (path: string): LayerFiles => ({ file: path, offset: 0, size: statSync(path).size })

type Compression = 'none' | 'gzip' | 'zstd'

async function layerOf(
  files: LayerFiles,
  compression: Compression = 'none',
): Promise<{ bytes: Buffer; result: LayerResult | undefined }> {
  const layer = new LayerExport(files, { compression })
  const pieces: Buffer[] = []
  for await (const piece of layer.read(never)) pieces.push(piece)
  return { bytes: Buffer.concat(pieces), result: layer.result }
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

const listing = `
import hashlib, json, sys, tarfile
archive = tarfile.open(sys.argv[1])
for member in archive:
    data = archive.extractfile(member).read() if member.isreg() else b''
    pax = {key: value.encode('utf-8', 'surrogateescape').hex() for key, value in member.pax_headers.items()}
    print(json.dumps([member.name, member.type.decode(), member.mode, member.uid, member.gid, member.mtime, member.linkname,
                      member.devmajor, member.devminor, data.decode('latin1') if len(data) < 100 else len(data), pax]))
`
type Member = {
  name: string
  type: string
  mode: number
  uid: number
  gid: number
  mtime: number
  link: string
  device: [number, number]
  data: string | number
  pax: Record<string, string>
}

/** What another reader finds in an archive, by the paths. */
function membersOf(tar: Buffer): Map<string, Member> {
  const path = newPath()
  writeFileSync(path, tar)
  const lines = execFileSync('python3', ['-c', listing, path], { encoding: 'utf8' }).trim().split('\n')
  return new Map(
    lines.map((line) => {
      const [name, type, mode, uid, gid, mtime, link, major, minor, data, pax] = JSON.parse(line)
      return [name, { name, type, mode, uid, gid, mtime, link, device: [major, minor], data, pax }]
    }),
  )
}

describe('a layer', () => {
  it('has everything that the image has, for other programs', async () => {
    const { bytes, result } = await layerOf(await treeImage())
    const to = newPath()
    mkdirSync(to)
    execFileSync('tar', ['-xp', '--same-owner', '--numeric-owner', '-C', to], { input: bytes })
    expect(describeTree(to)).toEqual(describeTree(tree))
    expect(result).toMatchObject({ diffId: sha256(bytes), bytes: bytes.length, skipped: 0, firstSkipped: '' })
    expect(result?.entries).toBe(describeTree(tree).length - 1)
  })

  it('is the same from an image and from the directory it was made of', async () => {
    const image = await layerOf(await treeImage())
    const directory = await layerOf({ directory: tree })
    expect(directory.result).toEqual(image.result)
    expect(sha256(directory.bytes)).toBe(sha256(image.bytes))
  })

  it.each([
    ['gzip', gunzipSync],
    ['zstd', zstdDecompressSync],
  ] as const)(
    'compressed by %s is the same each time, and holds the tar',
    async (compression, decompress) => {
      const big = await listImage([
        file('text', 'line after line\n'.repeat(400_000)),
        file('noise', noise(3_000_000)),
      ])
      const plain = await layerOf(whole(big))
      const one = await layerOf(whole(big), compression)
      const other = await layerOf(whole(big), compression)
      expect(sha256(one.bytes)).toBe(sha256(other.bytes))
      expect(one.bytes.length).toBeLessThan(plain.bytes.length / 2)
      expect(one.result).toEqual(plain.result)
      const program = execFileSync(compression, ['-dc'], { input: one.bytes, maxBuffer: 100_000_000 })
      expect(sha256(program)).toBe(plain.result?.diffId)
      if (compression === 'gzip') expect(sha256(decompress(one.bytes))).toBe(plain.result?.diffId)
    },
  )

  it('keeps owners, devices, times, modes and attributes', async () => {
    const image = await listImage([
      entry('null', 'character', { device: { major: 1, minor: 3 }, mode: 0o666 }),
      entry('disk', 'block', { device: { major: 259, minor: 65_537 }, uid: 5, gid: 6 }),
      entry('pipe', 'fifo', { mtime: 4_000_000_000 }),
      entry('far', 'directory', { uid: 4_000_000_000, gid: 2_097_151, mode: 0o1777 }),
      file('far/capable', 'x', {
        uid: 2_097_152,
        mode: 0o6755,
        xattrs: { 'security.capability': Buffer.from('0100000200200000000000000000000000000000', 'hex') },
      }),
      file('noted', 'y', {
        xattrs: { 'user.empty': Buffer.alloc(0), 'user.lines': Buffer.from('a=b\nc\n\0') },
      }),
    ])
    const members = membersOf((await layerOf(whole(image))).bytes)
    expect(members.get('null')).toMatchObject({ type: '3', device: [1, 3], mode: 0o666, pax: {} })
    expect(members.get('disk')).toMatchObject({ type: '4', device: [259, 65_537], uid: 5, gid: 6 })
    expect(members.get('pipe')).toMatchObject({ type: '6', mtime: 4_000_000_000, pax: {} })
    expect(members.get('far')).toMatchObject({ type: '5', mode: 0o1777, uid: 4_000_000_000, gid: 2_097_151 })
    expect(members.get('far/capable')).toMatchObject({
      mode: 0o6755,
      uid: 2_097_152,
      pax: { 'SCHILY.xattr.security.capability': expect.any(String) },
    })
    expect(members.get('noted')?.pax).toEqual({
      'SCHILY.xattr.user.empty': '',
      'SCHILY.xattr.user.lines': Buffer.from('a=b\nc\n\0').toString('hex'),
    })
  })

  it('keeps names of any length and letters, and links to them', async () => {
    const exact = `${'a'.repeat(49)}/${'b'.repeat(50)}`
    const long = `${'d'.repeat(200)}/${'ü'.repeat(100)}`
    const image = await listImage([
      file(exact, 'fits'),
      file(`${exact}c`, 'does not'),
      file(long, 'long'),
      entry('again', 'hardlink', { link: long }),
      entry('to', 'symlink', { link: 'x/'.repeat(300), mode: 0o777 }),
      file('new\nline', '1'),
    ])
    const members = membersOf((await layerOf(whole(image))).bytes)
    expect(members.get(exact)).toMatchObject({ data: 'fits', pax: {} })
    expect(members.get(`${exact}c`)).toMatchObject({ data: 'does not' })
    // The order is that of the names: the first one has the data.
    expect(members.get('again')).toMatchObject({ type: '0', data: 'long' })
    expect(members.get(long)).toMatchObject({ type: '1', link: 'again' })
    expect(members.get('to')).toMatchObject({ type: '2', link: 'x/'.repeat(300) })
    expect(members.get('new\nline')).toMatchObject({ data: '1' })
  })

  it('holds a file that is larger than the number in its header can be', async () => {
    const path = join(newPath(), 'large')
    mkdirSync(join(path, '..'))
    writeFileSync(path, '')
    const size = 8 * 1024 ** 3
    truncateSync(path, size)
    const layer = new LayerExport({ directory: join(path, '..') }, { compression: 'zstd' })
    const reading = layer.read(never)
    const { value } = await reading.next()
    await reading.return()
    const head = execFileSync('sh', ['-c', 'zstd -dc 2>/dev/null | head -c 4096'], { input: value as Buffer })
    expect(head.toString('latin1')).toContain(`19 size=${size}\n`)
  })

  it('leaves sockets and names of whiteouts out, and tells so', async () => {
    const root = newPath()
    mkdirSync(join(root, 'sub/.wh.directory/inner'), { recursive: true })
    writeFileSync(join(root, 'sub/.wh.directory/inner/file'), 'x')
    writeFileSync(join(root, 'sub/.wh.file'), 'x')
    writeFileSync(join(root, 'sub/kept'), 'x')
    const server = createServer().listen(join(root, 'sub/socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      const image = newPath()
      await packTree(root, image)
      for (const files of [{ directory: root }, whole(image)]) {
        const { bytes, result } = await layerOf(files)
        expect([...membersOf(bytes).keys()]).toEqual(['.', 'sub', 'sub/kept'])
        expect(result).toMatchObject({ skipped: 3, firstSkipped: '/sub/.wh.directory', entries: 2 })
      }
    } finally {
      server.close()
    }
  })

  it('of an overlay spells whiteouts as layers do', async () => {
    const opaque = { 'trusted.overlay.opaque': Buffer.from('y'), 'user.mine': Buffer.from('1') }
    const image = await listImage([
      entry('gone', 'character', { device: { major: 0, minor: 0 }, mode: 0 }),
      entry('sub/gone too', 'hardlink', { link: 'gone' }),
      entry('sub/console', 'character', { device: { major: 5, minor: 1 } }),
      entry('new', 'directory', { xattrs: opaque }),
      file('new/file', 'x', { xattrs: { 'user.overlay.origin': Buffer.from('z') } }),
    ])
    const plain = membersOf((await layerOf(whole(image))).bytes)
    expect(plain.get('gone')).toMatchObject({ type: '3' })
    const { bytes, result } = await layerOf({ ...whole(image), whiteouts: true } as LayerFiles)
    const members = membersOf(bytes)
    expect([...members.keys()]).toEqual([
      '.',
      '.wh.gone',
      'new',
      'new/.wh..wh..opq',
      'new/file',
      'sub',
      'sub/console',
      'sub/.wh.gone too',
    ])
    expect(members.get('.wh.gone')).toMatchObject({ type: '0', data: '' })
    expect(members.get('sub/.wh.gone too')).toMatchObject({ type: '0', data: '' })
    expect(members.get('new')?.pax).toEqual({ 'SCHILY.xattr.user.mine': Buffer.from('1').toString('hex') })
    expect(members.get('new/file')?.pax).toEqual({})
    expect(result?.skipped).toBe(0)
  })

  it('may have files on top', async () => {
    const image = await listImage([entry('etc', 'directory'), file('etc/a', 'a')])
    const extras = [{ path: 'etc/b', data: 'on top', mode: 0o755, mtime: 5 }]
    const pieces: Buffer[] = []
    const layer = new LayerExport(whole(image), { compression: 'none', extras })
    for await (const piece of layer.read(never)) pieces.push(piece)
    const members = membersOf(Buffer.concat(pieces))
    expect([...members.keys()]).toEqual(['.', 'etc', 'etc/a', 'etc/b'])
    expect(members.get('etc/b')).toMatchObject({ type: '0', mode: 0o755, uid: 0, mtime: 5, data: 'on top' })
    expect(layer.result?.entries).toBe(3)
  })

  it('has one more name where a file is met again', async () => {
    const root = newPath()
    mkdirSync(root)
    writeFileSync(join(root, 'b'), 'once')
    linkSync(join(root, 'b'), join(root, 'a'))
    const members = membersOf((await layerOf({ directory: root })).bytes)
    expect(members.get('a')).toMatchObject({ type: '0', data: 'once' })
    expect(members.get('b')).toMatchObject({ type: '1', link: 'a' })
  })
})

describe('making a layer', () => {
  it('ends with the reason of the signal', async () => {
    const controller = new AbortController()
    const layer = new LayerExport(await treeImage(), { compression: 'gzip' })
    const reading = layer.read(controller.signal)
    await reading.next()
    controller.abort(new Error('enough'))
    await expect(
      (async () => {
        for await (const _ of reading);
      })(),
    ).rejects.toThrow('enough')
    expect(layer.result).toBeUndefined()
  })

  it('can be left at any moment', async () => {
    const layer = new LayerExport(await treeImage(), { compression: 'none' })
    for await (const _ of layer.read(never)) break
    expect(layer.result).toBeUndefined()
  })

  it('names the file of the image that is damaged', async () => {
    const path = await listImage([file('text', noise(500_000).toString('hex'))])
    const bytes = readFileSync(path)
    // Data of files comes right behind the superblock; its compressed blocks begin with their own magic.
    bytes.fill(0xff, 96, 400_000)
    writeFileSync(path, bytes)
    await expect(layerOf(whole(path))).rejects.toThrow('cannot read /text: damaged data')
  })

  it.each([
    ['missing', { file: '/nowhere/x.sqfs', offset: 0, size: 4096 }, '/nowhere/x.sqfs: no such file'],
    ['missing', { directory: '/nowhere' }, 'cannot open /nowhere: no such file'],
    ['no squashfs', { file: '/bin/sh', offset: 0, size: 4096 }, 'cannot open /bin/sh: not a squashfs image'],
  ])('tells what is %s', async (_, files, message) => {
    await expect(layerOf(files)).rejects.toThrow(message)
  })
})
