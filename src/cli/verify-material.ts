/** Whose signatures count: what flags and environment of `sing verify` say. */

import { SingError, shown } from '../core/errors.ts'
import type { Material } from '../trust/types.ts'
import type { Call } from './command.ts'
import { wordOf } from './words.ts'

/** Only with --certificate do these mean something. */
const aboutCertificates = ['certificate-intermediates', 'certificate-roots', 'ocsp-verify']

/** The keys that may have signed. @throws SingError KEY for files that hold none, or none that is believed */
export async function materialOf(call: Call, signal: AbortSignal): Promise<Material> {
  const { flags, context } = call
  const key = wordOf(call.flags, 'key')
  const certificate = wordOf(call.flags, 'certificate')
  if (key !== undefined && certificate !== undefined) {
    throw new SingError('USAGE', '--key and --certificate are two keys; an image is verified with one', {
      hint: 'They may also be set in the environment, as VERIFY_KEY and VERIFY_CERTIFICATE with a prefix.',
      status: 255,
    })
  }
  if (certificate === undefined) tellIdle(call)
  const say = (text: string) => context.report({ kind: 'info', text: `Verifying image with ${text}` })
  if (certificate !== undefined) {
    say(`key material from certificate '${shown(certificate)}'`)
    return await certified(call, certificate, signal)
  }
  if (key !== undefined) {
    say(`key material from '${shown(key)}'`)
    const { readPublicKey } = await import('../trust/pem.ts')
    return { kind: 'pem', key: await readPublicKey(key) }
  }
  say('PGP key material')
  return await people(call, flags.local === true, signal)
}

function tellIdle({ flags, context }: Call): void {
  for (const name of aboutCertificates.filter((flag) => flags[flag]))
    context.report({ kind: 'warning', text: `--${name} has no effect without --certificate` })
}

async function certified(call: Call, certificate: string, signal: AbortSignal): Promise<Material> {
  const { certifiedKey } = await import('../trust/certificate.ts')
  return await certifiedKey({
    certificate,
    intermediates: wordOf(call.flags, 'certificate-intermediates'),
    roots: wordOf(call.flags, 'certificate-roots'),
    asksIssuers: call.flags['ocsp-verify'] === true,
    environment: call.context.environment,
    signal,
  })
}

/** Keys of rings; those that nobody has here are asked for at key servers, unless the person wants to keep to the rings. */
async function people(call: Call, isLocal: boolean, signal: AbortSignal): Promise<Material> {
  const { environment, report } = call.context
  const url = wordOf(call.flags, 'url')
  if (isLocal && url !== undefined)
    report({ kind: 'warning', text: '--url has no effect with --local: no key server is asked' })
  const { findAnywhere, findLocally } = await import('../trust/find.ts')
  const options = { environment, report, signal }
  return { kind: 'openpgp', find: isLocal ? findLocally(options) : findAnywhere(options, url) }
}
