/** What is noted beside an image in the cache: without it, or when it does not fit, the image counts as broken. */

import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { recordEnding } from './place.ts'

export type ImageRecord = {
  /** Bytes of the image. */
  readonly size: number
  /** What it was made from, for people. */
  readonly name: string
}

/** The text of a record, believed only as far as it goes. */
export function parseRecord(text: string): ImageRecord | undefined {
  try {
    const { size, name } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isSafeInteger(size) || (size as number) <= 0) return undefined
    return { size: size as number, name: typeof name === 'string' ? name.slice(0, 1000) : '' }
  } catch {
    return undefined
  }
}

export function readRecord(path: string): ImageRecord | undefined {
  try {
    return parseRecord(readFileSync(path + recordEnding, 'utf8'))
  } catch {
    return undefined
  }
}

export function writeRecord(path: string, record: ImageRecord): void {
  const draft = `${path}${recordEnding}.${process.pid}`
  writeFileSync(draft, JSON.stringify(record), { mode: 0o600 })
  renameSync(draft, path + recordEnding)
}

/** Whether there is a whole image at the path, as far as its length tells. */
export function isWholeImage(path: string): boolean {
  try {
    const stats = statSync(path)
    return stats.isFile() && stats.size > 0 && stats.size === readRecord(path)?.size
  } catch {
    return false
  }
}
