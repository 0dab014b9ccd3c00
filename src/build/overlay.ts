/** Makes ext3 file systems that take changes: files of their own, or partitions of a SIF. */

import { execFile } from 'node:child_process'
import { createReadStream, existsSync, lstatSync } from 'node:fs'
import { chmod, link, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { promisify } from 'node:util'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import { findProgram } from '../host/look.ts'
import { planIdentity } from '../plan/identity.ts'
import { planReentry } from '../plan/section.ts'
import { run } from '../runtime/launch.ts'
import { partitionExtra } from '../sif/details.ts'
import { addObject } from '../sif/edit.ts'
import { dataTypes, filesystems, partitionKinds } from '../sif/format.ts'
import { isOciSif, primaryPartition, readSif, type Sif } from '../sif/read.ts'
import { partialPrefix } from '../sif/write.ts'

export type OverlayRequest = {
  /** The file to make, or the SIF to add to. */
  readonly path: string
  /** Bytes of the file system. */
  readonly size: number
  /** Take space only as it is used. */
  readonly sparse: boolean
  /** Absolute paths of directories in it that belong to the user. */
  readonly directories: readonly string[]
  /** Everything in it belongs to root, as it is in containers with --fakeroot. */
  readonly fakeroot: boolean
  /** Where temporary files may be. */
  readonly tmpdir: string
}

const MEBIBYTE = 1024 * 1024
export const smallestOverlay = 64 * MEBIBYTE

/** What an ext3 is for every kernel and fuse2fs, whatever the defaults of this machine are. */
const features = 'none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file'

function refuse(path: string, reason: string, hint?: string): SingError {
  return new SingError('OVERLAY', `cannot make an overlay in ${shown(path)}: ${reason}`, { hint })
}

/** @throws SingError USAGE or OVERLAY */
export function checkOverlayRequest({ size, directories }: OverlayRequest): void {
  if (size < smallestOverlay) {
    throw new SingError(
      'USAGE',
      `--size ${size / MEBIBYTE}: an overlay has at least ${smallestOverlay / MEBIBYTE} MiB`,
      {
        status: 255,
      },
    )
  }
  for (const directory of directories) {
    if (
      directory.startsWith('/') &&
      posix.normalize(directory) !== '/' &&
      !directory.split('/').includes('..')
    )
      continue
    throw new SingError('USAGE', `--create-dir ${shown(directory)}: not the absolute path of a directory`, {
      status: 255,
    })
  }
}

function requireMke2fs(facts: HostFacts): string {
  const program = findProgram('mke2fs', facts.environment.PATH ?? '')
  if (program) return program
  throw new SingError('HOST_TOOL', 'cannot make an ext3: mke2fs is not installed on this machine', {
    hint: 'Install the package e2fsprogs, or use a directory: mkdir DIRECTORY, --overlay DIRECTORY',
  })
}

/** What the new file system holds, as a directory. Ids of more than 16 bits are not kept by every mke2fs. */
async function layOut(
  folder: string,
  { directories }: OverlayRequest,
  { uid, gid }: HostFacts,
): Promise<void> {
  const mode = uid > 0xffff || gid > 0xffff ? 0o777 : 0o755
  const parts = directories.flatMap((directory) => {
    const names = posix.normalize(directory).split('/').filter(Boolean)
    return names.map((_, index) => join('upper', ...names.slice(0, index + 1)))
  })
  for (const part of ['upper', 'work', ...parts]) {
    const path = join(folder, part)
    await mkdir(path, { recursive: true })
    await chmod(path, mode)
  }
}

async function runMke2fs(
  command: readonly string[],
  request: OverlayRequest,
  facts: HostFacts,
): Promise<void> {
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  const [program = '', ...args] = command
  const said: string[] = []
  if (request.fakeroot && !facts.isRoot) {
    // In a namespace where the user is root the files of the user are root's.
    const identity = planIdentity({ fakeroot: true, ignoreSubids: true, userns: true }, facts)
    const spec = planReentry(
      command,
      environment,
      { namespaces: ['user', 'mount'], ...identity },
      facts,
      undefined,
      false,
    )
    if ((await run(spec, { stdin: 'ignore', onLine: (line) => said.push(line) })) === 0) return
  } else {
    try {
      await promisify(execFile)(program, args, { env: environment })
      return
    } catch (cause) {
      said.push(String((cause as { stderr?: string }).stderr ?? reasonOf(cause)).trim())
    }
  }
  throw refuse(request.path, `mke2fs failed: ${said.at(-1) ?? 'without a word'}`)
}

async function fill(path: string, { size, sparse }: OverlayRequest): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  if (sparse) return await file.truncate(size)
  const zeros = Buffer.alloc(MEBIBYTE)
  for (let done = 0; done < size; done += zeros.length)
    await file.write(zeros, 0, Math.min(zeros.length, size - done))
}

/** An ext3 under a temporary name. */
async function makeExt3(path: string, request: OverlayRequest, facts: HostFacts): Promise<void> {
  const program = requireMke2fs(facts)
  const folder = await mkdtemp(join(request.tmpdir, 'sing-overlay-'))
  try {
    await layOut(folder, request, facts)
    await fill(path, request)
    // Without nodiscard it would give back the space that was just taken.
    const options = [
      '-q',
      '-F',
      '-t',
      'ext3',
      '-I',
      '256',
      '-m',
      '0',
      '-O',
      features,
      '-E',
      'nodiscard',
      '-d',
      folder,
    ]
    await runMke2fs([program, ...options, path], request, facts)
    await using file = await open(path, 'r+')
    await file.sync()
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    const full = ['ENOSPC', 'EDQUOT'].includes(errnoOf(cause) ?? '')
    throw new SingError(
      full ? 'DISK_FULL' : 'IO',
      `cannot write ${shown(request.path)}: ${reasonOf(cause)}`,
      { cause },
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Give a file its name, unless something has it by now; file systems without links lose that guarantee alone. */
async function giveName(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') throw exists(to)
    await rename(from, to)
  }
}

function exists(path: string): SingError {
  return new SingError('EXISTS', `cannot make the overlay ${shown(path)}: it exists already`, {
    hint: 'Choose another name, or remove it first',
  })
}

function requireAddable({ objects }: Sif, root: ReturnType<typeof primaryPartition>, path: string): void {
  const isEncrypted = [filesystems.encryptedSquashfs, filesystems.gocryptfs].some(
    (kind) => kind === root.partition?.filesystem,
  )
  if (isEncrypted) throw refuse(path, 'it is encrypted, and what an overlay holds would not be')
  if (objects.some(({ dataType }) => dataType === dataTypes.signature))
    throw refuse(
      path,
      'it is signed, and its signature would not cover the overlay',
      'Make a file of its own: sing overlay create FILE',
    )
  const has = objects.some(
    ({ group, partition }) =>
      group === root.group &&
      partition?.kind === partitionKinds.overlay &&
      partition.filesystem === filesystems.ext3,
  )
  if (has)
    throw refuse(
      path,
      'it has an ext3 overlay already',
      'To see it: sing sif list; it is written to with --writable',
    )
}

async function addToSif(
  path: string,
  partial: string,
  request: OverlayRequest,
  facts: HostFacts,
): Promise<void> {
  const sif = await readSif(path)
  if (isOciSif(sif))
    throw refuse(
      path,
      'it is an OCI-SIF',
      'Make a file of its own: sing overlay create FILE; use it with --overlay FILE',
    )
  const root = primaryPartition(sif)
  requireAddable(sif, root, path)
  await makeExt3(partial, { ...request, sparse: true }, facts)
  await addObject(path, {
    dataType: dataTypes.partition,
    group: root.group,
    name: 'overlay',
    extra: partitionExtra(filesystems.ext3, partitionKinds.overlay, root.partition?.arch ?? '00'),
    data: createReadStream(partial, { highWaterMark: MEBIBYTE }),
    sparse: request.sparse,
  })
}

/**
 * Make an overlay: a file of that name, or a partition of the SIF that has it.
 * @throws SingError EXISTS for any other file; OVERLAY for a SIF that cannot take one; HOST_TOOL without mke2fs
 */
export async function createOverlay(request: OverlayRequest, facts: HostFacts): Promise<void> {
  checkOverlayRequest(request)
  const { path } = request
  const partial = join(dirname(path), `${partialPrefix(path)}${process.pid}`)
  try {
    if (existsSync(path)) return await addToExisting(path, partial, request, facts)
    await makeExt3(partial, request, facts)
    await giveName(partial, path)
  } finally {
    await rm(partial, { force: true })
  }
}

async function addToExisting(
  path: string,
  partial: string,
  request: OverlayRequest,
  facts: HostFacts,
): Promise<void> {
  if (!lstatSync(path).isFile() || !(await isSif(path))) throw exists(path)
  await addToSif(path, partial, request, facts)
}

async function isSif(path: string): Promise<boolean> {
  await using file = await open(path).catch((cause) => {
    throw new SingError('IO', `cannot open ${shown(path)}: ${reasonOf(cause)}`, { cause })
  })
  const { buffer } = await file.read(Buffer.alloc(64), 0, 64, 0)
  return buffer.toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'
}
