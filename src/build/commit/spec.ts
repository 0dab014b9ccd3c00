/** What is to be committed: an image, what lies over it, and what the new image says of that. */

import { resolve } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import { defaultDefinition } from '../../definition/default.ts'
import { type Image, type OpenOptions, openImage } from '../../image/open.ts'
import { openOverlay } from '../../image/overlay.ts'
import { openContents } from '../../image/reader.ts'
import type { BuildSpec } from '../spec.ts'
import type { Changes } from './layers.ts'
import type { Commit } from './record.ts'
import { recordedDefinition } from './record.ts'

const definitionLimit = 16 * 1024 * 1024

export type CommitWords = {
  /** The image, as typed. */
  readonly image: string
  /** Values of --overlay, as typed; with :ro those that were only read. */
  readonly overlays: readonly string[]
  /** They belong to an instance that runs. */
  readonly live: boolean
  readonly message: string | undefined
  readonly labels: readonly string[]
  /** When it is said to be made; absent: now. */
  readonly time: Date | undefined
  /** Opens an encrypted image; `keep` for who only looks. */
  readonly unlock?: OpenOptions['unlock']
}

/** `KEY=VALUE`. @throws SingError USAGE */
export function parseLabel(word: string): readonly [string, string] {
  const [, key = '', value = ''] = /^([^=\s][^=]*)=(.*)$/s.exec(word) ?? []
  if (key !== '') return [key, value]
  throw new SingError('USAGE', `--label ${shown(word)}: expected key=value`, { status: 255 })
}

const pathOf = (word: string): string => resolve(word.replace(/:(ro|rw)$/, ''))

/** Lowest first: what took changes lay above all. */
function openChanges({ overlays, live }: CommitWords): Changes[] {
  const read = overlays.filter((word) => word.endsWith(':ro'))
  const written = overlays.filter((word) => !word.endsWith(':ro'))
  const open = (word: string): Changes[] => openOverlay(pathOf(word), true)
  return [...read.flatMap(open), ...written.flatMap(open).map((layer) => ({ ...layer, live }))]
}

function ownChanges({ kind, overlays = [] }: Image): Changes[] {
  return kind === 'oci-sif' ? overlays.filter(({ filesystem }) => filesystem === 'ext3') : [...overlays]
}

function requireChanges({ kind }: Image, changes: readonly Changes[], words: CommitWords): void {
  if (changes.length > 0 || kind === 'sandbox' || words.overlays.length > 0) return
  throw new SingError('OVERLAY', `there is nothing to commit: nothing lies over ${shown(words.image)}`, {
    hint: 'Name what keeps the changes: --overlay DIRECTORY or --overlay FILE',
  })
}

function requirePackable({ rootfs }: Image, path: string): void {
  if (!('file' in rootfs) || rootfs.filesystem !== 'ext3') return
  throw new SingError('UNSUPPORTED', `cannot commit ${shown(path)}: its root file system is an ext3`, {
    hint: `It holds its changes itself. To make a SIF of it: sing build NEW.sif ${shown(path)}`,
  })
}

async function definitionOf(image: Image): Promise<string> {
  // For who only looks whether there is something to commit.
  if (image.encryption?.open === false) return ''
  await using contents = await openContents(image)
  const bytes = await contents.read('/.singularity.d/Singularity', definitionLimit)
  return bytes?.toString() ?? defaultDefinition('localimage', image.name)
}

/** Look at what is to be committed. @throws SingError when there is nothing, or it cannot be read */
export async function openCommit(words: CommitWords): Promise<BuildSpec> {
  const labels = words.labels.map(parseLabel)
  const image = await openImage(resolve(words.image), {
    anyArchitecture: true,
    ext3: true,
    unlock: words.unlock,
  })
  requirePackable(image, words.image)
  const changes = [...ownChanges(image), ...openChanges(words)]
  requireChanges(image, changes, words)
  const { message, overlays } = words
  const commit: Commit = { base: words.image, overlays, message, time: words.time ?? new Date() }
  const text = recordedDefinition(await definitionOf(image), commit)
  return {
    definition: { stages: [], text },
    commit: { ...commit, image, changes, labels },
    name: image.name,
    isDefinition: false,
  }
}
