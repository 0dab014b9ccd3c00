/** The document in the words of CycloneDX 1.6 (cyclonedx.org/docs/1.6/json). */

import { licenceOf, References } from './licences.ts'
import { packageUrl } from './purl.ts'
import { spdxTime } from './spdx.ts'
import type { Algorithm, Checksum, Found, Package, PackagedFile, Subject, System } from './types.ts'
import { Unique } from './unique.ts'

const hashNames: Readonly<Record<Algorithm, string>> = {
  MD5: 'MD5',
  SHA1: 'SHA-1',
  SHA256: 'SHA-256',
  SHA384: 'SHA-384',
  SHA512: 'SHA-512',
}

const hashes = (list: readonly Checksum[] | undefined) =>
  list?.length
    ? { hashes: list.map(({ algorithm, value }) => ({ alg: hashNames[algorithm], content: value })) }
    : {}

/** A licence of the list has its id, several are an expression; other words stay what they are. */
function licences(text: string | undefined) {
  if (text === undefined) return {}
  const { expression, unknown } = licenceOf(text, new References().refer)
  if (unknown.length > 0) return { licenses: [{ license: { name: text } }] }
  return { licenses: / /.test(expression) ? [{ expression }] : [{ license: { id: expression } }] }
}

function supplier(text: string | undefined) {
  const [, name = '', address] = /^([^<]*?)\s*(?:<([^>]*)>)?\s*$/.exec(text ?? '') ?? []
  if (name === '' && !address) return {}
  const contact = address && /^[^\s@<>]+@[^\s@<>]+$/.test(address) ? { contact: [{ email: address }] } : {}
  return { supplier: { ...(name ? { name } : {}), ...contact } }
}

/** `@scope/name` is a group and a name. */
function nameOf({ ecosystem, name }: Package) {
  const [, group, rest] = (ecosystem === 'npm' && /^(@[^/]+)\/(.+)$/.exec(name)) || []
  return group && rest ? { group, name: rest } : { name }
}

const fileComponent = ({ path, checksums, isChanged }: PackagedFile) => ({
  type: 'file',
  name: path,
  ...hashes(checksums),
  ...(isChanged ? { properties: [{ name: 'sing:changed', value: 'true' }] } : {}),
})

function component(one: Package, refs: Unique, system: System | undefined) {
  const { version, summary, homepage, download, place } = one
  const purl = packageUrl(one, system)
  const links = [
    ...(homepage ? [{ type: 'website', url: homepage }] : []),
    ...(download ? [{ type: 'distribution', url: download }] : []),
  ]
  return {
    type: 'library',
    'bom-ref': refs.of(purl, '#'),
    ...supplier(one.supplier),
    ...nameOf(one),
    version,
    ...(summary ? { description: summary } : {}),
    ...hashes(one.checksums),
    ...licences(one.licence),
    purl,
    ...(links.length > 0 ? { externalReferences: links } : {}),
    properties: [{ name: 'sing:place', value: place }],
    ...(one.files?.length ? { components: one.files.map(fileComponent) } : {}),
  }
}

export function cyclonedxDocument({ packages, system, notes }: Found, subject: Subject, id: string): unknown {
  const { name, time, version } = subject
  const timestamp = spdxTime(time)
  const tool = { type: 'application', name: 'sing', version }
  const refs = new Unique()
  const own = { type: 'operating-system', 'bom-ref': 'system' }
  const annotated = (text: string) => ({
    subjects: ['image'],
    annotator: { component: tool },
    timestamp,
    text,
  })
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${id}`,
    version: 1,
    metadata: {
      timestamp,
      tools: { components: [tool] },
      component: { type: 'container', 'bom-ref': 'image', name },
    },
    components: [
      ...(system
        ? [
            {
              ...own,
              name: system.id,
              ...(system.version ? { version: system.version } : {}),
              description: system.name,
            },
          ]
        : []),
      ...packages.map((one) => component(one, refs, system)),
    ],
    ...(notes.length > 0 ? { annotations: notes.map(annotated) } : {}),
  }
}
