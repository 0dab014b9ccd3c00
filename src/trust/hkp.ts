/**
 * HKP, the protocol of key servers: the addresses of requests, and what the text of an answer says (pure). Sources: the draft
 * "OpenPGP HTTP Keyserver Protocol", and what sks, hockeypuck and keys.openpgp.org answer.
 */

/** A key as the index of a server tells of it. Nothing of it is proved. */
export type IndexedKey = {
  /** The fingerprint, or the key id where the server tells no more: hex digits in upper case. */
  readonly id: string
  readonly algorithm: number | undefined
  readonly bits: number | undefined
  /** Seconds since 1970. */
  readonly created: number | undefined
  readonly expires: number | undefined
  readonly isRevoked: boolean
  readonly isDisabled: boolean
  readonly isExpired: boolean
  readonly users: readonly string[]
}

function addressOf(server: URL, verb: string, query: Readonly<Record<string, string>>): URL {
  const url = new URL(server)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/pks/${verb}`
  url.search = new URLSearchParams(query).toString()
  return url
}

/** Where a key with an id or a fingerprint (hex digits) is had. Leading zeros belong to it. */
export const getAddress = (server: URL, id: string): URL =>
  addressOf(server, 'lookup', { exact: 'on', op: 'get', search: `0x${id.toLowerCase()}` })

/** How many keys a page of an index is to have, where servers have pages. */
const pageSize = '256'

/** Where keys are listed whose names or ids have the words; `page` is what the page before named. */
export const indexAddress = (server: URL, words: string, page?: string): URL =>
  addressOf(server, 'lookup', {
    fingerprint: 'on',
    op: 'index',
    options: 'mr',
    search: searchWords(words),
    'x-pagesize': pageSize,
    ...(page !== undefined && { 'x-pagetoken': page }),
  })

export const addAddress = (server: URL): URL => addressOf(server, 'add', {})

/** Ids and fingerprints are asked for with `0x`; eight digits in lower case may be somebody's name. */
function searchWords(words: string): string {
  const isId = /^([0-9A-F]{8,}|[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64})$/.test(words)
  return isId ? `0x${words}` : words
}

/** What is sent to have a server take a key. */
export const addForm = (armored: string): string => new URLSearchParams({ keytext: armored }).toString()

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined

type Opened = { readonly fields: Omit<IndexedKey, 'users'>; readonly users: string[] }

/** `pub:ID:ALGORITHM:BITS:CREATED:EXPIRES:FLAGS`, where everything behind the id may be empty or missing. */
function openKey([, id = '', algorithm, bits, created, expires, flags = '']: readonly string[]):
  | Opened
  | undefined {
  const digits = id.replace(/^0x/i, '').toUpperCase()
  if (!/^([0-9A-F]{8}|[0-9A-F]{16}|[0-9A-F]{32}|[0-9A-F]{40}|[0-9A-F]{64})$/.test(digits)) return undefined
  const fields = {
    id: digits,
    algorithm: numberOf(algorithm),
    bits: numberOf(bits),
    created: numberOf(created),
    expires: numberOf(expires),
    isRevoked: flags.includes('r'),
    isDisabled: flags.includes('d'),
    isExpired: flags.includes('e'),
  }
  return { fields, users: [] }
}

/** Percent signs that begin no byte stay: sks leaves those of a name as they are. */
function decodeUser(text: string): string {
  return text.replace(/(%[0-9a-f]{2})+/gi, (bytes) => {
    const codes = bytes.split('%').slice(1)
    return new TextDecoder().decode(Uint8Array.from(codes, (code) => Number.parseInt(code, 16)))
  })
}

/**
 * The keys of an index in the form for machines. Lines that make no sense are passed over, names of a key without an id with it.
 * Undefined for a text that is none.
 */
export function readIndex(text: string): IndexedKey[] | undefined {
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  if (!lines.some((line) => /^(info|pub):/.test(line)))
    return lines.every((line) => line === '') ? [] : undefined
  const keys: Opened[] = []
  let current: Opened | undefined
  for (const line of lines) {
    const fields = line.split(':')
    if (fields[0] === 'pub') {
      current = openKey(fields)
      if (current) keys.push(current)
    }
    const name = fields[0] === 'uid' ? decodeUser(fields[1] ?? '').trim() : ''
    if (name !== '') current?.users.push(name)
  }
  return keys.map(({ fields, users }) => ({ ...fields, users }))
}

const algorithms: Readonly<Record<number, string>> = {
  1: 'RSA',
  2: 'RSA',
  3: 'RSA',
  16: 'ElGamal',
  17: 'DSA',
  18: 'ECDH',
  19: 'ECDSA',
  22: 'EdDSA',
  25: 'X25519',
  26: 'X448',
  27: 'Ed25519',
  28: 'Ed448',
}

/** What a number of an algorithm means (RFC 9580, 9.1). */
export const algorithmName = (number: number | undefined): string =>
  (number !== undefined ? algorithms[number] : undefined) ?? 'unknown'

/** What to think of a key, by what the server says and the time (in seconds). */
export function statusOf(key: IndexedKey, now: number): 'enabled' | 'expired' | 'revoked' | 'disabled' {
  if (key.isRevoked) return 'revoked'
  if (key.isDisabled) return 'disabled'
  return key.isExpired || (key.expires !== undefined && key.expires <= now) ? 'expired' : 'enabled'
}
