/**
 * Squashfs layers as the one tree that an overlay of them shows, read without a mount. A character device 0:0 hides what lies below it, a directory marked as opaque the whole content of those below it
 * (overlayfs.rst, "whiteouts and opaque directories").
 */

import type { Buffer } from 'node:buffer'
import { following, type Node, nodeOf } from '../core/follow.ts'
import { SquashfsImage, type Stat } from '../native/addon.ts'
import type { Window } from './open.ts'
import type { Contents } from './reader.ts'

const isWhiteout = ({ type, major, minor }: Stat): boolean =>
  type === 'character' && major === 0 && minor === 0

/** True when a directory of a layer hides the content of those below. */
export async function isOpaque(layer: SquashfsImage, path: string): Promise<boolean> {
  const xattrs = await layer.xattrs(path)
  return ['trusted.overlay.opaque', 'user.overlay.opaque'].some((name) => xattrs[name]?.toString() === 'y')
}

/** A path of the merged tree: a directory in all layers that it is made of, topmost first, or another file in one. */
type Found =
  | { readonly kind: 'directory'; readonly path: string; readonly layers: readonly SquashfsImage[] }
  | { readonly kind: 'other'; readonly path: string; readonly layer: SquashfsImage; readonly stat: Stat }

/** What an open stack of layers shows; dispose of it after use. */
export class Layered implements Contents {
  readonly #layers: readonly SquashfsImage[]
  readonly #root: Found

  private constructor(layers: readonly SquashfsImage[]) {
    this.#layers = layers
    this.#root = { kind: 'directory', path: '', layers }
  }

  /** @param windows lowest first */
  static async open(windows: readonly Window[]): Promise<Layered> {
    const layers: SquashfsImage[] = []
    try {
      for (const window of windows.toReversed()) layers.push(await SquashfsImage.at(window))
      return new Layered(layers)
    } catch (error) {
      for (const layer of layers) layer.close()
      throw error
    }
  }

  async #child(parent: Found & { kind: 'directory' }, name: string): Promise<Found | undefined> {
    const path = `${parent.path}/${name}`
    const layers: SquashfsImage[] = []
    for (const layer of parent.layers) {
      const stat = await layer.stat(path, false)
      if (!stat) continue
      if (stat.type !== 'directory') {
        if (layers.length === 0 && !isWhiteout(stat)) return { kind: 'other', path, layer, stat }
        break
      }
      layers.push(layer)
      if (await isOpaque(layer, path)) break
    }
    return layers.length > 0 ? { kind: 'directory', path, layers } : undefined
  }

  /** Follow all links of a path, which end at the root. */
  async #find(path: string): Promise<Found | undefined> {
    const known = new Map([['', this.#root]])
    const steps = following(path)
    let step = steps.next()
    while (!step.done) {
      const here = step.value
      const end = here.lastIndexOf('/')
      const parent = known.get(here.slice(0, end))
      const found = parent?.kind === 'directory' && (await this.#child(parent, here.slice(end + 1)))
      if (!found) return undefined
      known.set(here, found)
      step = steps.next(await this.#nodeOf(found))
    }
    const { state, path: last } = step.value
    return state === 'there' ? known.get(last === '/' ? '' : last) : undefined
  }

  async #nodeOf(found: Found): Promise<Node> {
    if (found.kind === 'directory') return { kind: 'directory' }
    const { layer, stat, path } = found
    return nodeOf({
      type: stat.type,
      target: stat.type === 'symlink' ? await layer.readlink(path) : undefined,
    })
  }

  async read(path: string, limit: number): Promise<Buffer | undefined> {
    const found = await this.#find(path)
    return found?.kind === 'other' ? await found.layer.read(found.path, limit) : undefined
  }

  async list(path: string): Promise<string[] | undefined> {
    const found = await this.#find(path)
    if (found?.kind !== 'directory') return undefined
    const all = await Promise.all(found.layers.map((layer) => layer.list(found.path || '/')))
    const names = [...new Set(all.flatMap((some) => some ?? []))]
    const kept = await Promise.all(names.map((name) => this.#child(found, name)))
    return names.filter((_, index) => kept[index] !== undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const layer of this.#layers) layer.close()
  }
}
