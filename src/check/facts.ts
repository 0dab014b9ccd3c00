/** What is known of an image that is checked: its names, links as a container follows them, and the contents that checks ask for. */

import type { Buffer } from 'node:buffer'
import { following, nodeOf } from '../core/follow.ts'
import { type Program, parseProgram } from '../core/program.ts'
import { addAssignments, type Variables } from '../image/assignments.ts'
import type { Item } from '../image/inventory.ts'

/** Up to `length` bytes of a regular file. */
export type Reading = (item: Item, offset: number, length: number) => Buffer

export type Resolved =
  | { readonly kind: 'there'; readonly item: Item }
  /** On the way there is a place where files of the host are. */
  | { readonly kind: 'outside'; readonly path: string }
  | { readonly kind: 'missing'; readonly path: string }

/** Where a container has files of the host or of the kernel. */
const outside = [
  '/proc',
  '/dev',
  '/sys',
  '/run',
  '/tmp',
  '/var/tmp',
  '/home',
  '/mnt',
  '/media',
  '/etc/localtime',
  '/etc/hosts',
  '/etc/resolv.conf',
]
const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const scriptLimit = 1024 * 1024
/** Fields of a program lie close to each other. */
const windowSize = 32 * 1024

export class Facts {
  /** Go name; undefined when the image does not say. */
  readonly architecture: string | undefined
  readonly items: readonly Item[]
  readonly #read: Reading
  readonly #byPath: ReadonlyMap<string, Item>
  readonly #children = new Map<string, Item[]>()
  readonly #programs = new Map<string, Program | undefined>()
  #variables: Variables | undefined

  constructor(items: readonly Item[], read: Reading, architecture: string | undefined) {
    this.items = items
    this.#read = read
    this.architecture = architecture
    this.#byPath = new Map(items.map((item) => [item.path, item]))
    for (const item of items) {
      if (item.path === '/') continue
      const parent = item.path.slice(0, item.path.lastIndexOf('/')) || '/'
      const siblings = this.#children.get(parent)
      if (siblings) siblings.push(item)
      else this.#children.set(parent, [item])
    }
  }

  /** What has this very name; links are not followed. */
  find(path: string): Item | undefined {
    return this.#byPath.get(path)
  }

  /** What a directory holds; links to it are not followed. */
  in(directory: string): readonly Item[] {
    return this.#children.get(directory) ?? []
  }

  /** Everything below a directory. */
  *below(directory: string): Generator<Item> {
    for (const item of this.in(directory)) {
      yield item
      if (item.type === 'directory') yield* this.below(item.path)
    }
  }

  /** What a pattern names, in which a star stands for any name; links on the way are not followed. */
  matching(pattern: string): Item[] {
    const parts = pattern.split('/').slice(1)
    let found = [this.find('/')].filter((item) => item !== undefined)
    for (const part of parts) {
      const regex = new RegExp(`^${part.replace(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`)
      const next = ({ path }: Item): readonly Item[] => {
        if (part.includes('*')) return this.in(path).filter((item) => regex.test(nameOf(item)))
        const item = this.find(path === '/' ? `/${part}` : `${path}/${part}`)
        return item ? [item] : []
      }
      found = found.flatMap(next)
    }
    return found
  }

  /** Follow all links of an absolute path, as a container does whose root is the image's. */
  resolve(path: string): Resolved {
    const steps = following(path)
    let step = steps.next()
    while (!step.done) {
      if (outside.includes(step.value)) return { kind: 'outside', path: step.value }
      const item = this.find(step.value)
      step = steps.next(item && nodeOf(item))
    }
    const { state, path: found, at } = step.value
    const item = state === 'there' ? this.find(found) : undefined
    return item ? { kind: 'there', item } : { kind: 'missing', path: at }
  }

  /** The file that a path leads to. */
  file(path: string): Item | undefined {
    const resolved = this.resolve(path)
    return resolved.kind === 'there' && resolved.item.type === 'file' ? resolved.item : undefined
  }

  /** The beginning of a regular file. */
  head(item: Item, bytes: number): Buffer {
    return this.#read(item, 0, bytes)
  }

  text(path: string, limit = scriptLimit): string {
    const item = this.file(path)
    return item ? this.head(item, limit).toString() : ''
  }

  /** What a file is as a program or library; undefined when it is none. */
  program(item: Item): Program | undefined {
    const key = `${item.layer}:${item.inode}`
    if (!this.#programs.has(key)) this.#programs.set(key, parseProgram(this.#windowed(item)))
    return this.#programs.get(key)
  }

  #windowed(item: Item): (offset: number, length: number) => Buffer {
    let start = 0
    let window = this.#read(item, 0, windowSize)
    return (offset, length) => {
      if (offset < start || offset + length > start + window.length) {
        start = offset
        window =
          offset < item.size ? this.#read(item, offset, Math.max(length, windowSize)) : window.subarray(0, 0)
      }
      return window.subarray(offset - start, offset - start + length)
    }
  }

  /** What the environment scripts of the image set to plain values. */
  get variables(): Variables {
    if (!this.#variables) {
      this.#variables = new Map([['PATH', usualPath]])
      for (const { path } of this.in('/.singularity.d/env').toSorted(byPath))
        if (/\/(10-docker.*|9.*-environment)\.sh$/.test(path))
          addAssignments(this.#variables, this.text(path))
    }
    return this.#variables
  }

  /** The directories in which programs are looked for, each once, without links. */
  get programDirectories(): string[] {
    return this.directories(`${this.variables.get('PATH') ?? ''}:${usualPath}`.split(':'))
  }

  /** Those that are directories of the image, each once, without links. */
  directories(paths: readonly string[]): string[] {
    const found = paths.filter((path) => path.startsWith('/')).map((path) => this.resolve(path))
    return [
      ...new Set(
        found.flatMap((one) =>
          one.kind === 'there' && one.item.type === 'directory' ? [one.item.path] : [],
        ),
      ),
    ]
  }

  /** The program of a name, by the PATH of the image. */
  programNamed(name: string): Item | undefined {
    for (const directory of this.programDirectories) {
      const item = this.file(`${directory}/${name}`)
      if (item) return item
    }
    return undefined
  }
}

const byPath = (one: Item, other: Item): number => (one.path < other.path ? -1 : 1)

/** The last part of a path. */
export const nameOf = ({ path }: Pick<Item, 'path'>): string => path.slice(path.lastIndexOf('/') + 1)
