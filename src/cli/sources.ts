/** What a request names on the host besides the image, looked up: binds, images of data, overlays. */

import { statSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { openDataImage } from '../image/data.ts'
import { openOverlay } from '../image/overlay.ts'
import type { Bind } from '../plan/binds.ts'
import type { LaunchRequest } from '../plan/request.ts'

/** Look up the file systems of image files that binds name with image-src or id. */
export async function withDataImages(request: LaunchRequest): Promise<LaunchRequest> {
  const look = async (bind: Bind): Promise<Bind> => {
    if (bind.imageSource === undefined && bind.objectId === undefined) return bind
    return { ...bind, window: await openDataImage(bind.source, bind.objectId) }
  }
  return { ...request, binds: await Promise.all(request.binds.map(look)) }
}

/** Look up what --overlay names. */
export function withOverlays(request: LaunchRequest): LaunchRequest {
  const overlays = request.overlays.map((overlay) => ({
    ...overlay,
    layers: openOverlay(overlay.path, overlay.readonly),
  }))
  return { ...request, overlays }
}

/** Whatever else is wrong with it is told when it is bound. */
function isAbsent(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

function refuseAbsent({ source, destination }: Bind): never {
  throw new SingError(
    'BIND',
    `cannot bind ${shown(source)} at ${shown(destination)}: no such file or directory`,
    {
      hint: `Where it may be missing: --bind ${shown(source)}:${shown(destination)}:optional`,
    },
  )
}

/** Optional binds whose source the host does not have are left out; without other sources nothing is started. */
export function withoutAbsent(request: LaunchRequest, { userBinds }: Config, report: Report): LaunchRequest {
  const isThere = (bind: Bind): boolean => {
    const { optional, source, destination } = bind
    if (!isAbsent(source)) return true
    if (!optional) return !userBinds || refuseAbsent(bind)
    report({ kind: 'verbose', text: `${source} does not exist and is not bound at ${destination}` })
    return false
  }
  return { ...request, binds: request.binds.filter(isThere) }
}
