/** `sing remote login`, `logout`, `status` and `get-login-password`: who we are at an endpoint. */

import { SingError, shown } from '../../core/errors.ts'
import { withEndpoint } from '../../endpoints/edit.ts'
import { changeOwn, ownRemoteFile, readKnown } from '../../endpoints/files.ts'
import { findEndpoint, type KnownEndpoint, plain } from '../../endpoints/known.ts'
import { isValidToken, registryPassword } from '../../endpoints/services.ts'
import { Conversation } from '../../ui/prompt.ts'
import type { Call } from '../command.ts'
import { usageError, wordOf } from '../words.ts'
import { givenSecret, placeOf, requireToken, secretIn, secretOfFile, whileAsking } from './call.ts'

/** The token that came by flag, variable, file or standard input; undefined when none did. */
export function tokenOfFlags(call: Call): string | undefined {
  const file = wordOf(call.flags, 'tokenfile')
  const given = givenSecret(call, 'the token')
  if (file === undefined) return given
  if (given !== undefined) throw usageError('--tokenfile and a password exclude each other')
  return secretOfFile(file, 'the token')
}

async function askToken({ uri }: KnownEndpoint, { report }: Call['context']): Promise<string> {
  using conversation = new Conversation(
    'Give the token on standard input: --password-stdin, or in a file: --tokenfile FILE',
  )
  const text = `Generate an access token at https://${shown(uri)}/auth/tokens, and paste it here`
  report({ kind: 'info', text })
  return secretIn((await conversation.secret('Access Token: ')).trim(), 'the token')
}

/** Have the endpoint check a token, and keep it. */
export async function logInTo(call: Call, endpoint: KnownEndpoint, given: string | undefined): Promise<void> {
  const { report } = call.context
  const token = requireToken(given ?? (await askToken(endpoint, call.context)))
  const isValid = await whileAsking(call, 'logging in', (options) => isValidToken(endpoint, token, options))
  if (!isValid)
    throw new SingError('ENDPOINT', `the endpoint ${shown(endpoint.name)} does not take this token`, {
      hint: `Make another one at https://${shown(endpoint.uri)}/auth/tokens`,
    })
  report({ kind: 'info', text: 'Access Token Verified!' })
  const place = placeOf(call)
  await keep(call, { ...endpoint, token })
  report({ kind: 'info', text: `Token stored in ${shown(ownRemoteFile(place))}` })
}

/** Write an endpoint into the user's file. Of one of the site only what the user adds. */
async function keep(
  call: Call,
  endpoint: KnownEndpoint & { readonly token: string | undefined },
): Promise<void> {
  const place = placeOf(call)
  await whileAsking(call, 'writing the login', ({ signal }) =>
    changeOwn(place, signal, (document) => {
      const before = document.endpoints.find(({ name }) => name === endpoint.name)
      const keyservers = endpoint.system ? before?.keyservers : endpoint.keyservers
      return withEndpoint(document, {
        ...plain(endpoint),
        exclusive: false,
        keyservers,
        token: endpoint.token,
      })
    }),
  )
}

export async function logIn(call: Call): Promise<number> {
  const [name] = call.args
  if (name?.includes('://')) {
    const group = /^(docker|oras):/i.test(name) ? 'registry' : 'keyserver'
    throw usageError(`${shown(name)} is no endpoint`, `Use: sing ${group} login ${shown(name)}`)
  }
  const endpoint = findEndpoint(await readKnown(placeOf(call)), name)
  const insecure = endpoint.insecure || call.flags.insecure === true
  await logInTo(call, { ...endpoint, insecure }, tokenOfFlags(call))
  return 0
}

export async function logOut(call: Call): Promise<number> {
  const endpoint = findEndpoint(await readKnown(placeOf(call)), call.args[0])
  const { report } = call.context
  if (endpoint.token === undefined) {
    report({ kind: 'info', text: `You were not logged in to ${shown(endpoint.name)}` })
    return 0
  }
  await keep(call, { ...endpoint, token: undefined })
  report({ kind: 'info', text: 'Logout succeeded' })
  return 0
}

export async function printPassword(call: Call): Promise<number> {
  const endpoint = findEndpoint(await readKnown(placeOf(call)), undefined)
  const password = await whileAsking(call, 'asking for the password', (options) =>
    registryPassword(endpoint, options),
  )
  call.context.print(`${password}\n`)
  return 0
}
