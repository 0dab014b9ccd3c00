/** Files in the format of docker's `config.json`: who we are at which registry. Read, and changed with everything else in them kept. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { hubKey, isHub } from './address.ts'

export type Login =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** What a token server takes in the place of a password. */
  | { readonly kind: 'identity'; readonly username: string; readonly token: string }
  /** What the registry itself takes. */
  | { readonly kind: 'bearer'; readonly token: string }

export type LoginFile = {
  /** By the key that stands there. */
  readonly auths: ReadonlyMap<string, Login | undefined>
  readonly store: string | undefined
  readonly helpers: ReadonlyMap<string, string>
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {})
const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** @throws SingError REGISTRY when the text is no such file; nothing of the text is told, it may be a secret */
export function parseDocument(text: string, name: string): Fields {
  let document: unknown
  try {
    document = JSON.parse(text.trim() || '{}')
  } catch {
    // The reason of the parser repeats a part of the text.
  }
  if (isFields(document)) return document
  throw new SingError('REGISTRY', `${shown(name)} is no file of logins: it is not a JSON object`, {
    hint: 'Correct or remove it; sing registry login writes a new one',
  })
}

/** `user:password` in base64. Some writers pad the password with zero bytes. */
function decodePair(text: string): Login | undefined {
  const pair = Buffer.from(text, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 1) return undefined
  return {
    kind: 'password',
    username: pair.slice(0, colon),
    password: pair.slice(colon + 1).replace(/\0+$/, ''),
  }
}

function loginOf(entry: Fields): Login | undefined {
  const [bearer, identity, pair] = [entry.registrytoken, entry.identitytoken, entry.auth].map(textOf)
  if (bearer) return { kind: 'bearer', token: bearer }
  const [username, password] = [textOf(entry.username), textOf(entry.password)]
  const named = pair ? decodePair(pair) : undefined
  if (identity) {
    const who = named?.kind === 'password' ? named.username : (username ?? '<token>')
    return { kind: 'identity', username: who, token: identity }
  }
  if (named) return named
  return username && password !== undefined ? { kind: 'password', username, password } : undefined
}

/** @throws SingError REGISTRY when the text is no such file */
export function parseLogins(text: string, name: string): LoginFile {
  const { auths, credsStore, credHelpers } = parseDocument(text, name)
  const helpers = Object.entries(fieldsOf(credHelpers)).flatMap(([key, value]): [string, string][] => {
    const helper = textOf(value)
    return helper === undefined ? [] : [[key, helper]]
  })
  return {
    auths: new Map(Object.entries(fieldsOf(auths)).map(([key, entry]) => [key, loginOf(fieldsOf(entry))])),
    store: textOf(credsStore),
    helpers: new Map(helpers),
  }
}

/** The host in a key: old ones are whole addresses. */
export const hostOfKey = (key: string): string => key.replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '')

/** What docker and its helpers call a registry. */
export const serverName = (registry: string): string => (isHub(registry) ? hubKey : registry)

/**
 * Keys under which a login for a repository may stand, the nearest first: `host/a/b`, `host/a`, `host`. Paths are
 * podman's custom.
 */
export function keysFor(registry: string, repository: string): string[] {
  const parts = repository.split('/').filter(Boolean)
  const paths = parts.map((_, index) => parts.slice(0, parts.length - index).join('/'))
  const hosts = isHub(registry) ? ['docker.io', 'index.docker.io'] : [registry]
  return [...paths.flatMap((path) => hosts.map((host) => `${host}/${path}`)), serverName(registry), ...hosts]
}

/** Whether a key is for all of a registry: it has no path, or is an old one, the address of an API. */
function isFor(registry: string, key: string): boolean {
  const host = hostOfKey(key)
  const isWhole = /^[a-z]+:\/\/|^[^/]*$/i.test(key)
  return isWhole && (isHub(registry) ? isHub(host) : host === registry)
}

/**
 * The login of a file for a repository; undefined when it has none. Hosts are compared as a whole, with their ports.
 */
export function findLogin({ auths }: LoginFile, registry: string, repository: string): Login | undefined {
  const keys = keysFor(registry, repository)
  for (const key of keys) {
    const login = auths.get(key)
    if (login) return login
  }
  for (const [key, login] of auths) if (login && isFor(registry, key)) return login
  return undefined
}

/** The helper that keeps the logins of a registry. */
export function helperFor({ helpers, store }: LoginFile, registry: string): string | undefined {
  return helpers.get(registry) ?? helpers.get(serverName(registry)) ?? store
}

function entryOf(login: Login): Fields {
  const pair = (secret: string, username: string) => ({
    auth: Buffer.from(`${username}:${secret}`).toString('base64'),
  })
  switch (login.kind) {
    case 'password':
      return pair(login.password, login.username)
    case 'identity':
      return { ...pair('', login.username), identitytoken: login.token }
    case 'bearer':
      return { registrytoken: login.token }
  }
}

const write = (document: Fields): string => `${JSON.stringify(document, null, '\t')}\n`

const withoutRegistry = (auths: Fields, registry: string): Fields =>
  Object.fromEntries(Object.entries(auths).filter(([key]) => !isFor(registry, key)))

/** The text of a file with this login in it. */
export function addLogin(text: string, name: string, registry: string, login: Login): string {
  const document = parseDocument(text, name)
  const auths = withoutRegistry(fieldsOf(document.auths), registry)
  return write({ ...document, auths: { ...auths, [serverName(registry)]: entryOf(login) } })
}

/** The text of a file without logins for this registry; undefined when it has none. */
export function removeLogin(text: string, name: string, registry: string): string | undefined {
  const document = parseDocument(text, name)
  const before = fieldsOf(document.auths)
  const auths = withoutRegistry(before, registry)
  return Object.keys(auths).length === Object.keys(before).length ? undefined : write({ ...document, auths })
}
