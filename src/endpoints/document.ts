/**
 * What a `remote.yaml` says, a file that Apptainer and SingularityCE know too: endpoints with their key servers, which of them is used,
 * and logins at other key servers (pure).
 */

import type { Entry, Node } from '../config/document.ts'
import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'

export type KeyserverEntry = {
  readonly uri: string
  /** The endpoint's own server, which is not to be used. */
  readonly skip: boolean
  /** False: it is a service of the endpoint, whose token it takes. */
  readonly external: boolean
  readonly insecure: boolean
}

export type Endpoint = {
  readonly name: string
  /** Host and path, without a scheme. */
  readonly uri: string
  readonly token?: string | undefined
  /** It is the site's; in a file of a user such an entry says no more than what the user adds. */
  readonly system: boolean
  readonly exclusive: boolean
  /** What services there are is asked for by plain HTTP. */
  readonly insecure: boolean
  /** In the order of their use. Undefined: what the endpoint itself names. */
  readonly keyservers?: readonly KeyserverEntry[] | undefined
}

export type Credential = {
  readonly uri: string
  /** Value of the header: `Basic ...`, `Bearer ...`. */
  readonly auth: string
  readonly insecure: boolean
}

export type RemoteDocument = {
  readonly active?: string | undefined
  readonly endpoints: readonly Endpoint[]
  readonly credentials: readonly Credential[]
}

export const emptyDocument: RemoteDocument = { endpoints: [], credentials: [] }

/** What there is where no file says otherwise: that of Apptainer, which has no library. */
export const builtInDocument: RemoteDocument = {
  active: 'DefaultRemote',
  endpoints: [
    { name: 'DefaultRemote', uri: 'cloud.apptainer.org', system: true, exclusive: false, insecure: false },
  ],
  credentials: [],
}

const refuse = (file: string, line: number, sentence: string, hint?: string): SingError =>
  new SingError('ENDPOINT', `${shown(file)}:${line}: ${sentence}`, { hint })

/** Reads the fields of one map; those that nobody asked for are unknown. */
class Fields {
  readonly #file: string
  readonly #what: string
  readonly #entries = new Map<string, Entry>()

  constructor(file: string, what: string, node: Node) {
    this.#file = file
    this.#what = what
    if (node.kind === 'word' && node.empty) return
    if (node.kind !== 'map') throw refuse(file, node.line, `${what}: expected keys with values below it`)
    for (const entry of node.entries) {
      if (this.#entries.has(entry.key))
        throw refuse(file, entry.line, `${shown(entry.key)} stands here for the second time`)
      this.#entries.set(entry.key, entry)
    }
  }

  /** @throws SingError naming a key that is not among these */
  allow(...known: readonly string[]): this {
    for (const { key, line } of this.#entries.values()) {
      if (known.includes(key)) continue
      const near = suggest(key, known)
      const hint = near ? `Did you mean ${near}?` : `Known here: ${known.join(', ')}`
      throw refuse(this.#file, line, `${this.#what}: unknown key ${shown(key)}`, hint)
    }
    return this
  }

  all(): readonly Entry[] {
    return [...this.#entries.values()]
  }

  node(key: string): Node | undefined {
    const value = this.#entries.get(key)?.value
    return value?.kind === 'word' && value.empty ? undefined : value
  }

  word(key: string): string | undefined {
    const node = this.node(key)
    if (node === undefined) return undefined
    if (node.kind !== 'word') throw refuse(this.#file, node.line, `${key}: expected one word`)
    return node.text === '' ? undefined : node.text
  }

  /** For what is put into a header: nothing can be hidden in it. */
  secret(key: string): string | undefined {
    const text = this.word(key)
    if (text !== undefined && !/^[\x20-\x7e]*$/.test(text))
      throw refuse(this.#file, this.node(key)?.line ?? 0, `${key}: it has characters that no login has`)
    return text
  }

  needed(key: string, node: Node): string {
    const text = this.word(key)
    if (text === undefined) throw refuse(this.#file, node.line, `${this.#what}: the key ${key} is missing`)
    return text
  }

  truth(key: string): boolean {
    const text = this.word(key)
    if (text === undefined || /^false$/i.test(text)) return false
    if (/^true$/i.test(text)) return true
    throw refuse(
      this.#file,
      this.node(key)?.line ?? 0,
      `${key}: expected true or false, got "${shown(text)}"`,
    )
  }

  list(key: string): readonly Node[] | undefined {
    const node = this.node(key)
    if (node === undefined || node.kind === 'list') return node?.items
    throw refuse(this.#file, node.line, `${key}: expected a list`)
  }
}

function readKeyserver(file: string, node: Node): KeyserverEntry {
  const fields = new Fields(file, 'a key server', node).allow('URI', 'Skip', 'External', 'Insecure')
  return {
    uri: fields.needed('URI', node),
    skip: fields.truth('Skip'),
    external: fields.truth('External'),
    insecure: fields.truth('Insecure'),
  }
}

function readEndpoint(file: string, { key: name, value }: Entry): Endpoint {
  const what = `the endpoint ${shown(name)}`
  const fields = new Fields(file, what, value)
  fields.allow('URI', 'Token', 'System', 'Exclusive', 'Insecure', 'Keyservers')
  return {
    name,
    uri: fields.word('URI') ?? '',
    token: fields.secret('Token'),
    system: fields.truth('System'),
    exclusive: fields.truth('Exclusive'),
    insecure: fields.truth('Insecure'),
    keyservers: fields.list('Keyservers')?.map((item) => readKeyserver(file, item)),
  }
}

function readCredential(file: string, node: Node): Credential {
  const fields = new Fields(file, 'a login', node).allow('URI', 'Auth', 'Insecure')
  return {
    uri: fields.needed('URI', node),
    auth: fields.secret('Auth') ?? '',
    insecure: fields.truth('Insecure'),
  }
}

/**
 * What the tree of a file says.
 * @throws SingError ENDPOINT naming file, line and key for everything that is not understood
 */
export function readDocument(root: Node | undefined, file: string): RemoteDocument {
  if (root === undefined) return emptyDocument
  const fields = new Fields(file, 'a file of endpoints', root).allow('Active', 'Remotes', 'Credentials')
  const remotes = fields.node('Remotes')
  const entries = remotes ? new Fields(file, 'Remotes', remotes).all() : []
  return {
    active: fields.word('Active'),
    endpoints: entries.map((entry) => readEndpoint(file, entry)),
    credentials: (fields.list('Credentials') ?? []).map((item) => readCredential(file, item)),
  }
}
