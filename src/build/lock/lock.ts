/** `build --lock` and `--locked`: note what a build resolved in a file, and refuse another. */

import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { BuildRequest, BuildTools } from '../request.ts'
import type { BuildSpec } from '../spec.ts'
import { differences, type Lock } from './diff.ts'
import { lockPath, lockText, readLock } from './document.ts'
import { packagesIn } from './packages.ts'
import { differs, Resolved } from './resolved.ts'
import { fileDigests } from './sources.ts'

export type Locking = {
  readonly resolved: Resolved
  /** Look at the finished tree. @throws SingError BUILD when it is not what is locked */
  readonly settle: (
    built: { root: string; architecture: string },
    spec: BuildSpec,
    tools: BuildTools,
  ) => Promise<void>
  /** The image is there: so shall be its lock. */
  readonly finish: () => void
}

function write(path: string, text: string): void {
  const partial = `${path}.${randomBytes(4).toString('hex')}`
  try {
    writeFileSync(partial, text, { flag: 'wx', mode: 0o644 })
    renameSync(partial, path)
  } catch (cause) {
    rmSync(partial, { force: true })
    throw new SingError('IO', `cannot write the lock ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** @throws SingError BUILD when `--locked` finds no lock that can be read */
export async function openLocking({ lock, target }: BuildRequest): Promise<Locking | undefined> {
  if (lock === undefined) return undefined
  const path = lockPath(target)
  const locked = lock === 'check' ? await readLock(path) : undefined
  const resolved = new Resolved({ locked: locked?.bases })
  let text: string | undefined
  return {
    resolved,
    async settle({ root, architecture }, { definition }, tools) {
      const files = await fileDigests(definition.stages, tools)
      const found: Lock = {
        architecture,
        bases: resolved.bases,
        files,
        packages: await packagesIn(root, tools.report),
      }
      const lines = locked ? differences(locked, found) : []
      if (lines.length > 0) throw differs(lines)
      if (!locked) text = await lockText(found)
    },
    finish() {
      if (text !== undefined) write(path, text)
    },
  }
}
