/** What the tools of distributions have in common: package names of a header, addresses of mirrors, packages kept between builds. */

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { mistake, type Stage } from '../../definition/types.ts'
import { cacheRoot, folderOf } from '../../store/place.ts'
import { distrust } from '../../store/trusted.ts'
import type { BuildTools } from '../request.ts'

/** Names of packages, groups and files in a header, between blanks or commas. @throws SingError for what would be an option */
export function packageNames(text: string | undefined): string[] {
  const names = (text ?? '').split(/[\s,]+/).filter(Boolean)
  const option = names.find((name) => name.startsWith('-'))
  if (option === undefined) return names
  throw new SingError('DEFINITION', `Include: expected names of packages, got "${shown(option)}"`)
}

const placeholder = /%\{OSVERSION\}/gi

/** `OSVersion`, empty when there is none. @throws SingError DEFINITION when it cannot be the name or number of a release */
export function releaseOf(stage: Stage, example: string): string {
  const release = stage.header.osversion?.trim() ?? ''
  if (release === '' || /^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(release)) return release
  throw new SingError('DEFINITION', `OSVersion: expected the name of a release, got "${shown(release)}"`, {
    hint: `For example: OSVersion: ${example}`,
  })
}

/** An address of the header with the release in it; undefined when the header has none. */
export function addressOf(
  { header, headerLines }: Stage,
  key: string,
  release: string,
  name: string,
): string | undefined {
  const given = header[key]?.trim()
  if (!given) return undefined
  const line = headerLines[key] ?? 0
  const address = given.replaceAll(placeholder, release)
  if (/^[a-z][a-z0-9+.-]*:\S+$/i.test(address)) return address
  if (/^\/\S*$/.test(address)) return `file://${address}`
  throw mistake(name, line, `expected an address such as http://MIRROR/PATH, got "${given}"`)
}

/** Where packages are kept between builds; undefined when nothing is to be kept. */
export function packageCache(name: string, tools: BuildTools): string | undefined {
  const { environment, request, report } = tools
  if (!request.useCache) return undefined
  const root = cacheRoot(environment)
  if (root === undefined) return undefined
  const directory = join(root, folderOf('packages'), name)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    accessSync(directory, constants.W_OK)
    const danger = distrust(root)
    if (danger !== undefined) throw new Error(`it ${danger}`)
    return directory
  } catch (error) {
    report({ kind: 'verbose', text: `Packages are not cached: ${directory}: ${reasonOf(error)}` })
    return undefined
  }
}

const names = {
  debian: { arm: 'armhf', 386: 'i386', ppc64le: 'ppc64el', mips64le: 'mips64el', mipsle: 'mipsel' },
  rpm: { amd64: 'x86_64', arm64: 'aarch64', arm: 'armv7hl', 386: 'i686', loong64: 'loongarch64' },
  arch: { amd64: 'x86_64', arm64: 'aarch64', arm: 'armv7h', 386: 'i686', loong64: 'loong64' },
} as const

/** How a family of distributions calls an architecture. */
export function nameOfArchitecture(family: keyof typeof names, architecture: string): string {
  return (names[family] as Readonly<Record<string, string>>)[architecture] ?? architecture
}
