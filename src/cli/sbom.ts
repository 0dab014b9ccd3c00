/** What `--sbom` asks for. */

import { SingError } from '../core/errors.ts'
import type { DocumentFormat, SbomOptions } from '../sbom/document.ts'
import type { Flags } from './command.ts'

/** A word of `--sbom=WORD`; the first of them without one. */
export const sbomFormat = (value: Flags[string]): DocumentFormat | undefined => {
  if (value === undefined || value === false) return undefined
  return value === 'cyclonedx' ? value : 'spdx'
}

/** @throws SingError USAGE */
export function sbomOf(flags: Flags): SbomOptions | undefined {
  const format = sbomFormat(flags.sbom)
  const withFiles = flags['sbom-files'] === true
  if (format) return { format, withFiles }
  if (!withFiles) return undefined
  throw new SingError('USAGE', '--sbom-files says what --sbom lists: give --sbom too', { status: 255 })
}
