/** Where the parts of a SIF lie: whether each byte belongs to one thing, and which bytes belong to none. */

import { SingError } from '../core/errors.ts'
import { headerLength, type SifHeader, type SifObject, tableWindow } from './format.ts'

/** A stretch of the file. */
export type Region = { readonly what: string; readonly offset: number; readonly end: number }

type Layout = {
  readonly header: SifHeader
  readonly objects: readonly SifObject[]
  readonly fileSize: number
}

const objectRegion = ({ id, offset, size }: SifObject): Region => ({
  what: `object ${id}`,
  offset,
  end: offset + size,
})

/** Header, table and objects in the order of the file, without those that are empty. */
export function regionsOf({ header, objects, fileSize }: Layout): Region[] {
  const table = tableWindow(header, fileSize)
  return [
    { what: 'the header', offset: 0, end: headerLength },
    { what: 'the table of objects', offset: table.offset, end: table.offset + table.length },
    ...objects.map(objectRegion),
  ]
    .filter(({ offset, end }) => end > offset)
    .sort((a, b) => a.offset - b.offset || a.end - b.end)
}

/**
 * Refuse a file in which a number or a byte could mean two things: an id that two objects have, objects that overlap each other or the
 * table, or that reach past the end.
 * Throws SIF_FORMAT.
 */
export function checkLayout(layout: Layout): void {
  const ids = new Set<number>()
  for (const { id, offset, size } of layout.objects) {
    if (ids.has(id)) throw new SingError('SIF_FORMAT', `two objects have the number ${id}`)
    ids.add(id)
    if (!(offset >= 0 && size >= 0 && offset + size <= layout.fileSize)) {
      throw new SingError(
        'SIF_FORMAT',
        `object ${id} is not within the file (${size} bytes at ${offset}, the file has ${layout.fileSize})`,
      )
    }
  }
  const regions = regionsOf(layout)
  for (const [index, region] of regions.entries()) {
    const next = regions[index + 1]
    if (next && next.offset < region.end) {
      throw new SingError('SIF_FORMAT', `${region.what} and ${next.what} lie over each other`)
    }
  }
}

/** The stretches of the file that belong to nothing. The layout was checked. */
export function gapsOf(layout: Layout): Region[] {
  const regions = regionsOf(layout)
  return regions.flatMap(({ what, end }, index) => {
    const next = regions[index + 1]?.offset ?? layout.fileSize
    return next > end ? [{ what: `behind ${what}`, offset: end, end: next }] : []
  })
}
