/** Whether the owners that scripts ask for can be noted where there is one id only (docs/fakeroot.md). */

import { unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { HostFacts } from '../host/facts.ts'
import { noteOwner } from '../native/notes.ts'

/** Tell that everything in the image will be root's when the file system of `directory`, where it is built, keeps no notes. */
export function requireNotes(directory: string, facts: HostFacts, report: Report): void {
  if (facts.idsMapped !== 1) return
  const file = join(directory, 'note')
  writeFileSync(file, '')
  const isNoted = noteOwner(file)
  unlinkSync(file)
  if (isNoted) return
  report({
    kind: 'warning',
    text: `owners are not recorded, all files of the image will be root's: ${shown(directory)} keeps no extended attributes; name another directory with --tmpdir`,
  })
}
