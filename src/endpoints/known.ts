/** What the files of site and user say together about endpoints: which there are, and which is used (pure). */

import { SingError, shown } from '../core/errors.ts'
import type { Credential, Endpoint, KeyserverEntry, RemoteDocument } from './document.ts'

/** A file that was read, of one level; the first of a level counts most. */
export type Source = {
  readonly file: string
  /** It is one of ours, and no peer's. */
  readonly isOurs: boolean
  readonly document: RemoteDocument
}

export type KnownEndpoint = Endpoint & {
  /** Where it stands. */
  readonly file: string
  /** The file that it stands in is ours. */
  readonly isOurs: boolean
}

export type KnownCredential = Credential & { readonly file: string; readonly isOurs: boolean }

export type Known = {
  readonly endpoints: readonly KnownEndpoint[]
  readonly active: KnownEndpoint | undefined
  readonly credentials: readonly KnownCredential[]
  /** What was left out, and why. */
  readonly warnings: readonly string[]
}

type Named = Map<string, KnownEndpoint>

/** Endpoints of the site have no token: everybody would have it. */
function siteEndpoints(sources: readonly Source[]): Named {
  const found: Named = new Map()
  for (const { file, isOurs, document } of sources) {
    for (const endpoint of document.endpoints) {
      if (found.has(endpoint.name)) continue
      found.set(endpoint.name, { ...endpoint, token: undefined, system: true, file, isOurs })
    }
  }
  return found
}

/** What a user adds to an endpoint of the site: a token, and key servers of their own, unless the site wants its alone. */
function withAdditions(site: KnownEndpoint, { isOurs }: Source, own: Endpoint, warn: (text: string) => void) {
  const isMoved = own.token !== undefined && own.uri !== '' && own.uri !== site.uri
  if (isMoved) {
    const text = `The endpoint ${shown(site.name)} has moved from ${shown(own.uri)} to ${shown(site.uri)}: the token for it is not sent there`
    warn(text)
  }
  const keyservers: readonly KeyserverEntry[] | undefined =
    isOurs && !site.exclusive ? own.keyservers : undefined
  return { ...site, token: isMoved ? undefined : own.token, ...(keyservers && { keyservers }) }
}

function collision(endpoint: Endpoint, site: KnownEndpoint, { file, isOurs }: Source): string {
  if (!isOurs)
    return `The endpoint ${shown(endpoint.name)} of ${shown(file)} is left out: ${shown(site.file)} has one of that name`
  throw new SingError(
    'ENDPOINT',
    `${shown(file)} and ${shown(site.file)} both have an endpoint ${shown(endpoint.name)}`,
    { hint: `Give yours another name in ${shown(file)}` },
  )
}

function userEndpoints(site: Named, sources: readonly Source[], warn: (text: string) => void): Named {
  const found: Named = new Map()
  for (const source of sources) {
    const { file, isOurs, document } = source
    for (const endpoint of document.endpoints) {
      const { name, system } = endpoint
      const own = site.get(name)
      if (found.has(name)) continue
      if (own && system) found.set(name, withAdditions(own, source, endpoint, warn))
      else if (own) warn(collision(endpoint, own, source))
      // The site has none of that name any more.
      else if (!system) found.set(name, { ...endpoint, exclusive: false, file, isOurs })
    }
  }
  return found
}

/**
 * Endpoints of the site and of the user. One that is exclusive is used whatever the user says; else the first file of the user
 * that names one decides, then the site.
 * @throws SingError ENDPOINT for an own endpoint with the name of one of the site
 */
export function combine(siteSources: readonly Source[], userSources: readonly Source[]): Known {
  const warnings: string[] = []
  const site = siteEndpoints(siteSources)
  const all: Named = new Map([...site, ...userEndpoints(site, userSources, (text) => warnings.push(text))])
  const endpoints = [...all.values()]
  const named = [...userSources, ...siteSources].map(({ document }) => document.active)
  const chosen = named.find((name) => name !== undefined && all.has(name))
  return {
    endpoints,
    active:
      endpoints.find(({ exclusive }) => exclusive) ?? (chosen === undefined ? undefined : all.get(chosen)),
    credentials: [...userSources, ...siteSources].flatMap(({ document, file, isOurs }) =>
      document.credentials.map((credential) => ({ ...credential, file, isOurs })),
    ),
    warnings,
  }
}

/** What the site's file has of an endpoint: nobody's token. */
export const plain = ({ name, uri, system, exclusive, insecure, keyservers }: KnownEndpoint): Endpoint => ({
  name,
  uri,
  system,
  exclusive,
  insecure,
  ...(keyservers && { keyservers }),
})

/** @throws SingError ENDPOINT for a name that no endpoint has; without a name, when none is used */
export function findEndpoint({ endpoints, active }: Known, name: string | undefined): KnownEndpoint {
  const found = name === undefined ? active : endpoints.find((endpoint) => endpoint.name === name)
  if (found) return found
  throw name === undefined
    ? new SingError('ENDPOINT', 'no endpoint is in use', { hint: 'Choose one: sing remote use NAME' })
    : new SingError('ENDPOINT', `${shown(name)} is not a remote`, { hint: 'See: sing remote list' })
}
