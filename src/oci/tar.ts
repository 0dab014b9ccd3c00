/**
 * Where the members of an uncompressed tar archive lie: one pass over the headers, over the data by seeking. Nothing is unpacked.
 * (POSIX.1-2017 pax; GNU tar's long names.)
 */

import { Buffer } from 'node:buffer'
import { posix } from 'node:path'
import { SingError, shown } from '../core/errors.ts'

export type Member = {
  readonly type: 'file' | 'symlink' | 'hardlink' | 'sparse' | 'other'
  readonly offset: number
  readonly size: number
  readonly link: string
}

/** Bytes of the archive; fewer than asked for at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>

const block = 512
const empty = Buffer.alloc(block)
/** Headers of all kinds: an archive of images has a few for each layer. */
const headersLimit = 20_000
/** Bytes of an extended header. */
const extensionLimit = 1024 * 1024

type Extension = { path?: string; link?: string; size?: number; sparse?: boolean }

/**
 * The members by their names, without `./` in front; of several with one name the last.
 * @throws SingError IMAGE_FORMAT when it is no tar archive, or ends too early
 */
export async function indexTar(read: ReadAt, name: string): Promise<Map<string, Member>> {
  const members = new Map<string, Member>()
  let extension: Extension = {}
  let offset = 0
  for (let headers = 0; headers < headersLimit; headers += 1) {
    const header = await readHeader(read, offset, name)
    if (!header) return members
    const { letter } = header
    const data = offset + block + (letter === 'S' ? await sparseMap(read, offset) : 0)
    const size = hasData(letter) ? (extension.size ?? header.size) : 0
    offset = data + Math.ceil(size / block) * block
    if (!Number.isSafeInteger(offset)) throw damaged(name, `a member of ${size} bytes`)
    if (isExtension(letter)) {
      const more = letter === 'g' ? {} : readExtension(letter, await readShort(read, data, size, name))
      extension = { ...extension, ...more }
      continue
    }
    const path = extension.path ?? header.path
    if (size > 0 && (await read(data + size - 1, 1)).length === 0)
      throw damaged(name, `it ends in the middle of ${path}`)
    const type = extension.sparse ? 'sparse' : typeOf(letter)
    members.set(memberName(path), { type, offset: data, size, link: extension.link ?? header.link })
    extension = {}
  }
  throw damaged(name, `it has more than ${headersLimit} members`)
}

const damaged = (name: string, reason: string): SingError =>
  new SingError('IMAGE_FORMAT', `${shown(name)} is damaged: ${shown(reason)}`)

/** `./a/b/` is `a/b`. */
const memberName = (path: string): string => path.replace(/^(\.\/+)+/, '').replace(/\/+$/, '')

type Header = { path: string; link: string; size: number; letter: string }

/** Undefined at the end of the archive. */
async function readHeader(read: ReadAt, offset: number, name: string): Promise<Header | undefined> {
  const bytes = await read(offset, block)
  // Some writers leave out the empty blocks at the end.
  if (bytes.length === 0 && offset > 0) return undefined
  if (bytes.equals(empty)) return undefined
  const header = bytes.length === block ? parseHeader(bytes) : undefined
  if (header) return header
  if (offset > 0) throw damaged(name, `it has no header at byte ${offset}`)
  throw new SingError('IMAGE_FORMAT', `${shown(name)} is no tar archive`)
}

function parseHeader(bytes: Buffer): Header | undefined {
  if (numberIn(bytes.subarray(148, 156)) !== checksum(bytes)) return undefined
  const size = numberIn(bytes.subarray(124, 136))
  if (size === undefined) return undefined
  const isPosix = bytes.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix ? textIn(bytes.subarray(345, 500)) : ''
  const path = textIn(bytes.subarray(0, 100))
  return {
    path: prefix ? `${prefix}/${path}` : path,
    link: textIn(bytes.subarray(157, 257)),
    size,
    letter: String.fromCharCode(bytes[156] || 0x30),
  }
}

/** The sum of all bytes, those of the sum itself taken as blanks. */
function checksum(bytes: Buffer): number {
  let sum = 8 * 0x20
  for (let at = 0; at < block; at += 1) if (at < 148 || at >= 156) sum += bytes[at] ?? 0
  return sum
}

function textIn(field: Buffer): string {
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? field.length : end)
}

/** Octal digits, or the number itself behind a byte 0x80 (GNU tar, for sizes from 8 GiB on). */
function numberIn(field: Buffer): number | undefined {
  if (field[0] === 0x80) {
    const number = BigInt(`0x${field.subarray(1).toString('hex')}`)
    return number <= Number.MAX_SAFE_INTEGER ? Number(number) : undefined
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(field.toString('latin1'))?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8)
}

/** Links, devices, directories and pipes are a header alone. */
const hasData = (letter: string): boolean => !/[1-6]/.test(letter)
const isExtension = (letter: string): boolean => /[xgLK]/.test(letter)

function typeOf(letter: string): Member['type'] {
  if (letter === '0' || letter === '7') return 'file'
  if (letter === '1') return 'hardlink'
  if (letter === '2') return 'symlink'
  return letter === 'S' ? 'sparse' : 'other'
}

async function readShort(read: ReadAt, offset: number, size: number, name: string): Promise<Buffer> {
  if (size > extensionLimit) throw damaged(name, `an extended header of ${size} bytes`)
  const bytes = await read(offset, size)
  if (bytes.length < size) throw damaged(name, 'it ends in the middle of an extended header')
  return bytes
}

function readExtension(letter: string, bytes: Buffer): Extension {
  if (letter === 'L') return { path: textIn(bytes) }
  if (letter === 'K') return { link: textIn(bytes) }
  const records = paxRecords(bytes)
  const [path, link, size] = ['path', 'linkpath', 'size'].map((key) => records.get(key))
  const sparse = [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))
  const realName = records.get('GNU.sparse.name') ?? path
  return {
    ...(realName === undefined ? {} : { path: realName }),
    ...(link === undefined ? {} : { link }),
    ...(size !== undefined && /^\d{1,15}$/.test(size) ? { size: Number(size) } : {}),
    ...(sparse ? { sparse } : {}),
  }
}

/** `LENGTH key=value\n`, the length counting its own digits. What is none ends the list. */
function paxRecords(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.toString('latin1', at, Math.max(at, Math.min(space, at + 10))))
    if (!Number.isInteger(length) || length <= 0 || at + length > bytes.length) break
    const record = bytes.toString('utf8', space + 1, at + length - 1)
    const equals = record.indexOf('=')
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1))
    at += length
  }
  return records
}

/** Bytes between the header of a sparse member and its data (GNU tar): more of the map while a byte says so. */
async function sparseMap(read: ReadAt, offset: number): Promise<number> {
  const continues = async (at: number) => (await read(at, 1))[0] === 1
  let blocks = 0
  let more = await continues(offset + 482)
  while (more && blocks < headersLimit) {
    blocks += 1
    more = await continues(offset + blocks * block + 504)
  }
  return blocks * block
}

const deepest = 10

/**
 * The member that a name leads to, through links inside the archive; undefined when there is none.
 * @throws SingError IMAGE_FORMAT for links that lead out of the archive or in circles, and for what is no plain file
 */
export function findMember(
  members: ReadonlyMap<string, Member>,
  wanted: string,
  archive: string,
): Member | undefined {
  let name = memberName(wanted)
  for (let steps = 0; steps < deepest; steps += 1) {
    const member = members.get(name)
    if (member === undefined) return undefined
    switch (member.type) {
      case 'file':
        return member
      case 'hardlink':
        name = memberName(member.link)
        break
      case 'symlink':
        name = posix.join(member.link.startsWith('/') ? '/' : posix.dirname(name), member.link)
        if (/^(\/|\.\.(\/|$))/.test(name))
          throw damaged(archive, `${wanted} is a link out of it: ${member.link}`)
        break
      case 'sparse':
        throw new SingError('UNSUPPORTED', `${shown(archive)} stores ${shown(wanted)} with holes`, {
          hint: 'Write the archive without --sparse',
        })
      case 'other':
        throw damaged(archive, `${wanted} is no file`)
    }
  }
  throw damaged(archive, `${wanted} is a link in a circle`)
}
