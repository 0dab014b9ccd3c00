/** Changes to what a `remote.yaml` says (pure). */

import { SingError, shown } from '../core/errors.ts'
import { parseServer, serverText } from './address.ts'
import type { Credential, Endpoint, KeyserverEntry, RemoteDocument } from './document.ts'

/** With an endpoint, in the place of the one of its name if there is one. */
export function withEndpoint(document: RemoteDocument, endpoint: Endpoint): RemoteDocument {
  const { endpoints } = document
  const isThere = endpoints.some(({ name }) => name === endpoint.name)
  const next = isThere
    ? endpoints.map((known) => (known.name === endpoint.name ? endpoint : known))
    : [...endpoints, endpoint]
  return { ...document, endpoints: next }
}

/** Without an endpoint; if it was in use, none is. */
export function withoutEndpoint(document: RemoteDocument, name: string): RemoteDocument {
  const endpoints = document.endpoints.filter((known) => known.name !== name)
  return { ...document, endpoints, active: document.active === name ? undefined : document.active }
}

/** Whether two texts name the same server: with or without a slash at the end, `hkps:` or `https:`. */
export function isSameServer(one: string, other: string): boolean {
  const address = (text: string): string => {
    try {
      return serverText(parseServer(text))
    } catch {
      return text
    }
  }
  return one === other || address(one) === address(other)
}

export function withCredential(document: RemoteDocument, credential: Credential): RemoteDocument {
  const others = document.credentials.filter(({ uri }) => !isSameServer(uri, credential.uri))
  return { ...document, credentials: [...others, credential] }
}

export function withoutCredential(document: RemoteDocument, server: string): RemoteDocument {
  return { ...document, credentials: document.credentials.filter(({ uri }) => !isSameServer(uri, server)) }
}

const refuse = (sentence: string, hint?: string): SingError => new SingError('ENDPOINT', sentence, { hint })

/**
 * The list with a server at a place, the first being 1; at the end without one. A service of the endpoint that was left out comes
 * back.
 * @throws SingError for a server that is there, or a place that is not
 */
export function withKeyserver(
  list: readonly KeyserverEntry[],
  added: { readonly uri: string; readonly insecure: boolean },
  order: number | undefined,
): KeyserverEntry[] {
  const before = list.find(({ uri }) => isSameServer(uri, added.uri))
  if (before && !before.skip)
    throw refuse(`${shown(added.uri)} is already configured`, 'See: sing keyserver list')
  const others = list.filter((known) => known !== before)
  const most = others.length + 1
  const place = order ?? most
  if (place < 1 || place > most) throw refuse(`order is out of range: it is between 1 and ${most}`)
  const entry = {
    uri: before?.uri ?? added.uri,
    skip: false,
    external: before?.external ?? true,
    insecure: added.insecure,
  }
  return others.toSpliced(place - 1, 0, entry)
}

/**
 * The list without a server. A service of the endpoint stays in it, to be passed over.
 * @throws SingError for a server that is not there, or the last one
 */
export function withoutKeyserver(list: readonly KeyserverEntry[], server: string): KeyserverEntry[] {
  const found = list.find(({ uri, skip }) => !skip && isSameServer(uri, server))
  if (!found) throw refuse(`keyserver ${shown(server)} is not configured`, 'See: sing keyserver list')
  if (list.filter(({ skip }) => !skip).length === 1)
    throw refuse(`${shown(server)} can't be removed: it is the only key server`, 'Add another one first')
  if (found.external) return list.filter((known) => known !== found)
  return list.map((known) => (known === found ? { ...known, skip: true } : known))
}
