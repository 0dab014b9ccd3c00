/** The packages of a root file system, as a lock has them. */

import { posix } from 'node:path'
import type { Report } from '../../core/events.ts'
import type { Package } from '../../sbom/types.ts'
import type { Lock, Versions } from './diff.ts'

/** Where the packages of an environment lie, by the file that one of them is noted in. */
const placeOf = ({ place }: Package): string =>
  posix.dirname(/\.egg-info$/.test(place) ? place : posix.dirname(place))

/** The heading that a package comes below; undefined for those that a lock leaves out. */
function kindOf(one: Package): string | undefined {
  switch (one.ecosystem) {
    case 'deb':
      return 'dpkg'
    case 'alpm':
      return 'pacman'
    case 'apk':
    case 'rpm':
      return one.ecosystem
    case 'pypi':
      return `python ${placeOf(one)}`
    case 'conda':
      return `conda ${placeOf(one)}`
    case 'cran':
      return `R ${placeOf(one)}`
    case 'npm':
    case 'julia':
      return undefined
  }
}

/** What two of one name are told apart by. */
function nameOf({ ecosystem, name, architecture }: Package, isOneOfMany: boolean): string {
  // As PEP 503 compares them.
  if (ecosystem === 'pypi') return name.toLowerCase().replace(/[-_.]+/g, '-')
  return ecosystem === 'deb' && isOneOfMany ? `${name}:${architecture ?? ''}` : name
}

function versionOf({ ecosystem, version, architecture, qualifiers = {} }: Package): string {
  if (ecosystem === 'conda') return qualifiers.build ? `${version}-${qualifiers.build}` : version
  if (ecosystem !== 'rpm') return version
  return `${qualifiers.epoch ? `${qualifiers.epoch}:` : ''}${version}.${architecture ?? ''}`
}

function versions(packages: readonly Package[]): Versions {
  const byName = Map.groupBy(packages, ({ name }) => name)
  const found = new Map<string, string[]>()
  for (const one of packages) {
    const name = nameOf(one, (byName.get(one.name)?.length ?? 0) > 1)
    found.set(name, [...(found.get(name) ?? []), versionOf(one)])
  }
  // Several versions of one package may be installed, kernels for example.
  return Object.fromEntries([...found].map(([name, list]) => [name, [...new Set(list)].sort().join(' ')]))
}

/** Packages by kinds and places. */
export function lockedPackages(packages: readonly Package[]): Lock['packages'] {
  const kinds = Map.groupBy(packages, kindOf)
  return Object.fromEntries(
    [...kinds].flatMap(([kind, list]) => (kind === undefined ? [] : [[kind, versions(list)]])),
  )
}

/** The packages that are installed in a tree. */
export async function packagesIn(root: string, report: Report): Promise<Lock['packages']> {
  const { findPackages } = await import('../../sbom/document.ts')
  const { packages, notes } = await findPackages({ rootfs: { directory: root } }, { withFiles: false })
  for (const note of notes) report({ kind: 'warning', text: `The lock is not complete: ${note}` })
  return lockedPackages(packages)
}
