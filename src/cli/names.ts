/** File names for images that were fetched. */

import { SingError, shown } from '../core/errors.ts'
import type { Form } from '../image/fetch.ts'
import { fileNameOf, fileNameOfAddress, parseReference } from '../oci/reference.ts'
import type { Call } from './command.ts'

/**
 * What --oci and --keep-layers ask for.
 * @throws SingError USAGE when they mean nothing together with what else is asked for
 */
export function formOf({ flags, origins }: Pick<Call, 'flags' | 'origins'>): Form {
  const { oci, 'no-oci': noOci, 'keep-layers': keepLayers, sandbox } = flags
  const refuse = (sentence: string): never => {
    throw new SingError('USAGE', sentence, { status: 255 })
  }
  if (oci !== true || noOci === true) {
    // The variable may stand in a profile, for those that are given --oci.
    const isTyped = origins['keep-layers']?.includes('--keep-layers') ?? false
    return isTyped ? refuse('--keep-layers is about --oci, which is not given') : 'sif'
  }
  if (sandbox === true) refuse('--oci and --sandbox exclude each other')
  return keepLayers === true ? 'oci-sif-layers' : 'oci-sif'
}

/**
 * The name that an image gets when the user gives none: `alpine_3.20.sif`.
 * @throws SingError REFERENCE when the reference is wrong, or tells no name
 */
export function usualName(reference: string, form: Form = 'sif'): string {
  if (!/^https?:/.test(reference)) {
    const name = fileNameOf(parseReference(reference))
    return form === 'sif' ? name : name.replace(/\.sif$/, '.oci.sif')
  }
  const name = fileNameOfAddress(reference)
  if (name !== undefined && !/^\.{1,2}$/.test(name)) return name
  throw new SingError('REFERENCE', `${shown(reference)} names no file`, {
    hint: 'Give the new image a name: sing pull NAME.sif REFERENCE',
  })
}
