/** A SIF on its way to a registry, as it is (`oras://`). */

import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import { emptyConfig, manifestBytes, sifConfigType, sifManifest } from '../oci/artifact.ts'
import { readSif } from '../sif/read.ts'
import { fileBlob } from './file-blob.ts'
import type { Outgoing, OutgoingOptions } from './outgoing.ts'

/**
 * A SIF as it is, for other machines with a runtime of the family.
 * @throws SingError IMAGE_FORMAT when the file is none
 */
export async function sifArtifact(path: string, options: OutgoingOptions): Promise<Outgoing> {
  const name = basename(path)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw notSif(path, 'it is a directory', `Make one of it: sing build IMAGE.sif ${shown(path)}`)
  const sif = await readSif(path).catch((cause) => {
    if (!(cause instanceof SingError) || cause.code !== 'SIF_FORMAT') throw cause
    const { message } = cause.cause instanceof Error ? cause.cause : cause
    throw notSif(path, message, `Make one of it: sing build IMAGE.sif ${shown(path)}`)
  })
  const layer = await fileBlob(shown(name), { file: path, offset: 0, size: sif.fileSize }, options)
  return {
    layers: [layer],
    config: () => ({ bytes: emptyConfig, mediaType: sifConfigType }),
    manifest: () => manifestBytes(sifManifest({ name, ...layer.known, annotations: options.annotations })),
  }
}

function notSif(path: string, reason: string, hint: string): SingError {
  return new SingError(
    'IMAGE_FORMAT',
    `cannot push ${shown(path)} to oras://, which takes SIF files: ${reason}`,
    {
      hint,
    },
  )
}
