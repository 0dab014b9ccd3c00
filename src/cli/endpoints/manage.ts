/** `sing remote add`, `use` and `remove`. */

import { SingError, shown } from '../../core/errors.ts'
import type { RemoteDocument } from '../../endpoints/document.ts'
import { withEndpoint, withoutEndpoint } from '../../endpoints/edit.ts'
import {
  changeOwn,
  changeSite,
  ownRemoteFile,
  readKnown,
  readSite,
  siteRemoteFile,
} from '../../endpoints/files.ts'
import { findEndpoint, type Known, type KnownEndpoint, plain } from '../../endpoints/known.ts'
import { addressOf } from '../../endpoints/services.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'
import { placeOf, whileAsking } from './call.ts'
import { logInTo, tokenOfFlags } from './login.ts'

const info = ({ context }: Call, text: string): void => context.report({ kind: 'info', text })

function nameOf(text: string): string {
  if (/^[^\s\p{C}/]{1,100}$/u.test(text)) return text
  throw usageError(`"${shown(text)}" cannot name an endpoint`, 'A name is a word without blanks and slashes')
}

/** Host and path of what somebody typed. @throws SingError for what is none */
function uriOf(text: string, isInsecure: boolean): string {
  const [, scheme = 'https', uri = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*?)\/*$/i.exec(text) ?? []
  if (!/^https?$/i.test(scheme))
    throw usageError(`${shown(text)} is no endpoint: an endpoint has an address of the web`)
  if (/^http$/i.test(scheme) && !isInsecure)
    throw usageError(
      `${shown(text)}: an endpoint by plain HTTP needs --insecure`,
      'Without http:// it is HTTPS',
    )
  addressOf({ name: text, uri, insecure: isInsecure, system: false, exclusive: false })
  return uri
}

function requireFree(known: Known, name: string): void {
  const found = known.endpoints.find((endpoint) => endpoint.name === name)
  if (found)
    throw new SingError('ENDPOINT', `${shown(name)} is already a remote (${shown(found.file)})`, {
      hint: `Take another name, or remove it first: sing remote remove ${shown(name)}`,
    })
}

export async function addEndpoint(call: Call): Promise<number> {
  const { flags, args } = call
  const isGlobal = flags.global === true
  const isInsecure = flags.insecure === true && !/^https:/i.test(args[1] ?? '')
  if (flags.insecure === true && !isInsecure) info(call, '--insecure has no effect on an https:// address')
  const name = nameOf(args[0] ?? '')
  const uri = uriOf(args[1] ?? '', isInsecure)
  const token = tokenOfFlags(call)
  const place = placeOf(call)
  const known = await readKnown(place)
  requireFree(known, name)
  const endpoint = { name, uri, system: isGlobal, exclusive: false, insecure: isInsecure }
  const add = (document: RemoteDocument) => {
    const next = withEndpoint(document, endpoint)
    return flags['no-default'] === true ? next : { ...next, active: name }
  }
  await whileAsking(call, 'adding the endpoint', ({ signal }) =>
    isGlobal ? changeSite(signal, add) : changeOwn(place, signal, add),
  )
  info(call, `Remote "${shown(name)}" added.`)
  const exclusive = known.endpoints.find((one) => one.exclusive)
  if (exclusive && flags['no-default'] !== true) {
    const text = `${shown(exclusive.name)} stays in use: the site allows no other endpoint`
    call.context.report({ kind: 'warning', text })
  }
  if (isGlobal) info(call, 'Everybody logs in to it for themselves: sing remote login')
  if (isGlobal || flags['no-login'] === true) return 0
  const file = isGlobal ? siteRemoteFile : ownRemoteFile(place)
  await logInTo(call, { ...endpoint, file, isOurs: true }, token)
  return 0
}

/** All of the site's that were exclusive are no more, and one is, perhaps. */
function chosenForSite(document: RemoteDocument, known: Known, chosen: KnownEndpoint, exclusive: boolean) {
  const freed = known.endpoints
    .filter((one) => one.system && one.exclusive)
    .reduce((next, one) => withEndpoint(next, { ...plain(one), exclusive: false }), document)
  const next = exclusive ? withEndpoint(freed, { ...plain(chosen), exclusive: true }) : freed
  return { ...next, active: chosen.name }
}

export async function chooseEndpoint(call: Call): Promise<number> {
  const { flags, args } = call
  const isExclusive = flags.exclusive === true
  const isGlobal = flags.global === true || isExclusive
  const place = placeOf(call)
  const known = await (isGlobal ? readSite(place.report) : readKnown(place))
  const endpoint = findEndpoint(known, args[0])
  const only = known.endpoints.find(({ exclusive }) => exclusive)
  if (!isGlobal && only && only.name !== endpoint.name)
    throw new SingError(
      'ENDPOINT',
      `${shown(endpoint.name)} cannot be used: the site allows only ${shown(only.name)}`,
      {
        hint: `The administrator can change it: sing remote use --global ${shown(endpoint.name)}`,
      },
    )
  await whileAsking(call, 'choosing the endpoint', ({ signal }) =>
    isGlobal
      ? changeSite(signal, (document) => chosenForSite(document, known, endpoint, isExclusive))
      : changeOwn(place, signal, (document) => ({ ...document, active: endpoint.name })),
  )
  info(call, `Remote "${shown(endpoint.name)}" now in use.`)
  return 0
}

export async function removeEndpoint(call: Call): Promise<number> {
  const isGlobal = call.flags.global === true
  const place = placeOf(call)
  const known = await readKnown(place)
  const endpoint = findEndpoint(known, call.args[0])
  const name = shown(endpoint.name)
  if (endpoint.system !== isGlobal) {
    const hint = isGlobal ? 'It is yours: leave out --global' : `As root: sing remote remove --global ${name}`
    throw new SingError('ENDPOINT', `${name} is ${isGlobal ? 'not global' : "global and can't be removed"}`, {
      hint,
    })
  }
  if (!endpoint.isOurs || !endpoint.file.startsWith('/'))
    throw new SingError('ENDPOINT', `${name} stands in ${shown(endpoint.file)}, which is not changed here`, {
      hint: endpoint.isOurs ? undefined : `Remove it with its own program: apptainer remote remove ${name}`,
    })
  await whileAsking(call, 'removing the endpoint', ({ signal }) => {
    const remove = (document: RemoteDocument) => withoutEndpoint(document, endpoint.name)
    return isGlobal ? changeSite(signal, remove) : changeOwn(place, signal, remove)
  })
  info(call, `Remote "${name}" removed.`)
  const left = (await readKnown(place)).endpoints.find((one) => one.name === endpoint.name)
  if (left) {
    const text = `${shown(left.file)} has an endpoint of that name, too, which is used from now on`
    call.context.report({ kind: 'warning', text })
  }
  return 0
}
