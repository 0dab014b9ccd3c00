/** Where the first files of an image come from: the word behind `Bootstrap:` and what fetches it. */

import { SingError, shown } from '../../core/errors.ts'
import { agents } from '../../definition/agents.ts'
import type { Stage } from '../../definition/types.ts'
import { shownAddress } from '../../store/http.ts'
import type { BuildTools } from '../request.ts'
import type { FoundBase, Step } from '../steps.ts'
import { checkArch, fetchArch } from './arch.ts'
import { fetchBusybox } from './busybox.ts'
import { checkDebootstrap, debootstrapMirror, fetchDebootstrap } from './debootstrap.ts'
import { checkDnf, fetchDnf } from './dnf.ts'
import { findLocalImage } from './image.ts'
import { checkReference, findReference, references } from './oci.ts'
import { checkFingerprints } from './signed.ts'
import { forgetMoment } from './times.ts'
import { checkZypper, fetchZypper } from './zypper.ts'

/** A JSON object of a SIF. */
export type Attachment = { readonly name: string; readonly data: Buffer }

/** What a stage begins with. */
export type SourceBase = FoundBase & {
  /** What comes on top of image files, and everything that decides it. */
  readonly addition?: { readonly identity: readonly string[]; readonly write: (root: string) => void }
}

/** Find the base that the header of the stage names. */
export type Source = (stage: Stage, tools: BuildTools) => Promise<SourceBase>

/** Fill the empty directory `root` with the base that the header of the stage names. */
export type Maker = (stage: Stage, root: string, tools: BuildTools) => Promise<void>

/** Variables that name more than the header does. */
const variables: Readonly<Record<string, readonly string[]>> = {
  yum: ['INCLUDE', 'GPG'],
  dnf: ['INCLUDE', 'GPG'],
  zypper: ['INCLUDE'],
}

/** The addresses of a header, for people. */
function mirrorsOf({ header }: Stage): string {
  const keys = Object.keys(header).filter((key) => /url\d?$/.test(key))
  return keys
    .sort()
    .map((key) => shownAddress(header[key] ?? ''))
    .join(' ')
}

/** How people know the base of a stage: `docker debian:12`. */
export function baseTitle({ header: { bootstrap = '', from, osversion = '' } }: Stage): string {
  return `${bootstrap} ${from ?? osversion}`.trim()
}

/** The same header makes the same base, as far as anybody can tell before. */
function made(make: Maker, mirrors: (stage: Stage, tools: BuildTools) => string = mirrorsOf): Source {
  return async (stage, tools) => {
    const { header, headerLines } = stage
    await tools.resolved.note(baseTitle(stage), () => mirrors(stage, tools))
    const step: Step = {
      title: baseTitle(stage),
      line: headerLines.bootstrap ?? 0,
      identity: async () => [
        ...['made', ...Object.entries(header).sort().flat()],
        tools.request.architecture ?? '',
        tools.request.reproducible ? String(tools.request.time) : '',
        ...(variables[header.bootstrap ?? ''] ?? []).map((name) => tools.environment[name] ?? ''),
      ],
      async run(root) {
        await make(stage, root, tools)
        forgetMoment(root, tools.request)
      },
    }
    return { base: { kind: 'made', step }, attachments: [], time: undefined }
  }
}

const nothing: Source = async () => ({
  base: { kind: 'packed', layers: [], identity: async () => ['nothing'] },
  attachments: [],
  time: undefined,
})

const sources: Readonly<Record<string, Source>> = {
  localimage: findLocalImage,
  scratch: nothing,
  debootstrap: made(fetchDebootstrap, debootstrapMirror),
  yum: made(fetchDnf),
  dnf: made(fetchDnf),
  zypper: made(fetchZypper),
  arch: made(fetchArch),
  busybox: made(fetchBusybox),
}

/** What a header can have wrong, seen before anything is fetched. */
const checks: Readonly<Record<string, (stage: Stage, name: string) => void>> = {
  localimage: checkFingerprints,
  oras: checkFingerprints,
  http: checkFingerprints,
  https: checkFingerprints,
  debootstrap: checkDebootstrap,
  yum: checkDnf,
  dnf: checkDnf,
  zypper: checkZypper,
  arch: checkArch,
}

/** Look at the header of a stage of the definition `name`. @throws SingError naming the line */
export function checkSource(stage: Stage, name: string): void {
  sourceOf(stage)
  checks[stage.header.bootstrap ?? '']?.(stage, name)
}

/** The source of a stage. @throws SingError UNSUPPORTED for one that this version cannot fetch */
export function sourceOf(stage: Stage): Source {
  const agent = stage.header.bootstrap ?? ''
  const source = Object.hasOwn(sources, agent) ? sources[agent] : undefined
  if (source) return source
  if (references.includes(agent)) {
    checkReference(stage)
    return findReference
  }
  const isKnown = agents.has(agent)
  throw new SingError(
    isKnown ? 'UNSUPPORTED' : 'DEFINITION',
    isKnown ? `building from ${agent} is not supported yet` : `"${shown(agent)}" is no source of images`,
    { hint: `Supported: ${[...Object.keys(sources), ...references].join(', ')}` },
  )
}
