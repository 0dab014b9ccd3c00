/** Platforms: the names that people type, and what runs on what. */

import { SingError, shown } from '../core/errors.ts'
import type { Platform } from './types.ts'

/** Names of architectures beside Go's own, of kernels, distributions and Docker Hub. */
const aliases: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  x64: 'amd64',
  i386: '386',
  i486: '386',
  i586: '386',
  i686: '386',
  x86: '386',
  aarch64: 'arm64',
  arm64v8: 'arm64/v8',
  armv8: 'arm64/v8',
  armhf: 'arm/v7',
  armv7: 'arm/v7',
  armv7l: 'arm/v7',
  arm32v7: 'arm/v7',
  armv6: 'arm/v6',
  armv6l: 'arm/v6',
  arm32v6: 'arm/v6',
  armel: 'arm/v5',
  armv5: 'arm/v5',
  arm32v5: 'arm/v5',
  ppc64el: 'ppc64le',
  powerpc64le: 'ppc64le',
  mipsel: 'mipsle',
  mips64el: 'mips64le',
  loongarch64: 'loong64',
}

const architectures = [
  ...['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le'],
  ...['ppc64', 'ppc64le', 'riscv64', 's390x'],
]

/** Repositories of Docker Hub that hold the images of one architecture. */
const hubNamespaces = [
  ...['amd64', 'arm64', 'arm64v8', '386', 'i386', 'arm32v5', 'arm32v6', 'arm32v7'],
  ...['ppc64le', 's390x', 'riscv64', 'loong64'],
]

/** What programs of a variant run on, best first. (Go's GOARM; the levels of x86-64.) */
const variants: Readonly<Record<string, readonly string[]>> = {
  arm: ['v8', 'v7', 'v6', 'v5'],
  arm64: ['v8'],
  amd64: ['v4', 'v3', 'v2', 'v1'],
}

const part = /^[a-z0-9][a-z0-9._-]{0,63}$/

/** `linux/arm64/v8`. */
export const showPlatform = ({ os, architecture, variant }: Platform): string =>
  shown([os, architecture, ...(variant ? [variant] : [])].join('/'))

/** In Go's names: `linux/aarch64` is `linux/arm64`. */
export function normalizePlatform({ os, architecture, variant }: Platform): Platform {
  const name = architecture.toLowerCase()
  const [known = name, implied] = (Object.hasOwn(aliases, name) ? aliases[name] : name)?.split('/') ?? []
  const level = variant ? variant.toLowerCase().replace(/^(?=\d)/, 'v') : implied
  return { os: os.toLowerCase(), architecture: known, ...(level ? { variant: level } : {}) }
}

/** The namespace of Docker Hub for one architecture (`arm64v8/alpine`) tells a platform. */
export const platformOfNamespace = (name: string): Platform | undefined =>
  hubNamespaces.includes(name) ? normalizePlatform({ os: 'linux', architecture: name }) : undefined

const wrong = (flag: string, value: string, hint: string): SingError =>
  new SingError('USAGE', `--${flag} ${shown(value)}: there is no such platform`, { hint })

function checkedPlatform(platform: Platform, flag: string, value: string): Platform {
  const found = normalizePlatform(platform)
  if (found.os !== 'linux') throw wrong(flag, value, 'Containers of this machine are for linux')
  if (!architectures.includes(found.architecture))
    throw wrong(flag, value, `Known: ${architectures.join(', ')}`)
  if (found.variant !== undefined && !part.test(found.variant))
    throw wrong(flag, value, 'A variant looks like v7')
  return found
}

/** `linux/arm64/v8`, `linux/arm64`, and `arm64` alone. */
function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [os = '', architecture = '', variant] = parts.length === 1 ? ['linux', ...parts] : parts
  if (parts.length > 3 || parts.includes(''))
    throw wrong('platform', text, 'Expected os/architecture or os/architecture/variant: linux/arm64')
  return checkedPlatform({ os, architecture, ...(variant ? { variant } : {}) }, 'platform', text)
}

export type PlatformFlags = {
  readonly arch?: string | undefined
  readonly archVariant?: string | undefined
  readonly platform?: string | undefined
}

/**
 * The platform that the flags `--arch`, `--arch-variant` and `--platform` ask for; undefined when they ask for none.
 * @throws SingError USAGE for names that no platform has, and for flags that contradict one another
 */
export function requestedPlatform(flags: PlatformFlags, host: Platform): Platform | undefined {
  const { arch, archVariant: variant, platform } = flags
  if (platform !== undefined) {
    if (arch !== undefined || variant !== undefined)
      throw new SingError('USAGE', '--platform cannot be used with --arch or --arch-variant', {
        hint: 'One platform says it all: --platform linux/arm64/v8',
      })
    return parsePlatform(platform)
  }
  if (arch === undefined && variant === undefined) return undefined
  const architecture = arch ?? host.architecture
  const asked = checkedPlatform({ os: 'linux', architecture }, 'arch', architecture)
  return variant === undefined ? asked : checkedPlatform({ ...asked, variant }, 'arch-variant', variant)
}

/** Variants that suit, best first; undefined is an image that tells none. */
function suitableVariants({ architecture, variant }: Platform): (string | undefined)[] {
  const known = variants[architecture] ?? []
  // Nobody said what the processor can do: what all have comes first.
  if (!variant) return [undefined, ...(architecture === 'amd64' ? known.toReversed() : known)]
  return [...(known.includes(variant) ? known.slice(known.indexOf(variant)) : [variant]), undefined]
}

const unsaid: Platform = { os: 'linux', architecture: 'amd64' }

/** How well an image suits: 0 is best, undefined is not at all. */
export function suitability(offered: Platform | undefined, wanted: Platform): number | undefined {
  const has = normalizePlatform(offered ?? unsaid)
  const wants = normalizePlatform(wanted)
  if (has.os !== wants.os || has.architecture !== wants.architecture) return undefined
  const order = suitableVariants(wants)
  const place = order.indexOf(has.variant)
  if (place >= 0) return place
  return wants.variant ? undefined : order.length
}
