/**
 * Bases that have to be signed (`Fingerprints:`): looked at before anything of them is used, in the one file that stays open. Where nobody
 * asks for signatures, those that do not hold are told.
 */

import { closeSync, fstatSync } from 'node:fs'
import { readFingerprint } from '../../config/signers.ts'
import { SingError, shown } from '../../core/errors.ts'
import { mistake, type Stage } from '../../definition/types.ts'
import { type Image, type OpenOptions, openImage, openPath } from '../../image/open.ts'
import { parseSif, readAt } from '../../sif/read.ts'
import type { BuildTools } from '../request.ts'

const wordsOf = ({ header }: Stage): string[] =>
  (header.fingerprints ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean)

/** @throws SingError naming the line, for words that are no fingerprints */
export function checkFingerprints(stage: Stage, name: string): void {
  const wrong = wordsOf(stage).find((word) => readFingerprint(word) === undefined)
  if (wrong === undefined) return
  throw mistake(
    name,
    stage.headerLines.fingerprints ?? 0,
    `Fingerprints: expected 40 hexadecimal digits, got "${shown(wrong)}"`,
    'They are in: sing key list, and several are written with commas',
  )
}

const isSif = (fd: number): boolean =>
  fstatSync(fd).isFile() && readAt(fd, 0, 64).toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'

/** The same image, read from the open file and no longer by its name. */
function throughDescriptor(image: Image, fd: number): Image {
  const file = `/proc/self/fd/${fd}`
  const { rootfs, overlays = [] } = image
  return {
    ...image,
    path: file,
    rootfs: 'file' in rootfs ? { ...rootfs, file } : rootfs,
    overlays: overlays.map((overlay) => ({ ...overlay, file })),
  }
}

async function warn(path: string, tools: Pick<BuildTools, 'environment' | 'report' | 'signal'>) {
  const fd = openPath(path)
  try {
    if (!isSif(fd)) return
    const { warnOfFlaws } = await import('../../trust/signers.ts')
    await warnOfFlaws({ fd, sif: parseSif(fd, path) }, tools)
  } finally {
    closeSync(fd)
  }
}

/**
 * Open the image that a stage begins with.
 * @throws SingError SIGNATURE when not everybody has signed it whom the header names
 */
export async function openBase(
  path: string,
  stage: Stage,
  options: OpenOptions,
  tools: Pick<BuildTools, 'scratch' | 'environment' | 'report' | 'signal'>,
): Promise<Image> {
  const fingerprints = wordsOf(stage).flatMap((word) => readFingerprint(word) ?? [])
  if (fingerprints.length === 0) {
    const image = await openImage(path, options)
    await warn(path, tools)
    return image
  }
  const { scratch, environment, report, signal } = tools
  const fd = openPath(path)
  scratch.hold({ [Symbol.dispose]: () => closeSync(fd) })
  if (!isSif(fd)) {
    throw new SingError(
      'SIGNATURE',
      `cannot use ${shown(path)}: it is no SIF, and nothing else can be signed`,
      { hint: 'The definition demands a signed base (Fingerprints:)' },
    )
  }
  const { requireSigners } = await import('../../trust/signers.ts')
  await requireSigners({ fd, sif: parseSif(fd, path) }, fingerprints, { environment, report, signal })
  return throughDescriptor(await openImage(path, { ...options, descriptor: fd }), fd)
}
