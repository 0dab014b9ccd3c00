/** Stacks of layers on the real kernel: what an overlay of squashfs files shows, with all ids, with a single one, and as root. */

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Entry, SquashfsImage } from '../../src/native/addon.ts'
import { can } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { packList } from './images.ts'
import type { StackRun } from './stack.ts'

const usable = can('userns', 'fuse', 'overlay')
const ways = [
  { ids: 'all ids', enter: ['unshare', '-U', '--map-root-user', '--map-auto', '-m'], needs: can('subuid') },
  { ids: 'a single id', enter: ['unshare', '-Urm'], needs: true },
  { ids: 'root', enter: ['unshare', '-m'], needs: can('root') },
] as const
type Way = (typeof ways)[number]

let folder = ''
let layers: string[] = []
beforeEach(() => {
  folder = temporaryFolder()
  layers = []
})

const common = { uid: 0, gid: 0, mtime: 1_600_000_000 }

function file(path: string, text: string, more: Partial<Entry> = {}): Entry {
  const data = Buffer.from(text)
  const one = async function* () {
    yield data
  }
  return { path, type: 'file', mode: 0o644, size: data.length, data: one(), ...common, ...more }
}
const directory = (path: string, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'directory',
  mode: 0o755,
  size: 0,
  ...common,
  ...more,
})
const opaque = (path: string): Entry =>
  directory(path, { xattrs: { 'user.overlay.opaque': Buffer.from('y') } })
const whiteout = (path: string): Entry => ({
  path,
  type: 'character',
  mode: 0,
  size: 0,
  device: { major: 0, minor: 0 },
  ...common,
})

/** One more layer, above the others. */
async function layer(...entries: Entry[]): Promise<void> {
  const path = join(folder, `${layers.length}.squashfs`)
  await packList(entries, path)
  give(path)
  layers.unshift(path)
}

/** What the last script says of the stack with what steps leave in it; it says the same of an image that is made of all of it. */
async function within({ ids, enter }: Way, steps: readonly string[], show: string): Promise<string> {
  const place = join(folder, 'stack')
  mkdirSync(place)
  give(place)
  const facts = { allRoot: ids === 'a single id', inUserNamespace: ids !== 'root' }
  const what: StackRun = { folder: place, layers, ...facts, steps, show }
  const program = join(projectRoot, 'test/native/stack.ts')
  const { stdout, stderr, status } = await run([...enter, process.execPath, program, JSON.stringify(what)], {
    as: ids === 'root' ? 'self' : 'user',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const { stack, whole, anew, unpacked } = JSON.parse(stdout)
  expect(whole).toBe(stack)
  expect(anew).toBe(stack)
  expect(unpacked).toBe(stack)
  return stack
}

/** What files of an image are, and the names of their attributes, by path. */
async function treeOfImage(name: string): Promise<Record<string, string>> {
  const path = join(folder, 'stack', name)
  await using image = await SquashfsImage.open(path, 0, statSync(path).size)
  const tree: Record<string, string> = {}
  const look = async (at: string): Promise<void> => {
    const stat = await image.stat(at, false)
    if (!stat) throw new Error(`no ${at}`)
    const device = stat.major > 0 ? [`${stat.major}:${stat.minor}`] : []
    const attributes = stat.type === 'symlink' ? [] : Object.keys(await image.xattrs(at))
    const owner = `${stat.uid}:${stat.gid}`
    tree[at] = [stat.type, stat.mode.toString(8), owner, ...device, ...attributes].join(' ')
    if (stat.type !== 'directory') return
    for (const child of (await image.list(at)) ?? []) await look(join(at, child))
  }
  await look('/')
  return tree
}

const list =
  'find . -mindepth 1 | sort | while read -r name; do echo "$name $(test -f "$name" && cat "$name")"; done'

/** Everything that there is to say of a tree. */
const details = `exec python3 - <<'END'
import hashlib, os, stat
known = {}
def tell(path):
    status = os.lstat(path)
    first = known.setdefault((status.st_dev, status.st_ino), path)
    print(path, oct(status.st_mode), f'{status.st_uid}:{status.st_gid}', int(status.st_mtime), end=' ')
    if stat.S_ISREG(status.st_mode):
        print(status.st_size, hashlib.sha256(open(path, 'rb').read()).hexdigest()[:16], end=' ')
    if stat.S_ISLNK(status.st_mode):
        print(os.readlink(path), end=' ')
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        print(os.major(status.st_rdev), os.minor(status.st_rdev), end=' ')
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        names = []
    print(first, {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)})
for top, directories, files in os.walk('.'):
    tell(top)
    directories.sort()
    for name in sorted(files + [name for name in directories if os.path.islink(os.path.join(top, name))]):
        tell(os.path.join(top, name))
END`

describe.skipIf(!usable).each(ways)('a stack with $ids', (way) => {
  const test = it.skipIf(!way.needs)

  test('shows what the layers above left of those below', async () => {
    await layer(
      file('kept', 'below'),
      file('changed', 'below'),
      file('removed', 'below'),
      file('gone/inside', 'below'),
      file('replaced/inside', 'below'),
      file('merged/one', 'below'),
      file('again/old', 'below'),
      file('file-now', 'below'),
    )
    await layer(
      file('changed', 'middle'),
      whiteout('removed'),
      whiteout('gone'),
      opaque('replaced'),
      file('replaced/new', 'middle'),
      file('merged/two', 'middle'),
      whiteout('again'),
      directory('file-now'),
      file('file-now/inside', 'middle'),
    )
    await layer(
      file('changed', 'above'),
      file('removed', 'above'),
      file('merged/three', 'above'),
      whiteout('merged/one'),
      opaque('again'),
      file('again/new', 'above'),
      file('file-now', 'above'),
    )
    expect(await within(way, [], list)).toBe(
      [
        './again ',
        './again/new above',
        './changed above',
        './file-now above',
        './kept below',
        './merged ',
        './merged/three above',
        './merged/two middle',
        './removed above',
        './replaced ',
        './replaced/new middle',
        '',
      ].join('\n'),
    )
  })

  test('begins with nothing when there are no layers', async () => {
    expect(await within(way, ['echo text > new'], list)).toBe('./new text\n')
  })

  test('takes many layers', async () => {
    for (let index = 0; index < 12; index += 1)
      await layer(file(`only-${index}`, 'x'), file('all', `${index}`))
    expect(await within(way, [], 'ls | wc -l; cat all')).toBe('13\n11')
  })

  const scripts = [
    [
      'mkdir -p gone/deep kept replaced merged/deep both again',
      'for path in a gone/b gone/deep/c kept/d replaced/e merged/f merged/deep/g both/h again/i; do echo "$path" > "$path"; done',
      'ln a kept/linked; ln -s a link; mkfifo pipe; truncate -s 3M holes; printf end >> holes',
      'chmod 4755 a; chmod 2775 merged; chmod 1777 kept; head -c 400000 /dev/urandom > large',
    ],
    [
      'rm -r gone; rm replaced/e; rmdir replaced; echo file > replaced',
      'rm -r both; mkdir both; echo new > both/n; echo more >> merged/deep/g; rm link; ln -s /etc link',
      'chmod 600 a; rm pipe; mv again elsewhere; touch empty',
    ],
    [
      'mkdir gone; echo back > gone/b; rm replaced; mkdir replaced; echo again > replaced/e',
      'rm -r merged/deep; mkdir merged/deep; mkdir again; echo i > again/i; rm -r elsewhere; rm both/n; mv kept kept2',
      'ln large larger; rm holes; ln empty merged/empty',
    ],
    ['rm -r gone replaced merged; mkdir -p gone/deep; mkdir merged; echo f > merged/f; mv large huge'],
  ].map((lines) => ['set -e', ...lines].join('\n'))

  test('keeps what is removed, replaced, and made again, step after step', async () => {
    for (let count = 1; count <= scripts.length; count += 1) {
      folder = temporaryFolder()
      const shown = await within(way, scripts.slice(0, count), details)
      expect(shown).toContain(count < 4 ? './a 0o10' : './merged/f')
    }
  })

  test('keeps owners and devices of layers, also of what is copied up', async () => {
    const owned = { uid: 7, gid: 8 }
    await layer(
      directory('', { uid: 5, gid: 6 }),
      file('still', 'x', owned),
      file('moved', 'x', owned),
      file('changed', 'x', { ...owned, mode: 0o600 }),
      { ...common, ...owned, path: 'link', type: 'symlink', mode: 0o777, size: 0, link: 'still' },
      { ...common, ...owned, path: 'renamed', type: 'symlink', mode: 0o777, size: 0, link: 'still' },
      { ...common, ...owned, path: 'pipe', type: 'fifo', mode: 0o640, size: 0 },
      directory('folder', owned),
      { ...common, path: 'null', type: 'character', mode: 0o666, size: 0, device: { major: 1, minor: 3 } },
      {
        ...common,
        ...owned,
        path: 'disk',
        type: 'block',
        mode: 0o660,
        size: 0,
        device: { major: 8, minor: 1 },
      },
      file('foreign', 'x', {
        xattrs: { 'user.sing.stat': Buffer.from('1:1'), 'user.other': Buffer.from('y') },
      }),
    )
    const steps = [
      'mv moved moved2; chmod 640 changed; mv renamed renamed2; mv pipe pipe2; touch folder/new',
      'mv moved2 moved3; mv null null2; chmod 600 disk; echo >> foreign; mv renamed2 renamed3; chmod 750 .',
    ]
    await within(way, steps, 'find . -name "*[23]" ! -name "null*" | sort')
    for (const name of ['whole', 'anew', 'unpacked']) {
      const tree = await treeOfImage(name)
      expect(tree).toMatchObject({
        '/': 'directory 750 5:6',
        '/still': 'file 644 7:8',
        '/moved3': 'file 644 7:8',
        '/changed': 'file 640 7:8',
        '/link': 'symlink 777 7:8',
        '/renamed3': 'symlink 777 7:8',
        '/pipe2': 'fifo 640 7:8',
        '/folder': 'directory 755 7:8',
        '/folder/new': 'file 644 0:0',
        '/foreign': 'file 644 0:0 user.other',
      })
      // Only who notes them, or root, can unpack devices.
      if (name === 'unpacked' && way.ids === 'all ids') continue
      expect(tree).toMatchObject({ '/null2': 'character 666 0:0 1:3', '/disk': 'block 600 7:8 8:1' })
    }
  })
})
