/** Which key servers are asked, and who we are there. */

import { SingError, shown } from '../core/errors.ts'
import { parseServer, serverText } from './address.ts'
import type { KeyserverEntry } from './document.ts'
import { isSameServer } from './edit.ts'
import type { Known, KnownEndpoint } from './known.ts'
import { type AskOptions, findServices, tokenFor } from './services.ts'

/** A server, and how to talk to it. */
export type KeyServer = {
  readonly url: URL
  /** Value of the header that says who we are. */
  readonly authorization?: string | undefined
  /** Whoever answers is believed to be the server. */
  readonly isInsecure?: boolean | undefined
}

/** All key servers of an endpoint, those that are passed over too: what is configured, else what the endpoint itself has. */
export async function keyserversOf(
  endpoint: KnownEndpoint,
  options: AskOptions,
): Promise<readonly KeyserverEntry[]> {
  if (endpoint.keyservers) return endpoint.keyservers
  const services = await findServices(endpoint, options)
  return services
    .filter(({ name }) => name === 'keyserver')
    .map(({ url }) => ({ uri: serverText(url), skip: false, external: false, insecure: false }))
}

/** The login that the user keeps for a server. */
const authFor = ({ credentials }: Known, server: string): string | undefined =>
  credentials.find(({ uri, auth }) => auth !== '' && isSameServer(uri, server))?.auth

function toServer(
  known: Known,
  endpoint: KnownEndpoint,
  { uri, external, insecure }: KeyserverEntry,
): KeyServer {
  const token = external ? undefined : tokenFor(endpoint)
  const authorization = external ? authFor(known, uri) : token && `Bearer ${token}`
  return { url: parseServer(uri), authorization, isInsecure: insecure }
}

/**
 * The key servers to ask, the first one first: those of the endpoint in use, or the one that the user names.
 * @throws SingError ENDPOINT when there is none, or the site has others only
 */
export async function chosenServers(
  known: Known,
  named: string | undefined,
  options: AskOptions,
): Promise<KeyServer[]> {
  const { active } = known
  if (named !== undefined) return [await namedServer(known, named, options)]
  if (!active) {
    throw new SingError('ENDPOINT', 'no endpoint is in use, so there is no key server', {
      hint: 'Name a server: --url URL, or choose an endpoint: sing remote use NAME',
    })
  }
  const entries = (await keyserversOf(active, options)).filter(({ skip }) => !skip)
  if (entries.length > 0) return entries.map((entry) => toServer(known, active, entry))
  throw new SingError('ENDPOINT', `the endpoint ${shown(active.name)} has no key server`, {
    hint: 'Add one: sing keyserver add URL',
  })
}

/** A server that the user names, as it is configured, if it is. */
async function namedServer(known: Known, named: string, options: AskOptions): Promise<KeyServer> {
  const url = parseServer(named)
  const { active } = known
  const entries = active?.exclusive ? await keyserversOf(active, options) : (active?.keyservers ?? [])
  const entry = entries.find(({ uri, skip }) => !skip && isSameServer(uri, named))
  if (active && entry) return toServer(known, active, entry)
  if (active?.exclusive) {
    throw new SingError('ENDPOINT', `the key server ${shown(serverText(url))} may not be asked`, {
      hint: `This site has key servers only of the endpoint ${shown(active.name)}: sing keyserver list`,
    })
  }
  return { url, authorization: authFor(known, named), isInsecure: false }
}
