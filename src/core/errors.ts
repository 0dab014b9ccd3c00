/** Errors that people read: a code for programs, a sentence, a hint what to do, and the cause. */

/** Every kind of failure `sing` tells apart. Programs and tests compare codes, never sentences. */
export type ErrorCode =
  | 'USAGE'
  | 'UNSUPPORTED'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_FORMAT'
  | 'IMAGE_ARCHITECTURE'
  | 'REFERENCE'
  | 'SIF_FORMAT'
  | 'SIF_OBJECT'
  | 'SQUASHFS'
  | 'KEY'
  | 'KEYSERVER'
  | 'SIGNATURE'
  | 'POLICY'
  | 'ENCRYPTION'
  | 'ENDPOINT'
  | 'DEFINITION'
  | 'BIND'
  | 'OVERLAY'
  | 'USER_NAMESPACE'
  | 'NETWORK'
  | 'REGISTRY'
  | 'RESOURCES'
  | 'FAKEROOT'
  | 'ENVIRONMENT'
  | 'BUILD'
  | 'SECTION'
  | 'HOST_TOOL'
  | 'DISK_FULL'
  | 'DIGEST'
  | 'EXISTS'
  | 'INSTANCE'
  | 'IO'
  | 'INTERRUPTED'
  | 'INTERNAL'

/** Exit statuses of our own; everything else belongs to the container. */
export const exitStatus = { ok: 0, failure: 1, usage: 1, fatal: 255 } as const

export type ErrorDetails = {
  /** What to do about it, one or more lines. */
  hint?: string | undefined
  cause?: unknown
  /** Exit status; 255 unless the command's tradition says otherwise. */
  status?: number
}

/** A failure with its sentence. The sentence names the thing and the reason; the hint names the next step. */
export class SingError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly status: number

  constructor(code: ErrorCode, sentence: string, details: ErrorDetails = {}) {
    super(sentence, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'SingError'
    this.code = code
    this.hint = details.hint
    this.status = details.status ?? (code === 'USAGE' ? exitStatus.usage : exitStatus.fatal)
  }
}

/** The errno name (`ENOENT`) of a system error, or undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

const reasons: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
  EEXIST: 'already exists',
  ENOSPC: 'no space left on device',
  EDQUOT: 'disk quota exceeded',
  EROFS: 'read-only file system',
  ENAMETOOLONG: 'name too long',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many open files',
  EIO: 'input/output error',
  EINVAL: 'invalid argument',
  ERANGE: 'out of range',
  EBUSY: 'in use',
  EADDRINUSE: 'it is in use',
}

/** The reason of a system error in words; falls back to the error's own message. */
export function reasonOf(error: unknown): string {
  const code = errnoOf(error)
  return (code && reasons[code]) || (error instanceof Error ? error.message : String(error))
}

/** A name as it may be printed: control characters, which could command a terminal, made visible. */
export function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0)
    return code === 10 ? '\\n' : `\\x${code.toString(16).padStart(2, '0')}`
  })
}
