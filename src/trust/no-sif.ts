/** What to do about something that cannot be signed, because it is no SIF file. */

import { errnoOf, SingError, shown } from '../core/errors.ts'

function hintFor(path: string, { code, cause }: SingError): string | undefined {
  if (code === 'IMAGE_NOT_FOUND' && /^[a-z+-]+:\/\//.test(path))
    return `Fetch it as a file first: sing pull IMAGE.sif ${shown(path)}`
  if (code === 'SIF_FORMAT' || errnoOf(cause) === 'EISDIR')
    return 'Signatures lie in SIF images: sing build IMAGE.sif makes one of other images.'
  return undefined
}

/** An error of opening or reading `path`, with the next step where it has none. */
export function withNextStep(path: string, error: unknown): unknown {
  if (!(error instanceof SingError) || error.hint !== undefined) return error
  return new SingError(error.code, error.message, { hint: hintFor(path, error), cause: error })
}
