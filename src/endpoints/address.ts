/** Addresses of key servers, as people and files write them (pure). */

import { SingError, shown } from '../core/errors.ts'

/** The port that `hkp:` means. That of `hkps:` is the one of HTTPS. */
const hkpPort = '11371'
const schemes: Readonly<Record<string, string>> = {
  hkp: 'http',
  hkps: 'https',
  http: 'http',
  https: 'https',
}

/**
 * The address of a key server as one of the web, without `/` at its end: hkp://, hkps://, http:// or https://, with a path below which
 * `/pks` lies, if there is one.
 * @throws SingError USAGE for anything else
 */
export function parseServer(text: string): URL {
  const refuse = (reason: string, hint: string) =>
    new SingError('USAGE', `${shown(withoutLogin(text))} is no address of a key server: ${reason}`, {
      status: 255,
      hint,
    })
  const [, word = '', rest = ''] = /^([a-z]+):\/\/(.+)$/i.exec(text) ?? []
  const scheme = Object.hasOwn(schemes, word.toLowerCase()) ? schemes[word.toLowerCase()] : undefined
  if (scheme === undefined)
    throw refuse(
      'it does not begin with a scheme of one',
      'Such as https://keys.example.org or hkp://127.0.0.1:11371',
    )
  const url = URL.parse(`${scheme}://${rest}`)
  if (!url?.hostname) throw refuse('it has no host', 'Such as https://keys.example.org')
  if (url.username || url.password) throw refuse('it has a login in it', 'Use: sing keyserver login')
  if (url.search || url.hash) throw refuse('it has more than a path', 'Leave out what follows ? or #')
  if (word.toLowerCase() === 'hkp' && !/^[^/]*:\d+(\/|$)/.test(rest)) url.port = hkpPort
  url.pathname = url.pathname.replace(/\/+$/, '')
  return url
}

const withoutLogin = (text: string): string => text.replace(/\/\/[^/]*@/, '//')

/** The address as it is written in messages and files. */
export const serverText = (url: URL): string => url.href.replace(/\/$/, '')

const isLoopback = ({ hostname }: URL): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)

/** Whether something secret may be sent there: nobody on the way can read it. */
export const keepsSecrets = (url: URL): boolean => url.protocol === 'https:' || isLoopback(url)
