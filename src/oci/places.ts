/**
 * Which repositories are known to have a blob: a registry can then take it from there (distribution specification 1.1, "Mounting
 * a blob from another repository") instead of from us. Notes in the folder of the cache; without one nobody knows anything.
 */

import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheRoot } from '../store/place.ts'
import { readBytes } from './bytes.ts'
import type { RegistryReference } from './reference.ts'
import type { Digest } from './types.ts'

type Environment = Readonly<Record<string, string>>
type Place = Pick<RegistryReference, 'registry' | 'repository'>

/** A note has some dozen bytes. */
const sizeLimit = 256 * 1024

/** The file of notes about a blob; undefined where there is no folder for it. */
function notesOf(environment: Environment, digest: Digest): string | undefined {
  try {
    const root = cacheRoot(environment)
    return root && join(root, 'places', digest.replace(':', '-'))
  } catch {
    // What is wrong with the folder is told to who needs it.
    return undefined
  }
}

function readNotes(path: string | undefined): string[] {
  try {
    return path ? readBytes(path, sizeLimit).toString('utf8').split('\n') : []
  } catch {
    return []
  }
}

/** Repositories of the registry that had the blob, the last one noted first. They may have lost it since. */
export function repositoriesWith(environment: Environment, registry: string, digest: Digest): string[] {
  const start = `${registry}/`
  const notes = readNotes(notesOf(environment, digest)).filter((note) => note.startsWith(start))
  return notes.map((note) => note.slice(start.length)).reverse()
}

/** Note that a repository has a blob. What cannot be noted is forgotten: only time is lost. */
export function notePlace(environment: Environment, { registry, repository }: Place, digest: Digest): void {
  const path = notesOf(environment, digest)
  const note = `${registry}/${repository}`
  if (!path || readNotes(path).includes(note)) return
  try {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
    appendFileSync(path, `${note}\n`, { mode: 0o600 })
  } catch {
    // A full disk, or a cache that others own.
  }
}
