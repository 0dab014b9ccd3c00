/** Which kind of tree a stage gets: layers below an overlay where that can be mounted, files of a directory elsewhere. */

import { dirname } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { SingError } from '../core/errors.ts'
import { sizeOfLayers } from '../image/unpack.ts'
import { baseAddress, type Way } from './address.ts'
import { copyTree } from './copy.ts'
import { LayeredTree } from './layered-tree.ts'
import { staysPacked } from './mountable.ts'
import { PlainTree, unpackInto } from './plain-tree.ts'
import type { BuildTools } from './request.ts'
import { requireRoom } from './space.ts'
import type { Keeping, StageTree } from './stage-tree.ts'
import type { FinishedStage, FinishedStages, StageBase } from './steps.ts'
import { grantOwner } from './tree.ts'

/** Unpacked files take at least as much as packed ones. Scripts may remove most of them, a mere copy will not. */
function requireRoomFor(bytes: number, { isConversion, request, scratch }: BuildTools): void {
  const packed = isConversion && !request.sandbox ? bytes / 2 : 0
  requireRoom(dirname(scratch.path), dirname(request.target), { unpacked: bytes, packed })
}

export function wayOf({ facts, request: { keepGroups: keepsGroups } }: BuildTools): Way {
  // With one id nobody ever can leave groups, and outside of user namespaces everybody can.
  if (facts.idsMapped === 1) return { ids: 'single' }
  return facts.inUserNamespace ? { ids: 'range', keepsGroups } : { ids: 'all' }
}

function keepingFrom(
  identity: readonly string[],
  tools: BuildTools,
  requireBase = async () => {},
): Keeping | undefined {
  const { results } = tools
  const way = wayOf(tools)
  return results && { results, way, address: baseAddress(way, identity), requireBase }
}

async function keepingOn(base: StageBase & { kind: 'packed' }, tools: BuildTools) {
  // What steps make of an encrypted image is not to lie in a cache.
  const isEncrypted = base.layers.some(({ key }) => key !== undefined)
  if (!tools.results || isEncrypted) return undefined
  const identity = await base.identity()
  return keepingFrom(identity, tools, async () => {
    if (isDeepStrictEqual(await base.identity(), identity)) return
    throw new SingError('BUILD', 'the image that the build began with was changed meanwhile', {
      hint: 'Build once more. To replace an image that others build on, rename the new one over it',
    })
  })
}

async function packedTree(base: StageBase & { kind: 'packed' }, root: string, tools: BuildTools) {
  const { layers } = base
  const keeping = await keepingOn(base, tools)
  if (staysPacked(tools)) return new LayeredTree(layers, root, keeping, tools)
  const fill = async () => {
    requireRoomFor((await sizeOfLayers(layers)).bytes, tools)
    await unpackInto(root, layers, tools)
  }
  return new PlainTree(root, fill, keeping, tools)
}

/** What a step makes of nothing. */
async function madeTree({ step }: StageBase & { kind: 'made' }, root: string, tools: BuildTools) {
  const keeping = keepingFrom(['nothing'], tools)
  const isLayered = keeping !== undefined && staysPacked(tools)
  const tree = isLayered
    ? new LayeredTree([], root, keeping, tools)
    : new PlainTree(root, async () => {}, keeping, tools)
  await tree.take(step)
  if (tools.request.fixPermissions) grantOwner(root)
  return tree
}

function copiedTree(stage: FinishedStage | undefined, root: string, tools: BuildTools): StageTree {
  const fill = async () => {
    const { scratch, facts, report, signal } = tools
    const from = (await stage?.files()) ?? ''
    await copyTree(from, root, { scratch: scratch.path, ownership: facts.isRoot, report, signal })
  }
  const keeping = stage?.address === undefined ? undefined : keepingFrom(['stage', stage.address], tools)
  return new PlainTree(root, fill, keeping, tools)
}

/** The tree of a stage that begins with `base`, in the empty directory `root`. */
export async function openTree(
  base: StageBase,
  root: string,
  stages: FinishedStages,
  tools: BuildTools,
): Promise<StageTree> {
  switch (base.kind) {
    case 'packed':
      return await packedTree(base, root, tools)
    case 'made':
      return await madeTree(base, root, tools)
    case 'stage':
      return stages.get(base.name)?.fork(root) ?? copiedTree(stages.get(base.name), root, tools)
    case 'directory':
      return new PlainTree(base.path, async () => {}, undefined, tools)
  }
}
