/** Where the first files of an image come from: the word behind `Bootstrap:` and what fetches it. */

import { SingError, shown } from '../../core/errors.ts'
import { agents } from '../../definition/agents.ts'
import type { Stage } from '../../definition/types.ts'
import type { Window } from '../../image/open.ts'
import type { BuildTools } from '../request.ts'
import { fetchBusybox } from './busybox.ts'
import { fetchDebootstrap } from './distro.ts'
import { fetchLocalImage } from './image.ts'
import { checkReference, fetchReference, references } from './oci.ts'

/** A JSON object of a SIF. */
export type Attachment = { readonly name: string; readonly data: Buffer }

/** What a source tells about the base that it put into the root file system. */
export type Base = {
  /** JSON objects of the base's SIF that its descendants carry on. */
  readonly attachments: readonly Attachment[]
  /** When the base was made, in seconds since 1970; undefined when it is made just now. */
  readonly time: number | undefined
  /** The image below the root file system, when that is an overlay, and the directory with all that is different. */
  readonly below?: { readonly image: Window; readonly changes: string }
}

/** Fill the empty directory `root` with the base that the header of the stage names. */
export type Source = (stage: Stage, root: string, tools: BuildTools) => Promise<Base>

const nothing: Source = async () => ({ attachments: [], time: undefined })

const sources: Readonly<Record<string, Source>> = {
  localimage: fetchLocalImage,
  scratch: nothing,
  debootstrap: fetchDebootstrap,
  busybox: fetchBusybox,
}

/** The source of a stage. @throws SingError UNSUPPORTED for one that this version cannot fetch */
export function sourceOf(stage: Stage): Source {
  const agent = stage.header.bootstrap ?? ''
  const source = Object.hasOwn(sources, agent) ? sources[agent] : undefined
  if (source) return source
  if (references.includes(agent)) {
    checkReference(stage)
    return fetchReference
  }
  const isKnown = agents.has(agent)
  throw new SingError(
    isKnown ? 'UNSUPPORTED' : 'DEFINITION',
    isKnown ? `building from ${agent} is not supported yet` : `"${shown(agent)}" is no source of images`,
    { hint: `Supported: ${[...Object.keys(sources), ...references].join(', ')}` },
  )
}
