/** Facts of images that exist only as tables. */

import { Facts } from '../../../src/check/facts.ts'
import type { Item } from '../../../src/image/inventory.ts'

export type Made = {
  readonly text?: string | Buffer
  readonly link?: string
  readonly directory?: true
  readonly mode?: number
  readonly uid?: number
  readonly size?: number
  readonly capable?: true
  /** Names of one file have the same. */
  readonly inode?: number
  readonly links?: number
}

function typeOf({ link, directory }: Made): Item['type'] {
  return directory ? 'directory' : link === undefined ? 'file' : 'symlink'
}

function itemOf(path: string, made: Made, inode: number): Item {
  const type = typeOf(made)
  return {
    path,
    type,
    mode: made.mode ?? (type === 'file' ? 0o644 : 0o755),
    uid: made.uid ?? 0,
    gid: 0,
    mtime: 0,
    size: made.size ?? Buffer.byteLength(made.text ?? ''),
    inode: made.inode ?? inode,
    links: made.links ?? 1,
    target: made.link,
    capable: made.capable ?? false,
    layer: 0,
    place: 0,
  }
}

/** Files by path: their text or more; directories above them are made. */
export function factsOf(
  files: Readonly<Record<string, string | Buffer | Made>>,
  architecture?: string,
): Facts {
  const all = new Map<string, Made>([['/', { directory: true }]])
  for (const [path, given] of Object.entries(files)) {
    const parts = path.split('/').slice(1)
    for (let count = 1; count < parts.length; count += 1) {
      const parent = `/${parts.slice(0, count).join('/')}`
      if (!all.has(parent)) all.set(parent, { directory: true })
    }
    all.set(path, typeof given === 'string' || Buffer.isBuffer(given) ? { text: given } : given)
  }
  const items = [...all]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, made], index) => itemOf(path, made, index + 1))
  const read = ({ path }: Item, offset: number, length: number): Buffer =>
    Buffer.from(all.get(path)?.text ?? '').subarray(offset, offset + length)
  return new Facts(items, read, architecture)
}

/** Findings of the checks as short texts: `severity path`. */
export const shortly = (findings: readonly { severity: string; path: string; line?: number }[]): string[] =>
  findings.map(({ severity, path, line }) => `${severity} ${path}${line === undefined ? '' : `:${line}`}`)
