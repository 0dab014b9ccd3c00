/** Layers with everything that can go wrong between two of them. */

import type { TarEntry } from '../helpers/tar.ts'
import { noise } from './images.ts'

const directory = (path: string, more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  type: 'directory',
  ...more,
})
const text = (path: string, data: string | Uint8Array, more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  data,
  ...more,
})
const symlink = (path: string, link: string, more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  type: 'symlink',
  link,
  ...more,
})
const hardlink = (path: string, link: string): TarEntry => ({ path, type: 'hardlink', link })
const whiteout = (path: string): TarEntry => ({ path, mode: 0, time: 0 })

/** A name of 200 bytes, and a path of 1000. */
const long = 'long-name-'.repeat(20)
const longPath = Array.from({ length: 5 }, (_, index) => `${long.slice(0, 190)}${index}`).join('/')

/** The lowest layer: one of everything. */
const base: TarEntry[] = [
  directory('./', { mode: 0o751, uid: 9, time: 1_100_000_000 }),
  directory('etc'),
  text('etc/hosts', '127.0.0.1 localhost\n', { mode: 0o600, uid: 7, gid: 8, time: 1_234_567_890.5 }),
  text('etc/removed', 'gone later'),
  text('etc/replaced', 'the old one'),
  directory('usr', { time: 1_000_000_001 }),
  directory('usr/bin', { time: 1_000_000_002 }),
  directory('usr/lib', { time: 1_000_000_003 }),
  text('usr/bin/program', noise(300_000), { mode: 0o4755 }),
  hardlink('usr/bin/again', 'usr/bin/program'),
  hardlink('usr/lib/once-more', './usr/bin/again'),
  symlink('bin', 'usr/bin', { uid: 3, gid: 4, time: 999_999_999 }),
  symlink('lib', '/usr/lib'),
  symlink('dangling', '/nowhere/at/all'),
  symlink('up', '../../../../etc'),
  directory('dev'),
  { path: 'dev/null', type: 'character', mode: 0o666, device: [1, 3] },
  { path: 'dev/large', type: 'block', mode: 0o660, gid: 6, device: [259, 70_000] },
  { path: 'dev/pipe', type: 'fifo', mode: 0o620, uid: 1000 },
  directory('closed', { mode: 0o000 }),
  text('closed/inside', 'hidden from others', { mode: 0o000 }),
  directory('sticky', { mode: 0o3777 }),
  text('attributes', 'with', {
    xattrs: {
      'user.text': 'value',
      'user.bytes': Buffer.from([0, 1, 2, 255, 61, 10]),
      'security.capability': Buffer.from('0100000200040000000000000000000000000000', 'hex'),
      'trusted.thing': 'for root',
    },
  }),
  directory('attributed', { xattrs: { 'user.on': 'a directory' } }),
  text(`names/${long}`, 'long name'),
  text(`names/${longPath}/leaf`, 'long path'),
  text('names/ünï cödé\twith\nbreaks', 'text'),
  text('names/-dash', ''),
  hardlink(`names/${long.slice(0, 150)}`, `names/${long}`),
  text('ids/large', '', { uid: 4_000_000_000, gid: 3_999_999_999 }),
  text('times/late', '', { time: 4_000_000_000 }),
  text('times/fraction', '', { time: 1_500_000_000.75 }),
  directory('opaque'),
  text('opaque/old', 'old'),
  directory('opaque/deep/er', { uid: 5 }),
  text('opaque/deep/er/old', 'old'),
  directory('becomes-file'),
  text('becomes-file/inside', 'x'),
  text('becomes-directory', 'x'),
  symlink('becomes-other', 'etc'),
  text('back', 'a file at first'),
  directory('forth'),
  text('forth/first', '1'),
  text('hidden/target', noise(5000, 2)),
  hardlink('shown/link', 'hidden/target'),
  hardlink('shown/link-too', 'hidden/target'),
  text('across/target', noise(6000, 3)),
  text('twice', 'first'),
  text('twice', 'second', { mode: 0o700 }),
  text('turns', 'file'),
  directory('merged', { mode: 0o700, uid: 1, time: 1_000_000_100, xattrs: { 'user.low': '1' } }),
  text('merged/low', 'low'),
  text('empty', ''),
]

const middle: TarEntry[] = [
  directory('etc', { mode: 0o711, time: 1_200_000_000 }),
  whiteout('etc/.wh.removed'),
  text('etc/replaced', 'the new one', { mode: 0o640 }),
  directory('opaque', { mode: 0o750 }),
  whiteout('opaque/.wh..wh..opq'),
  text('opaque/new', 'new'),
  text('becomes-file', 'now a file'),
  directory('becomes-directory', { mode: 0o701 }),
  text('becomes-directory/inside', 'y'),
  { path: 'becomes-other', type: 'fifo' },
  directory('back'),
  text('back/inside', 'a directory in between'),
  whiteout('.wh.forth'),
  directory('hidden'),
  whiteout('hidden/.wh.target'),
  hardlink('across/link', 'across/target'),
  directory('merged', { mode: 0o755, uid: 2, time: 1_000_000_200 }),
  text('merged/middle', 'middle'),
  text('lib/through', 'through a link'),
  hardlink('lib/hard-through', 'lib/through'),
  text('bin/tool', 'in usr/bin', { mode: 0o755 }),
  whiteout('bin/.wh.again'),
]

const top: TarEntry[] = [
  text('back', 'a file again'),
  directory('forth'),
  text('forth/second', '2'),
  whiteout('across/.wh.target'),
  directory('across'),
  directory('merged', { mode: 0o711, uid: 3, time: 1_000_000_300, xattrs: { 'user.top': '1' } }),
  text('merged/top', 'top'),
  directory('opaque/deep'),
  text('opaque/deep/new', 'new'),
  text('usr/bin/program', 'a smaller one'),
]

/** From the lowest up, as images list them. */
export const tortureLayers: readonly (readonly TarEntry[])[] = [base, middle, top, [], top]

/**
 * Layers made by chance, the same for the same seed, with few names so that they get into each other's way. Some of them no tool
 * would make: hard links to nothing, files where there should be directories.
 */
export function randomLayers(seed: number): TarEntry[][] {
  let state = seed
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const path = () => Array.from({ length: 1 + random(3) }, () => pick(['a', 'b', 'c'])).join('/')
  const files: string[] = []
  const make = (layer: number): TarEntry => {
    const at = path()
    const more = { mode: 0o700 + random(64), uid: layer }
    switch (random(9)) {
      case 0:
      case 1:
        return directory(at, more)
      case 2:
        return hardlink(at, files.length > 0 ? pick(files) : 'a')
      case 3:
        return symlink(at, pick(['a', 'b', '../a', '/b', 'b/c', '../c/a']), { uid: layer })
      case 4:
        return whiteout(at.replace(/[abc]$/, '.wh.$&'))
      case 5:
        return random(2) === 0 ? whiteout(`${at}/.wh..wh..opq`) : { path: at, type: 'fifo', ...more }
      default:
        files.push(at)
        return text(at, `${layer} ${random(1000)}`, more)
    }
  }
  return Array.from({ length: 1 + random(4) }, (_, layer) => {
    const entries = Array.from({ length: 1 + random(7) }, () => make(layer)).flatMap((entry) =>
      random(8) === 0 ? [entry] : [...parentsOf(entry.path, layer), entry],
    )
    const isWhiteout = ({ path }: TarEntry) => path.includes('.wh.')
    return [...entries.filter(isWhiteout), ...entries.filter((entry) => !isWhiteout(entry))]
  })
}

const parentsOf = (path: string, layer: number): TarEntry[] =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, index, parts) =>
      directory(parts.slice(0, index + 1).join('/'), { uid: layer, time: 1_000_000_000 + layer }),
    )
