/** What the configuration of an OCI image says about it, in the terms of images that have scripts for it. */

import type { ImageConfig } from '../oci/types.ts'
import type { Attributes } from './contents.ts'
import { ociEnvironmentFile, ociEnvironmentScript } from './oci-scripts.ts'

const words = (texts: readonly string[]): string =>
  texts.map((text) => `'${text.replaceAll("'", "'\\''")}'`).join(' ')

/** What `run` does, as a script: no argument is evaluated, and nothing stands in the image. */
function runscript({ entrypoint, command }: ImageConfig): string {
  const lines = [
    '#!/bin/sh',
    ...(command.length > 0 ? [`[ $# -gt 0 ] || set -- ${words(command)}`] : []),
    `exec ${entrypoint.length > 0 ? `${words(entrypoint)} ` : ''}"$@"`,
  ]
  return lines.join('\n')
}

/** The attributes of an OCI-SIF: those that its files give, and over them what its configuration says. */
export function configuredAttributes(files: Attributes, config: ImageConfig): Attributes {
  const labels = { ...files.labels, ...config.labels }
  const environment =
    config.environment.length > 0
      ? { [ociEnvironmentFile]: ociEnvironmentScript(config).trimEnd(), ...files.environment }
      : files.environment
  const namesProgram = config.entrypoint.length + config.command.length > 0
  return {
    ...files,
    ...(environment ? { environment } : {}),
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    ...(namesProgram ? { runscript: runscript(config) } : {}),
  }
}
