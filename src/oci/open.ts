/** Any reference to an image -> where it comes from. Each kind is loaded when it is used. */

import type { Reference } from './reference.ts'
import type { RegistryOptions } from './registry.ts'
import type { ImageSource } from './types.ts'

export type SourceOptions = RegistryOptions & {
  /** A directory for what has to be unpacked on the way, on a disk with room: that of the cache. */
  readonly scratch: () => Promise<string>
  /** `--docker-host` */
  readonly dockerHost?: string | undefined
  /** Ends the opening; what is opened has signals of its own. */
  readonly signal: AbortSignal
}

/**
 * Open the source that a reference names. Whether there is such an image is often known only after `resolve()`.
 * @throws SingError naming the reference and the reason
 */
export async function openSource(reference: Reference, options: SourceOptions): Promise<ImageSource> {
  const archives = { ...options, programs: options.environment.PATH ?? '' }
  switch (reference.kind) {
    case 'docker':
    case 'oras':
      return await (await import('./registry.ts')).openRegistry(reference, options)
    case 'oci':
      return (await import('./layout.ts')).openLayout(reference)
    case 'oci-archive':
      return await (await import('./archive.ts')).openOciArchive(reference, archives)
    case 'docker-archive':
      return await (await import('./docker-archive.ts')).openDockerArchive(reference, archives)
    case 'docker-daemon':
      return await (await import('./daemon.ts')).openDaemon(reference, archives)
  }
}
