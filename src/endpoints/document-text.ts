/** The text of a `remote.yaml`, as the peers lay it out (pure). */

import type { Credential, Endpoint, KeyserverEntry, RemoteDocument } from './document.ts'

/** Words that are themselves without quotes, for every reader of YAML. */
const plainWord = /^[A-Za-z_/][A-Za-z0-9_./=@%+-]*(:[A-Za-z0-9_./=@%+-]+)*$/
const reserved = /^(null|true|false|yes|no|on|off|y|n|~|inf|nan)$/i

/** Characters that JSON leaves as they are, and YAML takes for line ends or for none. */
const unprintable = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A quoted word of YAML may be one of JSON. */
const quoted = (text: string): string =>
  plainWord.test(text) && !reserved.test(text) ? text : JSON.stringify(text).replace(unprintable, escaped)

const keyserverLines = ({ uri, skip, external, insecure }: KeyserverEntry): string[] => [
  `            - URI: ${quoted(uri)}`,
  `              Skip: ${skip}`,
  `              External: ${external}`,
  `              Insecure: ${insecure}`,
]

const endpointLines = (endpoint: Endpoint): string[] => [
  `    ${quoted(endpoint.name)}:`,
  `        URI: ${quoted(endpoint.uri)}`,
  ...(endpoint.token === undefined ? [] : [`        Token: ${quoted(endpoint.token)}`]),
  `        System: ${endpoint.system}`,
  `        Exclusive: ${endpoint.exclusive}`,
  ...(endpoint.insecure ? ['        Insecure: true'] : []),
  ...(endpoint.keyservers?.length
    ? ['        Keyservers:', ...endpoint.keyservers.flatMap(keyserverLines)]
    : []),
]

const credentialLines = ({ uri, auth, insecure }: Credential): string[] => [
  `    - URI: ${quoted(uri)}`,
  `      Auth: ${quoted(auth)}`,
  `      Insecure: ${insecure}`,
]

/** What was read from this text is the document again. */
export function documentText({ active, endpoints, credentials }: RemoteDocument): string {
  const lines = [
    `Active: ${quoted(active ?? '')}`,
    endpoints.length === 0 ? 'Remotes: {}' : 'Remotes:',
    ...endpoints.flatMap(endpointLines),
    ...(credentials.length === 0 ? [] : ['Credentials:', ...credentials.flatMap(credentialLines)]),
  ]
  return lines.map((line) => `${line}\n`).join('')
}
