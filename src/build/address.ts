/** Addresses of trees: hashes of everything that made their files what they are. Equal addresses, equal files. Pure. */

import { createHash } from 'node:crypto'

/** Another number makes all that is kept unknown: for when steps do something else than before, or layers look otherwise. */
const format = '2'

/** What all steps of a build have in common. */
export type Way = {
  /** Files of any owner can be made, those of a range of ids, or only those of one. */
  readonly ids: 'all' | 'range' | 'single'
  /** Nobody can leave the groups of the caller, so that programs fail which try. */
  readonly keepsGroups?: boolean
}

/** Most builds let groups be left; their word is that of their ids alone. */
const wordOf = ({ ids, keepsGroups = false }: Way): string => (keepsGroups ? `${ids}, groups stay` : ids)

function hash(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The address of what a stage begins with. */
export function baseAddress(way: Way, identity: readonly string[]): string {
  return hash('base', format, wordOf(way), identity)
}

/** The address of the tree that a step makes of the tree at `address`. */
export function nextAddress(way: Way, address: string, identity: readonly string[]): string {
  return hash('step', format, wordOf(way), address, identity)
}

/**
 * The address of the tree behind a step whose result was kept. Scripts do not make the same each time: what was made on top of one
 * result is not known on top of another one of the same step.
 */
export function madeAddress(way: Way, address: string, digest: string): string {
  return hash('made', format, wordOf(way), address, digest)
}

/** The address of a tree that is known by what was changed in the one at `address`. */
export function changedAddress(way: Way, address: string, digest: string): string {
  return hash('changed', format, wordOf(way), address, digest)
}

/** The address of the fact that a finished tree passed its test. */
export function passedAddress(way: Way, tree: readonly string[], identity: readonly string[]): string {
  return hash('passed', format, wordOf(way), tree, identity)
}
