/** What the user wants built, with every default settled, and what all steps of a build are given. */

import { resolve } from 'node:path'
import { SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { Stage } from '../definition/types.ts'
import type { HostFacts } from '../host/facts.ts'
import type { GpuFacts } from '../host/gpu.ts'
import type { NewEncryption } from '../image/encryption.ts'
import type { BaseImage } from '../image/labels.ts'
import type { Unlock } from '../image/open.ts'
import type { SbomOptions } from '../sbom/document.ts'
import type { Packing } from './compression.ts'
import type { StepCounter } from './counter.ts'
import type { Resolved } from './lock/resolved.ts'
import type { Scratch } from './scratch.ts'
import type { StepResults } from './step-results.ts'

/** Parts of a definition that `--section` can choose. */
const sectionNames = [
  'pre',
  'setup',
  'files',
  'post',
  'environment',
  'runscript',
  'startscript',
  'test',
  'labels',
  'help',
  'apps',
] as const
export type SectionName = (typeof sectionNames)[number]

export type BuildRequest = {
  /** Absolute path of the new image. */
  readonly target: string
  /** Definition file, image or reference, as typed. */
  readonly spec: string
  readonly sandbox: boolean
  /** An OCI-SIF instead of a SIF. */
  readonly asOciSif: boolean
  readonly update: boolean
  readonly force: boolean
  /** The specification is JSON. */
  readonly json: boolean
  readonly sections: ReadonlySet<SectionName>
  /** Run as root of a user namespace even where the work does not need it. */
  readonly fakeroot: boolean
  readonly ignoreSubids: boolean
  /** Nobody in the build can leave the supplementary groups of the caller. */
  readonly keepGroups: boolean
  readonly ignoreUserNamespaces: boolean
  readonly binds: readonly string[]
  readonly mounts: readonly string[]
  /** `%test` may write; the changes vanish. */
  readonly writableTest: boolean
  /** Give the owner read, write and passage rights to everything in the base. */
  readonly fixPermissions: boolean
  readonly buildArguments: readonly string[]
  readonly buildArgumentFile: string | undefined
  readonly warnUnusedArguments: boolean
  /** The stage of a Dockerfile that becomes the image; undefined: the last one. */
  readonly stage: string | undefined
  readonly packing: Packing
  /** Nobody opens the image without a key. */
  readonly encrypts: boolean
  readonly scratchParent: string | undefined
  readonly keepScratch: boolean
  /** What to do when a script fails: end, or let the person look around first. */
  readonly onError: 'stop' | 'shell'
  /** Go on with what a script left that failed in a shell. */
  readonly resume: boolean
  readonly useCache: boolean
  /** What the image is for, in Go's words; undefined when nobody said. */
  readonly architecture: string | undefined
  /** What was resolved is written beside the image, or compared with what is written there. */
  readonly lock: 'write' | 'check' | undefined
  /** Steps whose result is known are not run. */
  readonly takeKnown: boolean
  /** A step, by number or title, that runs although it is known, with all behind it. */
  readonly fromStep: string | undefined
  /** A bill of materials becomes an object of the image. */
  readonly sbom: SbomOptions | undefined
  readonly reproducible: boolean
  /** The time of a reproducible image, in seconds since 1970; undefined when it comes from the base. */
  readonly time: number | undefined
  /** Opens encrypted images that something is built on. */
  readonly unlock?: Unlock | undefined
}

/** An image in the cache. */
export type Obtained = {
  readonly path: string
  /** What it is in the words of OCI; undefined for files that are fetched as they are, and where nothing is built on it. */
  readonly image: BaseImage | undefined
}

export type Obtain = (reference: string, signal: AbortSignal) => Promise<Obtained>

/** Looks at a new image; `unlock` opens it when it is encrypted. */
export type Examine = (path: string, unlock?: Unlock) => Promise<void>

/** What every step of a build is given. */
export type BuildTools = {
  readonly request: BuildRequest
  readonly facts: HostFacts
  /** The caller's environment without marks of our own. */
  readonly environment: Readonly<Record<string, string>>
  /** Drivers of the host that sections can use. */
  readonly gpus: readonly GpuFacts[]
  readonly report: Report
  readonly steps: StepCounter
  readonly signal: AbortSignal
  readonly debug: boolean
  /** The name of the definition file, for messages. */
  readonly definitionName: string
  /** There is no definition: an image is taken as it is. */
  readonly isConversion: boolean
  /** The mount namespace is this process's own: what it mounts nobody else sees, and is gone with it. */
  readonly ownMounts: boolean
  /** The kernel mounts layers for this build. */
  readonly canMount: boolean
  /** What steps made, of this build and others; undefined where nothing is kept. */
  readonly results: StepResults | undefined
  /** The image that a reference names: in the cache, which has it now. */
  readonly obtain: Obtain
  /** Told what bases are. */
  readonly resolved: Pick<Resolved, 'note'>
  /** Sees the new image before it has its name, and may refuse it (--check). */
  readonly examine: Examine | undefined
  /** Keys of an image that is to be encrypted. */
  readonly encryption: NewEncryption | undefined
  /** The temporary directory of this build. */
  readonly scratch: Pick<Scratch, 'path' | 'directory' | 'hold'>
}

/** The choice of `--section`. `all` and `none` stand alone. @throws SingError USAGE naming an unknown section. */
export function parseSections(words: readonly string[]): ReadonlySet<SectionName> {
  const chosen = words.map((word) => word.trim().toLowerCase()).filter(Boolean)
  if (chosen.length === 0 || (chosen.length === 1 && chosen[0] === 'all')) return new Set(sectionNames)
  if (chosen.length === 1 && chosen[0] === 'none') return new Set()
  const refuse = (sentence: string): never => {
    const hint = `Sections: ${sectionNames.join(', ')}, all, none`
    throw new SingError('USAGE', `--section: ${sentence}`, { hint, status: 255 })
  }
  for (const word of chosen) {
    if (word === 'all' || word === 'none') refuse(`"${word}" cannot be given with other sections`)
    if (!(sectionNames as readonly string[]).includes(word)) refuse(`unknown section "${word}"`)
  }
  return new Set(chosen as SectionName[])
}

/** The stage with only the parts that `--section` chose. */
export function selectSections(stage: Stage, chosen: ReadonlySet<SectionName>): Stage {
  const sections = Object.fromEntries(
    Object.entries(stage.sections).filter(([name]) => chosen.has(name as SectionName)),
  )
  return {
    ...stage,
    sections,
    files: chosen.has('files') ? stage.files : [],
    apps: chosen.has('apps') ? stage.apps : [],
  }
}

/** Nobody chose some; --notest takes the test away. */
export function isEverySection(sections: ReadonlySet<SectionName>): boolean {
  return sectionNames.every((name) => name === 'test' || sections.has(name))
}

/** The path of the new image, absolute, links left alone. @throws SingError USAGE for an empty one. */
export function parseTarget(text: string): string {
  if (text.trim() === '') {
    throw new SingError('USAGE', 'the name of the new image is empty', { status: 255 })
  }
  return resolve(text)
}

/**
 * The moment that SOURCE_DATE_EPOCH names, in seconds since 1970 (reproducible-builds.org); undefined when unset.
 * @throws SingError USAGE when it is no number.
 */
export function parseEpoch(value: string | undefined): number | undefined {
  if (value === undefined || value.trim() === '') return undefined
  const time = Number(value)
  // Times in a squashfs are unsigned 32-bit numbers.
  if (!/^\d+$/.test(value.trim()) || time > 0xffffffff) {
    throw new SingError('USAGE', `SOURCE_DATE_EPOCH is "${value}", expected seconds since 1970`, {
      status: 255,
    })
  }
  return time
}
