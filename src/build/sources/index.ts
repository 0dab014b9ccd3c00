/** Where the first files of an image come from: the word behind `Bootstrap:` and what fetches it. */

import { SingError, shown } from '../../core/errors.ts'
import { agents } from '../../definition/agents.ts'
import type { Stage } from '../../definition/types.ts'
import type { BuildTools } from '../request.ts'
import type { FoundBase, Step } from '../steps.ts'
import { fetchBusybox } from './busybox.ts'
import { fetchDebootstrap } from './distro.ts'
import { findLocalImage } from './image.ts'
import { checkReference, findReference, references } from './oci.ts'

/** A JSON object of a SIF. */
export type Attachment = { readonly name: string; readonly data: Buffer }

/** What a source tells about the base that it put into the root file system. */
export type Base = {
  /** JSON objects of the base's SIF that its descendants carry on. */
  readonly attachments: readonly Attachment[]
  /** When the base was made, in seconds since 1970; undefined when it is made just now. */
  readonly time: number | undefined
}

/** What a stage begins with. */
export type SourceBase = FoundBase & {
  /** What comes on top of image files, and everything that decides it. */
  readonly addition?: { readonly identity: readonly string[]; readonly write: (root: string) => void }
}

/** Find the base that the header of the stage names. */
export type Source = (stage: Stage, tools: BuildTools) => Promise<SourceBase>

/** Fill the empty directory `root` with the base that the header of the stage names. */
export type Maker = (stage: Stage, root: string, tools: BuildTools) => Promise<Base>

/** The same header makes the same base, as far as anybody can tell before. */
function made(make: Maker): Source {
  return async (stage, tools) => {
    const { header, headerLines } = stage
    const { bootstrap = '', osversion = '' } = header
    const step: Step = {
      title: `${bootstrap} ${osversion}`.trim(),
      line: headerLines.bootstrap ?? 0,
      identity: async () => ['made', ...Object.entries(header).sort().flat()],
      async run(root) {
        await make(stage, root, tools)
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
  debootstrap: made(fetchDebootstrap),
  busybox: made(fetchBusybox),
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
