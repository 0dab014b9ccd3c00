/** The one HTTP client: what comes from servers comes through here. */

import { reasonOf, SingError, shown } from '../core/errors.ts'

export type DownloadOptions = {
  /** Bytes; a server that sends more is not believed. */
  readonly limit: number
  readonly signal: AbortSignal
}

/** The reason of a failed request; the system's is hidden one level down. */
function reasonOfRequest(error: unknown): string {
  const { cause } = error as { cause?: unknown }
  return reasonOf(cause ?? error)
}

/**
 * The body of an address (http or https, redirections followed).
 * @throws SingError IO naming the address and the reason; the reason of the signal when it fires
 */
export async function download(address: string, { limit, signal }: DownloadOptions): Promise<Buffer> {
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('IO', `cannot download ${shown(address)}: ${reason}`, { cause })
  try {
    const response = await fetch(address, { signal })
    if (!response.ok) throw refuse(`the server answered ${response.status}`)
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body ?? []) {
      size += chunk.length
      if (size > limit) throw refuse(`it has more than ${limit} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (cause) {
    signal.throwIfAborted()
    throw cause instanceof SingError ? cause : refuse(reasonOfRequest(cause), cause)
  }
}
