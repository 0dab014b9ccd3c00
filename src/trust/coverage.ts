/** What signatures do not cover: said along with every verdict, so that nobody takes it for more than it is. */

import { architectureName, typeName } from '../sif/details.ts'
import { dataTypes, partitionKinds, type SifObject } from '../sif/format.ts'
import { gapsOf } from '../sif/layout.ts'
import type { Sif } from '../sif/read.ts'
import type { SignatureFinding } from './types.ts'

/** What the format leaves unprotected in every image. */
const always: readonly string[] = [
  'in the header: architecture, times, counts, and where table and data lie',
  'in descriptors: the number of the first object, the number of the group, where the data lies, its size with padding, and the time of change',
  'in signatures: all of their descriptors but link and signer; padding and checksum in their text',
  'empty places in the table, and bytes that belong to no object',
]

/** Of objects that no signature is about; a file can have thousands. */
const mostTold = 20

/** What of this image was not covered, a sentence each. */
export function uncoveredBy(
  sif: Sif,
  findings: readonly SignatureFinding[],
  { all = false, legacy = false }: { all?: boolean; legacy?: boolean } = {},
): string[] {
  return [
    ...objectsLeftOut(sif, findings),
    ...(legacy ? ['all of header and descriptors: names, types, sizes, groups and links'] : []),
    ...otherArchitecture(sif),
    ...otherCounts(sif),
    ...bytesBehind(sif),
    ...(all ? always : []),
  ]
}

function objectsLeftOut({ objects }: Sif, findings: readonly SignatureFinding[]): string[] {
  const holding = findings.filter(({ problem }) => problem === undefined)
  const covered = new Set([
    ...holding.map(({ id }) => id),
    ...holding.flatMap((finding) => finding.objects.map(({ id }) => id)),
  ])
  const left = objects.filter(({ id }) => !covered.has(id))
  const told = left
    .slice(0, mostTold)
    .map((object) => `object ${object.id} (${typeName(object.dataType)}): ${reasonFor(object, findings)}`)
  return left.length > told.length ? [...told, `${left.length - told.length} more objects`] : told
}

function reasonFor({ id, dataType }: SifObject, findings: readonly SignatureFinding[]): string {
  const isKnown = findings.some((finding) => finding.id === id)
  if (dataType === dataTypes.signature)
    return isKnown ? 'a signature that does not hold' : 'a signature nobody looked at'
  return 'no signature that holds is about it'
}

/** The architecture of the partition is signed; the one of the header decides nothing here, but elsewhere it may. */
function otherArchitecture({ header, objects }: Sif): string[] {
  const primary = objects.find(({ partition }) => partition?.kind === partitionKinds.primary)
  if (!primary?.partition || primary.partition.arch === header.arch) return []
  const [said, signed] = [header.arch, primary.partition.arch].map(architectureName)
  return [`the architecture in the header, ${said}: the root file system is for ${signed}`]
}

function otherCounts({ header, objects }: Sif): string[] {
  const used = header.total - header.free
  return used === objects.length
    ? []
    : [`the counts in the header: it says ${used} objects, there are ${objects.length}`]
}

function bytesBehind(sif: Sif): string[] {
  const last = layoutGaps(sif).at(-1)
  if (!last || last.end < sif.fileSize) return []
  return [`${last.end - last.offset} bytes at the end of the file, ${last.what}`]
}

/** An odd layout was refused already; of it there is nothing to say here. */
function layoutGaps(sif: Sif) {
  try {
    return gapsOf(sif)
  } catch {
    return []
  }
}
