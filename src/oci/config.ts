/**
 * The configuration of an image, checked before it is believed. (OCI image specification 1.1, config.md; Docker's is the same
 * in all that is used here.)
 */

import type { Buffer } from 'node:buffer'
import { type Fields, newReader, parseFields, type Reader } from './json.ts'
import { isDigest } from './reference.ts'
import type { Digest, ImageConfig, Platform } from './types.ts'

/** Bytes of a configuration. */
export const configLimit = 8 * 1024 * 1024

const wordsLimit = 100_000
const layersLimit = 1000

/**
 * Read the configuration of an image that has so many layers. `name` is the reference it belongs to, for messages.
 * @throws SingError IMAGE_FORMAT naming the member that is not as it should be
 */
export function parseConfig(document: Buffer, layers: number, name: string): ImageConfig {
  const reader = newReader(`the configuration of ${name}`)
  if (document.length > configLimit)
    throw reader.refuse(`it has ${document.length} bytes, more than ${configLimit}`)
  const fields = parseFields(document, reader)
  const config = reader.fields(fields.config, 'config')
  requireFlat(config, reader)
  const words = (key: string) => readWords(config[key], `config.${key}`, reader)
  return {
    platform: readPlatform(fields, reader),
    created: readTime(fields.created, reader),
    entrypoint: words('Entrypoint'),
    command: words('Cmd'),
    environment: words('Env'),
    labels: reader.map(config.Labels, 'config.Labels'),
    workingDirectory: reader.text(config.WorkingDir, 'config.WorkingDir'),
    user: reader.text(config.User, 'config.User'),
    diffIds: readDiffIds(fields.rootfs, layers, reader),
    document,
  }
}

/** Parts of it are written down again, which takes more stack than reading them did. */
function requireFlat(config: Fields, reader: Reader): void {
  try {
    JSON.stringify(config)
  } catch {
    throw reader.refuse('config is nested too deeply')
  }
}

/** The first versions of Docker wrote one word without a list around it. */
const readWords = (value: unknown, path: string, reader: Reader): string[] =>
  typeof value === 'string' ? [reader.text(value, path)] : reader.texts(value, path, wordsLimit)

/** Names that are not told are empty. */
function readPlatform(fields: Fields, reader: Reader): Platform {
  const variant = reader.text(fields.variant, 'variant')
  return {
    os: reader.text(fields.os, 'os'),
    architecture: reader.text(fields.architecture, 'architecture'),
    ...(variant ? { variant } : {}),
  }
}

/** RFC 3339. The year 1 is how Go writes that it does not know. */
function readTime(value: unknown, reader: Reader): number | undefined {
  const text = reader.text(value, 'created')
  if (text === '') return undefined
  const time = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d/.test(text)
    ? Date.parse(text.replace(' ', 'T'))
    : Number.NaN
  if (Number.isNaN(time)) throw reader.refuse('created is no time')
  return time < 0 ? undefined : Math.floor(time / 1000)
}

function readDiffIds(value: unknown, layers: number, reader: Reader): Digest[] {
  const rootfs = reader.fields(value, 'rootfs')
  const diffIds = reader.texts(rootfs.diff_ids, 'rootfs.diff_ids', layersLimit)
  const wrong = diffIds.findIndex((diffId) => !isDigest(diffId))
  if (wrong >= 0) throw reader.refuse(`rootfs.diff_ids[${wrong}] is no sha256 or sha512 digest`)
  if (diffIds.length !== layers)
    throw reader.refuse(`it counts ${diffIds.length} layers, and the manifest ${layers}`)
  return diffIds
}
