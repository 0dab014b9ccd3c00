/**
 * A header of rpm as databases keep it: what is known of a package, by the numbers of tags. Big-endian:
 *
 *     count of entries, bytes of data; entries: tag, type, offset in the data, count; the data
 */

import type { Buffer } from 'node:buffer'
import { damaged } from './text.ts'

/** rpmtag.h */
export const tags = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  summary: 1004,
  vendor: 1011,
  licence: 1014,
  packager: 1015,
  url: 1020,
  architecture: 1022,
  digests: 1035,
  flags: 1037,
  source: 1044,
  directoryOf: 1116,
  baseNames: 1117,
  directories: 1118,
  modularity: 5096,
  digestAlgorithm: 5011,
} as const
export type Tag = keyof typeof tags

const entrySize = 16
const mostEntries = 0xffff
const mostValues = 4 * 1024 * 1024
const INT32 = 4
const textTypes = [6, 8, 9]

type Entry = { readonly type: number; readonly offset: number; readonly count: number }

export class Header {
  readonly #data: Buffer
  readonly #entries = new Map<number, Entry>()

  /** @throws SingError IMAGE_FORMAT */
  constructor(bytes: Buffer) {
    if (bytes.length < 8) throw damaged('a package in it has no header')
    const [count, size] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
    const start = 8 + count * entrySize
    if (count > mostEntries || start + size > bytes.length)
      throw damaged('the header of a package is longer than what there is')
    this.#data = bytes.subarray(start, start + size)
    for (let at = 8; at < start; at += entrySize)
      this.#entries.set(bytes.readUInt32BE(at), {
        type: bytes.readUInt32BE(at + 4),
        offset: bytes.readUInt32BE(at + 8),
        count: bytes.readUInt32BE(at + 12),
      })
  }

  /** The texts of a tag, none when it has none. */
  texts(tag: Tag): string[] {
    const entry = this.#entries.get(tags[tag])
    if (!entry || !textTypes.includes(entry.type)) return []
    if (entry.count > mostValues) throw damaged('a package has more texts than one can have')
    const texts: string[] = []
    for (let at = entry.offset; texts.length < entry.count; ) {
      const end = this.#data.indexOf(0, at)
      if (at > this.#data.length || end < 0) throw damaged('a text of a package has no end')
      texts.push(this.#data.toString('utf8', at, end))
      at = end + 1
    }
    return texts
  }

  text(tag: Tag): string | undefined {
    return this.texts(tag)[0]
  }

  numbers(tag: Tag): number[] {
    const entry = this.#entries.get(tags[tag])
    if (entry?.type !== INT32) return []
    const { offset, count } = entry
    if (count > mostValues || offset + 4 * count > this.#data.length)
      throw damaged('numbers of a package have no end')
    return Array.from({ length: count }, (_, index) => this.#data.readUInt32BE(offset + 4 * index))
  }
}
