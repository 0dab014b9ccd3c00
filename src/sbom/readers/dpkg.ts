/** Packages of Debian and what comes from it: the status file of dpkg, or of images without dpkg a file for each. */

import type { Package, PackagedFile, Reader, Tree } from '../types.ts'
import { type Fields, line, named, paragraphs, webAddress } from './text.ts'

const lists = '/var/lib/dpkg'
const largestList = 256 * 1024 * 1024
const largestFile = 16 * 1024 * 1024
const largestCopyright = 1024 * 1024

const isInstalled = (fields: Fields): boolean => fields.get('status')?.endsWith(' installed') ?? true

/** Licences that the copyright file of a package names, where machines can read it (copyright-format 1.0). */
export function copyrightLicences(text: string): string | undefined {
  if (!/^Format:.*copyright-format/im.test(text.slice(0, 4096))) return undefined
  const found = [...text.matchAll(/^License:[ \t]*(\S.*)$/gim)]
    .flatMap(([, name]) => line(name, 256) ?? [])
    .filter((name) => /[a-z]/i.test(name))
  const each = [...new Set(found.map((name) => name.replace(/,\s*(?=and\b|or\b)/gi, ' ')))]
  if (each.length === 0) return undefined
  return each
    .map((name) => (each.length > 1 && /\bor\b|\|/i.test(name) ? `(${name})` : name))
    .sort()
    .join(' AND ')
}

/** `name (version)` of the source, whose name is its own where nothing else is said. */
function upstreamOf(fields: Fields): string | undefined {
  const [, name, version] = /^(\S+)(?:\s+\((.+)\))?$/.exec(fields.get('source') ?? '') ?? []
  return name && version ? `${name}@${version}` : name
}

function filesOf(tree: Tree, paths: readonly string[]): PackagedFile[] {
  const text =
    paths
      .map((path) => tree.read(path, largestFile))
      .find((bytes) => bytes !== undefined)
      ?.toString() ?? ''
  return [...text.matchAll(/^([0-9a-f]{32}) {2}(.+)$/gm)].map(([, value = '', path = '']) => ({
    path: `/${path.replace(/^(\.?\/)+/, '')}`,
    checksums: [{ algorithm: 'MD5', value }],
  }))
}

function packageOf(fields: Fields, place: string, tree: Tree): Package[] {
  const [name = '', architecture = ''] = [fields.get('package'), fields.get('architecture')]
  if (!isInstalled(fields) || name.includes('/')) return []
  const copyright = tree.read(`/usr/share/doc/${name}/copyright`, largestCopyright)?.toString() ?? ''
  const alone = place.startsWith(`${lists}/status.d/`)
  const sums = alone
    ? [`${place}.md5sums`]
    : [`${lists}/info/${name}.md5sums`, `${lists}/info/${name}:${architecture}.md5sums`]
  return named({
    ecosystem: 'deb',
    name,
    version: fields.get('version'),
    architecture: line(architecture, 64),
    licence: copyrightLicences(copyright),
    supplier: line(fields.get('maintainer'), 256),
    summary: line(fields.get('description')?.split('\n')[0]),
    homepage: webAddress(fields.get('homepage')),
    qualifiers: { upstream: upstreamOf(fields) },
    ...(tree.withFiles ? { files: filesOf(tree, sums) } : {}),
    place,
  })
}

export const dpkg: Reader = {
  what: 'the list of dpkg',
  matches: /^\/var\/lib\/dpkg\/status(\.d\/(?!.*\.md5sums$)[^/]+)?$/,
  limit: largestList,
  *read(bytes, path, tree) {
    for (const fields of paragraphs(bytes.toString())) yield* packageOf(fields, path, tree)
  },
}
