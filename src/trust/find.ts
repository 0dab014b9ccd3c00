/** Looks for the keys of signatures: in rings first, then at key servers. */

import { SingError, shown } from '../core/errors.ts'
import { parseServer } from '../endpoints/address.ts'
import { readKnown } from '../endpoints/files.ts'
import { chosenServers, type KeyServer } from '../endpoints/keyservers.ts'
import type { AskOptions } from './keyserver.ts'
import { keyPlaces } from './places.ts'
import { findInRings } from './ring-keys.ts'
import { findKeyAt } from './server-keys.ts'
import type { FindKey, FoundKey } from './types.ts'

/** Ask one after the other. */
export const firstOf =
  (...finders: readonly FindKey[]): FindKey =>
  async (keyId) => {
    for (const find of finders) {
      const found = await find(keyId)
      if (found) return found
    }
    return undefined
  }

/**
 * Ask servers, the first one first. One that gives no answer, or another key, is told about and passed over. A key is used and not
 * kept. Which servers there are is found out when the first key is wanted.
 */
export function findOnServers(list: () => Promise<readonly KeyServer[]>, options: AskOptions): FindKey {
  let servers: Promise<readonly KeyServer[]> | undefined
  return async (keyId) => {
    servers ??= list()
    return await findOnOne(await servers, keyId, options)
  }
}

/** Look into the rings of site and user. */
export const findLocally = ({ environment, report }: Pick<AskOptions, 'environment' | 'report'>): FindKey =>
  findInRings(keyPlaces(environment), report)

/**
 * Look into the rings of site and user, and then ask the key servers: those that were chosen, or the one at `url`.
 * @throws SingError USAGE for what is no address
 */
export const findAnywhere = (options: AskOptions, url?: string): FindKey =>
  firstOf(findLocally(options), findRemotely(url, options))

/**
 * Ask the key servers that site and user have chosen, or the one at `url`. Where it cannot be known which these are, it is told, and
 * no key is found.
 * @throws SingError USAGE for what is no address
 */
function findRemotely(url: string | undefined, options: AskOptions): FindKey {
  if (url !== undefined) parseServer(url)
  const { environment, report } = options
  const list = async (): Promise<readonly KeyServer[]> => {
    try {
      return await chosenServers(await readKnown({ environment, report }), url, options)
    } catch (error) {
      if (!(error instanceof SingError) || error.code !== 'ENDPOINT') throw error
      report({ kind: 'warning', text: `No key server is asked: ${error.message}` })
      return []
    }
  }
  return findOnServers(list, options)
}

async function findOnOne(
  servers: readonly KeyServer[],
  keyId: string,
  options: AskOptions,
): Promise<FoundKey | undefined> {
  for (const server of servers) {
    try {
      const key = await findKeyAt(server, keyId, options)
      if (key) return { key, origin: 'remote' }
    } catch (error) {
      if (!(error instanceof SingError) || error.code !== 'KEYSERVER') throw error
      const text = `Looking for the key ${shown(keyId)}: ${error.message}`
      options.report({ kind: 'warning', text })
    }
  }
  return undefined
}
