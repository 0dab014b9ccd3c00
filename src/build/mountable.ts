/** Whether the trees of a build may be mounted layers. */

import type { BuildTools } from './request.ts'

/** What is to stay as files needs unpacked ones, and so does what changes every file. */
export function mayStayPacked({ request, facts, ownMounts }: BuildTools): boolean {
  const { sandbox, fixPermissions, keepScratch } = request
  const canMount = ownMounts && facts.fuse && facts.overlayInUserNamespace
  return canMount && !sandbox && !fixPermissions && !keepScratch
}
