/** File names for images that were fetched. */

import { SingError, shown } from '../core/errors.ts'
import { fileNameOf, fileNameOfAddress, parseReference } from '../oci/reference.ts'

/**
 * The name that an image gets when the user gives none: `alpine_3.20.sif`.
 * @throws SingError REFERENCE when the reference is wrong, or tells no name
 */
export function usualName(reference: string): string {
  if (!/^https?:/.test(reference)) return fileNameOf(parseReference(reference))
  const name = fileNameOfAddress(reference)
  if (name !== undefined && !/^\.{1,2}$/.test(name)) return name
  throw new SingError('REFERENCE', `${shown(reference)} names no file`, {
    hint: 'Give the new image a name: sing pull NAME.sif REFERENCE',
  })
}
