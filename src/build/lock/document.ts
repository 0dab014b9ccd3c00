/** Lock files: `NAME.lock.yaml` beside the image NAME. */

import { readFileSync, statSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Lock, Versions } from './diff.ts'

const formatVersion = 1
const largest = 16 * 1024 * 1024

/** `app.sif` is locked by `app.lock.yaml`. */
export function lockPath(target: string): string {
  return `${target.replace(/\/+$/, '').replace(/\.(sif|simg|img|sqfs)$/i, '')}.lock.yaml`
}

const sorted = (values: Versions): Versions =>
  Object.fromEntries(Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1)))

/** The text of a lock file: the same for the same lock. */
export async function lockText(lock: Lock): Promise<string> {
  const { dump } = await import('js-yaml')
  const kinds = Object.keys(lock.packages).sort()
  const value = {
    version: formatVersion,
    architecture: lock.architecture,
    bases: sorted(lock.bases),
    files: sorted(lock.files),
    packages: Object.fromEntries(kinds.map((kind) => [kind, sorted(lock.packages[kind] ?? {})])),
  }
  const title = '# What `sing build --lock` resolved. `sing build --locked` refuses to build anything else.\n'
  return `${title}${dump(value, { lineWidth: -1 })}`
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isVersions = (value: unknown): value is Versions =>
  isFields(value) && Object.values(value).every((text) => typeof text === 'string')

/** The lock that a text says; `path` is its file, for messages. @throws SingError BUILD for anything else */
export async function parseLock(text: string, path: string): Promise<Lock> {
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('BUILD', `${shown(path)} is no lock file: ${reason}`, {
      hint: 'Make it anew: sing build --lock',
      cause,
    })
  const { load } = await import('js-yaml')
  let value: unknown
  try {
    value = load(text)
  } catch (cause) {
    throw refuse('it is no YAML', cause)
  }
  if (!isFields(value)) throw refuse('it says nothing')
  const { version, architecture, bases = {}, files = {}, packages = {} } = value
  if (version !== formatVersion) throw refuse(`its version is ${shown(String(version))}, expected 1`)
  if (typeof architecture !== 'string') throw refuse('it names no architecture')
  if (!isVersions(bases)) throw refuse('"bases" are no names with digests')
  if (!isVersions(files)) throw refuse('"files" are no names with digests')
  if (!isFields(packages) || !Object.values(packages).every(isVersions))
    throw refuse('"packages" are no names with versions')
  return { architecture, bases, files, packages: packages as Lock['packages'] }
}

/** Read the lock of a target. @throws SingError BUILD when there is none */
export async function readLock(path: string): Promise<Lock> {
  let text: string
  try {
    if (statSync(path).size > largest) throw new Error('it is larger than 16 MiB')
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SingError('BUILD', `--locked: cannot read ${shown(path)}: ${reasonOf(cause)}`, {
      hint: 'Make it with: sing build --lock',
      cause,
    })
  }
  return await parseLock(text, path)
}
