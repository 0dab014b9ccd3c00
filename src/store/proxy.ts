/** Which proxy stands between us and a server, by the variables that every program reads. */

import { BlockList, isIP } from 'node:net'
import { SingError, shown } from '../core/errors.ts'

type Environment = Readonly<Record<string, string>>

const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80')
/** The name without the brackets that an address of IPv6 has in a URL. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '').toLowerCase()

/** `localhost`, names below it, and addresses of this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(\.\d+){3}$/.test(host)
}

function isInRange(host: string, range: string): boolean {
  const [network = '', bits = ''] = range.split('/')
  const [family, hostFamily] = [isIP(network), isIP(host)]
  const prefix = Number(bits)
  if (family === 0 || family !== hostFamily || !/^\d+$/.test(bits) || prefix > (family === 4 ? 32 : 128))
    return false
  const name = family === 4 ? 'ipv4' : 'ipv6'
  const list = new BlockList()
  list.addSubnet(network, prefix, name)
  return list.check(host, name)
}

/** An entry with a port is about that port alone. */
function cutPort(entry: string): { name: string; port: string | undefined } {
  const [, name = entry, port] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  return { name: name.replace(/^\[|\]$/g, ''), port }
}

/**
 * Whether NO_PROXY spares a server the proxy: `*`, an address, a range (`10.0.0.0/8`), a name with all names below it, or
 * `.name` for those below it alone; each may end in a port.
 */
export function isSpared(url: URL, list: string): boolean {
  const host = hostOf(url)
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true
      if (entry.includes('/')) return isInRange(host, entry)
      const { name, port } = cutPort(entry)
      if (port !== undefined && port !== portOf(url)) return false
      const below = name.replace(/^\*(?=\.)/, '')
      if (below.startsWith('.')) return host.endsWith(below)
      return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`))
    })
}

/** The value of a variable; its name in lower case is as good. */
const variable = (environment: Environment, name: string): string =>
  (environment[name] || environment[name.toLowerCase()] || '').trim()

/**
 * The proxy for an address, or undefined when there is none. This machine is always asked directly.
 * @throws SingError ENVIRONMENT for a proxy that cannot be used
 */
export function proxyFor(url: URL, environment: Environment): URL | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const text = variable(environment, name)
  if (!text || isLoopback(hostOf(url)) || isSpared(url, variable(environment, 'NO_PROXY'))) return undefined
  const proxy = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`)
  if (proxy?.hostname && /^https?:$/.test(proxy.protocol)) return proxy
  // What stands before the @ may be a password.
  const place = shown(text.replace(/\/\/[^/]*@/, '//'))
  throw new SingError(
    'ENVIRONMENT',
    `the variable ${name} names the proxy "${place}", which cannot be used`,
    {
      hint: 'Expected http://HOST:PORT or https://HOST:PORT',
    },
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The value of an Authorization header for who is named in an address. */
export function basicOf({ username, password }: URL): string | undefined {
  if (!username) return undefined
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`
}
