/** The files of packages as they lie in the tree: what is not there is left out, and what is there is hashed. */

import { createHash } from 'node:crypto'
import type { Inventory, Item } from '../image/inventory.ts'
import type { Algorithm, Checksum, Package, PackagedFile } from './types.ts'

const stretch = 4 * 1024 * 1024

export class FileHasher {
  readonly #inventory: Inventory
  readonly #find: (path: string) => Item | undefined
  readonly #known = new Map<string, readonly Checksum[]>()

  /** @param find the file that a path leads to */
  constructor(inventory: Inventory, find: (path: string) => Item | undefined) {
    this.#inventory = inventory
    this.#find = find
  }

  #hash(item: Item, algorithms: readonly Algorithm[]): readonly Checksum[] {
    const key = [item.path, ...algorithms].join('\0')
    const known = this.#known.get(key)
    if (known) return known
    const hashes = algorithms.map((algorithm) => ({ algorithm, hash: createHash(algorithm.toLowerCase()) }))
    for (let offset = 0; offset < item.size; ) {
      const bytes = this.#inventory.read(item, offset, stretch)
      if (bytes.length === 0) break
      for (const { hash } of hashes) hash.update(bytes)
      offset += bytes.length
    }
    const checksums = hashes.map(({ algorithm, hash }) => ({ algorithm, value: hash.digest('hex') }))
    this.#known.set(key, checksums)
    return checksums
  }

  #look({ path, checksums }: PackagedFile): PackagedFile[] {
    const item = this.#find(path)
    if (item?.type !== 'file') return []
    const algorithms = new Set<Algorithm>(['SHA1', ...checksums.map(({ algorithm }) => algorithm)])
    const found = this.#hash(item, [...algorithms])
    const isSame = ({ algorithm, value }: Checksum): boolean =>
      found.some((one) => one.algorithm === algorithm && one.value === value)
    return [{ path, checksums: found, isChanged: !checksums.every(isSame) }]
  }

  /** The package with its files, each with a SHA-1, which SPDX asks for, and with what its manager knows. */
  withFiles(one: Package): Package {
    const files = one.files?.flatMap((file) => this.#look(file)) ?? []
    if (files.length === 0) return { ...one, files }
    const sums = files.map(
      ({ checksums }) => checksums.find(({ algorithm }) => algorithm === 'SHA1')?.value ?? '',
    )
    // SPDX 2.3, 7.9
    return { ...one, files, verification: createHash('sha1').update(sums.sort().join('')).digest('hex') }
  }
}
