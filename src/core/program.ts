/** What a program or library needs to be started (ELF): its machine, its loader, other libraries and where these are looked for. */

import {
  DT_STRTAB,
  dynamicEntries,
  type Fields,
  fileOffset,
  type ReadAt,
  readSegments,
  withFields,
} from './elf.ts'

export type Program = {
  readonly bits: 32 | 64
  readonly machine: number
  /** PT_INTERP: the loader; libraries and static programs have none. */
  readonly loader: string | undefined
  /** DT_NEEDED: names, or paths, of libraries. */
  readonly libraries: readonly string[]
  /** DT_RUNPATH, or DT_RPATH: directories, which may begin with $ORIGIN. */
  readonly searched: readonly string[]
}

/** Bytes of all directories; installations far down in a home have hundreds of them in their names. */
const longestSearch = 16 * 1024

const PT_INTERP = 3
const DT_NEEDED = 1
const DT_RPATH = 15
const DT_RUNPATH = 29

/** `e_machine` of the architectures, by the names that Go has for them. */
const machines: Readonly<Record<string, number>> = {
  '386': 3,
  ppc64le: 21,
  s390x: 22,
  arm: 40,
  amd64: 62,
  arm64: 183,
  riscv64: 243,
  loong64: 258,
}

/** The name of a machine; its number where we have no name. */
export const machineName = (machine: number): string =>
  Object.entries(machines).find(([, number]) => number === machine)?.[0] ?? `machine ${machine}`

export const machineOf = (architecture: string): number | undefined =>
  Object.hasOwn(machines, architecture) ? machines[architecture] : undefined

function readNeeds(fields: Fields): Program {
  const segments = readSegments(fields)
  const entries = [...dynamicEntries(fields, segments)]
  const [, address] = entries.find(([tag]) => tag === DT_STRTAB) ?? []
  const strings = address === undefined ? undefined : fileOffset(segments, address)
  const texts = (wanted: number, longest?: number): string[] =>
    strings === undefined
      ? []
      : entries.filter(([tag]) => tag === wanted).map(([, value]) => fields.text(strings + value, longest))
  const [runpath] = texts(DT_RUNPATH, longestSearch)
  const [rpath] = texts(DT_RPATH, longestSearch)
  const loader = segments.find(({ type }) => type === PT_INTERP)
  return {
    bits: fields.wide ? 64 : 32,
    machine: fields.half(18),
    loader: loader && fields.text(loader.offset),
    libraries: texts(DT_NEEDED),
    searched: (runpath ?? rpath ?? '').split(':').filter(Boolean),
  }
}

/** Read the ELF file behind `read`; undefined for what is none or is damaged. */
export const parseProgram = (read: ReadAt): Program | undefined => withFields(read, readNeeds)
