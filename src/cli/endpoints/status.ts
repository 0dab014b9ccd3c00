/** `sing remote status`: whether the services of an endpoint answer, and who we are there. */

import { SingError, shown } from '../../core/errors.ts'
import { readKnown } from '../../endpoints/files.ts'
import { keyserversOf } from '../../endpoints/keyservers.ts'
import { findEndpoint, type KnownEndpoint } from '../../endpoints/known.ts'
import {
  type AskOptions,
  askVersion,
  findServices,
  isValidToken,
  type Service,
  type ServiceState,
} from '../../endpoints/services.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call } from '../command.ts'
import { placeOf, whileAsking } from './call.ts'

type Checked = Service & ServiceState

type Status = {
  readonly services: readonly Checked[]
  /** Undefined: there is no token. */
  readonly isTokenValid: boolean | undefined
}

/** The services that an endpoint tells, and in the place of its key server those that are configured. */
async function servicesOf(endpoint: KnownEndpoint, options: AskOptions): Promise<Service[]> {
  const services = await findServices(endpoint, options)
  if (!endpoint.keyservers) return services
  const configured = (await keyserversOf(endpoint, options)).filter(({ skip }) => !skip)
  return [
    ...services.filter(({ name }) => name !== 'keyserver'),
    ...configured.flatMap(({ uri }) => toService(uri)),
  ]
}

function toService(uri: string): Service[] {
  const url = URL.parse(uri)
  return url && /^https?:$/.test(url.protocol) ? [{ name: 'keyserver', url }] : []
}

async function look(endpoint: KnownEndpoint, options: AskOptions): Promise<Status> {
  const { token } = endpoint
  const services = await Promise.all(
    (await servicesOf(endpoint, options)).map(async (service) => ({
      ...service,
      ...(await askVersion(service, options)),
    })),
  )
  services.sort(({ name: one }, { name: other }) => (one < other ? -1 : Number(one > other)))
  return {
    services,
    isTokenValid: token === undefined ? undefined : await isValidToken(endpoint, token, options),
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

function statusText({ services, isTokenValid }: Status): string {
  const rows = services.map(({ name, isThere, version = '', url }) => [
    capital(name),
    isThere ? 'OK' : 'N/A',
    version,
    url.href.replace(/\/$/, ''),
  ])
  const login =
    isTokenValid === undefined
      ? 'No authentication token set (logged out).'
      : isTokenValid
        ? 'Valid authentication token set (logged in).'
        : 'The authentication token is not valid (any more).'
  return `${toColumns([['SERVICE', 'STATUS', 'VERSION', 'URI'], ...rows], '  ')}\n${login}\n`
}

function statusJson(name: string, { services, isTokenValid }: Status): string {
  const rows = services.map(({ name: service, isThere, version, reason, url }) => ({
    name: service,
    uri: url.href,
    ok: isThere,
    version,
    reason,
  }))
  const token = isTokenValid === undefined ? 'none' : isTokenValid ? 'valid' : 'invalid'
  return toJson({ name, services: rows, token })
}

export async function showStatus(call: Call): Promise<number> {
  const { context, flags, args } = call
  const endpoint = findEndpoint(await readKnown(placeOf(call)), args[0])
  const whom = args[0] === undefined ? 'default remote.' : `remote: ${shown(endpoint.name)}`
  context.report({ kind: 'info', text: `Checking status of ${whom}` })
  const status = await whileAsking(call, 'checking the status', (options) => look(endpoint, options))
  for (const { name, reason } of status.services) {
    if (reason !== undefined) context.report({ kind: 'warning', text: `${shown(capital(name))}: ${reason}` })
  }
  context.print(flags.json === true ? statusJson(endpoint.name, status) : statusText(status))
  if (status.isTokenValid !== false) return 0
  throw new SingError(
    'ENDPOINT',
    `the endpoint ${shown(endpoint.name)} does not take your token (any more)`,
    {
      hint: `Log in again: sing remote login ${shown(endpoint.name)}`,
    },
  )
}
