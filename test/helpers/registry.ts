/** A real registry, Debian's docker-registry, on a free port of 127.0.0.1, with a folder of its own and a note of all requests. */

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificate, makeCertificate } from './certificates.ts'
import { type NotingProxy, startProxy } from './proxy.ts'
import { environment, run } from './sing.ts'
import { until } from './slurm.ts'
import { issuer, type RegistryUser, type Rights, service, startTokens, type TokenServer } from './tokens.ts'

export type RegistryOptions = {
  readonly tls?: boolean
  /** Who may come in. Default: everybody. */
  readonly access?: 'open' | 'htpasswd' | 'token'
  /** By name; rights count with tokens only, and are all by default. Default: alice with the password s3cret. */
  readonly users?: Readonly<Record<string, RegistryUser>>
  /** What nobody in particular may do, with tokens. Default: nothing. */
  readonly anonymous?: Rights
  /** Seconds that a token lives. */
  readonly lifetime?: number
  /** The address of a registry whose mirror this one is. */
  readonly mirrorOf?: string
}

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:PORT`, through the proxy that notes requests and may meddle with them. */
  readonly host: string
  /** `localhost:PORT`, the same. */
  readonly name: string
  /** `127.0.0.1:PORT` of the registry itself, unnoted. */
  readonly directHost: string
  readonly port: number
  /** With TLS: the file with the authority's certificate. */
  readonly authority: string | undefined
  readonly proxy: NotingProxy
  readonly tokens: TokenServer | undefined
  /** Where it stores what it has. */
  readonly folder: string
}

const somebody = { alice: { password: 's3cret' } }

export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'sing-registry-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(folder, 0o755)

  const users = options.users ?? somebody
  const needsCertificate = options.tls || options.access === 'token'
  const certificate = needsCertificate ? await makeCertificate(folder) : undefined
  const tls = options.tls ? certificate : undefined
  const tokens =
    options.access === 'token' && certificate
      ? stack.use(await startTokens(certificate, { ...options, users }))
      : undefined
  if (options.access === 'htpasswd') await writePasswords(join(folder, 'htpasswd'), users)

  const configuration = configurationOf(folder, options, { tls, tokens, certificate })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(configuration, undefined, 2))
  const own = await start(folder, stack)
  const proxy = stack.use(await startProxy(own, tls))
  const started = stack.move()
  return {
    host: `127.0.0.1:${proxy.port}`,
    name: `localhost:${proxy.port}`,
    directHost: `127.0.0.1:${own}`,
    port: proxy.port,
    authority: tls?.authority,
    proxy,
    tokens,
    folder,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

type Parts = {
  tls: Certificate | undefined
  tokens: TokenServer | undefined
  certificate: Certificate | undefined
}

/** JSON is YAML, too. */
function configurationOf(
  folder: string,
  options: RegistryOptions,
  { tls, tokens, certificate }: Parts,
): object {
  const passwords = { htpasswd: { realm: service, path: join(folder, 'htpasswd') } }
  const bearer = { token: { realm: tokens?.realm, service, issuer, rootcertbundle: certificate?.authority } }
  const auth = options.access === 'htpasswd' ? { auth: passwords } : tokens ? { auth: bearer } : {}
  return {
    version: 0.1,
    log: { level: 'info', formatter: 'text', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: {
      addr: '127.0.0.1:0',
      ...(tls ? { tls: { certificate: tls.certificate, key: tls.key } } : {}),
    },
    ...(options.mirrorOf ? { proxy: { remoteurl: options.mirrorOf } } : {}),
    ...auth,
  }
}

async function writePasswords(file: string, users: Readonly<Record<string, RegistryUser>>): Promise<void> {
  writeFileSync(file, '')
  for (const [name, { password }] of Object.entries(users)) {
    const { status, stderr } = await run(['htpasswd', '-Bbi', file, name], { as: 'self', input: password })
    if (status !== 0) throw new Error(`htpasswd: ${stderr}`)
  }
}

/** It chooses a free port and tells which. It ends with us, also when we are killed. */
async function start(folder: string, stack: AsyncDisposableStack): Promise<number> {
  const log = join(folder, 'log')
  const output = openSync(log, 'w')
  const command = ['--pdeathsig=KILL', 'docker-registry', 'serve', join(folder, 'config.json')]
  const env = environment({ as: 'self' })
  const child = spawn('setpriv', command, { env, stdio: ['ignore', output, output] })
  closeSync(output)
  stack.defer(() => end(child))
  const port = () => /listening on 127\.0\.0\.1:(\d+)/.exec(readFileSync(log, 'utf8'))?.[1]
  await until(() => port() !== undefined || child.exitCode !== null)
  if (child.exitCode !== null) throw new Error(`docker-registry ended: ${readFileSync(log, 'utf8')}`)
  return Number(port())
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}
