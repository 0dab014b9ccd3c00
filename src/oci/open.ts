/** Any reference to an image -> where it comes from. Each kind is loaded when it is used. */

import { SingError, shown } from '../core/errors.ts'
import { type Reference, showReference } from './reference.ts'
import type { RegistryOptions } from './registry.ts'
import type { ImageSource } from './types.ts'

export type SourceOptions = RegistryOptions & {
  /** A directory for what has to be unpacked on the way, on a disk with room: that of the cache. */
  readonly scratch: () => Promise<string>
  /** Ends the opening; what is opened has signals of its own. */
  readonly signal: AbortSignal
}

/**
 * Open the source that a reference names. Whether there is such an image is often known only after `resolve()`.
 * @throws SingError naming the reference and the reason
 */
export async function openSource(reference: Reference, options: SourceOptions): Promise<ImageSource> {
  switch (reference.kind) {
    case 'docker':
    case 'oras':
      return await (await import('./registry.ts')).openRegistry(reference, options)
    case 'oci':
      return (await import('./layout.ts')).openLayout(reference)
    case 'oci-archive':
    case 'docker-archive':
    case 'docker-daemon':
      throw new SingError('UNSUPPORTED', `${shown(showReference(reference))}: not yet`)
  }
}
