/**
 * The SIF file format: a 128-byte header, a table of 585-byte descriptors, and the data they point to. Numbers are
 * little-endian and packed, offsets count from the start of the file. Values in, bytes out, and back; files are for
 * `read.ts` and `write.ts`.
 *
 *     0        128            4096                 table end           data...
 *     | header | unused, zero | descriptor 1, 2, … | object | (gap) | object |
 */

import { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'

export const headerLength = 128
export const descriptorLength = 585
export const defaultTableOffset = 4096
export const defaultCapacity = 48
/** More descriptors than this are refused: ids are assigned one by one, and a table this long is 37 MiB. */
export const maximumCapacity = 65536
/** What makes a SIF a program; the kernel looks for `run-singularity` in PATH. */
export const launchLine = '#!/usr/bin/env run-singularity\n'
/** The time of images that keep no time: the first second of the year 1. */
export const noTime = -62135596800
const groupMask = 0xf0000000

export const dataTypes = {
  definition: 0x4001,
  environment: 0x4002,
  labels: 0x4003,
  partition: 0x4004,
  signature: 0x4005,
  genericJson: 0x4006,
  generic: 0x4007,
  cryptoMessage: 0x4008,
  sbom: 0x4009,
  ociRootIndex: 0x400a,
  ociBlob: 0x400b,
} as const

export const filesystems = {
  squashfs: 1,
  ext3: 2,
  archive: 3,
  raw: 4,
  encryptedSquashfs: 5,
  gocryptfs: 6,
} as const

export const partitionKinds = { system: 1, primary: 2, data: 3, overlay: 4 } as const

/** Architectures by the code in headers and partitions; the names are those of Go. */
export const architectures: Readonly<Record<string, string>> = {
  '01': '386',
  '02': 'amd64',
  '03': 'arm',
  '04': 'arm64',
  '05': 'ppc64',
  '06': 'ppc64le',
  '07': 'mips',
  '08': 'mipsle',
  '09': 'mips64',
  '10': 'mips64le',
  '11': 's390x',
  '12': 'riscv64',
  '13': 'loong64',
}
export const unknownArchitecture = '00'

/** The two-digit code of an architecture's Go name; `00` when SIF has none. */
export function architectureCode(name: string): string {
  return Object.keys(architectures).find((code) => architectures[code] === name) ?? unknownArchitecture
}

export type SifHeader = {
  /** Text up to the first NUL, one character per byte, with its line end. */
  launch: string
  version: string
  /** Two characters; digits in sound files. */
  arch: string
  /** UUID, or empty when it is all zero. */
  id: string
  /** Unix seconds, like all times here; `noTime` when not kept. */
  created: number
  modified: number
  free: number
  total: number
  tableOffset: number
  tableSize: number
  dataOffset: number
  dataSize: number
  /** The 128 bytes themselves: what a signature covers. */
  raw: Uint8Array
}

export type SifLink = { kind: 'none' } | { kind: 'object' | 'group'; id: number }

export type SifPartition = {
  /** One of `filesystems`. */
  filesystem: number
  /** One of `partitionKinds`. */
  kind: number
  /** Two-digit code. */
  arch: string
}

export type SifObject = {
  /** Index in the table. */
  slot: number
  id: number
  /** One of `dataTypes`, or anything else in odd files. */
  dataType: number
  /** 0 is no group. */
  group: number
  link: SifLink
  offset: number
  size: number
  paddedSize: number
  created: number
  modified: number
  uid: number
  gid: number
  name: string
  /** The 384 bytes whose meaning depends on the data type. */
  extra: Uint8Array
  partition?: SifPartition
  /** The 585 bytes themselves: what a signature covers. */
  raw: Uint8Array
}

/** Where things are within a header. */
const headerAt = {
  magic: 0x20,
  version: 0x2a,
  arch: 0x2d,
  id: 0x30,
  created: 0x40,
  modified: 0x48,
  free: 0x50,
  total: 0x58,
  tableOffset: 0x60,
  tableSize: 0x68,
  dataOffset: 0x70,
  dataSize: 0x78,
} as const

/** Where things are within a descriptor. */
const descriptorAt = {
  dataType: 0,
  used: 4,
  id: 5,
  group: 9,
  link: 13,
  offset: 17,
  size: 25,
  paddedSize: 33,
  created: 41,
  modified: 49,
  uid: 57,
  gid: 65,
  name: 73,
  extra: 201,
} as const

const magic = 'SIF_MAGIC\0'
const version = '01'

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function int64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64LE(at))
}

/** Text up to the first NUL, one character per byte. */
function textOf(bytes: Uint8Array): string {
  const text = asBuffer(bytes).toString('latin1')
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

function toUuid(bytes: Buffer): string {
  if (bytes.every((byte) => byte === 0)) return ''
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/**
 * The header at the start of `bytes`. Only magic and version are judged: the numbers in it are claims, to be checked
 * where they are used.
 * Throws SIF_FORMAT when this is no SIF or one of another version.
 */
export function decodeHeader(bytes: Uint8Array): SifHeader {
  if (bytes.length < headerLength) {
    throw new SingError('SIF_FORMAT', `the file is too short for a SIF header (${bytes.length} bytes)`)
  }
  const raw = asBuffer(bytes.subarray(0, headerLength))
  if (raw.toString('latin1', headerAt.magic, headerAt.version) !== magic) {
    throw new SingError('SIF_FORMAT', 'the file does not have the SIF magic at its start')
  }
  const found = raw.toString('latin1', headerAt.version, headerAt.arch)
  if (found !== `${version}\0`) {
    throw new SingError(
      'SIF_FORMAT',
      `the file has SIF version "${textOf(Buffer.from(found, 'latin1'))}", not ${version}`,
    )
  }
  return {
    launch: textOf(raw.subarray(0, headerAt.magic)),
    version,
    arch: raw.toString('latin1', headerAt.arch, headerAt.arch + 2),
    id: toUuid(raw.subarray(headerAt.id, headerAt.created)),
    created: int64(raw, headerAt.created),
    modified: int64(raw, headerAt.modified),
    free: int64(raw, headerAt.free),
    total: int64(raw, headerAt.total),
    tableOffset: int64(raw, headerAt.tableOffset),
    tableSize: int64(raw, headerAt.tableSize),
    dataOffset: int64(raw, headerAt.dataOffset),
    dataSize: int64(raw, headerAt.dataSize),
    raw,
  }
}

/**
 * The bytes of the file that hold the table, checked: a count beyond reason or a table outside the file is SIF_FORMAT.
 * A claimed table size that is negative is not looked at, as other readers do; one too small for the count is refused.
 */
export function tableWindow(header: SifHeader, fileSize: number): { offset: number; length: number } {
  const { total, tableOffset: offset, tableSize } = header
  const length = total * descriptorLength
  if (!(total >= 0 && total <= maximumCapacity)) {
    throw new SingError(
      'SIF_FORMAT',
      `the header claims ${total} descriptors; there can be 0 to ${maximumCapacity}`,
    )
  }
  if (tableSize >= 0 && tableSize < length) {
    throw new SingError(
      'SIF_FORMAT',
      `the header claims ${total} descriptors in a table of ${tableSize} bytes`,
    )
  }
  if (!(offset >= 0 && offset + length <= fileSize)) {
    throw new SingError(
      'SIF_FORMAT',
      `the descriptor table (${length} bytes at ${offset}) reaches past the end of the file (${fileSize} bytes)`,
      { hint: 'The file is cut off or damaged; fetch or build it again.' },
    )
  }
  return { offset, length }
}

/**
 * The objects in use, in the order of their slots, from the bytes of the table. Their offsets and sizes are claims:
 * see `objectWindow` in `read.ts`.
 * Throws SIF_FORMAT when the header's table cannot be in the file, or `bytes` is not all of it.
 */
export function decodeDescriptors(bytes: Uint8Array, header: SifHeader, fileSize: number): SifObject[] {
  const { length } = tableWindow(header, fileSize)
  if (bytes.length < length) {
    throw new SingError('SIF_FORMAT', `the descriptor table has ${bytes.length} bytes of ${length}`)
  }
  const table = asBuffer(bytes)
  const objects: SifObject[] = []
  for (let slot = 0, at = 0; slot < header.total; slot += 1, at += descriptorLength) {
    if (table[at + descriptorAt.used] === 0) continue
    objects.push(decodeDescriptor(table.subarray(at, at + descriptorLength), slot))
  }
  return objects
}

function decodeDescriptor(raw: Buffer, slot: number): SifObject {
  const dataType = raw.readInt32LE(descriptorAt.dataType)
  const extra = raw.subarray(descriptorAt.extra)
  return {
    slot,
    id: raw.readUInt32LE(descriptorAt.id),
    dataType,
    group: withoutMask(raw.readUInt32LE(descriptorAt.group)),
    link: decodeLink(raw.readUInt32LE(descriptorAt.link)),
    offset: int64(raw, descriptorAt.offset),
    size: int64(raw, descriptorAt.size),
    paddedSize: int64(raw, descriptorAt.paddedSize),
    created: int64(raw, descriptorAt.created),
    modified: int64(raw, descriptorAt.modified),
    uid: int64(raw, descriptorAt.uid),
    gid: int64(raw, descriptorAt.gid),
    name: decodeName(raw.subarray(descriptorAt.name, descriptorAt.extra)),
    extra,
    ...(dataType === dataTypes.partition ? { partition: decodePartition(extra) } : {}),
    raw,
  }
}

function withoutMask(id: number): number {
  return id & ~groupMask
}

function decodeLink(value: number): SifLink {
  const id = withoutMask(value)
  if (value === 0) return { kind: 'none' }
  // A group link has all four bits of the mask; other readers take a part of it for an object's number too.
  return { kind: (value & groupMask) >>> 0 === groupMask ? 'group' : 'object', id }
}

function decodeName(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

function decodePartition(extra: Buffer): SifPartition {
  return {
    filesystem: extra.readInt32LE(0),
    kind: extra.readInt32LE(4),
    arch: extra.toString('latin1', 8, 10),
  }
}

type HeaderFields = Omit<SifHeader, 'raw'>

const headerNumbers = [
  'created',
  'modified',
  'free',
  'total',
  'tableOffset',
  'tableSize',
  'dataOffset',
  'dataSize',
] as const

/** A header's 128 bytes. */
export function encodeHeader(header: HeaderFields): Buffer {
  const bytes = Buffer.alloc(headerLength)
  bytes.write(header.launch, 0, headerAt.magic, 'latin1')
  bytes.write(magic, headerAt.magic, 'latin1')
  bytes.write(header.version, headerAt.version, 2, 'latin1')
  bytes.write(header.id.replaceAll('-', ''), headerAt.id, 16, 'hex')
  return patchHeader(bytes, header)
}

/** A copy of a header's bytes with some fields changed and every other byte kept. */
export function patchHeader(
  raw: Uint8Array,
  changes: Partial<Pick<HeaderFields, 'arch' | (typeof headerNumbers)[number]>>,
): Buffer {
  const bytes = Buffer.from(raw)
  if (changes.arch !== undefined) bytes.write(changes.arch, headerAt.arch, 2, 'latin1')
  for (const field of headerNumbers) {
    const value = changes[field]
    if (value !== undefined) bytes.writeBigInt64LE(BigInt(value), headerAt[field])
  }
  return bytes
}

const descriptorNumbers = ['offset', 'size', 'paddedSize', 'created', 'modified', 'uid', 'gid'] as const

/** A descriptor's 585 bytes, in use; `extra` says what `partition` repeats. */
export function encodeDescriptor(object: Omit<SifObject, 'slot' | 'partition' | 'raw'>): Buffer {
  const bytes = Buffer.alloc(descriptorLength)
  bytes.writeInt32LE(object.dataType, descriptorAt.dataType)
  bytes[descriptorAt.used] = 1
  bytes.writeUInt32LE(object.id, descriptorAt.id)
  bytes.writeUInt32LE((object.group | groupMask) >>> 0, descriptorAt.group)
  bytes.writeUInt32LE(encodeLink(object.link), descriptorAt.link)
  for (const field of descriptorNumbers) bytes.writeBigInt64LE(BigInt(object[field]), descriptorAt[field])
  bytes.write(object.name, descriptorAt.name, descriptorAt.extra - descriptorAt.name, 'utf8')
  bytes.set(object.extra, descriptorAt.extra)
  return bytes
}

function encodeLink(link: SifLink): number {
  if (link.kind === 'none') return 0
  return link.kind === 'group' ? (link.id | groupMask) >>> 0 : link.id
}

/** A copy of a partition's descriptor with another kind of partition and time, every other byte kept. */
export function patchPartition(raw: Uint8Array, kind: number, modified: number): Buffer {
  const bytes = Buffer.from(raw)
  bytes.writeInt32LE(kind, descriptorAt.extra + 4)
  bytes.writeBigInt64LE(BigInt(modified), descriptorAt.modified)
  return bytes
}
