/** Looks up the devices that a launch asks for, on the host and in the image. Loaded only when there are some. */

import type { Config } from '../config/load.ts'
import { cdiDirectories, readCdi } from '../host/cdi.ts'
import type { HostFacts } from '../host/facts.ts'
import { type Place, readGpu, readHpuDevices, readNamedLibraries } from '../host/gpu.ts'
import { readImageLibraries } from '../image/libraries.ts'
import type { Image } from '../image/open.ts'
import type { DeviceFacts, DeviceRequest } from '../plan/devices.ts'

/**
 * What the host has of the devices, and what the image has of their libraries.
 * @throws SingError for a list of libraries that cannot be read, and for a named library that is not there
 */
export async function readDevices(
  request: DeviceRequest,
  facts: HostFacts,
  config: Config,
  image: Image,
): Promise<DeviceFacts> {
  const place: Place = {
    root: '',
    environment: facts.environment,
    ldconfig: config.ldconfigPath || undefined,
  }
  const gpus = request.vendors.map((vendor) => readGpu(vendor, place))
  const libraries = readNamedLibraries(request.libraries, facts.cwd ?? '/')
  const directories = request.cdiDirectories.length > 0 ? request.cdiDirectories : cdiDirectories
  const cdi = request.names.length > 0 ? await readCdi(directories) : undefined
  const names = gpus.flatMap((gpu) => gpu.libraries.map(({ name }) => name))
  const needsImage = names.length > 0 || libraries.length > 0 || cdi !== undefined
  const inside = needsImage ? await readImageLibraries(image, names) : undefined
  return {
    gpus,
    libraries,
    ...(request.hpu ? { hpu: readHpuDevices(place) } : {}),
    ...(cdi ? { cdi } : {}),
    ...(inside ? { image: inside } : {}),
  }
}
