/** References in the place of an image: fetched first, then used like any other file. */

import { fetchImage } from '../image/fetch.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import type { Call } from './command.ts'
import { fetchingOptions } from './fetching.ts'
import { usualName } from './names.ts'

/**
 * Fetch the image that the first argument names, and go on with its path instead. Without a cache it is a temporary file that
 * goes when `use` is done.
 */
export async function withFetched(call: Call, use: (call: Call) => Promise<number>): Promise<number> {
  const [reference = '', ...rest] = call.args
  // Caught to the end where something has to be removed; else the container gets the signals.
  using stack = new DisposableStack()
  const interruption = stack.use(catchInterruption('fetching the image'))
  const options = await fetchingOptions(call, interruption.signal)
  const { cache } = options
  stack.use(cache)
  const { path } = await fetchImage(reference, options)
  interruption.signal.throwIfAborted()
  if (!cache.isPrivate) stack.dispose()
  const fetched = { name: usualName(reference), isTemporary: cache.isPrivate }
  return await use({ ...call, args: [path, ...rest], fetched })
}
