/** Package URLs: names of packages that all tools know (github.com/package-url/purl-spec). */

import type { Package, System } from './types.ts'

/** A part of a package URL; a colon stands for itself. */
const encode = (text: string): string =>
  encodeURIComponent(text)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':')

/** Systems whose packages belong to a distribution, and what it is called where the tree does not say. */
const distributions: Readonly<Record<string, string>> = {
  deb: 'debian',
  rpm: '',
  apk: 'alpine',
  alpm: 'arch',
}

function namespaceAndName({ ecosystem, name }: Package, system: System | undefined): string[] {
  const usual = distributions[ecosystem]
  if (usual !== undefined)
    return [system?.id ?? usual, ecosystem === 'rpm' ? name : name.toLowerCase()].filter(Boolean)
  if (ecosystem === 'pypi') return [name.toLowerCase().replaceAll('_', '-')]
  if (ecosystem === 'conda') return [name.toLowerCase()]
  return ecosystem === 'npm' ? name.toLowerCase().split('/') : [name]
}

export function packageUrl(one: Package, system: System | undefined): string {
  const { ecosystem, version, architecture } = one
  const isOfSystem = Object.hasOwn(distributions, ecosystem)
  const release = system && [system.id, ...(system.version === undefined ? [] : [system.version])].join('-')
  const qualifiers = Object.entries({
    arch: isOfSystem ? architecture : undefined,
    distro: isOfSystem ? release : undefined,
    ...one.qualifiers,
  })
    .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
    .sort(([first], [second]) => (first < second ? -1 : 1))
    .map(([key, value]) => `${key}=${encode(value)}`)
  const path = namespaceAndName(one, system).map(encode).join('/')
  return `pkg:${ecosystem}/${path}@${encode(version)}${qualifiers.length > 0 ? `?${qualifiers.join('&')}` : ''}`
}
