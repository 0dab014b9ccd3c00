/** The key of a certificate that is believed: its chain leads to a trusted root, and nobody has revoked it. */

import { SingError, shown } from '../core/errors.ts'
import { trustedAuthorities } from '../store/trust.ts'
import { readSmallFile } from './bounded.ts'
import { type Certificate, findChain, parseCertificates, subjectOf } from './chain.ts'
import type { Material } from './types.ts'

export type CertificateOptions = {
  /** Files in PEM: the certificate of the signer, perhaps with others behind it; those of authorities. */
  readonly certificate: string
  readonly intermediates?: string | undefined
  /** The roots of the system when there is no such file. */
  readonly roots?: string | undefined
  /** Ask the issuers whether they have revoked what they issued. */
  readonly asksIssuers?: boolean
  readonly environment: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Milliseconds; now unless given. */
  readonly now?: number
}

const bundleLimit = 8 * 1024 * 1024

/**
 * The key that a certificate vouches for.
 * @throws SingError KEY with the reason why it is not believed
 */
export async function certifiedKey(options: CertificateOptions): Promise<Extract<Material, { kind: 'pem' }>> {
  const { certificate, intermediates, roots, environment, signal, now = Date.now() } = options
  const [leaf, ...behind] = await readBundle(certificate)
  const pool = {
    intermediates: [...behind, ...(intermediates === undefined ? [] : await readBundle(intermediates))],
    roots: roots === undefined ? systemRoots(environment) : await readBundle(roots),
  }
  const chain = findChain(leaf as Certificate, pool, now)
  if (options.asksIssuers) {
    const { askRevocations } = await import('./ocsp.ts')
    await askRevocations(chain, { environment, signal, now })
  }
  const [{ x509 }] = chain as [Certificate]
  return { kind: 'pem', key: x509.publicKey, certificate: subjectOf(leaf as Certificate) }
}

/** At least one certificate. */
async function readBundle(path: string): Promise<Certificate[]> {
  const { bytes } = await readSmallFile(path, 'certificate', bundleLimit)
  try {
    const found = parseCertificates(bytes.toString('latin1'))
    if (found.length > 0) return found
  } catch (cause) {
    const reason = cause instanceof SingError ? cause.message : 'it is damaged'
    throw new SingError('KEY', `cannot read the certificate ${shown(path)}: ${reason}`, { cause })
  }
  throw new SingError('KEY', `${shown(path)} has no certificate in PEM`, {
    hint: `For one in DER: openssl x509 -inform DER -in ${shown(path)} -out CERTIFICATE.pem`,
  })
}

/** Bundles of systems are large, and odd ones among them nobody's mistake. */
function systemRoots(environment: CertificateOptions['environment']): Certificate[] {
  const blocks = trustedAuthorities(environment).flatMap(
    (text) => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [],
  )
  return blocks.flatMap((block) => {
    try {
      return parseCertificates(block)
    } catch {
      return []
    }
  })
}
