/** What layers show together. */

import { expect, it } from 'vitest'
import { mergeSurveys } from '../../../src/image/inventory.ts'
import type { Surveyed } from '../../../src/native/addon.ts'

const entry = (path: string, more: Partial<Surveyed> = {}): Surveyed => ({
  ...{ path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0, size: 0, inode: 0, links: 1 },
  ...{ major: 1, minor: 0, target: undefined, capable: false, opaque: false, place: 0 },
  ...more,
})
const directory = (path: string, more: Partial<Surveyed> = {}) => entry(path, { type: 'directory', ...more })
const whiteout = (path: string) => entry(path, { type: 'character', major: 0 })
const root = directory('/')

/** Topmost layer first. */
const merged = (...layers: Surveyed[][]): string[] =>
  mergeSurveys(layers).map(({ path, layer }) => `${layer} ${path}`)

it('keeps one layer as it is', () => {
  expect(merged([root, directory('/b'), entry('/b/a')])).toEqual(['0 /', '0 /b', '0 /b/a'])
})

it('shows what is above, and what is below beside it, a directory before what it holds', () => {
  const below = [root, directory('/d'), entry('/d/a'), entry('/d/b'), entry('/d.x')]
  expect(merged([root, directory('/d'), entry('/d/b')], below)).toEqual([
    '0 /',
    '0 /d',
    '1 /d/a',
    '0 /d/b',
    '1 /d.x',
  ])
})

it('hides what was removed, in all layers below', () => {
  const below = [root, directory('/d'), entry('/d/a'), entry('/f'), entry('/f.x')]
  expect(merged([root, whiteout('/d'), whiteout('/f')], below, below)).toEqual(['0 /', '1 /f.x'])
})

it('hides what a file or an opaque directory replaces', () => {
  const below = [root, directory('/d'), entry('/d/a'), directory('/e'), entry('/e/a')]
  const above = [root, entry('/d'), directory('/e', { opaque: true }), entry('/e/b')]
  expect(merged(above, below, below)).toEqual(['0 /', '0 /d', '0 /e', '0 /e/b'])
})

it('takes a directory in the place of a file', () => {
  const layers = [
    [root, directory('/d'), entry('/d/new')],
    [root, entry('/d')],
    [root, directory('/d'), entry('/d/old')],
  ]
  expect(merged(...layers)).toEqual(['0 /', '0 /d', '0 /d/new'])
})

it('shows again what a layer between has put where something was removed', () => {
  const layers = [
    [root],
    [root, directory('/d', { opaque: true }), entry('/d/b')],
    [root, directory('/d'), entry('/d/a')],
  ]
  expect(merged(...layers)).toEqual(['0 /', '1 /d', '1 /d/b'])
})
