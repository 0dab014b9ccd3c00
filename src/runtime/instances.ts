/**
 * What is known of instances: one file each, in a directory of the user's for each host. There is no daemon: whether an
 * instance runs is asked of the kernel, by the mark of its process 1.
 */

import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { silent } from '../core/events.ts'
import { isAbandoned, isMark, type Mark, markOf, ownerOf, standingOf } from '../host/mark.ts'
import { takeLock } from '../native/lock.ts'
import type { Running } from '../plan/join.ts'
import { type AroundRecord, undo } from './around.ts'
import { removeTree } from './unpacked.ts'

/** An instance, as its file tells it. */
export type Instance = Omit<Running, 'process'> & {
  readonly kind: 'instance'
  /** Of its process 1. */
  readonly mark: Mark
  readonly user: string
  readonly verb: 'start' | 'run'
  readonly command: readonly string[]
  /** Where it was started. */
  readonly cwd: string
  /** As a date and time of ISO 8601. */
  readonly since: string
  readonly logs: Logs
  /** Address in a network of its own. */
  readonly ip: string
  /** Its network and limits, which end with it. */
  readonly around: AroundRecord
  /** Directories that end with it. */
  readonly directories: readonly string[]
  /** What ends it politely. */
  readonly stopSignal: number
  /** Process 1 is the image's own init. */
  readonly boot: boolean
}

/** A name that somebody is just starting an instance under. */
type Claim = { readonly kind: 'claim'; readonly name: string; readonly mark: Mark }

export type Logs = { readonly out: string; readonly err: string }

/** Where the instances of a user on this host are noted. */
export type Place = { readonly directory: string; readonly uid: number; readonly user: string }

const largest = 4 * 1024 * 1024

/** @throws SingError USAGE */
export function requireName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,200}$/.test(name)) return
  throw new SingError('USAGE', `"${shown(name)}" is not a name for an instance`, {
    hint: 'Letters, digits, dots, hyphens and underscores, at most 200 of them',
    status: 255,
  })
}

/** The place of a user; `configured` is the directory that a CONFIGDIR variable names. */
export function placeOf(
  environment: Readonly<Record<string, string>>,
  user: { readonly name: string; readonly home: string; readonly uid: number },
): Place {
  const configured =
    environment.SING_CONFIGDIR || environment.APPTAINER_CONFIGDIR || environment.SINGULARITY_CONFIGDIR
  const { XDG_STATE_HOME: state, HOME: home } = environment
  const base =
    configured || join(state?.startsWith('/') ? state : join(home || user.home, '.local', 'state'), 'sing')
  const directory = join(resolve(base), 'instances', hostname().replaceAll('/', '_'), user.name)
  return { directory, uid: user.uid, user: user.name }
}

export function logsOf({ directory }: Place, name: string): Logs {
  return { out: join(directory, `${name}.out`), err: join(directory, `${name}.err`) }
}

const fileOf = ({ directory }: Place, name: string): string => join(directory, `${name}.json`)

function isInstance(value: Record<string, unknown>): boolean {
  const texts = ['user', 'cwd', 'since', 'home', 'ip'].every((key) => typeof value[key] === 'string')
  const lists = ['command', 'binds', 'directories'].every((key) => Array.isArray(value[key]))
  const objects = ['image', 'identity', 'devices', 'flags', 'logs', 'around'].every(
    (key) => typeof value[key] === 'object' && value[key] !== null,
  )
  const { path, name } = (value.image ?? {}) as Record<string, unknown>
  const { out, err } = (value.logs ?? {}) as Record<string, unknown>
  const named = [path, name, out, err].every((text) => typeof text === 'string')
  return texts && lists && objects && named && Number.isSafeInteger(value.stopSignal)
}

/** The entry of a name; undefined for none, and for a file that nobody of ours wrote. */
function readEntry(place: Place, name: string): Instance | Claim | undefined {
  const path = fileOf(place, name)
  try {
    const status = lstatSync(path)
    if (!status.isFile() || status.uid !== place.uid || status.size > largest) return undefined
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value !== 'object' || value === null) return undefined
    const entry = value as Record<string, unknown>
    if (entry.name !== name || !isMark(entry.mark)) return undefined
    if (entry.kind === 'claim') return value as Claim
    return entry.kind === 'instance' && isInstance(entry) ? (value as Instance) : undefined
  } catch {
    return undefined
  }
}

/** Whether the process of an entry runs. A file cannot make somebody else's process one of its user's. */
function standing({ uid }: Place, { mark }: Instance | Claim): ReturnType<typeof standingOf> {
  const found = standingOf(mark)
  return found === 'alive' && ownerOf(mark.pid) !== uid ? 'gone' : found
}

function makeDirectory({ directory }: Place): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new SingError('IO', `cannot make ${directory}: ${reasonOf(cause)}`, { cause })
  }
}

const LOCK_PATIENCE = 10_000
const LOCK_PAUSE = 10

/** Do something about the entries of a place while nobody else does. */
async function withLock<T>(place: Place, work: () => T): Promise<T> {
  makeDirectory(place)
  const path = join(place.directory, '.lock')
  let lock: number
  try {
    lock = openSync(path, 'a', 0o600)
  } catch (cause) {
    throw new SingError('IO', `cannot open ${path}: ${reasonOf(cause)}`, { cause })
  }
  try {
    for (let waited = 0; !takeLock(lock); waited += LOCK_PAUSE) {
      if (waited >= LOCK_PATIENCE)
        throw new SingError('IO', `another process holds ${path} and does not let go of it`)
      await sleep(LOCK_PAUSE)
    }
    return work()
  } finally {
    closeSync(lock)
  }
}

function writeDraft(draft: string, path: string, text: string): void {
  const file = openSync(draft, 'w', 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
    renameSync(draft, path)
  } catch (cause) {
    rmSync(draft, { force: true })
    throw cause
  } finally {
    closeSync(file)
  }
}

/** Whole or not at all: written beside, renamed. */
function writeEntry(place: Place, entry: Instance | Claim): void {
  const path = fileOf(place, entry.name)
  try {
    writeDraft(`${path}.${process.pid}`, path, `${JSON.stringify(entry, null, 2)}\n`)
  } catch (cause) {
    throw new SingError('IO', `cannot write ${path}: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * What instances that were killed have left: networks and limits, and directories that still are theirs; a later one may have
 * taken their place.
 */
async function removeRemains(entries: readonly (Instance | Claim)[]): Promise<void> {
  for (const entry of entries) {
    if (entry.kind === 'claim') continue
    await undo(entry.around, silent)
    for (const directory of entry.directories) if (isAbandoned(directory)) await removeTree(directory)
  }
}

/**
 * Take a name for an instance that is about to start.
 * @throws SingError EXISTS when it runs
 */
export async function claimName(place: Place, name: string): Promise<void> {
  const before = await withLock(place, () => {
    const entry = readEntry(place, name)
    const found = entry && standing(place, entry)
    if (found === 'elsewhere') {
      throw new SingError(
        'EXISTS',
        `instance ${name} already exists, started in another container of this host`,
        {
          hint: `Choose another name; if that container is gone, remove ${fileOf(place, name)}`,
        },
      )
    }
    if (found === 'alive') throw new SingError('EXISTS', `instance ${name} already exists`)
    const mark = markOf(process.pid)
    if (mark) writeEntry(place, { kind: 'claim', name, mark })
    return entry
  })
  if (before) await removeRemains([before])
}

/**
 * Note that the instance of a claimed name runs. Not while somebody looks for what has ended: who has just read our claim, and
 * then finds that we are gone, would remove what we have put in its place.
 */
export const keepInstance = (place: Place, instance: Instance): Promise<void> =>
  withLock(place, () => writeEntry(place, instance))

/** Let go of a name whose instance has not come to run. */
export function dropClaim(place: Place, name: string): void {
  rmSync(fileOf(place, name), { force: true })
}

function names({ directory }: Place): string[] {
  try {
    return readdirSync(directory)
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
      .sort()
  } catch {
    return []
  }
}

/** Remove what is known of instances that have ended. Only their user does: to others it is only to be read. */
export async function forgetEnded(place: Place): Promise<void> {
  const ended = () =>
    names(place).flatMap((name) => {
      const entry = readEntry(place, name)
      return entry && standing(place, entry) === 'gone' ? [entry] : []
    })
  if (process.geteuid?.() !== place.uid || ended().length === 0) return
  const removed = await withLock(place, () => {
    const entries = ended()
    for (const { name } of entries) rmSync(fileOf(place, name), { force: true })
    return entries
  })
  await removeRemains(removed)
}

/** The instances that run, by name; `pattern` as of file names. */
export async function findInstances(place: Place, pattern = '*'): Promise<Instance[]> {
  await forgetEnded(place)
  const wanted = toExpression(pattern)
  return names(place).flatMap((name) => {
    if (!wanted.test(name)) return []
    const entry = readEntry(place, name)
    return entry?.kind === 'instance' && standing(place, entry) === 'alive' ? [entry] : []
  })
}

/** The running instance of exactly this name. @throws SingError INSTANCE */
export function requireInstance(place: Place, name: string): Instance {
  requireName(name)
  const entry = readEntry(place, name)
  if (entry?.kind === 'instance' && standing(place, entry) === 'alive') return entry
  throw new SingError('INSTANCE', `there is no instance ${name}`, {
    hint: 'sing instance list shows those that run',
  })
}

/** Whether the instance still runs. */
export const isRunning = ({ mark }: Instance): boolean => standingOf(mark) === 'alive'

/** `*`, `?` and `[...]` as in names of files. */
function toExpression(pattern: string): RegExp {
  const text = pattern.replace(
    /\[(!?)([^\]]*)\]|[*?]|[.+^${}()|[\]\\]/g,
    (part, not?: string, set?: string) => {
      if (part === '*') return '.*'
      if (part === '?') return '.'
      if (set) return `[${not ? '^' : ''}${set.replace(/[\\^[]/g, '\\$&')}]`
      return `\\${part.split('').join('\\')}`
    },
  )
  try {
    return new RegExp(`^${text}$`)
  } catch {
    throw new SingError('USAGE', `"${shown(pattern)}" is not a pattern`, { status: 255 })
  }
}

/** The size of a file, 0 when there is none. */
export function sizeOf(path: string): number {
  try {
    const file = openSync(path, 'r')
    try {
      return fstatSync(file).size
    } finally {
      closeSync(file)
    }
  } catch {
    return 0
  }
}
