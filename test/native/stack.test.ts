/** Stacks of layers on the real kernel: what an overlay of squashfs files shows, with all ids, with a single one, and as root. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../../src/native/addon.ts'
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

/** What a script says that runs in the mounted stack. */
async function within({ ids, enter }: Way, script: string): Promise<string> {
  const place = join(folder, 'stack')
  mkdirSync(place)
  give(place)
  const what: StackRun = { folder: place, layers, allRoot: ids === 'a single id', script }
  const program = join(projectRoot, 'test/native/stack.ts')
  const { stdout, stderr, status } = await run([...enter, process.execPath, program, JSON.stringify(what)], {
    as: ids === 'root' ? 'self' : 'user',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
}

const list =
  'find . -mindepth 1 | sort | while read -r name; do echo "$name $(test -d "$name" || cat "$name")"; done'

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
    expect(await within(way, list)).toBe(
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
    expect(await within(way, `echo text > new; ${list}`)).toBe('./new text\n')
  })

  test('takes many layers', async () => {
    for (let index = 0; index < 12; index += 1)
      await layer(file(`only-${index}`, 'x'), file('all', `${index}`))
    expect(await within(way, 'ls | wc -l; cat all')).toBe('13\n11')
  })
})
