/** What `sing key search`, `pull` and `push` share: the one server that they ask, and their exit status. */

import { SingError } from '../../core/errors.ts'
import { readKnown } from '../../endpoints/files.ts'
import { chosenServers, type KeyServer } from '../../endpoints/keyservers.ts'
import type { AskOptions } from '../../trust/keyserver.ts'
import type { Call } from '../command.ts'
import { whileAsking } from '../endpoints/call.ts'
import { wordOf } from '../words.ts'

/** Exit status of the peers for commands of keys that fail. */
const status = 2

const withStatus = ({ code, message, hint, cause, stack: _ }: SingError): SingError =>
  new SingError(code, message, { hint, cause, status })

/** Ask the first key server, or the one of --url. */
export async function atServer<T>(
  call: Call,
  what: string,
  work: (server: KeyServer, options: AskOptions) => Promise<T>,
): Promise<T> {
  try {
    return await whileAsking(call, what, async (options) => {
      const known = await readKnown(options)
      const [server] = await chosenServers(known, wordOf(call.flags, 'url'), options)
      if (!server) throw new SingError('INTERNAL', 'a list of key servers is empty')
      return await work(server, options)
    })
  } catch (error) {
    throw error instanceof SingError && error.code !== 'INTERRUPTED' ? withStatus(error) : error
  }
}
