/** What compressor and settings the new image is packed with, from our own flag and from mksquashfs's words. */

import { SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { parseSize } from '../core/units.ts'
import type { Compression, PackOptions } from '../native/addon.ts'

export type Packing = {
  readonly compression: Compression
  readonly blockSize?: number | undefined
  readonly workers?: number
  /** Give every file to root. */
  readonly allRoot: boolean
}

/** What a packer is told of it; to whom files belong is up to who packs them. */
export function packing({ compression, blockSize, workers }: Packing): How {
  return {
    compression,
    ...(blockSize === undefined ? {} : { blockSize }),
    ...(workers === undefined ? {} : { workers }),
  }
}
type How = Pick<PackOptions, 'blockSize' | 'workers'> & { compression: Compression }

const levels = { zstd: [1, 22], gzip: [1, 9], xz: [0, 9], lz4: [1, 12] } as const
type Kind = keyof typeof levels

/** Who asks for nothing gets this very value. zstd at level 5: the size of the peers' gzip in a tenth of its time, and quicker to read. */
export const standard: Compression = { kind: 'zstd', level: 5 }

function isKind(word: string): word is Kind {
  return Object.hasOwn(levels, word)
}

function refuse(sentence: string, hint?: string): never {
  throw new SingError('USAGE', sentence, { hint, status: 255 })
}

function compressor(kind: string, level: string | undefined, flag: string): Compression {
  if (!isKind(kind)) {
    refuse(
      `${flag}: images cannot be packed with "${kind}"`,
      `Known compressors: ${Object.keys(levels).join(', ')}`,
    )
  }
  if (level === undefined) return kind === 'zstd' ? standard : { kind }
  const range = levels[kind]
  const number = Number(level)
  if (!/^\d+$/.test(level) || number < range[0] || number > range[1]) {
    refuse(`${flag}: the level of ${kind} is a number from ${range[0]} to ${range[1]}, got "${level}"`)
  }
  return { kind, level: number }
}

/** `--compress zstd`, `--compress gzip:9`. */
function parseCompress(value: string): Packing {
  const [kind = '', level, ...more] = value.split(':')
  if (more.length > 0) refuse(`--compress: expected COMPRESSOR or COMPRESSOR:LEVEL, got "${value}"`)
  return { compression: compressor(kind, level, '--compress'), allRoot: false }
}

function positive(word: string, value: string): number {
  const number = parseSize(value)
  if (!number) refuse(`--mksquashfs-args: ${word} takes a number, got "${value}"`)
  return number
}

function blockSize(value: string): number {
  const size = positive('-b', value)
  const isPower = Number.isInteger(Math.log2(size))
  if (!isPower || size < 4096 || size > 1024 * 1024) {
    refuse(`--mksquashfs-args: -b takes a power of two from 4K to 1M, got "${value}"`)
  }
  return size
}

/** What images have anyway, or what only mksquashfs says and does. */
const harmless = ['-noappend', '-no-progress', '-quiet', '-info', '-xattrs', '-exports', '-reproducible']

/**
 * Options of mksquashfs that have a meaning here. Those that only steer mksquashfs's use of the machine are passed over; an
 * option that would change the image and that we cannot honour is refused by name.
 */
function parseMksquashfs(text: string, report: Report): Packing {
  const words = text.trim().split(/\s+/).filter(Boolean)
  let kind: string | undefined
  let level: string | undefined
  let block: number | undefined
  let workers: number | undefined
  let allRoot = false
  let isDense = false
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    const argument = (): string => words[++index] ?? refuse(`--mksquashfs-args: ${word} needs a value`)
    if (word === '-comp') kind = argument()
    else if (word === '-Xcompression-level') level = argument()
    else if (word === '-Xhc') isDense = true
    else if (word === '-b') block = blockSize(argument())
    else if (word === '-processors') workers = positive(word, argument())
    else if (word === '-all-root' || word === '-root-owned') allRoot = true
    else if (word === '-mem' || word === '-mem-percent') {
      report({ kind: 'verbose', text: `${word} ${argument()} is not needed: packing takes little memory` })
    } else if (harmless.includes(word)) {
      report({ kind: 'debug', text: `${word} of mksquashfs changes nothing here` })
    } else
      refuse(
        `--mksquashfs-args: ${word} is not supported`,
        'Supported: -comp -Xcompression-level -Xhc -b -processors -all-root -mem',
      )
  }
  if (isDense && kind !== 'lz4') refuse('--mksquashfs-args: -Xhc is an option of -comp lz4')
  if (isDense) level = String(levels.lz4[1])
  const compression =
    kind === undefined && level === undefined
      ? standard
      : compressor(kind ?? 'gzip', level, '--mksquashfs-args')
  return {
    compression,
    allRoot,
    ...(block === undefined ? {} : { blockSize: block }),
    ...(workers === undefined ? {} : { workers }),
  }
}

/** The packing that the flags ask for; `--compress` and `--mksquashfs-args` exclude one another. */
export function parsePacking(
  compress: string | undefined,
  mksquashfsArguments: string | undefined,
  report: Report,
): Packing {
  if (compress && mksquashfsArguments) refuse('--compress and --mksquashfs-args cannot be given together')
  if (compress) return parseCompress(compress)
  if (mksquashfsArguments) return parseMksquashfs(mksquashfsArguments, report)
  return { compression: standard, allRoot: false }
}
