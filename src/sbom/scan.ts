/** Looks for packages in everything that an image holds. Nothing in it is started. */

import type { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { follow, nodeOf } from '../core/follow.ts'
import type { Inventory, Item } from '../image/inventory.ts'
import { FileHasher } from './files.ts'
import { readers } from './readers/all.ts'
import { systemOf } from './readers/system.ts'
import { ecosystems, type Found, type Package, type Reader, type Tree } from './types.ts'

export type ScanOptions = {
  /** The files of packages, too. */
  readonly withFiles: boolean
}

/** All packages of the largest systems together are fewer. */
const mostPackages = 200_000
/** Bytes of lists, all together. */
const mostBytes = 4 * 1024 * 1024 * 1024
/** Nobody reads more of what is not read. */
const mostNotes = 100
/** Names of files; what is longer is no path of Linux. */
const longestPath = 4096

class InventoryTree implements Tree {
  readonly withFiles: boolean
  readonly #inventory: Inventory
  readonly #byPath: ReadonlyMap<string, Item>
  #left = mostBytes

  constructor(inventory: Inventory, { withFiles }: ScanOptions) {
    this.withFiles = withFiles
    this.#inventory = inventory
    this.#byPath = new Map(inventory.items.map((item) => [item.path, item]))
  }

  /** Nothing more is read. */
  get isSpent(): boolean {
    return this.#left < 0
  }

  /** The file that a path leads to. */
  file(path: string): Item | undefined {
    const item = this.#byPath.get(path) ?? this.#byPath.get(this.#resolve(path))
    return item?.type === 'symlink' ? this.#byPath.get(this.#resolve(path)) : item
  }

  #resolve(path: string): string {
    const { state, path: found } = follow(path, (at) => {
      const item = this.#byPath.get(at)
      return item && nodeOf(item)
    })
    return state === 'there' ? found : ''
  }

  read(path: string, limit: number): Buffer | undefined {
    const item = this.file(path)
    if (item?.type !== 'file' || item.size > limit) return undefined
    this.#left -= item.size
    if (this.isSpent) throw tooMuch(`lists of packages with more than ${mostBytes} bytes`)
    return this.#inventory.read(item, 0, item.size)
  }
}

/** One after the other: by kind, name, version and place. */
function inOrder(packages: readonly Package[]): Package[] {
  const keyed = packages.map((one) => {
    const { ecosystem, name, version, architecture = '', place } = one
    const kind = String.fromCharCode(ecosystems.indexOf(ecosystem))
    return { one, key: [kind, name, version, architecture, place].join('\0') }
  })
  return keyed.sort((first, second) => (first.key < second.key ? -1 : 1)).map(({ one }) => one)
}

const isDamage = (error: unknown): error is SingError =>
  error instanceof SingError && ['IMAGE_FORMAT', 'IO', 'SQUASHFS'].includes(error.code)

type Reading = { readonly packages: Package[]; readonly notes: string[] }

function readList(reader: Reader, item: Item, tree: InventoryTree, reading: Reading): void {
  const { path, size } = item
  const { packages, notes } = reading
  const skip = (reason: string) => notes.push(`${reader.what} ${shown(path)} is not read: ${reason}`)
  if (size > reader.limit) return void skip(`it has ${size} bytes, more than ${reader.limit}`)
  const before = packages.length
  try {
    const bytes = tree.read(path, reader.limit)
    if (bytes === undefined || bytes.length < size) return void skip('it cannot be opened')
    for (const one of reader.read(bytes, path, tree)) {
      packages.push(one)
      if (packages.length > mostPackages) return
    }
  } catch (error) {
    if (!isDamage(error) || tree.isSpent) throw error
    packages.length = before
    skip(error.message)
  }
}

/** Writers of SQLite put what is new beside the database at first. */
function noteOf({ path, size }: Item): string[] {
  const isLog = size > 0 && /^\/(var\/lib|usr\/lib\/sysimage)\/rpm\/rpmdb\.sqlite-(wal|journal)$/.test(path)
  return isLog ? [`the database of rpm was being written to: what is in ${path} is not read`] : []
}

const tooMuch = (what: string): SingError => new SingError('IMAGE_FORMAT', `the image has ${what}`)

function shortened(notes: readonly string[]): readonly string[] {
  const left = notes.length - mostNotes
  return left > 0 ? [...notes.slice(0, mostNotes), `${left} more lists are not read`] : notes
}

export function scan(inventory: Inventory, options: ScanOptions): Found {
  const tree = new InventoryTree(inventory, options)
  const reading: Reading = { packages: [], notes: [] }
  for (const directory of inventory.closed) reading.notes.push(`${shown(directory)} cannot be looked into`)
  for (const item of inventory.items) {
    if (item.type !== 'file' || item.path.length > longestPath) continue
    const reader = readers.find(({ matches }) => matches.test(item.path))
    if (reader) readList(reader, item, tree, reading)
    else reading.notes.push(...noteOf(item))
    if (reading.packages.length > mostPackages) throw tooMuch(`more than ${mostPackages} packages`)
  }
  const hasher = options.withFiles && new FileHasher(inventory, (path) => tree.file(path))
  const packages = inOrder(reading.packages).map((one) => (hasher ? hasher.withFiles(one) : one))
  return { packages, system: systemOf(tree), notes: shortened(reading.notes.sort()) }
}
