/** Images that are unpacked before they are started, because the user wants it or the machine cannot mount them. */

import type { Config } from '../config/load.ts'
import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import { unpackedLayers } from '../image/layers.ts'
import type { Image, Window } from '../image/open.ts'
import { canStack } from '../plan/driver.ts'
import type { LaunchRequest } from '../plan/request.ts'
import type { Unpacked } from '../runtime/unpacked.ts'
import type { Call, Flags } from './command.ts'

function refuseUnpacking({ path }: Image): never {
  throw new SingError('UNSUPPORTED', `--unsquash: ${path} is an ext3, which is only mounted`, {
    hint: 'Leave --unsquash out',
  })
}

/** @throws SingError UNSUPPORTED with --no-tmp-sandbox */
function requireUnpacking(flags: Flags, { path }: Image, reason: string): true {
  if (flags['no-tmp-sandbox'] !== true) return true
  throw new SingError('UNSUPPORTED', `cannot mount ${path}: ${reason} and --no-tmp-sandbox is given`, {
    hint: 'Ask the administrator for access to /dev/fuse (mode 0666), or leave --no-tmp-sandbox out',
  })
}

/** What is in it would lie on the disk for everybody who gets hold of that. */
function refuseDecrypting({ path }: Image): never {
  throw new SingError('UNSUPPORTED', `cannot mount ${path}: it is encrypted, and /dev/fuse cannot be used`, {
    hint: 'Ask the administrator for access to /dev/fuse (mode 0666), or unpack it, decrypted, for the time: --unsquash',
  })
}

/** A loop device begins at a multiple of a sector; in an OCI-SIF layers begin anywhere. */
const fitsLoop = ({ offset }: Window): boolean => offset % 512 === 0

/** Whether an image has to be unpacked before it can be started. @throws SingError UNSUPPORTED when it may not be */
export function mustUnpack(
  { flags }: Call,
  image: Image,
  request: LaunchRequest,
  config: Config,
  facts: HostFacts,
): boolean {
  const asked = flags.unsquash === true || flags['tmp-sandbox'] === true
  if ('directory' in image.rootfs) return false
  if (image.rootfs.filesystem === 'ext3') return asked && refuseUnpacking(image)
  if (asked) return true
  if (image.encryption && !facts.fuse) refuseDecrypting(image)
  const layers = unpackedLayers(image)
  if (layers.length > 1 && !canStack(request, config, facts))
    return requireUnpacking(flags, image, 'its layers cannot be put over each other')
  const loops = facts.isRoot && !facts.inUserNamespace && facts.loop
  if (facts.fuse || (loops && layers.every(fitsLoop))) return false
  return requireUnpacking(flags, image, '/dev/fuse cannot be used')
}

/** Where SingularityCE unpacks images for who names no other place. */
const localCache = (environment: Call['context']['environment']): string | undefined =>
  ['SING', 'APPTAINER', 'SINGULARITY']
    .map((prefix) => environment[`${prefix}_LOCALCACHEDIR`])
    .find((path) => path)

/** Unpack an image to where the user wants temporary files. */
export async function unpack({ flags, context }: Call, image: Image, signal: AbortSignal): Promise<Unpacked> {
  const { unpackImage } = await import('../runtime/unpacked.ts')
  const asked = typeof flags.tmpdir === 'string' ? flags.tmpdir : ''
  const parent = asked || localCache(context.environment) || context.environment.TMPDIR || '/tmp'
  context.report({ kind: 'info', text: `Unpacking ${image.name} to a temporary sandbox in ${parent}` })
  return unpackImage(image, parent, { report: context.report, signal })
}
