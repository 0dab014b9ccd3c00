/** Why a server could not be asked, in words. */

import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { ProxyRefusal } from './connect.ts'

/**
 * - `address`: it is none
 * - `unreachable`: nobody is there
 * - `untrusted`: somebody is there whom we do not believe
 * - `protocol`: somebody is there who talks otherwise
 * - `slow`: nothing comes, or too little
 * - `cut`: the connection ended early
 * - `redirect`: it never ends
 * - `limit`: more came than may come
 */
export type RequestFailure =
  | 'address'
  | 'unreachable'
  | 'untrusted'
  | 'protocol'
  | 'slow'
  | 'cut'
  | 'redirect'
  | 'limit'

/** A request without an answer, or with one that ended early. */
export class RequestError extends SingError {
  readonly failure: RequestFailure

  constructor(failure: RequestFailure, sentence: string, details: { hint?: string; cause?: unknown } = {}) {
    super('IO', sentence, details)
    this.failure = failure
  }

  /** Another try may have another end. */
  get passing(): boolean {
    return this.failure === 'cut'
  }
}

/** Thrown by our own timers. */
export class TooSlow extends Error {}

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'there is no way to this host',
  ENETUNREACH: 'there is no way to its network',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  ENOENT: 'no such socket',
  EACCES: 'permission denied',
}

/** Names of the two engines for what is wrong with a certificate. */
const untrusted: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an unknown authority',
  CERT_UNTRUSTED: 'its certificate comes from an unknown authority',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; is the clock of this machine right?',
  CERT_REVOKED: 'its certificate was revoked',
  CERT_SIGNATURE_FAILURE: 'its certificate is broken',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
}

const unknownAuthority = /^its certificate (is signed by itself|comes from)/

/** TLS was spoken to somebody who does not speak it, in the words of the two engines. */
const isNoTls = (error: unknown): boolean =>
  /wrong.version.number|packet.length.too.long|WRONG_VERSION_NUMBER/i.test(
    `${errnoOf(error)} ${(error as Error).message}`,
  )

function trustHint(reason: string, { host }: URL): string | undefined {
  if (!unknownAuthority.test(reason)) return undefined
  const folder = `~/.config/containers/certs.d/${host}`
  return `To believe it, put the certificate of its authority into ${shown(folder)}/ca.crt, or name it in SSL_CERT_FILE`
}

function refusalText({ message, cause }: ProxyRefusal): string {
  return cause === undefined ? message : `${message}: ${unreachable[errnoOf(cause) ?? ''] ?? reasonOf(cause)}`
}

/** What an error of the engine means for who asked. */
export function failureOf(error: unknown, url: URL, socketPath?: string): RequestError {
  if (error instanceof RequestError) return error
  const place = shown(socketPath ?? url.host)
  const fail = (failure: RequestFailure, reason: string, hint?: string) =>
    new RequestError(failure, `cannot reach ${place}: ${reason}`, { ...(hint && { hint }), cause: error })
  if (error instanceof TooSlow) return fail('slow', error.message)
  if (error instanceof ProxyRefusal) return fail('unreachable', refusalText(error))
  const code = errnoOf(error) ?? ''
  if (unreachable[code]) return fail('unreachable', unreachable[code])
  if (untrusted[code]) return fail('untrusted', untrusted[code], trustHint(untrusted[code], url))
  if (isNoTls(error)) return fail('protocol', 'it does not speak TLS', 'For plain HTTP: --no-https')
  if (code.startsWith('HPE_')) return fail('protocol', 'it does not speak HTTP as it should')
  if (code === 'ETIMEDOUT') return fail('unreachable', 'it does not answer')
  if (['ECONNRESET', 'EPIPE', 'ECONNABORTED'].includes(code)) {
    const hint = url.protocol === 'http:' ? 'If it speaks HTTPS: without --no-https' : undefined
    return fail('cut', 'it ended the connection without an answer', hint)
  }
  return fail('protocol', reasonOf(error))
}
