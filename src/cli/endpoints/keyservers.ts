/** `sing keyserver add`, `remove`, `login` and `logout`. */

import { SingError, shown } from '../../core/errors.ts'
import { parseServer } from '../../endpoints/address.ts'
import type { KeyserverEntry, RemoteDocument } from '../../endpoints/document.ts'
import {
  isSameServer,
  withCredential,
  withEndpoint,
  withKeyserver,
  withoutCredential,
  withoutKeyserver,
} from '../../endpoints/edit.ts'
import {
  changeOwn,
  changeSite,
  ownRemoteFile,
  readKnown,
  readSite,
  siteRemoteFile,
} from '../../endpoints/files.ts'
import { keyserversOf } from '../../endpoints/keyservers.ts'
import { findEndpoint, type Known, type KnownEndpoint, plain } from '../../endpoints/known.ts'
import { tryLogin } from '../../trust/keyserver.ts'
import { Conversation } from '../../ui/prompt.ts'
import type { Call } from '../command.ts'
import { usageError, wordOf } from '../words.ts'
import { givenSecret, isSite, placeOf, requireToken, whileAsking } from './call.ts'

/** `[endpoint] <server>` */
function splitArguments({ args }: Call): { name: string | undefined; server: string } {
  const [name, server] = args.length === 2 ? args : [undefined, args[0]]
  const text = (server ?? '').replace(/\/+$/, '')
  parseServer(text)
  return { name, server: text }
}

type Change = (list: readonly KeyserverEntry[]) => KeyserverEntry[]

/** Change the list of an endpoint in one of our files; what that says now counts, not what was read before. */
function changedIn(
  document: RemoteDocument,
  endpoint: KnownEndpoint,
  base: readonly KeyserverEntry[],
  change: Change,
) {
  const before = document.endpoints.find(({ name }) => name === endpoint.name)
  const entry = before ?? { ...plain(endpoint), exclusive: endpoint.exclusive }
  return withEndpoint(document, { ...entry, keyservers: change(before?.keyservers ?? base) })
}

async function changeList(call: Call, change: Change): Promise<KnownEndpoint> {
  const { name } = splitArguments(call)
  const place = placeOf(call)
  const site = isSite(call)
  const known = await (site ? readSite(place.report) : readKnown(place))
  const endpoint = findEndpoint(known, name)
  if (!site && endpoint.exclusive)
    throw new SingError('ENDPOINT', `key servers of ${shown(endpoint.name)} are chosen by the site alone`, {
      hint: 'The administrator can change them: sing keyserver add, as root',
    })
  await whileAsking(call, 'changing the key servers', async (options) => {
    const base = await keyserversOf(endpoint, options)
    if (site)
      return await changeSite(options.signal, (document) => changedIn(document, endpoint, base, change))
    const { token } = endpoint
    await changeOwn(place, options.signal, (document) => {
      const next = changedIn(document, { ...endpoint, exclusive: false }, base, change)
      const isNew = !document.endpoints.some((one) => one.name === endpoint.name)
      // What a peer's file has of it does not count from now on.
      return isNew && token !== undefined ? withToken(next, endpoint.name, token) : next
    })
  })
  return endpoint
}

const withToken = (document: RemoteDocument, name: string, token: string): RemoteDocument => ({
  ...document,
  endpoints: document.endpoints.map((one) => (one.name === name ? { ...one, token } : one)),
})

function tell(call: Call, sentence: string): number {
  const file = isSite(call) ? siteRemoteFile : ownRemoteFile(placeOf(call))
  call.context.report({ kind: 'info', text: `${sentence} (${shown(file)})` })
  return 0
}

export async function addKeyserver(call: Call): Promise<number> {
  const { flags } = call
  const { server } = splitArguments(call)
  const order = typeof flags.order === 'number' ? flags.order : undefined
  const added = { uri: server, insecure: flags.insecure === true }
  const { name } = await changeList(call, (list) => withKeyserver(list, added, order))
  return tell(call, `Keyserver ${shown(server)} added to ${shown(name)}`)
}

export async function removeKeyserver(call: Call): Promise<number> {
  const { server } = splitArguments(call)
  const { name } = await changeList(call, (list) => withoutKeyserver(list, server))
  return tell(call, `Keyserver ${shown(server)} removed from ${shown(name)}`)
}

/** The configured server that is meant. */
function configured({ endpoints }: Known, server: string): KeyserverEntry {
  const all = endpoints.flatMap(({ keyservers = [] }) => keyservers)
  const found = all.filter(({ uri }) => isSameServer(uri, server))
  const external = found.find((entry) => entry.external)
  if (external) return external
  const refuse = (reason: string, hint: string) =>
    new SingError('ENDPOINT', `cannot log in to ${shown(server)}: ${reason}`, { hint })
  throw found.length > 0
    ? refuse('it belongs to the endpoint', 'Log in to the endpoint: sing remote login')
    : refuse('no such key server is configured', `Add it first: sing keyserver add ${shown(server)}`)
}

const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

const noTerminal =
  'Give --username NAME --password-stdin, and the password on standard input; without a name it is a token'

/** A password for who has a name there, else a token. */
async function askAuth(server: string, known: string | undefined): Promise<string> {
  using conversation = new Conversation(noTerminal)
  const username =
    known ?? (await conversation.line(`User name at ${shown(server)} (none for a token): `)).trim()
  const question = username === '' ? 'Token: ' : `Password of ${shown(username)}: `
  const secret = await conversation.secret(question)
  if (secret === '') throw usageError(`a login at ${shown(server)} needs a password or a token`)
  return username === '' ? `Bearer ${requireToken(secret)}` : basic(username, secret)
}

async function authOf(call: Call, server: string): Promise<string> {
  const username = wordOf(call.flags, 'username')
  const given = givenSecret(call, 'the password')
  if (given === undefined) return await askAuth(server, username)
  return username === undefined ? `Bearer ${requireToken(given)}` : basic(username, given)
}

export async function logInToKeyserver(call: Call): Promise<number> {
  const { server } = splitArguments(call)
  const place = placeOf(call)
  const { uri, insecure } = configured(await readKnown(place), server)
  const auth = await authOf(call, uri)
  await whileAsking(call, 'logging in', async (options) => {
    await tryLogin({ url: parseServer(uri), authorization: auth, isInsecure: insecure }, options)
    await changeOwn(place, options.signal, (document) => withCredential(document, { uri, auth, insecure }))
  })
  const text = `Logged in to ${shown(uri)}; kept in ${shown(ownRemoteFile(place))}`
  call.context.report({ kind: 'info', text })
  return 0
}

export async function logOutOfKeyserver(call: Call): Promise<number> {
  const { server } = splitArguments(call)
  const place = placeOf(call)
  const { report } = call.context
  const mine = (await readKnown(place)).credentials.filter(({ uri }) => isSameServer(uri, server))
  if (mine.some(({ isOurs }) => isOurs)) {
    await whileAsking(call, 'logging out', ({ signal }) =>
      changeOwn(place, signal, (document) => withoutCredential(document, server)),
    )
    report({ kind: 'info', text: 'Logout succeeded' })
  }
  const other = mine.find(({ isOurs }) => !isOurs)
  if (other)
    report({
      kind: 'warning',
      text: `${shown(other.file)} has a login for ${shown(server)}, too, which is still used`,
    })
  if (mine.length === 0) report({ kind: 'info', text: `You were not logged in to ${shown(server)}` })
  return 0
}
