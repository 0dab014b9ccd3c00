/** Certificates made by openssl, and its server that tells which were revoked. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

export type Made = { readonly name: string; readonly certificate: string; readonly key: string }

export type MakeOptions = {
  readonly issuer?: Made
  /** Lines of extensions, as x509v3_config(5) has them. */
  readonly extensions: readonly string[]
  /** From now on; a negative number makes one that is over. */
  readonly days?: number
  readonly digest?: string
  /** Arguments of `openssl genpkey`. */
  readonly keyType?: readonly string[]
  readonly serial?: number
}

export const authority = (pathLength?: number): string[] => [
  `basicConstraints=critical,CA:TRUE${pathLength === undefined ? '' : `,pathlen:${pathLength}`}`,
  'keyUsage=critical,keyCertSign,cRLSign',
]
export const signer: readonly string[] = [
  'basicConstraints=CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=codeSigning',
]

const p256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']

const openssl = (...args: readonly string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** A certificate in `folder`, signed by its issuer or itself. */
export function makeCertificate(folder: string, name: string, options: MakeOptions): Made {
  const { issuer, extensions, days = 30, digest = 'sha256', keyType = p256, serial } = options
  const made = { name, certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
  const [request, extra] = [join(folder, `${name}.csr`), join(folder, `${name}.ext`)]
  openssl('genpkey', ...keyType, '-out', made.key)
  openssl('req', '-new', '-key', made.key, '-subj', `/O=Example/CN=${name}`, '-out', request)
  writeFileSync(extra, `${extensions.join('\n')}\n`)
  const by = issuer ? ['-CA', issuer.certificate, '-CAkey', issuer.key] : ['-signkey', made.key]
  const number = serial === undefined ? ['-CAcreateserial'] : ['-set_serial', String(serial)]
  const rest = ['-days', String(days), `-${digest}`, '-extfile', extra, '-out', made.certificate]
  openssl('x509', '-req', '-in', request, ...by, ...(issuer ? number : []), ...rest)
  return made
}

export type Responder = { readonly address: string; readonly stop: () => Promise<void> }

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

/** One that listens on no port yet: its address has to stand in certificates that it will answer about. */
export async function reserveResponder(): Promise<{ readonly port: number; readonly address: string }> {
  const port = await freePort()
  return { port, address: `http://127.0.0.1:${port}/` }
}

/**
 * `openssl ocsp` as a server. `index` says what became of serial numbers: each V for good or R for revoked; others are unknown
 * to it.
 */
export async function startResponder(
  folder: string,
  port: number,
  {
    issuer,
    by,
    index,
    args = [],
  }: { issuer: Made; by: Made; index: Readonly<Record<number, 'V' | 'R'>>; args?: readonly string[] },
): Promise<Responder> {
  const file = join(folder, `index-${port}.txt`)
  const lines = Object.entries(index).map(([serial, state]) => {
    const hex = Number(serial).toString(16).toUpperCase().padStart(2, '0')
    return [state, '350101000000Z', state === 'R' ? '260101000000Z' : '', hex, 'unknown', '/CN=any'].join(
      '\t',
    )
  })
  writeFileSync(file, `${lines.join('\n')}\n`)
  writeFileSync(`${file}.attr`, 'unique_subject = no\n')
  const server = spawn(
    'openssl',
    [
      'ocsp',
      '-port',
      String(port),
      '-index',
      file,
      '-CA',
      issuer.certificate,
      '-rsigner',
      by.certificate,
      '-rkey',
      by.key,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  await ready(server)
  return { address: `http://127.0.0.1:${port}/`, stop: () => stop(server) }
}

/** It says when it waits for clients. */
function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    const look = (chunk: Buffer) => {
      text += chunk
      if (/waiting for OCSP client connections/i.test(text)) resolve()
    }
    server.stdout?.on('data', look)
    server.stderr?.on('data', look)
    server.on('error', reject)
    server.on('exit', () => reject(new Error(`the server of OCSP ended: ${text}`)))
  })
}

function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    server.on('exit', () => resolve())
    server.kill('SIGKILL')
  })
}
