/** `sing remote list` and `sing keyserver list`. */

import { SingError, shown } from '../../core/errors.ts'
import { parseServer } from '../../endpoints/address.ts'
import type { KeyserverEntry } from '../../endpoints/document.ts'
import { isSameServer } from '../../endpoints/edit.ts'
import { readKnown } from '../../endpoints/files.ts'
import { keyserversOf } from '../../endpoints/keyservers.ts'
import { findEndpoint, type Known, type KnownEndpoint } from '../../endpoints/known.ts'
import type { AskOptions } from '../../endpoints/services.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call } from '../command.ts'
import { placeOf, whileAsking } from './call.ts'

const mark = (holds: boolean): string => (holds ? '✓' : '')

const byName = ({ name: one }: KnownEndpoint, { name: other }: KnownEndpoint): number =>
  one < other ? -1 : Number(one > other)

function endpointRow({ name, uri, system, exclusive, insecure }: KnownEndpoint, { active }: Known): string[] {
  return [name, uri, mark(active?.name === name), mark(system), mark(exclusive), insecure ? '✗!' : '✓']
}

export async function listEndpoints(call: Call): Promise<number> {
  const known = await readKnown(placeOf(call))
  const endpoints = known.endpoints.toSorted(byName)
  if (call.flags.json === true) {
    const rows = endpoints.map(({ name, uri, system, exclusive, insecure, token, file }) => ({
      name,
      uri,
      active: known.active?.name === name,
      global: system,
      exclusive,
      secure: !insecure,
      loggedIn: token !== undefined,
      file,
    }))
    call.context.print(toJson(rows))
    return 0
  }
  const head = ['NAME', 'URI', 'DEFAULT?', 'GLOBAL?', 'EXCLUSIVE?', 'SECURE?']
  call.context.print(`\n${toColumns([head, ...endpoints.map((one) => endpointRow(one, known))], '  ')}`)
  return 0
}

type Servers = { readonly endpoint: KnownEndpoint } & (
  | { readonly servers: readonly KeyserverEntry[] }
  | { readonly problem: SingError }
)

async function serversOf(endpoint: KnownEndpoint, options: AskOptions): Promise<Servers> {
  try {
    return { endpoint, servers: (await keyserversOf(endpoint, options)).filter(({ skip }) => !skip) }
  } catch (problem) {
    if (problem instanceof SingError) return { endpoint, problem }
    throw problem
  }
}

const isLoggedIn = ({ credentials }: Known, server: string): boolean =>
  credentials.some(({ uri, auth }) => auth !== '' && isSameServer(uri, server))

/** Nobody can listen, and the server is who it says. */
function isSecure({ uri, insecure }: KeyserverEntry): boolean {
  try {
    return !insecure && parseServer(uri).protocol === 'https:'
  } catch {
    return false
  }
}

function serversText(found: Servers, known: Known): string {
  const { name, system } = found.endpoint
  const marks = `${system ? '*' : ''}${known.active?.name === name ? '^' : ''}`
  const title = `\n${shown(name)} ${marks}\n`
  if ('problem' in found)
    return `${title}   (unable to fetch associated keyserver info for this endpoint: ${found.problem.message})\n`
  const rows = found.servers.map((entry, index) => {
    const signs = [isSecure(entry) ? '🔒' : '', isLoggedIn(known, entry.uri) ? '+' : '']
    return [`   #${index + 1}`, entry.uri, signs.filter(Boolean).join(' ')]
  })
  return title + toColumns(rows, '  ')
}

const legend =
  '\n(* = system endpoint, ^ = default endpoint, + = user is logged in directly to this keyserver)\n'

export async function listKeyservers(call: Call): Promise<number> {
  const known = await readKnown(placeOf(call))
  const [name] = call.args
  const wanted = name === undefined ? known.endpoints.toSorted(byName) : [findEndpoint(known, name)]
  const all = await whileAsking(call, 'asking for key servers', (options) =>
    Promise.all(wanted.map((endpoint) => serversOf(endpoint, options))),
  )
  if (call.flags.json === true) {
    const rows = all.map((found) => ({
      endpoint: found.endpoint.name,
      global: found.endpoint.system,
      active: known.active?.name === found.endpoint.name,
      ...('problem' in found
        ? { problem: found.problem.message }
        : {
            keyservers: found.servers.map((entry) => ({
              uri: entry.uri,
              external: entry.external,
              insecure: entry.insecure,
              loggedIn: isLoggedIn(known, entry.uri),
            })),
          }),
    }))
    call.context.print(toJson(rows))
    return 0
  }
  call.context.print(all.map((found) => serversText(found, known)).join('') + legend)
  return 0
}
