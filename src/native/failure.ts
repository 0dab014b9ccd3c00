/** Failures of the native addon as errors that people read. */

import { constants } from 'node:os'
import { reasonOf, SingError, shown } from '../core/errors.ts'

/** What the addon puts into its errors: `errno` when the system refused something, else a `code` of its own. */
type NativeFailure = Error & { action: string; path: string; reason: string; errno?: number; code?: string }

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

function isNativeFailure(error: unknown): error is NativeFailure {
  return error instanceof Error && 'action' in error && 'path' in error && 'reason' in error
}

function nameOf({ errno, code }: NativeFailure): string | undefined {
  return errno === undefined ? code : (errnoNames.get(errno) ?? `errno ${errno}`)
}

function hintFor(name: string | undefined): string | undefined {
  switch (name) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Make room, or work on another file system'
    case 'EACCES':
      return 'Every file must be readable for you'
    case 'CHANGED':
      return 'Try again when nothing writes to it'
    case 'SQUASHFS_DAMAGED':
      return 'The image is damaged or incomplete: get it again'
    case 'ENCRYPTED_DAMAGED':
      return 'Nothing of it is used: get the image again from where you trust it'
    case 'ENCRYPTED_PACKED':
      return 'Make the image again: sing build --encrypt'
    case 'LIMIT_ENTRIES':
    case 'LIMIT_BYTES':
    case 'LIMIT_RATIO':
    case 'LIMIT_XATTRS':
      return 'If you trust the image, raise the limit: --layer-limits'
    default:
      return undefined
  }
}

/**
 * The error to throw for what the addon rejected with. The cause has `code` (`ENOSPC`, `SQUASHFS_DAMAGED`), `errno` and `path`.
 * `place` is what is read or written as a whole: the subject of failures that have no path, or whose path is not to blame.
 */
export function toSingError(error: unknown, place: string): unknown {
  if (!isNativeFailure(error)) return error
  const name = nameOf(error)
  if (name !== undefined) error.code = name
  const reason = reasonOf(Object.assign(new Error(error.reason), { code: name }))
  const details = { hint: hintFor(name), cause: error }
  if (name === 'ENOSPC' || name === 'EDQUOT') {
    return new SingError('DISK_FULL', `cannot write ${shown(place)}: ${reason}`, details)
  }
  const path = error.path === '' ? place : error.path
  return new SingError('SQUASHFS', `cannot ${error.action} ${shown(path)}: ${reason}`, details)
}

/** The same for layers of an image: they are to blame for everything but a full disk. `action` is `unpack layer NAME`. */
export function toLayerError(error: unknown, action: string): unknown {
  if (!isNativeFailure(error)) return error
  const failure = toSingError(error, 'the image')
  if (!(failure instanceof SingError) || failure.code === 'DISK_FULL') return failure
  const name = nameOf(error)
  const reason = reasonOf(Object.assign(new Error(error.reason), { code: name }))
  const path = error.path === '' ? '' : `${shown(error.path)}: `
  return new SingError('IMAGE_FORMAT', `cannot ${action}: ${path}${reason}`, {
    hint: hintFor(name),
    cause: error,
  })
}
