/** Certificates that nobody else trusts: an authority of a test's own, and what it vouches for. */

import { join } from 'node:path'
import { run } from './sing.ts'

export type Certificate = {
  /** The authority's certificate, for who shall trust it. */
  readonly authority: string
  readonly certificate: string
  readonly key: string
}

/** A new authority, and a certificate of it for `localhost` and 127.0.0.1, as PEM files in `folder`. */
export async function makeCertificate(folder: string): Promise<Certificate> {
  const at = (name: string) => join(folder, name)
  const request = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30']
  const output = (name: string) => ['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)]
  await must([...request, '-subj', '/CN=sing-test authority', ...output('ca')])
  const issued = ['-CA', at('ca.crt'), '-CAkey', at('ca.key')]
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE']
  await must([...request, '-subj', '/CN=localhost', ...issued, ...names, ...leaf, ...output('server')])
  return { authority: at('ca.crt'), certificate: at('server.crt'), key: at('server.key') }
}

async function must(command: readonly string[]): Promise<void> {
  const { status, stderr } = await run(command, { as: 'self' })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}
