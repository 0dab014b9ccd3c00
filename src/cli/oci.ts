/** What --oci leaves to the image: where its command starts, and as whom. */

import type { Config } from '../config/load.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Image } from '../image/open.ts'
import { type ImageUser, readImageUser } from '../image/user.ts'
import { ociText } from '../plan/oci.ts'
import type { LaunchRequest } from '../plan/request.ts'
import type { Flags } from './command.ts'

/** The user that the image names; undefined when it names none, or the command line has another. */
async function userOf(image: Image, { fakeroot, security }: Flags): Promise<ImageUser | undefined> {
  const words = Array.isArray(security) ? security : []
  if (fakeroot === true || words.some((word) => word.startsWith('uid:'))) return undefined
  const user = ociText(image.oci, 'User')
  return user === '' ? undefined : await readImageUser(image, user)
}

/** The real root becomes somebody else as --security makes it so; others get ids by a namespace. */
async function asUser(
  request: LaunchRequest,
  imageUser: ImageUser,
  flags: Flags,
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  if (!facts.isRoot || request.userns || imageUser.uid === 0) return { ...request, imageUser }
  const words = Array.isArray(flags.security) ? flags.security : []
  const security = [...words, `uid:${imageUser.uid}`, `gid:${imageUser.gid}`]
  const { withSecurity } = await import('./security.ts')
  return { ...(await withSecurity(request, { ...flags, security }, facts, config)), imageUser }
}

/** @throws SingError for a user that the image names and does not know */
export async function withImageWishes(
  request: LaunchRequest,
  image: Image,
  flags: Flags,
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  const user = await userOf(image, flags)
  const directory = flags['no-compat'] === true ? '' : ociText(image.oci, 'WorkingDir')
  // One that is relative begins at the root.
  const placed =
    directory === '' ? request : { ...request, workingDirectory: `/${directory.replace(/^\/+/, '')}` }
  return user ? await asUser(placed, user, flags, facts, config) : placed
}
