/** What the trees of a build may be: mounted layers or files, kept or not. */

import { join } from 'node:path'
import { reasonOf } from '../core/errors.ts'
import { mountStack } from '../runtime/mounted.ts'
import type { BuildRequest, BuildTools } from './request.ts'

/** What is to stay as files, or changes every file. */
function isOfFiles({ fixPermissions, keepScratch, update }: BuildRequest): boolean {
  return fixPermissions || keepScratch || update
}

/** Whether what steps made is kept. An image that is taken as it is has none, and what is to be encrypted lies nowhere plain. */
export function keepsResults(request: BuildRequest, isDefinition: boolean): boolean {
  return isDefinition && request.useCache && !request.encrypts && !isOfFiles(request)
}

/** Whether the layers of a tree are mounted. */
export function staysPacked({ request, canMount, results }: BuildTools): boolean {
  return canMount && !isOfFiles(request) && (!request.sandbox || results !== undefined)
}

type Trial = Pick<BuildTools, 'facts' | 'ownMounts' | 'scratch' | 'report'>

/** Whether the kernel mounts layers, and takes what changes into the directory for temporary files. */
export async function canMountLayers({ facts, ownMounts, scratch, report }: Trial): Promise<boolean> {
  if (!ownMounts || !facts.fuse || !facts.overlayInUserNamespace) return false
  try {
    const at = scratch.directory('trial')
    const directory = join(scratch.path, 'trial.changes')
    using _trial = await mountStack([], { at, directory, allRoot: false, inUserNamespace: true })
    return true
  } catch (error) {
    report({ kind: 'debug', text: `trees are unpacked, because they cannot be mounted: ${reasonOf(error)}` })
    return false
  }
}
