/**
 * References to images, `docker://alpine:3.20` and all other kinds: read, printed in full, and turned into file names.
 * (distribution specification 1.1; the grammar of docker/distribution.)
 */

import { SingError, shown } from '../core/errors.ts'
import { platformOfNamespace } from './platform.ts'
import type { Digest, Platform } from './types.ts'

/** In a registry. The digest wins over the tag; without both the tag is `latest`. */
export type RegistryReference = {
  readonly kind: 'docker' | 'oras'
  /** Host, and port where one is given: `registry.example:5000`, `[::1]:5000`; Docker Hub is `docker.io`. */
  readonly registry: string
  /** `library/alpine` */
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: Digest | undefined
  /** What a repository for one architecture holds (`docker://arm64v8/alpine`): wanted when no flag says otherwise. */
  readonly platform: Platform | undefined
}

/** A directory or an archive in the format of OCI. */
export type LayoutReference = {
  readonly kind: 'oci' | 'oci-archive'
  readonly path: string
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

/** What `docker save` wrote. */
export type ArchiveReference = {
  readonly kind: 'docker-archive'
  readonly path: string
  /** `app:1`; undefined when the archive holds only one. */
  readonly image: string | undefined
}

export type DaemonReference = {
  readonly kind: 'docker-daemon'
  /** `app:1`, or `sha256:` and the number of the image. */
  readonly image: string
}

export type Reference = RegistryReference | LayoutReference | ArchiveReference | DaemonReference

/** The registry of references that name none. */
export const dockerHub = 'docker.io'
const hubNames = [dockerHub, 'index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']

const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const repositoryPattern =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const hostPattern =
  /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?)(?::([0-9]{1,5}))?$/
const longest = 4096

/** A digest of a kind whose number can be computed here, in its canonical form. */
export const isDigest = (text: string): boolean => digestPattern.test(text)

const kinds = ['docker', 'oras', 'oci', 'oci-archive', 'docker-archive', 'docker-daemon'] as const
type Kind = (typeof kinds)[number]

const isKind = (word: string): word is Kind => (kinds as readonly string[]).includes(word)

/** Whether the text begins as a reference of one of the kinds here does: `docker:`, `oci-archive:` and so on. */
export const isReference = (text: string): boolean => isKind(text.slice(0, Math.max(0, text.indexOf(':'))))

const wrong = (text: string, reason: string, hint?: string): SingError =>
  new SingError('REFERENCE', `${shown(withoutSecrets(text))}: ${reason}`, { hint })

/** A password that somebody typed into a reference stays out of messages. */
const withoutSecrets = (text: string): string => text.replace(/(\/\/|^)[^/@]*:[^/@]*@(?!sha\d+:)/, '$1...@')

/**
 * Read a reference.
 * @throws SingError REFERENCE telling what is wrong with it
 */
export function parseReference(text: string): Reference {
  const colon = text.indexOf(':')
  const kind = text.slice(0, Math.max(0, colon))
  if (!isKind(kind)) throw wrong(text, `it is no reference to an image`, `Known: ${kinds.join(':, ')}:`)
  if (text.length > longest) throw wrong(text.slice(0, 80), 'it is too long')
  const rest = text.slice(colon + 1).replace(/^\/\//, '')
  if (rest === '') throw wrong(text, 'it names no image')
  switch (kind) {
    case 'docker':
    case 'oras':
      return registryReference(kind, rest, text)
    case 'oci':
    case 'oci-archive':
      return layoutReference(kind, rest, text)
    case 'docker-archive':
      return archiveReference(rest, text)
    case 'docker-daemon':
      return { kind, image: daemonImage(rest, text) }
  }
}

type Parts = { name: string; tag: string | undefined; digest: Digest | undefined }

/** `name:tag@digest`, both optional. The colon of a port is followed by a slash. */
function splitName(rest: string, text: string): Parts {
  const at = rest.indexOf('@')
  const digest = at < 0 ? undefined : rest.slice(at + 1)
  if (digest !== undefined && !isDigest(digest))
    throw wrong(text, `"${shown(digest)}" is no digest`, 'A digest is sha256: and 64 digits of 0-9a-f')
  const named = at < 0 ? rest : rest.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : named.slice(colon + 1)
  if (tag !== undefined && !tagPattern.test(tag))
    throw wrong(text, `"${shown(tag)}" is no tag`, 'A tag has letters, digits, dots, hyphens and underscores')
  return { name: colon < 0 ? named : named.slice(0, colon), tag, digest }
}

/** What stands before the first slash is a host when it could be no name of a repository. */
const isHost = (part: string): boolean =>
  part === 'localhost' || /[.:]/.test(part) || part !== part.toLowerCase()

/** Registry and repository, as they stand there. */
function splitRegistry(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(0, slash))
  const given = first !== '' && isHost(first)
  const registry = given ? first.toLowerCase() : dockerHub
  return {
    registry: hubNames.includes(registry) ? dockerHub : registry,
    repository: given ? name.slice(slash + 1) : name,
  }
}

/** Official images of Docker Hub have a name of one word. */
const fullRepository = (registry: string, repository: string): string =>
  registry === dockerHub && !repository.includes('/') ? `library/${repository}` : repository

function registryReference(kind: 'docker' | 'oras', rest: string, text: string): RegistryReference {
  if (/^[^/]*@[^/]*\//.test(rest))
    throw wrong(text, 'it holds no user or password', 'Log in instead: sing registry login')
  const { name, tag, digest } = splitName(rest, text)
  const { registry, repository: given } = splitRegistry(name)
  checkRegistry(registry, text)
  checkRepository(given, text)
  const repository = fullRepository(registry, given)
  const [namespace = ''] = repository.split('/')
  const platform = kind === 'docker' && repository.includes('/') ? platformOfNamespace(namespace) : undefined
  return { kind, registry, repository, tag: tag ?? (digest ? undefined : 'latest'), digest, platform }
}

function checkRegistry(registry: string, text: string): void {
  const port = hostPattern.exec(registry)
  if (!port || Number(port[1] ?? 1) > 65535 || Number(port[1] ?? 1) === 0)
    throw wrong(text, `"${shown(registry)}" is no host of a registry`, 'A registry is host or host:port')
}

function checkRepository(repository: string, text: string): void {
  if (repositoryPattern.test(repository) && repository.length <= 255) return
  const small = repository.toLowerCase()
  throw wrong(
    text,
    `"${shown(repository)}" is no name of a repository`,
    repositoryPattern.test(small)
      ? `Names are in small letters: ${small}`
      : 'For example docker://alpine:3.20',
  )
}

function layoutReference(kind: 'oci' | 'oci-archive', rest: string, text: string): LayoutReference {
  const [, before = rest, digest] = /^(.*)@(sha(?:256|512):[^/]*)$/s.exec(rest) ?? []
  if (digest !== undefined && !isDigest(digest)) throw wrong(text, `"${shown(digest)}" is no digest`)
  const { path, name } = splitPath(before, text)
  return { kind, path, tag: name, digest }
}

function archiveReference(rest: string, text: string): ArchiveReference {
  const { path, name } = splitPath(rest, text)
  return { kind: 'docker-archive', path, image: name === undefined ? undefined : daemonImage(name, text) }
}

/** The first colon ends the path, as the peers have it. */
function splitPath(rest: string, text: string): { path: string; name: string | undefined } {
  const colon = rest.indexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const name = colon < 0 ? undefined : rest.slice(colon + 1)
  if (path === '') throw wrong(text, 'it names no path')
  if (name === '') throw wrong(text, 'a name follows the colon behind the path')
  if (/[\0\n]/.test(rest)) throw wrong(text, 'it holds a control character')
  return { path, name }
}

/** `name:tag` in the short form that Docker prints; `latest` where no tag is told. An image by its number stays. */
function daemonImage(rest: string, text: string): string {
  if (isDigest(rest)) return rest
  const { registry, repository, tag, digest } = registryReference('docker', rest, text)
  const name = registry === dockerHub ? repository.replace(/^library\//, '') : `${registry}/${repository}`
  return digest ? `${name}@${digest}` : `${name}:${tag}`
}

/** The short form of a name in an archive or a daemon; what cannot be read stays as it is. */
export function imageName(name: string): string {
  try {
    return daemonImage(name, name)
  } catch {
    return name
  }
}

/** The part that picks an image: `@sha256:...`, or `:tag`. */
const suffix = ({ tag, digest }: { tag: string | undefined; digest: Digest | undefined }): string => {
  if (digest !== undefined) return `@${digest}`
  return tag === undefined ? '' : `:${tag}`
}

/** The reference in full: `docker://docker.io/library/alpine:latest`. */
export function showReference(reference: Reference): string {
  switch (reference.kind) {
    case 'docker':
    case 'oras':
      return `${reference.kind}://${reference.registry}/${reference.repository}${suffix(reference)}`
    case 'oci':
    case 'oci-archive':
      return `${reference.kind}:${reference.path}${suffix(reference)}`
    case 'docker-archive':
      return `docker-archive:${reference.path}${reference.image ? `:${reference.image}` : ''}`
    case 'docker-daemon':
      return `docker-daemon:${reference.image}`
  }
}

/** The reference as images tell of it that are built on this one: for registries the name alone, and no path of somebody's machine. */
export function baseReference(reference: Reference): string {
  const isFile = 'path' in reference
  const shown = showReference(isFile ? { ...reference, path: baseName(reference.path) } : reference)
  return shown.replace(/^docker:\/\//, '')
}

const baseName = (path: string): string => path.replace(/\/+$/, '').split('/').at(-1) ?? ''

/** What a definition says of the image that it began with: without tag and digest, and no path of somebody's machine. */
export function originOf(reference: Reference): { agent: string; from: string } {
  const agent = reference.kind
  switch (reference.kind) {
    case 'docker':
    case 'oras':
      return { agent, from: `${reference.registry}/${reference.repository}` }
    case 'docker-daemon':
      return { agent, from: isDigest(reference.image) ? '' : reference.image.replace(/(@.*|:[^:/]*)$/, '') }
    default:
      return { agent, from: baseName(reference.path) }
  }
}

/** Characters that a file name should not have become underscores. */
const plain = (text: string): string => text.replace(/[/\s:\0]/g, '_')

const sifName = (name: string, tag: string): string => `${plain(name)}_${plain(tag)}.sif`

/**
 * The file that `pull` writes when it is told none: `alpine_3.20.sif`; `alpine@sha256_<number>.sif` where a digest alone
 * picks the image.
 */
export function fileNameOf(reference: Reference): string {
  switch (reference.kind) {
    case 'docker':
    case 'oras':
      return layoutName(baseName(reference.repository), reference)
    case 'oci':
    case 'oci-archive':
      return layoutName(baseName(reference.path), {
        ...reference,
        tag: reference.tag && baseName(reference.tag),
      })
    case 'docker-archive':
      return reference.image ? imageFile(reference.image) : sifName(baseName(reference.path), 'latest')
    case 'docker-daemon':
      return imageFile(reference.image)
  }
}

function layoutName(
  name: string,
  { tag, digest }: { tag: string | undefined; digest: Digest | undefined },
): string {
  if (tag === undefined && digest !== undefined)
    return sifName(`${name}@${digest.slice(0, 6)}`, digest.slice(7))
  return sifName(name, tag ?? 'latest')
}

function imageFile(image: string): string {
  if (isDigest(image)) return sifName(...(image.split(':') as [string, string]))
  const [, name = image, tag = 'latest'] = /^(.*?):([^:]*)$/.exec(baseName(image)) ?? []
  return sifName(name, tag)
}

/** The file that an address on the web is loaded into; undefined when the address tells none. */
export function fileNameOfAddress(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  return new URL(address).pathname.split('/').at(-1) || undefined
}
