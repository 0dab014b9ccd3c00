/** Where the room of an image goes: the largest directories and files. Pure. */

import type { Item } from '../image/inventory.ts'

export type Size = { readonly path: string; readonly bytes: number; readonly files: number }
export type Sizes = {
  /** Of all files, unpacked; one with several names counts once. */
  readonly bytes: number
  readonly files: number
  readonly directories: readonly Size[]
  readonly largest: readonly Size[]
}

const most = 10
/** A directory whose room is nearly all in one that it holds says nothing. */
const tells = 0.8

type Total = { bytes: number; files: number; largestChild: number }

function totals(items: readonly Item[]): Map<string, Total> {
  const seen = new Set<string>()
  const sums = new Map<string, Total>()
  for (const { path, type, size, layer, inode, links } of items) {
    if (type === 'directory') sums.set(path, { bytes: 0, files: 0, largestChild: 0 })
    if (type !== 'file') continue
    const key = `${layer}:${inode}`
    if (links > 1 && seen.has(key)) continue
    seen.add(key)
    for (const parent of parentsOf(path)) {
      const sum = sums.get(parent)
      if (!sum) continue
      sum.bytes += size
      sum.files += 1
    }
  }
  for (const [path, { bytes }] of sums) {
    const parent = sums.get(parentsOf(path)[0] ?? '')
    if (parent && path !== '/') parent.largestChild = Math.max(parent.largestChild, bytes)
  }
  return sums
}

/** The directories above a path, the nearest first. */
function parentsOf(path: string): string[] {
  const parents: string[] = []
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
    parents.push(path.slice(0, end))
  return path === '/' ? [] : [...parents, '/']
}

const byBytes = (one: Size, other: Size): number =>
  other.bytes - one.bytes || (one.path < other.path ? -1 : 1)

export function sizesOf(items: readonly Item[]): Sizes {
  const sums = totals(items)
  const { bytes = 0, files = 0 } = sums.get('/') ?? {}
  const directories = [...sums]
    .filter(([path, sum]) => path !== '/' && sum.bytes > 0 && sum.largestChild < tells * sum.bytes)
    .map(([path, sum]) => ({ path, bytes: sum.bytes, files: sum.files }))
  const largest = items
    .filter(({ type, size }) => type === 'file' && size > 0)
    .map(({ path, size }) => ({ path, bytes: size, files: 1 }))
  return {
    bytes,
    files,
    directories: directories.sort(byBytes).slice(0, most),
    largest: largest.sort(byBytes).slice(0, most),
  }
}
