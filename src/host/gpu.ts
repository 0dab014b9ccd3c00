/** What a driver of GPUs put on this machine: libraries, programs, files, device nodes and sockets. Looked for only when asked. */

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { basename, resolve } from 'node:path'
import { type Elf, highestGlibc, type LibcVersion, parseElf, type ReadAt } from '../core/elf.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { gpuLists, type Vendor } from './gpulists.ts'
import { programsIn } from './look.ts'

export type HostLibrary = {
  /** What programs ask for: `libcuda.so.1`. */
  readonly name: string
  /** The file itself, without links. */
  readonly path: string
  /** The release of glibc that it needs at least. */
  readonly glibc: LibcVersion | undefined
}

export type GpuFacts = {
  readonly vendor: Vendor
  readonly libraries: readonly HostLibrary[]
  readonly programs: readonly { readonly name: string; readonly path: string }[]
  readonly files: readonly string[]
  /** Device nodes. */
  readonly devices: readonly string[]
  /** Sockets and directories of sockets by which programs of the driver are reached. */
  readonly sockets: readonly string[]
}

/** Where the machine is looked at; tests have one of their own. */
export type Place = {
  readonly root: string
  readonly environment: Readonly<Record<string, string>>
  /** The program, when the configuration names one. */
  readonly ldconfig: string | undefined
}

const listLimit = 256 * 1024
const listDirectories = ['/etc/sing', '/etc/apptainer', '/etc/singularity', '/usr/local/etc/singularity']
const listNames: Readonly<Record<Vendor, string>> = { nv: 'nvliblist.conf', rocm: 'rocmliblist.conf' }

/** Directories of drivers that no cache of the loader knows: WSL and NixOS. */
const driverDirectories = ['/usr/lib/wsl/lib', '/run/opengl-driver/lib']
const programDirectories = [
  '/usr/bin',
  '/usr/sbin',
  '/bin',
  '/sbin',
  '/usr/local/bin',
  '/opt/rocm/bin',
  '/usr/lib/wsl/lib',
]

/** Names in a directory; none where there is no directory that we may read. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return []
  }
}

export type LibraryList = {
  readonly libraries: readonly string[]
  readonly programs: readonly string[]
  readonly files: readonly string[]
}

/** The text of a list: a name a line, `#` begins a comment. */
export function parseList(text: string): LibraryList {
  const names = text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter(Boolean)
  return {
    files: names.filter((name) => name.startsWith('/')),
    libraries: names.filter((name) => !name.includes('/') && name.includes('.so')),
    programs: names.filter((name) => !name.includes('/') && !name.includes('.so')),
  }
}

function readList(vendor: Vendor, { root }: Place): LibraryList {
  const file = listDirectories
    .map((directory) => `${root}${directory}/${listNames[vendor]}`)
    .find((path) => existsSync(path))
  if (file === undefined) return parseList(gpuLists[vendor])
  try {
    if (statSync(file).size > listLimit) throw new Error('is no list of libraries: larger than 256 KiB')
    return parseList(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new SingError('IO', `cannot read ${shown(file)}: ${reasonOf(cause)}`, { cause })
  }
}

const pageSize = 16 * 1024
const mostPages = 64

/** Reads of a few bytes here and there, of which most lie close together. */
function pagedReader(fd: number): ReadAt {
  const pages = new Map<number, Buffer>()
  const page = (number: number): Buffer => {
    const known = pages.get(number)
    if (known) return known
    const bytes = Buffer.alloc(pageSize)
    const read = bytes.subarray(0, readSync(fd, bytes, 0, pageSize, number * pageSize))
    if (pages.size >= mostPages) pages.clear()
    pages.set(number, read)
    return read
  }
  return (offset, length) => {
    const first = Math.floor(offset / pageSize)
    const last = Math.floor((offset + length - 1) / pageSize)
    const parts = Array.from({ length: last - first + 1 }, (_, index) => page(first + index))
    return Buffer.concat(parts).subarray(offset - first * pageSize, offset - first * pageSize + length)
  }
}

/** The ELF file at a path; undefined when there is none that can be read. */
export function readElf(path: string): Elf | undefined {
  let fd: number
  try {
    if (!statSync(path).isFile()) return undefined
    fd = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    return parseElf(pagedReader(fd))
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

/** The library at a path when it is one for programs of this machine. */
function readLibrary(name: string, path: string, own: Elf): HostLibrary | undefined {
  const elf = readElf(path)
  if (!elf || elf.bits !== own.bits || elf.machine !== own.machine || elf.littleEndian !== own.littleEndian)
    return undefined
  return { name, path: realpathSync(path), glibc: highestGlibc(elf.needs) }
}

type Known = { readonly name: string; readonly path: string }

/** What `ldconfig -p` prints: `<tab>libz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1`. */
export function parseCache(text: string): Known[] {
  return [...text.matchAll(/^\s*(\S+) \([^)\n]*\) => (\/.*)$/gm)].map(([, name = '', path = '']) => ({
    name,
    path,
  }))
}

function searchPath({ environment, root }: Place): string[] {
  return [
    ...(environment.PATH ?? '').split(':'),
    ...programDirectories.map((directory) => `${root}${directory}`),
  ]
}

/** All libraries that the loader of this machine finds. */
function readCache(place: Place): Known[] {
  const program = place.ldconfig ?? programsIn('ldconfig', searchPath(place))[0]
  const answer = program
    ? spawnSync(program, ['-p'], {
        env: { ...place.environment, LC_ALL: 'C' },
        encoding: 'utf8',
        timeout: 20_000,
        maxBuffer: 16 << 20,
        stdio: ['ignore', 'pipe', 'ignore'],
      }).stdout
    : ''
  const beside = driverDirectories
    .map((directory) => `${place.root}${directory}`)
    .flatMap((directory) => namesIn(directory).map((name) => ({ name, path: `${directory}/${name}` })))
  return [...parseCache(answer ?? ''), ...beside]
}

/** The first library of each name, as the loader takes it. */
function findLibraries(wanted: readonly string[], place: Place): HostLibrary[] {
  const own = readElf('/proc/self/exe')
  if (!own || wanted.length === 0) return []
  const found = new Map<string, HostLibrary>()
  for (const { name, path } of readCache(place)) {
    if (found.has(name) || !wanted.some((start) => name === start || name.startsWith(`${start}.`))) continue
    const library = readLibrary(name, path, own)
    if (library) found.set(name, library)
  }
  return [...found.values()]
}

/** Character devices of a directory whose names match. */
function devicesIn(directory: string, { root }: Place, names = /^/): string[] {
  return namesIn(`${root}${directory}`)
    .filter((name) => names.test(name))
    .map((name) => `${directory}/${name}`)
    .filter((path) => lstatSync(`${root}${path}`, { throwIfNoEntry: false })?.isCharacterDevice())
}

/** Nodes for graphics that a driver serves; others in /dev/dri belong to other cards. */
function graphicsDevices(driver: string, place: Place): string[] {
  return devicesIn('/dev/dri', place).filter((path) => {
    try {
      const link = `${place.root}/sys/class/drm/${basename(path)}/device/driver`
      return basename(readlinkSync(link)) === driver
    } catch {
      return false
    }
  })
}

const readDevices: Readonly<Record<Vendor, (place: Place) => string[]>> = {
  nv: (place) => [
    ...devicesIn('/dev', place, /^(nvidia|dxg$)/),
    ...devicesIn('/dev/nvidia-caps', place),
    ...devicesIn('/dev/nvidia-caps-imex-channels', place),
    ...graphicsDevices('nvidia', place),
  ],
  rocm: (place) => {
    const compute = devicesIn('/dev', place, /^kfd$/)
    return compute.length > 0 ? [...compute, ...devicesIn('/dev/dri', place)] : []
  },
}

function readSockets(vendor: Vendor, { root, environment }: Place): string[] {
  if (vendor !== 'nv') return []
  const pipes = environment.CUDA_MPS_PIPE_DIRECTORY
  return [
    '/var/run/nvidia-persistenced/socket',
    '/var/run/nvidia-fabricmanager/socket',
    pipes?.startsWith('/') ? pipes : '/tmp/nvidia-mps',
  ].filter((path) => existsSync(`${root}${path}`))
}

/** Look for the driver of a vendor. What is not there is left out. @throws SingError for a list that cannot be read */
export function readGpu(vendor: Vendor, place: Place): GpuFacts {
  const list = readList(vendor, place)
  const directories = searchPath(place)
  return {
    vendor,
    libraries: findLibraries(list.libraries, place),
    programs: list.programs.flatMap((name) => {
      const path = programsIn(name, directories)[0]
      return path === undefined ? [] : [{ name, path: realpathSync(path) }]
    }),
    files: list.files.filter((path) => existsSync(`${place.root}${path}`)),
    devices: readDevices[vendor](place),
    sockets: readSockets(vendor, place),
  }
}

/** Nodes of Gaudi accelerators, and of the network between them. */
export function readHpuDevices(place: Place): string[] {
  return [...devicesIn('/dev/accel', place), ...devicesIn('/dev/infiniband', place)]
}

/**
 * Libraries that the user names. Any file will do, whatever machine it is for.
 * @throws SingError BIND for one that is not there
 */
export function readNamedLibraries(paths: readonly string[], cwd: string): HostLibrary[] {
  return paths.map((word) => {
    const path = resolve(cwd, word)
    try {
      const real = realpathSync(path)
      if (!statSync(real).isFile()) throw new Error('is no file')
      return { name: basename(path), path: real, glibc: highestGlibc(readElf(real)?.needs ?? []) }
    } catch (cause) {
      throw new SingError('BIND', `--containlibs ${shown(word)}: ${reasonOf(cause)}`, { cause })
    }
  })
}
