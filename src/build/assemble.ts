/** The last step: a finished root file system becomes a SIF file or takes its place as a sandbox. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { inspectJson, readAttributes } from '../image/contents.ts'
import { unlockNew } from '../image/encryption.ts'
import type { Window } from '../image/open.ts'
import { packedIn } from '../image/packed.ts'
import { type PackOptions, packDirectory } from '../native/addon.ts'
import { partitionExtra, sealedKeyExtra } from '../sif/details.ts'
import { architectureCode, dataTypes, filesystems, partitionKinds } from '../sif/format.ts'
import { SifWriter, type Slot } from '../sif/write.ts'
import { packing, standard } from './compression.ts'
import { copyTree } from './copy.ts'
import type { BuildTools } from './request.ts'
import type { Tree } from './sandbox.ts'
import { addSbom } from './sbom.ts'
import type { Attachment } from './sources/index.ts'
import { makePartial, putInPlace } from './target.ts'
import { dropSetIds, removeTree } from './tree.ts'

export type Assembly = {
  readonly tree: Tree
  /** The directory in which the image says what it is; the tree itself, or what replaces a part of it. */
  readonly described: string
  readonly definitionText: string
  /** Go name. */
  readonly architecture: string
  readonly attachments: readonly Attachment[]
  /** What of the tree lies somewhere packed. */
  readonly base: PackOptions['base']
  /** Permissions of the new file. */
  readonly mode: number
  /** Seconds since 1970 for everything in a reproducible image; undefined: real times. */
  readonly time: number | undefined
}

/** The JSON objects of the image in the order of their names, the way other runtimes write them. */
async function jsonObjects({ described, attachments }: Assembly): Promise<readonly Attachment[]> {
  const inspect = Buffer.from(inspectJson(await readAttributes(described)))
  const objects = [...attachments, { name: 'inspect-metadata.json', data: inspect }]
  return objects.sort((one, other) => (one.name < other.name ? -1 : 1))
}

/**
 * What is as it was below is copied as it lies there, and not packed anew: not where the same bytes are to come from everywhere,
 * and not when the caller asks for a compression of its own.
 */
function baseOf({ base, time }: Assembly, { request }: BuildTools): Pick<PackOptions, 'base'> {
  const repack = request.packing.compression !== standard || time !== undefined
  return base ? { base: { ...base, repack } } : {}
}

/** Pack the tree into a place of the new file. Resolves with its size. */
export async function packTree(slot: Slot, assembly: Assembly, tools: BuildTools): Promise<number> {
  const { request, facts, encryption, report, signal } = tools
  const { allRoot } = request.packing
  const { root, exclude, extra: entries } = assembly.tree
  const { size } = await packDirectory(root, {
    exclude,
    extra: entries,
    ...baseOf(assembly, tools),
    fd: slot.fd,
    offset: slot.offset,
    ...packing(request.packing),
    report,
    signal,
    // To a plain user all files of an unpacked image belong, whoever owned them, but for those with a note of that.
    ...(allRoot || !facts.isRoot ? { owner: { uid: 0, gid: 0, unlessKnown: !allRoot } } : {}),
    ...(assembly.time === undefined ? {} : { time: assembly.time }),
    ...(encryption ? { encryption: encryption.packer } : {}),
  })
  return size
}

async function packRoot(writer: SifWriter, assembly: Assembly, tools: BuildTools): Promise<void> {
  const { encryption } = tools
  const extra = partitionExtra(
    encryption ? filesystems.gocryptfs : filesystems.squashfs,
    partitionKinds.primary,
    architectureCode(assembly.architecture),
  )
  const slot = await writer.slot({ dataType: dataTypes.partition, extra })
  const size = await packTree(slot, assembly, tools)
  const id = slot.finish(size)
  if (encryption?.message) await addMessage(writer, id, encryption.message)
  if (tools.request.sbom)
    await addSbom(writer, await readable(slot, size, tools), tools.request, tools.report)
}

/** What was just packed, for who reads it. */
async function readable(slot: Slot, size: number, { encryption }: BuildTools): Promise<Window> {
  const packed = packedIn(slot, size)
  if (!encryption) return packed
  return { ...packed, key: await unlockNew(encryption)({ path: packed.file, ...packed }) }
}

/** The passphrase that only the owner of a key reads, beside the file system that it opens. */
async function addMessage(writer: SifWriter, id: number, data: Buffer): Promise<void> {
  const link = { kind: 'object', id } as const
  await writer.add({ dataType: dataTypes.cryptoMessage, link, extra: sealedKeyExtra(), data })
}

/** What is whole, and has no name yet, as --check sees it. */
export async function examine(path: string, tools: BuildTools): Promise<void> {
  const { examine: look, encryption, signal } = tools
  await look?.(path, encryption && unlockNew(encryption))
  signal.throwIfAborted()
}

/** Write the SIF: definition, JSON objects, root file system. It appears under its name only when it is whole. */
export async function assembleSif(assembly: Assembly, tools: BuildTools): Promise<void> {
  const { mode, time, definitionText } = assembly
  await using writer = await SifWriter.create(tools.request.target, {
    mode,
    ...(time === undefined ? {} : { id: '', time }),
  })
  await writer.add({ dataType: dataTypes.definition, data: Buffer.from(definitionText) })
  for (const { name, data } of await jsonObjects(assembly)) {
    await writer.add({ dataType: dataTypes.genericJson, name, data })
  }
  await packRoot(writer, assembly, tools)
  tools.signal.throwIfAborted()
  await writer.commit((path) => examine(path, tools))
}

/** Put the root file system into the target's place; across file systems a copy of it. */
export async function assembleSandbox(root: string, tools: BuildTools): Promise<void> {
  const { request, facts, report, signal, scratch } = tools
  const { target } = request
  await examine(root, tools)
  // Files of root belong to the user now: whoever may enter the sandbox could become the user.
  if (!facts.isRoot) dropSetIds(root)
  if (putInPlace(root, target, report)) return
  const partial = makePartial(target)
  try {
    const tree = join(partial, 'new')
    mkdirSync(tree, { mode: 0o755 })
    await copyTree(root, tree, { scratch: scratch.path, ownership: facts.isRoot, report, signal })
    putInPlace(tree, target, report)
  } finally {
    removeTree(partial)
  }
}
