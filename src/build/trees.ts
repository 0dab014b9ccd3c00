/** Which kind of tree a stage gets: layers below an overlay where that can be mounted, files of a directory elsewhere. */

import { dirname } from 'node:path'
import { sizeOfLayers } from '../image/unpack.ts'
import { copyTree } from './copy.ts'
import { LayeredTree } from './layered-tree.ts'
import { mayStayPacked } from './mountable.ts'
import { PlainTree, unpackInto } from './plain-tree.ts'
import type { BuildTools } from './request.ts'
import { requireRoom } from './space.ts'
import type { StageTree } from './stage-tree.ts'
import type { FinishedStages, StageBase } from './steps.ts'
import { grantOwner } from './tree.ts'

/** Unpacked files take at least as much as packed ones. Scripts may remove most of them, a mere copy will not. */
function requireRoomFor(bytes: number, { isConversion, request, scratch }: BuildTools): void {
  const packed = isConversion && !request.sandbox ? bytes / 2 : 0
  requireRoom(dirname(scratch.path), dirname(request.target), { unpacked: bytes, packed })
}

async function unpackedTree(base: StageBase & { kind: 'packed' }, root: string, tools: BuildTools) {
  requireRoomFor((await sizeOfLayers(base.layers)).bytes, tools)
  await unpackInto(root, base.layers, tools)
  return new PlainTree(root, tools)
}

async function copiedTree(from: string, root: string, tools: BuildTools): Promise<StageTree> {
  const { scratch, facts, report, signal } = tools
  await copyTree(from, root, { scratch: scratch.path, ownership: facts.isRoot, report, signal })
  return new PlainTree(root, tools)
}

/** The tree of a stage that begins with `base`, in the empty directory `root`. */
export async function openTree(
  base: StageBase,
  root: string,
  stages: FinishedStages,
  tools: BuildTools,
): Promise<StageTree> {
  if (base.kind === 'directory') return new PlainTree(base.path, tools)
  switch (base.kind) {
    case 'packed':
      return mayStayPacked(tools)
        ? new LayeredTree(base.layers, root, tools)
        : await unpackedTree(base, root, tools)
    case 'stage':
      return await copiedTree((await stages.get(base.name)?.root()) ?? '', root, tools)
    case 'made': {
      const tree = new PlainTree(root, tools)
      await tree.take(base.step)
      if (tools.request.fixPermissions) grantOwner(root)
      return tree
    }
  }
}
