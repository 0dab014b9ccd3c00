/**
 * A change of a SIF file, from its lock to the moment when it holds. That moment is one write of 128 bytes: the changed table is
 * written behind everything, then the header turns to it. Only after that the table goes to its own place, and the header turns
 * back. Whatever ends the program, the file is the old one or the new one.
 *
 *     header -> table | objects | new objects                      the old one
 *     header -> table | objects | new objects | changed table      still the old one
 *     header ---------------------------------> changed table      the new one
 *     header -> changed table | objects | new objects              the same, tidy
 */

import { Buffer } from 'node:buffer'
import { type FileHandle, stat } from 'node:fs/promises'
import { SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import { waitForLock } from '../store/lock.ts'
import { defaultTableOffset, noTime, patchHeader, tableWindow } from './format.ts'
import { openFile, parseSif, readAt, type Sif } from './read.ts'
import { writeAll, writeError } from './write.ts'

export type EditOptions = {
  /** Unix seconds of the change; now unless given. */
  time?: number
  /** Ends the wait for others who change the file. */
  signal?: AbortSignal
  report?: Report
}

/** A SIF that nobody else of us changes, and its table as it was read, to be changed. */
export type Draft = {
  readonly file: FileHandle
  readonly sif: Sif
  readonly table: Buffer
  /** Unix seconds of the change, or none. */
  readonly time: number
}

export type HeaderChanges = Omit<Parameters<typeof patchHeader>[1], 'modified' | 'tableOffset'>

/**
 * Change a SIF. `compose` may write data behind the objects, changes the table of the draft, and returns what the header is to
 * say; undefined changes nothing. When it throws, or anything fails before the change holds, the file is the old one.
 * Throws DISK_FULL or IO, and SIF_FORMAT when a program that takes no lock changed the file at the same time.
 */
export async function editSif(
  path: string,
  options: EditOptions,
  compose: (draft: Draft) => Promise<HeaderChanges | undefined>,
): Promise<void> {
  await using file = await lockSif(path, options)
  await finishFormer(file, path)
  const draft = beginDraft(file, path, options)
  await undoing(draft, async () => {
    const changes = await compose(draft)
    if (changes) await turnToChanged(draft, changes)
  })
  // When this fails the file is the new one all the same, and whole; the next change tidies up.
  await bringTable(file, path, draft.sif.header.tableOffset).catch(() => {})
}

/** Programs that change SIF files wait for each other; those that replace one by another leave the lock with the old one. */
async function lockSif(path: string, { signal, report = silent }: EditOptions): Promise<FileHandle> {
  const file = await waitForLock(path, {
    open: (name) => openFile(name, 'r+'),
    signal: signal ?? new AbortController().signal,
    onWait: () => report({ kind: 'info', text: `Waiting for another program that changes ${shown(path)}` }),
  })
  if (file) return file
  throw new SingError('INTERNAL', `there is no lock of ${shown(path)}`)
}

/** What another change did not come to: a table behind the data goes where tables are, if nothing else is there. */
async function finishFormer(file: FileHandle, path: string): Promise<void> {
  const sif = parseSif(file.fd, path)
  const { offset, length } = tableWindow(sif.header, sif.fileSize)
  if (offset < sif.header.dataOffset) return
  const [home, end] = [defaultTableOffset, defaultTableOffset + length]
  const taken = [{ offset, size: length }, ...sif.objects]
  if (taken.some((other) => other.offset < end && home < other.offset + other.size)) return
  await bringTable(file, path, home).catch((cause) => {
    throw writeError(path, cause)
  })
}

/** Move the table; the old one is cut off when it is the end of the file. */
async function bringTable(file: FileHandle, path: string, home: number): Promise<void> {
  const sif = parseSif(file.fd, path)
  const { offset, length } = tableWindow(sif.header, sif.fileSize)
  if (offset === home) return
  await writeAll(file, home, readTable(file, sif))
  await file.datasync()
  await writeAll(file, 0, patchHeader(sif.header.raw, { tableOffset: home }))
  await file.sync()
  if (offset + length === sif.fileSize) await file.truncate(offset)
}

function beginDraft(file: FileHandle, path: string, { time }: EditOptions): Draft {
  const sif = parseSif(file.fd, path)
  const { id, created, modified } = sif.header
  // An image that keeps neither id nor times stays reproducible when it is changed.
  const timeless = id === '' && created === noTime && modified === noTime
  return {
    file,
    sif,
    table: readTable(file, sif),
    time: timeless ? noTime : (time ?? Math.floor(Date.now() / 1000)),
  }
}

function readTable(file: FileHandle, { header, fileSize }: Sif): Buffer {
  const { offset, length } = tableWindow(header, fileSize)
  return readAt(file.fd, offset, length)
}

/** Write the changed table behind everything, and turn the header to it: from then on the file is the new one. */
async function turnToChanged({ file, sif, table, time }: Draft, changes: HeaderChanges): Promise<void> {
  await refuseForeignChange(file, sif)
  const { size: away } = await file.stat()
  try {
    await writeAll(file, away, table)
    await file.datasync()
    await writeAll(file, 0, patchHeader(sif.header.raw, { ...changes, modified: time, tableOffset: away }))
    await file.datasync()
  } catch (cause) {
    throw writeError(sif.path, cause)
  }
}

/** Do what may fail; then give the file its length back, unless somebody else has changed it. */
async function undoing({ file, sif }: Draft, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    const { size } = await file.stat()
    if (size > sif.fileSize && isAsRead(file, sif)) await file.truncate(sif.fileSize).catch(() => {})
    throw error
  }
}

/** Not every program that changes SIF files locks them: the least is not to destroy the other's change. */
async function refuseForeignChange(file: FileHandle, sif: Sif): Promise<void> {
  const [own, named] = await Promise.all([file.stat(), stat(sif.path).catch(() => undefined)])
  if (named?.ino === own.ino && named.dev === own.dev && isAsRead(file, sif)) return
  throw new SingError('SIF_FORMAT', `${shown(sif.path)} was changed by another program at the same time`, {
    hint: 'Nothing of this change was kept; try again.',
  })
}

function isAsRead(file: FileHandle, { path, header, objects }: Sif): boolean {
  const now = parseSif(file.fd, path)
  return (
    Buffer.compare(now.header.raw, header.raw) === 0 &&
    now.objects.length === objects.length &&
    now.objects.every((object, index) => Buffer.compare(object.raw, objects[index]?.raw ?? object.raw) === 0)
  )
}
