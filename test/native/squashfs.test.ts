/** Images written and read by the addon: what goes in comes out, and what comes from strangers does no harm. */

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { packDirectory, packEntries, SquashfsImage, toolVersion } from '../../src/native/addon.ts'
import { can, hasProgram } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import {
  describeTree,
  entry,
  file,
  makeTree,
  noise,
  packList,
  packTree,
  streamOf,
  treeTime,
} from './images.ts'

const folder = temporaryFolder()
const root = makeTree(folder)
const fixtures = join(projectRoot, 'fixtures/squashfs')

let names = 0
function newPath(): string {
  names += 1
  return join(folder, `new-${names}`)
}

function newDirectory(): string {
  const path = newPath()
  mkdirSync(path)
  return path
}

const openFixture = (name: string) => {
  const path = join(fixtures, `${name}.squashfs`)
  return SquashfsImage.open(path, 0, statSync(path).size)
}

const openWhole = (path: string) => SquashfsImage.open(path, 0, statSync(path).size)

async function unpacked(path: string): Promise<string> {
  const to = newDirectory()
  await using image = await openWhole(path)
  await image.extract(to)
  return to
}

/** The code of the error's cause, which says what was wrong. */
const because = (code: string) => ({ code: 'SQUASHFS', cause: { code } })

describe('packing a directory', () => {
  it('keeps contents, owners, modes, times and links', async () => {
    const path = newPath()
    const { size, bytes, entries } = await packTree(root, path)
    expect(size % 4096).toBe(0)
    expect(statSync(path).size).toBe(size)
    expect(bytes).toBe(300_000 * 2 + 320_000 + 12 + 10 + 1 + 5_000_000)
    expect(entries).toBe(describeTree(root).length - 1)
    expect(describeTree(await unpacked(path))).toEqual(describeTree(root))
  })

  it.skipIf(!hasProgram('unsquashfs'))('makes what other programs unpack to the same tree', async () => {
    const path = newPath()
    await packTree(root, path)
    const to = newPath()
    execFileSync('unsquashfs', ['-quiet', '-no-progress', '-d', to, path], { stdio: 'pipe' })
    expect(describeTree(to)).toEqual(describeTree(root))
  })

  it.skipIf(!hasProgram('unsquashfs'))('keeps what lz4 would make larger as it is', async () => {
    const path = newPath()
    await packList([file('small', noise(3))], path, { compression: { kind: 'lz4' } })
    const listed = execFileSync('unsquashfs', ['-lls', path], { stdio: 'pipe' }).toString()
    expect(listed).toContain('squashfs-root/small')
  })

  it('gives the same bytes for the same tree, with any number of threads and at any offset', async () => {
    const [one, many] = [newPath(), newPath()]
    const { size } = await packTree(root, one, { workers: 1 })
    await packTree(root, many, { workers: 7, offset: 12_345 })
    const image = readFileSync(one)
    expect(image.length).toBe(size)
    expect(readFileSync(many).subarray(12_345).equals(image)).toBe(true)
  })

  it.each([
    ['zstd', 1],
    ['zstd', 19],
    ['gzip', 6],
    ['xz', undefined],
    ['lz4', undefined],
    ['lz4', 9],
  ] as const)('is readable with %s, level %s', async (kind, level) => {
    const path = newPath()
    const compression = level === undefined ? { kind } : { kind, level }
    await packTree(root, path, { compression, blockSize: 1_048_576 })
    await using image = await openWhole(path)
    expect(image.info).toMatchObject({ compression: kind, blockSize: 1_048_576, time: treeTime })
    expect(describeTree(await unpacked(path))).toEqual(describeTree(root))
  })

  it('stores equal files and holes once and for nothing', async () => {
    const path = newPath()
    await packTree(root, path)
    // Of 600000 bytes of noise half are a copy, and five million bytes are a hole.
    expect(statSync(path).size).toBeLessThan(330_000)
    const to = await unpacked(path)
    expect(statSync(join(to, 'holes'))).toMatchObject({ size: 5_000_000, blocks: 0 })
  })

  it('stores a file that is the beginning of another for nothing', async () => {
    const [both, one] = [newPath(), newPath()]
    const large = file('large', noise(20 * 4096))
    const { size } = await packList([large, file('part', noise(7 * 4096))], both, { blockSize: 4096 })
    const alone = await packList([file('large', noise(20 * 4096))], one, { blockSize: 4096 })
    expect(size).toBe(alone.size)
    await using image = await openWhole(both)
    expect((await image.read('/part', 100_000))?.equals(noise(7 * 4096))).toBe(true)
  })

  it('takes a file from a layer whole when the beginning of it was taken before', async () => {
    const [layer, path] = [newPath(), newPath()]
    const large = noise(20 * 4096)
    const files = [file('whole', large), file('beginning', large.subarray(0, 7 * 4096))]
    await packList(files, layer, { blockSize: 4096 })
    const layers = [{ file: layer, offset: 0, size: statSync(layer).size }]
    await packTree('/', path, { blockSize: 4096, base: { layers, changes: newDirectory() } })
    await using image = await openWhole(path)
    expect((await image.read('/beginning', 100_000))?.equals(large.subarray(0, 7 * 4096))).toBe(true)
    expect((await image.read('/whole', 100_000))?.equals(large)).toBe(true)
  })

  it('gives all files to one owner and clamps times when asked to', async () => {
    const path = newPath()
    await packTree(root, path, { owner: { uid: 7, gid: 8 }, time: 1_000_000 })
    await using image = await openWhole(path)
    expect(await image.stat('/deep/text')).toMatchObject({ uid: 7, gid: 8, mtime: 1_000_000 })
    expect(await image.stat('/link', false)).toMatchObject({ uid: 7, gid: 8, type: 'symlink' })
    expect(image.info.time).toBe(1_000_000)
  })

  it('leaves out what is excluded, with everything below', async () => {
    const path = newPath()
    await packTree(root, path, { exclude: ['/deep/er/', 'small'] })
    await using image = await openWhole(path)
    expect(await image.list('/deep')).toEqual(['again', 'copy', 'text'])
    expect(await image.stat('/small')).toBeUndefined()
    expect(await image.stat('/deep/again')).toMatchObject({ links: 1 })
  })

  it('keeps a directory with very many names readable', async () => {
    const [path, many] = [newPath(), newDirectory()]
    for (let index = 0; index < 5000; index += 1)
      writeFileSync(join(many, `name-${index}`.padEnd(40, '-')), '')
    await packTree(many, path)
    await using image = await openWhole(path)
    expect(await image.list('/')).toHaveLength(5000)
    expect(await image.stat(`/${'name-4999'.padEnd(40, '-')}`)).toMatchObject({ type: 'file', size: 0 })
  })

  it('names the directory that is not there', async () => {
    await expect(packTree(join(folder, 'missing'), newPath())).rejects.toMatchObject({
      ...because('ENOENT'),
      message: `cannot open ${join(folder, 'missing')}: no such file or directory`,
    })
  })

  it('names the file that may not be read', async () => {
    const closed = newDirectory()
    writeFileSync(join(closed, 'secret'), 'x')
    chmodSync(join(closed, 'secret'), 0)
    chmodSync(closed, 0o755)
    const script = join(projectRoot, 'test/native/pack.ts')
    const { stdout } = await run([process.execPath, script, closed], { env: { PATH: process.env.PATH } })
    expect(stdout.trim()).toBe(`SQUASHFS cannot open ${closed}/secret: permission denied`)
  })

  it('says that the disk is full', async () => {
    const fd = openSync('/dev/full', 'r+')
    await expect(packDirectory(root, { fd, offset: 0 })).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: 'cannot write the image: no space left on device',
      cause: { code: 'ENOSPC' },
    })
  })

  it('ends soon after it is aborted', async () => {
    const abort = new AbortController()
    const fd = openSync(newPath(), 'w+')
    async function* endless() {
      for (let index = 0; ; index += 1) yield file(`file-${index}`, noise(100_000, index))
    }
    setTimeout(() => abort.abort(new Error('enough')), 50)
    const packing = packEntries(endless(), { fd, offset: 0, signal: abort.signal })
    await expect(packing).rejects.toThrow('enough')
    const aborted = packDirectory(root, { fd, offset: 0, signal: abort.signal })
    await expect(aborted).rejects.toThrow('enough')
  })

  it('tells when it begins and ends', async () => {
    const events: Event[] = []
    await packTree(root, newPath(), { report: (event) => events.push(event) })
    expect(events.at(0)).toMatchObject({ kind: 'started', unit: 'bytes' })
    expect(events.at(-1)).toMatchObject({ kind: 'finished' })
  })

  it('refuses levels and block sizes that there are not', async () => {
    const level = packTree(root, newPath(), { compression: { kind: 'gzip', level: 10 } })
    await expect(level).rejects.toThrow(RangeError)
    await expect(packTree(root, newPath(), { blockSize: 5000 })).rejects.toThrow(RangeError)
  })
})

describe('packing entries', () => {
  it('makes files of every kind with all their attributes', async () => {
    const path = newPath()
    const xattrs = { 'user.note': Buffer.from([1, 0, 2]), 'security.capability': Buffer.alloc(20, 3) }
    const list = [
      file('b/file', 'content', { mode: 0o4711, uid: 12_345_678, gid: 9, mtime: 5, xattrs }),
      entry('b/again', 'hardlink', { link: './b/file' }),
      entry('b/link', 'symlink', { link: '/b/file' }),
      entry('b/disk', 'block', { device: { major: 8, minor: 300 } }),
      entry('b/tty', 'character', { device: { major: 5, minor: 1 } }),
      entry('b/pipe', 'fifo'),
      entry('b/socket', 'socket', { xattrs }),
      entry('b/', 'directory', { mode: 0o1777, mtime: 77, xattrs: { 'user.dir': Buffer.from('d') } }),
      entry('/', 'directory', { mode: 0o700 }),
    ]
    const { entries, bytes } = await packList(list, path)
    expect({ entries, bytes }).toEqual({ entries: 8, bytes: 7 })
    await using image = await openWhole(path)
    expect(await image.list('/b')).toEqual(['again', 'disk', 'file', 'link', 'pipe', 'socket', 'tty'])
    const attributes = { type: 'file', mode: 0o4711, uid: 12_345_678, gid: 9, mtime: 5, size: 7, links: 2 }
    expect(await image.stat('/b/again')).toMatchObject(attributes)
    expect(await image.xattrs('/b/file')).toEqual(xattrs)
    expect(await image.xattrs('/b/socket')).toEqual(xattrs)
    expect(await image.xattrs('/b')).toEqual({ 'user.dir': Buffer.from('d') })
    expect(await image.stat('/b')).toMatchObject({ mode: 0o1777, mtime: 77, links: 2 })
    expect(await image.stat('/')).toMatchObject({ mode: 0o700, links: 3 })
    expect((await image.read('/b/link', 100))?.toString()).toBe('content')
    expect(await image.readlink('/b/link')).toBe('/b/file')
    for (const [name, type] of [
      ['disk', 'block'],
      ['tty', 'character'],
      ['pipe', 'fifo'],
      ['socket', 'socket'],
    ]) {
      expect(await image.stat(`/b/${name}`)).toMatchObject({ type })
    }
  })

  it('takes data in any pieces', async () => {
    const path = newPath()
    const content = noise(400_000)
    const pieces = [
      content.subarray(0, 1),
      content.subarray(1, 200_001),
      Buffer.alloc(0),
      content.subarray(200_001),
    ]
    await packList([entry('file', 'file', { size: content.length, data: streamOf(pieces) })], path)
    await using image = await openWhole(path)
    expect((await image.read('/file', 1_000_000))?.equals(content)).toBe(true)
  })

  it.each([
    ['a path that leads out', [entry('a/../../b', 'fifo')], 'NAME'],
    ['a path that comes twice', [entry('a', 'fifo'), entry('a', 'fifo')], 'EEXIST'],
    ['a path below a file', [file('a', 'x'), entry('a/b', 'fifo')], 'ENOTDIR'],
    ['a hard link to nothing', [entry('a', 'hardlink', { link: 'b' })], 'ENOENT'],
    ['a hard link to a directory', [entry('a/b', 'fifo'), entry('c', 'hardlink', { link: 'a' })], 'EISDIR'],
    ['too little data', [file('a', 'x', { size: 2 })], 'CHANGED'],
    ['too little data before the next entry', [file('a', 'x', { size: 2 }), entry('b', 'fifo')], 'CHANGED'],
    ['too much data', [file('a', 'xyz', { size: 2 })], 'SQUASHFS_LARGE'],
    ['a name that is too long', [entry('n'.repeat(300), 'fifo')], 'ENAMETOOLONG'],
    ['directories without end', [entry('d/'.repeat(2000), 'directory')], 'SQUASHFS_NESTED'],
  ])('refuses %s', async (_, list, code) => {
    await expect(packList(list, newPath())).rejects.toMatchObject(because(code))
  })

  it('passes on the failure of its source', async () => {
    async function* broken() {
      yield entry('a', 'fifo')
      throw new Error('the network is gone')
    }
    const fd = openSync(newPath(), 'w+')
    await expect(packEntries(broken(), { fd, offset: 0 })).rejects.toThrow('the network is gone')
  })

  it.skipIf(!can('root'))('makes devices that unpack as devices', async () => {
    const path = newPath()
    await packList([entry('null', 'character', { mode: 0o666, device: { major: 1, minor: 3 } })], path)
    const to = newDirectory()
    await using image = await openWhole(path)
    expect(await image.extract(to)).toEqual({ entries: 1, skipped: 0 })
    expect(statSync(join(to, 'null'))).toMatchObject({ rdev: 0x103, mode: 0o020666 })
  })
})

describe.skipIf(!can('root'))('extended attributes of what cannot be opened', () => {
  it('are unpacked too', async () => {
    const xattrs = { 'trusted.note': Buffer.from('kept') }
    const [path, again] = [newPath(), newPath()]
    await packList([entry('pipe', 'fifo', { xattrs }), entry('socket', 'socket', { xattrs })], path)
    await packTree(await unpacked(path), again)
    await using image = await openWhole(again)
    expect([await image.xattrs('/pipe'), await image.xattrs('/socket')]).toEqual([xattrs, xattrs])
  })
})

describe('reading an image', () => {
  const kinds = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd', 'stored']

  it.each(kinds)('gives the same for every compression: %s', async (name) => {
    await using image = await openFixture(name)
    const { compression, blockSize, time } = image.info
    expect(compression).toBe(name === 'stored' ? 'gzip' : name)
    expect({ blockSize, time }).toEqual({ blockSize: 4096, time: 1_700_000_000 })
    expect(await image.list('/')).toEqual([
      'bin',
      'empty',
      'etc',
      'hole',
      'link',
      'loop1',
      'loop2',
      'pipe',
      'usr',
    ])
    const numbers = Array.from({ length: 1200 }, (_, index) => `${index + 1}\n`).join('')
    expect((await image.read('/etc/numbers', 100_000))?.toString()).toBe(numbers)
    expect((await image.read('/bin/program', 100_000))?.toString()).toBe('x'.repeat(8192))
    expect((await image.read('/hole', 100_000))?.equals(Buffer.from(`${'\0'.repeat(20_000)}end\n`))).toBe(
      true,
    )
    expect(await image.stat('/etc/again')).toMatchObject({ uid: 1000, gid: 1000, links: 2, size: 20 })
    expect(await image.xattrs('/etc/hello')).toEqual({ 'user.note': Buffer.from('kept') })
  })

  it('follows links inside the image only', async () => {
    await using image = await openFixture('zstd')
    expect((await image.read('/link', 100))?.toString()).toBe('hello from squashfs\n')
    expect(await image.stat('/bin')).toMatchObject({ type: 'directory' })
    expect(await image.stat('/bin', false)).toMatchObject({ type: 'symlink', size: 7 })
    expect(await image.stat('/bin/', false)).toMatchObject({ type: 'directory' })
    expect(await image.readlink('/bin')).toBe('usr/bin')
    expect(await image.stat('../../bin/../bin/./program')).toMatchObject({ type: 'file', mode: 0o4755 })
    await expect(image.stat('/loop1')).rejects.toMatchObject(because('ELOOP'))
  })

  it('says undefined for what is not there or is of another kind', async () => {
    await using image = await openFixture('zstd')
    expect(await image.stat('/nothing')).toBeUndefined()
    expect(await image.stat('/etc/hello/x')).toBeUndefined()
    expect(await image.read('/nothing', 1)).toBeUndefined()
    expect(await image.read('/etc', 1)).toBeUndefined()
    expect(await image.list('/etc/hello')).toBeUndefined()
    expect(await image.readlink('/etc/hello')).toBeUndefined()
    expect(await image.xattrs('/nothing')).toEqual({})
    expect(await image.list('/empty')).toEqual([])
  })

  it('reads no more than it was allowed to', async () => {
    await using image = await openFixture('zstd')
    await expect(image.read('/etc/hello', 19)).rejects.toMatchObject(because('SQUASHFS_LARGE'))
    expect(await image.read('/etc/hello', 20)).toHaveLength(20)
  })

  it('answers many questions at once', async () => {
    await using image = await openFixture('xz')
    const answers = await Promise.all(Array.from({ length: 50 }, () => image.read('/etc/hello', 100)))
    for (const answer of answers) expect(answer?.toString()).toBe('hello from squashfs\n')
  })

  it('closes twice, also while it reads', async () => {
    const image = await openFixture('zstd')
    const reading = image.read('/etc/hello', 100)
    image.close()
    image.close()
    expect(await reading).toHaveLength(20)
    await expect(image.list('/')).rejects.toThrow('closed')
  })

  it('knows files that are no images, or only part of one', async () => {
    const path = newPath()
    const bytes = readFileSync(join(fixtures, 'zstd.squashfs'))
    writeFileSync(path, Buffer.alloc(5000, 'text'))
    await expect(openWhole(path)).rejects.toMatchObject(because('SQUASHFS_FORMAT'))
    writeFileSync(path, bytes.subarray(0, 50))
    await expect(openWhole(path)).rejects.toMatchObject(because('SQUASHFS_DAMAGED'))
    writeFileSync(path, bytes.subarray(0, bytes.length - 1))
    await expect(openWhole(path)).rejects.toMatchObject(because('SQUASHFS_DAMAGED'))
    await expect(openWhole(fixtures)).rejects.toMatchObject({ code: 'SQUASHFS' })
    await expect(SquashfsImage.open(join(folder, 'missing'), 0, 100)).rejects.toMatchObject(because('ENOENT'))
  })

  it('names the library that it uses', () => {
    expect(toolVersion()).toMatch(/^\d/)
  })
})

describe('unpacking an image', () => {
  it('unpacks a part of it', async () => {
    const to = newDirectory()
    await using image = await openFixture('zstd')
    expect(await image.extract(to, { from: '/bin' })).toEqual({ entries: 1, skipped: 0 })
    expect(readdirSync(to)).toEqual(['program'])
    await expect(image.extract(newDirectory(), { from: '/link' })).rejects.toMatchObject(because('ENOTDIR'))
    await expect(image.extract(newDirectory(), { from: '/no' })).rejects.toMatchObject(because('ENOENT'))
  })

  it.skipIf(!hasProgram('unsquashfs'))('makes the tree that other programs make', async () => {
    const [ours, theirs] = [newDirectory(), newPath()]
    await using image = await openFixture('gzip')
    await image.extract(ours)
    const fixture = join(fixtures, 'gzip.squashfs')
    spawnSync('unsquashfs', ['-quiet', '-no-progress', '-d', theirs, fixture], { stdio: 'pipe' })
    expect(describeTree(ours)).toEqual(describeTree(theirs))
  })

  it('does not follow a link that lies in the target, and replaces nothing', async () => {
    const [to, outside] = [newDirectory(), newDirectory()]
    symlinkSync(outside, join(to, 'etc'))
    await using image = await openFixture('zstd')
    await expect(image.extract(to)).rejects.toMatchObject(because('EEXIST'))
    expect(readdirSync(outside)).toEqual([])
    const other = newDirectory()
    writeFileSync(join(other, 'hole'), 'mine')
    await expect(image.extract(other)).rejects.toMatchObject(because('EEXIST'))
    expect(readFileSync(join(other, 'hole'), 'utf8')).toBe('mine')
  })

  it('ends when it is aborted, and tells how far it is', async () => {
    const events: Event[] = []
    await using image = await openFixture('zstd')
    await image.extract(newDirectory(), { report: (event) => events.push(event) })
    expect(events.at(0)).toMatchObject({ kind: 'started', unit: 'entries', total: image.info.entries })
    expect(events.at(-1)).toMatchObject({ kind: 'finished' })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(image.extract(newDirectory(), { signal })).rejects.toThrow('enough')
  })

  it('skips devices that a plain user may not make, and keeps the files his', async () => {
    const path = newPath()
    await packList(
      [entry('null', 'character', { device: { major: 1, minor: 3 } }), file('a', 'x', { uid: 5 })],
      path,
    )
    const script = join(projectRoot, 'test/native/unpack.ts')
    const { stdout } = await run([process.execPath, script, path, folder], {
      env: { PATH: process.env.PATH },
    })
    expect(JSON.parse(stdout)).toEqual({ entries: 2, skipped: 1, names: ['a'], own: true })
  })
})

describe('hostile images', () => {
  const stored = readFileSync(join(fixtures, 'stored.squashfs'))

  async function extractChanged(change: (bytes: Buffer) => void): Promise<unknown> {
    const [path, to] = [newPath(), newDirectory()]
    const bytes = Buffer.from(stored)
    change(bytes)
    writeFileSync(path, bytes)
    await using image = await openWhole(path)
    return await image.extract(to)
  }

  it.each(['../ab', 'a/b/c', '/abcd'])('cannot make a file named %s', async (name) => {
    const change = (bytes: Buffer) => bytes.write(name, stored.lastIndexOf('again'))
    await expect(extractChanged(change)).rejects.toMatchObject(because('NAME'))
  })

  it('cannot make a directory that contains itself', async () => {
    const root = stored.readUInt16LE(32)
    const change = (bytes: Buffer) => bytes.writeUInt16LE(root, stored.lastIndexOf('empty') - 8)
    await expect(extractChanged(change)).rejects.toMatchObject(because('SQUASHFS_NESTED'))
  })

  it('cannot make the reader crash, hang or write elsewhere', async () => {
    const work = newDirectory()
    cpSync(fixtures, join(work, 'images'), { recursive: true })
    const script = join(projectRoot, 'test/native/mutate.ts')
    const options = { as: 'self', env: { PATH: process.env.PATH } } as const
    const { status, stdout, stderr } = await run(
      [process.execPath, script, join(work, 'images'), work, '2000'],
      options,
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ tried: 2000 })
    expect(readdirSync(work)).toEqual(['images'])
  })
})
