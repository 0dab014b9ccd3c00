/** Notes on files that say whose they are and what devices are, and layers that cannot be read, in what packs directories. */

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type PackOptions, SquashfsImage } from '../../src/native/addon.ts'
import { mountOverlay } from '../../src/native/mount.ts'
import { can } from '../helpers/can.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { packTree } from './images.ts'

let folder = ''
let root = ''
beforeEach(() => {
  folder = temporaryFolder()
  root = join(folder, 'root')
  mkdirSync(root)
})

const uid = process.getuid?.() ?? 0
const gid = process.getgid?.() ?? 0

function note(path: string, value: string, name = 'user.sing.stat'): void {
  const { status, stderr } = spawnSync('setfattr', ['-h', '-n', name, '-v', value, path], {
    encoding: 'utf8',
  })
  expect([status, stderr]).toEqual([0, ''])
}

/** What a path is in the image of the root. */
async function packed(path: string, options: Partial<PackOptions> = {}): Promise<string> {
  const file = join(folder, 'image.squashfs')
  await packTree(root, file, options)
  await using image = await SquashfsImage.open(file, 0, statSync(file).size)
  const stat = await image.stat(path, false)
  if (!stat) throw new Error(`no ${path}`)
  const names = stat.type === 'symlink' ? [] : Object.keys(await image.xattrs(path))
  return [stat.type, `${stat.uid}:${stat.gid}`, `${stat.major}:${stat.minor}`, ...names].join(' ')
}

const mine = `file ${uid}:${gid} 0:0`

describe.skipIf(!can('xattrs'))('a note on a file', () => {
  it.each([
    ['5:6', 'file 5:6 0:0'],
    ['0:4294967294', 'file 0:4294967294 0:0'],
    ['5:6:c:1:3', 'character 5:6 1:3'],
    ['5:6:b:4095:1048575', 'block 5:6 4095:1048575'],
    ['c:1:3', `character ${uid}:${gid} 1:3`],
    ['4294967295:0', mine],
    ['99999999999999999999:0', mine],
    ['5', mine],
    ['5:', mine],
    ['5:6:', mine],
    ['05:6', mine],
    [' 5:6', mine],
    ['+5:6', mine],
    ['-1:-1', mine],
    ['5:6 ', mine],
    ['5:6:d:1:3', mine],
    ['5:6:c:1', mine],
    ['5:6:c:0:0', mine],
    ['5:6:c:4096:0', mine],
    ['5:6:c:1:1048576', mine],
    ['c:0:0', mine],
    ['x'.repeat(1000), mine],
  ])('%s says what it can say', async (value, expected) => {
    writeFileSync(join(root, 'file'), '')
    note(join(root, 'file'), value)
    expect(await packed('/file')).toBe(expected)
  })

  it('leaves a device without attributes that devices cannot have', async () => {
    writeFileSync(join(root, 'file'), '')
    note(join(root, 'file'), '5:6:c:1:3')
    note(join(root, 'file'), 'x', 'user.other')
    note(join(root, 'file'), 'x', 'user.zebra')
    expect(await packed('/file')).toBe('character 5:6 1:3')
  })

  it('makes no device of a directory', async () => {
    mkdirSync(join(root, 'directory'))
    note(join(root, 'directory'), '5:6:c:1:3')
    expect(await packed('/directory')).toBe(`directory ${uid}:${gid} 0:0`)
  })

  it('goes before an owner for those of whom nobody knows', async () => {
    writeFileSync(join(root, 'known'), '')
    writeFileSync(join(root, 'unknown'), '')
    note(join(root, 'known'), '5:6')
    const owner = { uid: 1, gid: 2 }
    expect(await packed('/known', { owner: { ...owner, unlessKnown: true } })).toBe('file 5:6 0:0')
    expect(await packed('/unknown', { owner: { ...owner, unlessKnown: true } })).toBe('file 1:2 0:0')
    expect(await packed('/known', { owner })).toBe('file 1:2 0:0')
  })

  it('leaves other attributes alone', async () => {
    writeFileSync(join(root, 'file'), '')
    note(join(root, 'file'), '5:6')
    note(join(root, 'file'), 'x', 'user.overlay.opaque')
    note(join(root, 'file'), 'x', 'user.other')
    expect(await packed('/file')).toBe('file 5:6 0:0 user.other user.overlay.opaque')
  })

  it.skipIf(!can('root'))(
    'of a link is in its capabilities, and those of a file are for everybody',
    async () => {
      symlinkSync('file', join(root, 'link'))
      writeFileSync(join(root, 'file'), '')
      chmodSync(join(root, 'file'), 0o755)
      const [revision2, revision3, mark] = ['00000002', '01000003', '73696e67']
      note(join(root, 'link'), `0x${revision2}05000000${mark}06000000${mark}`, 'security.capability')
      note(
        join(root, 'file'),
        `0x${revision3}00200000000000000000000000000000e8030000`,
        'security.capability',
      )
      expect(await packed('/link')).toBe('symlink 5:6 0:0')
      expect(await packed('/file')).toBe('file 0:0 0:0 security.capability')
      const file = join(folder, 'image.squashfs')
      await using image = await SquashfsImage.open(file, 0, statSync(file).size)
      const { 'security.capability': value } = await image.xattrs('/file')
      expect(value?.toString('hex')).toBe('0100000200200000000000000000000000000000')
    },
  )
})

describe('a base that cannot be read', () => {
  it('is named', async () => {
    const file = join(folder, 'layer.squashfs')
    const layers = [{ file, offset: 0, size: 5000 }]
    await expect(packed('/', { base: { layers, changes: root } })).rejects.toThrow(
      /cannot open .*layer.squashfs: /,
    )
    writeFileSync(file, Buffer.alloc(5000, 7))
    await expect(packed('/', { base: { layers, changes: root } })).rejects.toThrow(
      /cannot open .*layer.squashfs: /,
    )
  })

  it('is no overlay when it has more layers than the kernel is told of', () => {
    const lowers = Array.from({ length: 300 }, () => root)
    expect(() => mountOverlay(root, { lowers, upper: root, work: root })).toThrow('300 layers is too high')
  })
})
