/** Sources of the peers that nobody can fetch images from here. */

import { SingError, shown } from '../core/errors.ts'
import { schemeOf } from './scheme.ts'

/** What libraries and hubs of the peers are, for who asks for an image of one. */
const refused: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  library: [
    'there is no library to ask',
    'Many images of libraries are in registries too: docker:// or oras://',
  ],
  shub: [
    'Singularity Hub is gone',
    'Its images were archived by datasets.datalad.org/shub, which serves https://',
  ],
  ipfs: ['IPFS cannot be asked', 'Use a gateway: https://GATEWAY/ipfs/...'],
}

/** @throws SingError UNSUPPORTED for a reference to such a source */
export function requireSource(reference: string): void {
  const [reason, hint] = refused[schemeOf(reference) ?? ''] ?? []
  if (reason) throw new SingError('UNSUPPORTED', `cannot fetch ${shown(reference)}: ${reason}`, { hint })
}
