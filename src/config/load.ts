/** Finds the site's configuration file and reads it. */

import { closeSync, openSync, readSync } from 'node:fs'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { type Config, defaultConfig, parseConfig } from './schema.ts'

export { type Config, defaultConfig } from './schema.ts'

export const systemConfigFile = '/etc/sing/sing.conf'
/** A configuration file is a few pages; more is some other file. */
const sizeLimit = 256 * 1024

/** The text of a file, at most `sizeLimit` bytes and one more. */
function readBounded(path: string): Buffer {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.allocUnsafe(sizeLimit + 1)
    let length = 0
    for (let got = -1; got !== 0; length += got)
      got = readSync(fd, bytes, length, bytes.length - length, null)
    return bytes.subarray(0, length)
  } finally {
    closeSync(fd)
  }
}

/**
 * The configuration of this machine: `path` when a file was named, else the system's file when there is one,
 * else the defaults.
 * @throws SingError when a named file cannot be read, or for a bad value in either
 */
export function loadConfig(path?: string): Config {
  const file = path ?? systemConfigFile
  let bytes: Buffer
  try {
    bytes = readBounded(file)
  } catch (error) {
    if (path === undefined && errnoOf(error) === 'ENOENT') return defaultConfig
    throw new SingError('IO', `cannot read the configuration ${shown(file)}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
  if (bytes.length > sizeLimit) {
    throw new SingError('USAGE', `${shown(file)} is no configuration file: it is larger than 256 KiB`, {
      status: 255,
    })
  }
  return parseConfig(bytes.toString('utf8'), file)
}
