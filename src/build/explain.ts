/** Failures of a build in the terms of the user: what is full, forbidden or unfit, and what to do about it. */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { errnoOf, SingError, shown } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import { parseBinds, parseMount } from '../plan/binds.ts'
import { mountOf } from './mount.ts'
import type { BuildRequest } from './request.ts'
import { explainFullDisk } from './space.ts'

function hasErrno(error: unknown, names: readonly string[]): boolean {
  if (names.includes(errnoOf(error) ?? '')) return true
  return error instanceof Error && error.cause !== undefined && hasErrno(error.cause, names)
}

function withHint(error: SingError, hint: string): SingError {
  return new SingError(error.code, error.message, { hint, cause: error, status: error.status })
}

/** Where scripts shall run, programs must be able to. @throws SingError BUILD */
export function requirePrograms(parent: string): void {
  if (!mountOf(parent).isNoexec) return
  throw new SingError(
    'BUILD',
    `cannot build in ${shown(parent)}: no program can be started there (it is mounted noexec)`,
    {
      hint: 'Name another directory with --tmpdir or SINGULARITY_TMPDIR',
    },
  )
}

/** What %post and %test are to see must be there before anything is made. @throws SingError BIND */
export function requireBinds({ binds, mounts }: BuildRequest, cwd: string): void {
  for (const { source, text } of [...binds.flatMap(parseBinds), ...mounts.map(parseMount)]) {
    if (!existsSync(resolve(cwd, source))) {
      throw new SingError('BIND', `--bind ${shown(text)}: ${shown(source)} does not exist`)
    }
  }
}

/** The error to show for a failed build; `parent` holds its temporary files, `targetParent` its result. */
export function explain(error: unknown, parent: string, targetParent: string, facts: HostFacts): unknown {
  const explained = explainFullDisk(error, [parent, targetParent])
  if (!(explained instanceof SingError) || explained.code !== 'SQUASHFS') return explained
  if (!facts.isRoot && hasErrno(explained, ['EACCES', 'EPERM'])) {
    return withHint(
      explained,
      'Give --fakeroot to read files of your own without permissions, or --fix-perms',
    )
  }
  if (hasErrno(explained, ['EPERM', 'EINVAL']) && mountOf(parent).isRemote) {
    return withHint(
      explained,
      `${shown(parent)} is on a network file system, where files cannot be given away: name a local directory with --tmpdir`,
    )
  }
  return explained
}
