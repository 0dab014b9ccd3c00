/**
 * What a shared library says about itself (ELF): for which machine it is, its name, and the symbol versions that it needs
 * and defines. Reads by offsets, so that large files need not be loaded, and believes no length.
 */

import type { Buffer } from 'node:buffer'

/** Up to `length` bytes at `offset`; fewer at the end of the file. */
export type ReadAt = (offset: number, length: number) => Buffer

export type Elf = {
  readonly bits: 32 | 64
  readonly littleEndian: boolean
  /** `e_machine`: 62 is x86-64, 183 is ARM64. */
  readonly machine: number
  /** DT_SONAME: the name that programs ask the loader for. */
  readonly soname: string | undefined
  /** Names of symbol versions, such as `GLIBC_2.34`. */
  readonly needs: readonly string[]
  readonly defines: readonly string[]
}

const mostSegments = 256
const mostDynamic = 1024
const mostVersions = 4096
const longestName = 256

const PT_LOAD = 1
const PT_DYNAMIC = 2
export const DT_STRTAB = 5
const DT_SONAME = 14
const DT_VERDEF = 0x6ffffffc
const DT_VERDEFNUM = 0x6ffffffd
const DT_VERNEED = 0x6ffffffe
const DT_VERNEEDNUM = 0x6fffffff

/** What ends the reading of a damaged file. */
export class Damaged extends Error {}

/** Numbers of a file, of its byte order and word size. */
export class Fields {
  readonly read: ReadAt
  readonly littleEndian: boolean
  readonly wide: boolean

  constructor(read: ReadAt, littleEndian: boolean, wide: boolean) {
    this.read = read
    this.littleEndian = littleEndian
    this.wide = wide
  }

  private bytes(offset: number, length: number): Buffer {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Damaged()
    const bytes = this.read(offset, length)
    if (bytes.length < length) throw new Damaged()
    return bytes
  }

  half(offset: number): number {
    const bytes = this.bytes(offset, 2)
    return this.littleEndian ? bytes.readUInt16LE() : bytes.readUInt16BE()
  }

  word(offset: number): number {
    const bytes = this.bytes(offset, 4)
    return this.littleEndian ? bytes.readUInt32LE() : bytes.readUInt32BE()
  }

  /** An address or a size: 4 or 8 bytes. What is no safe integer is no place in a file. */
  native(offset: number): number {
    if (!this.wide) return this.word(offset)
    const bytes = this.bytes(offset, 8)
    return Number(this.littleEndian ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE())
  }

  text(offset: number, longest = longestName): string {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Damaged()
    const bytes = this.read(offset, longest)
    const end = bytes.indexOf(0)
    if (end < 0) throw new Damaged()
    return bytes.toString('latin1', 0, end)
  }
}

export type Segment = {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly size: number
}

export function readSegments(fields: Fields): Segment[] {
  const { wide } = fields
  const table = fields.native(wide ? 32 : 28)
  const size = fields.half(wide ? 54 : 42)
  const count = Math.min(fields.half(wide ? 56 : 44), mostSegments)
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size
    return {
      type: fields.word(at),
      offset: fields.native(at + (wide ? 8 : 4)),
      address: fields.native(at + (wide ? 16 : 8)),
      size: fields.native(at + (wide ? 32 : 16)),
    }
  })
}

/** Where an address of the loaded library lies in the file. */
export function fileOffset(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    ({ type, address: start, size }) => type === PT_LOAD && address >= start && address < start + size,
  )
  if (!segment) throw new Damaged()
  return address - segment.address + segment.offset
}

/** The entries of the dynamic section, in their order. */
export function* dynamicEntries(
  fields: Fields,
  segments: readonly Segment[],
): Generator<readonly [tag: number, value: number]> {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  if (!dynamic) return
  const width = fields.wide ? 8 : 4
  const count = Math.min(Math.floor(dynamic.size / (2 * width)), mostDynamic)
  for (let index = 0; index < count; index += 1) {
    const at = dynamic.offset + index * 2 * width
    const tag = fields.native(at)
    if (tag === 0) return
    yield [tag, fields.native(at + width)]
  }
}

/** The first entry of each kind. */
function readDynamic(fields: Fields, segments: readonly Segment[]): Map<number, number> {
  const found = new Map<number, number>()
  for (const [tag, value] of dynamicEntries(fields, segments)) if (!found.has(tag)) found.set(tag, value)
  return found
}

/** Records of a chain: each tells how far the next one is, and 0 ends it. Distances are positive, so that it ends. */
function* chain(fields: Fields, start: number, count: number, nextField: number): Generator<number> {
  let at = start
  for (let left = Math.min(count, mostVersions); left > 0; left -= 1) {
    yield at
    const next = fields.word(at + nextField)
    if (next === 0) return
    at += next
  }
}

/** Elf_Verneed: version, count, file, aux, next; Elf_Vernaux: hash, flags, other, name, next. */
function neededVersions(fields: Fields, start: number, count: number, strings: number): string[] {
  const names: string[] = []
  for (const need of chain(fields, start, count, 12)) {
    for (const version of chain(fields, need + fields.word(need + 8), fields.half(need + 2), 12)) {
      names.push(fields.text(strings + fields.word(version + 8)))
      if (names.length >= mostVersions) return names
    }
  }
  return names
}

/** Elf_Verdef: version, flags, index, count, hash, aux, next; the first Elf_Verdaux (name, next) has its name. */
function definedVersions(fields: Fields, start: number, count: number, strings: number): string[] {
  return [...chain(fields, start, count, 16)].map((version) =>
    fields.text(strings + fields.word(version + fields.word(version + 12))),
  )
}

function readElf(fields: Fields): Elf {
  const segments = readSegments(fields)
  const dynamic = readDynamic(fields, segments)
  const place = (tag: number): number | undefined => {
    const address = dynamic.get(tag)
    return address === undefined ? undefined : fileOffset(segments, address)
  }
  const strings = place(DT_STRTAB)
  const needs = place(DT_VERNEED)
  const defines = place(DT_VERDEF)
  const name = dynamic.get(DT_SONAME)
  const counted = (tag: number) => dynamic.get(tag) ?? 0
  return {
    bits: fields.wide ? 64 : 32,
    littleEndian: fields.littleEndian,
    machine: fields.half(18),
    soname: strings === undefined || name === undefined ? undefined : fields.text(strings + name),
    needs:
      strings === undefined || needs === undefined
        ? []
        : neededVersions(fields, needs, counted(DT_VERNEEDNUM), strings),
    defines:
      strings === undefined || defines === undefined
        ? []
        : definedVersions(fields, defines, counted(DT_VERDEFNUM), strings),
  }
}

/** Read the ELF file behind `read`; undefined for what is none or is damaged. */
export const parseElf = (read: ReadAt): Elf | undefined => withFields(read, readElf)

/** What `look` makes of the numbers of an ELF file; undefined for what is none or is damaged. */
export function withFields<T>(read: ReadAt, look: (fields: Fields) => T): T | undefined {
  const start = read(0, 16)
  if (start.length < 16 || start.toString('latin1', 0, 4) !== '\x7fELF') return undefined
  const [width, order] = [start[4], start[5]]
  if ((width !== 1 && width !== 2) || (order !== 1 && order !== 2)) return undefined
  try {
    return look(new Fields(read, order === 1, width === 2))
  } catch (error) {
    if (error instanceof Damaged) return undefined
    throw error
  }
}

/** A version such as 2.34, as numbers that can be compared. */
export type LibcVersion = readonly [major: number, minor: number]

/** Marks of the linker that stand for a release. */
const abiMarks: Readonly<Record<string, LibcVersion>> = {
  GLIBC_ABI_DT_RELR: [2, 36],
  GLIBC_ABI_DT_X86_64_PLT: [2, 42],
  GLIBC_ABI_GNU_TLS: [2, 42],
  GLIBC_ABI_GNU2_TLS: [2, 42],
}

export function compareLibc(one: LibcVersion, other: LibcVersion): number {
  return one[0] - other[0] || one[1] - other[1]
}

/** The highest release of glibc among names of symbol versions; undefined when none is of glibc. */
export function highestGlibc(names: readonly string[]): LibcVersion | undefined {
  const versions = names.flatMap((name): LibcVersion[] => {
    const [, major, minor] = /^GLIBC_(\d{1,3})\.(\d{1,3})(?:\.\d+)?$/.exec(name) ?? []
    if (major !== undefined) return [[Number(major), Number(minor)]]
    const mark = abiMarks[name]
    return mark ? [mark] : []
  })
  return versions.toSorted(compareLibc).at(-1)
}
