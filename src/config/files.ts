/** Where configuration files lie, which of them may be believed, and their texts. */

import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'
import { posix } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'

export const siteFile = '/etc/sing/sing.yaml'
export const systemConfigFile = '/etc/sing/sing.conf'
/** The first that exists counts. */
export const confFiles = [
  systemConfigFile,
  '/etc/singularity/singularity.conf',
  '/etc/apptainer/apptainer.conf',
]
export const projectFileName = '.sing.yaml'

/** A configuration file is a few pages; more is some other file. */
const sizeLimit = 256 * 1024

type Environment = Readonly<Record<string, string>>

const exists = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** The home directory that the environment names. */
export function homeOf({ HOME }: Environment): string | undefined {
  return HOME?.startsWith('/') ? HOME : undefined
}

/** The user's own file; undefined for who has no home. */
export function userFile(environment: Environment): string | undefined {
  const { XDG_CONFIG_HOME: given } = environment
  const home = homeOf(environment)
  const folder = given?.startsWith('/') ? given : home && `${home}/.config`
  return folder && posix.join(folder, 'sing', 'config.yaml')
}

/** The configuration file of the peers' kind on this machine. */
export const findConfFile = (): string | undefined => confFiles.find(exists)

export const findFile = (path: string | undefined): string | undefined =>
  path !== undefined && exists(path) ? path : undefined

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** The working directory; undefined when it was deleted. */
export function currentDirectory(): string | undefined {
  try {
    return process.cwd()
  } catch {
    return undefined
  }
}

/** The project's file: in `cwd` or the nearest folder above, as far as the home directory or the root of the repository. */
export function findProjectFile(cwd: string, home: string | undefined): string | undefined {
  for (let folder = cwd; ; folder = posix.dirname(folder)) {
    const path = posix.join(folder, projectFileName)
    if (isThere(path)) return path
    if (folder === '/' || folder === home || isThere(posix.join(folder, '.git'))) return undefined
  }
}

/** Why a file cannot be believed: somebody else could have written it. */
function distrust({ uid, mode }: Stats): string | undefined {
  const self = process.geteuid?.() ?? 0
  if (uid !== self && uid !== 0) return `it belongs to the user ${uid}`
  if ((mode & 0o022) !== 0) return `others may write to it (mode ${(mode & 0o777).toString(8)})`
  return undefined
}

function readBounded(fd: number, path: string): string {
  const bytes = Buffer.allocUnsafe(sizeLimit + 1)
  let length = 0
  for (let got = -1; got !== 0; length += got) got = readSync(fd, bytes, length, bytes.length - length, null)
  if (length > sizeLimit) {
    throw new SingError('USAGE', `${shown(path)} is no configuration file: it is larger than 256 KiB`, {
      status: 255,
    })
  }
  return bytes.toString('utf8', 0, length)
}

function withFile<T>(path: string, flags: number, use: (fd: number) => T): T {
  let fd: number | undefined
  try {
    fd = openSync(path, flags)
    return use(fd)
  } catch (error) {
    if (error instanceof SingError) throw error
    throw new SingError('IO', `cannot read the configuration ${shown(path)}: ${reasonOf(error)}`, {
      cause: error,
    })
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** @throws SingError when the file cannot be read or is too large */
export function readText(path: string): string {
  return withFile(path, constants.O_RDONLY, (fd) => readBounded(fd, path))
}

export type Trusted = { readonly text: string } | { readonly distrusted: string }

/**
 * The text of a file that others could have put there, if they did not. A link is followed only where nobody else could
 * have made it (`links`).
 * @throws SingError when it cannot be read
 */
export function readTrusted(path: string, { links }: { readonly links: boolean }): Trusted {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (links ? 0 : constants.O_NOFOLLOW)
  try {
    return withFile(path, flags, (fd) => {
      const stats = fstatSync(fd)
      const reason = stats.isFile() ? distrust(stats) : 'it is no file'
      return reason === undefined ? { text: readBounded(fd, path) } : { distrusted: reason }
    })
  } catch (error) {
    const cause = errnoOf((error as SingError).cause)
    if (cause === 'ELOOP') return { distrusted: 'it is a symbolic link' }
    if (cause === 'EACCES') return { distrusted: 'it cannot be read' }
    throw error
  }
}
