/** What ADD does beyond COPY: archives of this machine are unpacked, files of the web are fetched. */

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import { SquashfsImage } from '../../native/addon.ts'
import { LayerPacker } from '../../native/layers.ts'
import { HttpClient, RequestError, shownAddress } from '../../store/http.ts'
import { type BytePath, onDisk, toText } from '../inside.ts'
import type { BuildTools } from '../request.ts'

export const isWeb = (word: string): boolean => /^https?:\/\//i.test(word)

/** @throws SingError UNSUPPORTED for repositories of git */
export function refuseGit(word: string): void {
  if (!/^(git@|git:\/\/|ssh:\/\/)|^https?:\/\/[^?#]+\.git(#.*)?$/i.test(word)) return
  throw new SingError('UNSUPPORTED', `ADD ${shown(word)}: repositories of git cannot be added`, {
    hint: 'Clone it into the context and COPY it',
  })
}

const magics = ['1f8b', '425a68', 'fd377a585a00', '28b52ffd'].map((hex) => Buffer.from(hex, 'hex'))

function headOf(place: BytePath): Buffer {
  const fd = openSync(onDisk(place), 'r')
  try {
    const head = Buffer.alloc(512)
    return head.subarray(0, readSync(fd, head, 0, head.length, 0))
  } finally {
    closeSync(fd)
  }
}

const isTar = (head: Buffer): boolean => head.length === 512 && head.toString('latin1', 257, 262) === 'ustar'

/** Whether a file begins like a tar archive, or like something compressed that may be one. */
export function mayBeArchive(place: BytePath): boolean {
  const head = headOf(place)
  return isTar(head) || magics.some((magic) => head.subarray(0, magic.length).equals(magic))
}

/** The files of an archive in a new directory; undefined when it is none, but only something that is compressed. */
export async function unpacked(
  place: BytePath,
  name: string,
  tools: BuildTools,
): Promise<string | undefined> {
  const { scratch, report, signal, facts } = tools
  const packed = join(scratch.path, `${name}.squashfs`)
  const [from, to] = [openSync(onDisk(place), 'r'), openSync(packed, 'wx+', 0o600)]
  try {
    const options = { fd: to, offset: 0, compression: { kind: 'lz4' }, report, signal } as const
    using packer = LayerPacker.open(options)
    const { size } = statSync(onDisk(place))
    const { entries } = await packer.layer({ fd: from, offset: 0, size, name: toText(place) })
    if (entries === 0) return undefined
    const { size: length } = await packer.finish()
    await using image = await SquashfsImage.open(packed, 0, Math.max(length, statSync(packed).size))
    const directory = scratch.directory(name)
    await image.extract(directory, { ownership: facts.isRoot, report, signal })
    return directory
  } catch (error) {
    const isOther = error instanceof SingError && error.code === 'IMAGE_FORMAT' && !isTar(headOf(place))
    if (isOther) return undefined
    throw error
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

/** A file that was fetched, and what its address calls it. */
export type Download = { readonly path: string; readonly digest: string; readonly name: string }

/** Fetch a file into the scratch directory. @throws SingError IO, or DIGEST when it is not what `--checksum` says */
export async function fetchFile(
  address: string,
  checksum: string | undefined,
  path: string,
  tools: BuildTools,
): Promise<Download> {
  const { environment, report, signal } = tools
  const name = shownAddress(address)
  report({ kind: 'info', text: `Downloading ${name}` })
  using client = new HttpClient({ environment, report })
  try {
    const response = await client.request(address, { signal, staysSafe: checksum === undefined })
    if (response.status !== 200) {
      await response.discard()
      throw new SingError('IO', `cannot download ${name}: the server answered ${response.status}`)
    }
    const hash = createHash('sha256')
    await using file = await open(path, 'wx', 0o600)
    for await (const chunk of response.chunks()) {
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    const digest = `sha256:${hash.digest('hex')}`
    requireDigest(name, checksum, digest)
    const time = Date.parse(response.header('last-modified') ?? '') / 1000
    if (!Number.isNaN(time)) await file.utimes(time, time)
    return { path, digest, name: fileName(address) }
  } catch (cause) {
    if (!(cause instanceof RequestError)) throw cause
    throw new SingError('IO', `cannot download ${name}: ${cause.message}`, { hint: cause.hint, cause })
  }
}

/** @throws SingError DEFINITION for a checksum of another kind */
export function requireChecksum(checksum: string | undefined): void {
  if (checksum === undefined || /^sha256:[0-9a-f]{64}$/i.test(checksum)) return
  throw new SingError(
    'DEFINITION',
    `--checksum=${shown(checksum)}: expected sha256: and 64 hexadecimal digits`,
  )
}

function requireDigest(name: string, wanted: string | undefined, found: string): void {
  if (wanted === undefined || wanted.toLowerCase() === found) return
  throw new SingError('DIGEST', `${name} should have the digest ${shown(wanted)}, and has ${found}`)
}

/** Empty for what is no address at all. */
function lastPart(address: string): string {
  try {
    return decodeURIComponent(new URL(address).pathname.split('/').at(-1) ?? '')
  } catch {
    return ''
  }
}

/** The last part of the path of an address. @throws SingError DEFINITION when there is none */
export function fileName(address: string): string {
  const name = lastPart(address)
  if (name === '' || name === '.' || name === '..' || name.includes('/'))
    throw new SingError(
      'DEFINITION',
      `ADD ${shownAddress(address)}: the address ends without the name of a file`,
    )
  return name
}
