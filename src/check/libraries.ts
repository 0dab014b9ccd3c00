/** Which libraries of an image its loader finds, by the rules of ld.so(8): those that a program needs and that are not there. Pure. */

import type { Program } from '../core/program.ts'
import type { Item } from '../image/inventory.ts'
import type { Facts } from './facts.ts'

export type Missing = { readonly library: string; readonly neededBy: string }

const triples: Readonly<Record<number, string>> = {
  3: 'i386-linux-gnu',
  21: 'powerpc64le-linux-gnu',
  22: 's390x-linux-gnu',
  40: 'arm-linux-gnueabihf',
  62: 'x86_64-linux-gnu',
  183: 'aarch64-linux-gnu',
  243: 'riscv64-linux-gnu',
}

/** Libraries of drivers, which come from the host with --nv and --rocm. */
const ofHost =
  /^lib(cuda|nvidia-.*|nvcuvid|nvoptix|nvidia_icd|GLX_nvidia|EGL_nvidia|GLESv\d_.*nvidia|vdpau_nvidia|cudadebugger)\.so/

const deepestInclude = 8

/** The directories of /etc/ld.so.conf and the files that it includes. */
function configured(facts: Facts, path = '/etc/ld.so.conf', depth = 0): string[] {
  if (depth > deepestInclude) return []
  return facts
    .text(path)
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .flatMap((line) => {
      const [, pattern] = /^include\s+(\S+)/.exec(line) ?? []
      if (pattern === undefined) return line.split(/[\s,:]+/).filter(Boolean)
      const absolute = pattern.startsWith('/') ? pattern : `/etc/${pattern}`
      return facts.matching(absolute).flatMap((item) => configured(facts, item.path, depth + 1))
    })
}

const usual = [
  '/lib64',
  '/usr/lib64',
  '/lib',
  '/usr/lib',
  '/lib32',
  '/usr/lib32',
  '/usr/local/lib',
  '/.singularity.d/libs',
]

export class Libraries {
  readonly #facts: Facts
  readonly #common: readonly string[]
  readonly #missing = new Map<string, readonly Missing[]>()

  constructor(facts: Facts) {
    this.#facts = facts
    const given = (facts.variables.get('LD_LIBRARY_PATH') ?? '').split(':')
    const musl = facts.matching('/etc/ld-musl-*.path').flatMap(({ path }) => facts.text(path).split(/[\n:]+/))
    const triple = Object.values(triples).flatMap((name) => [`/lib/${name}`, `/usr/lib/${name}`])
    this.#common = facts.directories([...given, ...configured(facts), ...musl, ...triple, ...usual])
  }

  /** What a file needs, directly or through its libraries, and does not find. */
  missing(item: Item, inherited: readonly string[] = []): readonly Missing[] {
    const known = this.#missing.get(item.path)
    if (known) return known
    // Libraries may need each other.
    this.#missing.set(item.path, [])
    const program = this.#facts.program(item)
    const found = program ? this.#missingOf(item, program, inherited) : []
    this.#missing.set(item.path, found)
    return found
  }

  #missingOf(item: Item, program: Program, inherited: readonly string[]): Missing[] {
    const directories = [...this.#own(item, program), ...inherited]
    return program.libraries.flatMap((library) => {
      const found = this.#find(library, program, [...directories, ...this.#common])
      if (found) return this.missing(found, directories)
      return ofHost.test(library) ? [] : [{ library, neededBy: item.path }]
    })
  }

  /** DT_RUNPATH is meant for the file itself, DT_RPATH also for its libraries: the difference is left aside. */
  #own(item: Item, { searched }: Program): string[] {
    const origin = item.path.slice(0, item.path.lastIndexOf('/')) || '/'
    return searched.map((path) => path.replace(/\$(ORIGIN\b|\{ORIGIN\})/g, origin))
  }

  #find(library: string, { bits, machine }: Program, directories: readonly string[]): Item | undefined {
    const paths = library.includes('/')
      ? [library]
      : directories.map((directory) => `${directory}/${library}`)
    for (const path of paths) {
      const item = this.#facts.file(path)
      const other = item && this.#facts.program(item)
      if (other?.bits === bits && other.machine === machine) return item
    }
    return undefined
  }
}
