/**
 * Images of a Docker daemon (`docker-daemon:`), or of whoever speaks its language, such as Podman: the daemon sends the archive
 * that `docker save` writes. (Docker Engine API: /_ping, /images/get.)
 */

import { SingError, shown } from '../core/errors.ts'
import { HttpClient, RequestError, type RequestOptions, type Response } from '../store/http.ts'
import { type Trust, trustInFolder } from '../store/trust.ts'
import { type ArchiveOptions, unpackArchive } from './archive.ts'
import { dockerSource } from './docker-archive.ts'
import { type DaemonReference, originOf, showReference } from './reference.ts'
import type { ImageSource } from './types.ts'

type Environment = Readonly<Record<string, string>>

export type DaemonOptions = ArchiveOptions & {
  readonly environment: Environment
  /** `--docker-host`; else DOCKER_HOST tells, else the daemon is where it usually is. */
  readonly dockerHost?: string | undefined
}

/** Where a daemon listens. */
export type Daemon = {
  /** As the user wrote it. */
  readonly host: string
  readonly address: string
  readonly socketPath?: string
  /** A folder of Docker's certificates. */
  readonly certificates?: string
}

const usualHost = 'unix:///var/run/docker.sock'

/**
 * The daemon that the user means.
 * @throws SingError REFERENCE for hosts of other kinds
 */
export function daemonOf(given: string | undefined, environment: Environment): Daemon {
  const host = given || environment.DOCKER_HOST || usualHost
  const socketPath = /^(?:unix:\/\/)?(\/.*)$/s.exec(host)?.[1]
  if (socketPath !== undefined) return { host, address: 'http://localhost', socketPath }
  const url = URL.parse(host.replace(/^tcp:/, 'http:'))
  if (!url?.hostname || !/^https?:$/.test(url.protocol))
    throw new SingError('REFERENCE', `${shown(host)} is no host of a Docker daemon`, {
      hint: host.startsWith('ssh:')
        ? 'Let ssh bring its socket here: ssh -NL ./docker.sock:/var/run/docker.sock HOST, and --docker-host unix://$PWD/docker.sock'
        : 'Expected unix:///path/of/docker.sock, tcp://host:port or https://host:port',
    })
  const { DOCKER_CERT_PATH: certificates, DOCKER_TLS_VERIFY: verify } = environment
  if (!certificates && !verify && url.protocol === 'http:') return { host, address: url.origin }
  const address = url.origin.replace(/^http:/, 'https:')
  return certificates ? { host, address, certificates } : { host, address }
}

/** The image that a reference picks of a daemon; it is fetched whole into the scratch directory. */
export async function openDaemon(reference: DaemonReference, options: DaemonOptions): Promise<ImageSource> {
  const daemon = daemonOf(options.dockerHost, options.environment)
  const named = { name: showReference(reference), origin: originOf(reference) }
  await using stack = new AsyncDisposableStack()
  using client = new DaemonClient(daemon)
  const archive = (signal: AbortSignal) => client.save(reference.image, named.name, signal)
  const files = stack.use(await unpackArchive(archive, named.name, options))
  const source = await dockerSource(named, files, undefined, options.signal)
  stack.move()
  return source
}

/** The latest version of the interface that this was written for. */
const ours = [1, 51] as const
const messageLimit = 64 * 1024

/** Large images are exported before the first byte comes. */
const patience = { answer: 30 * 60_000, body: 10 * 60_000 }

class DaemonClient implements Disposable {
  readonly #daemon: Daemon
  readonly #client: HttpClient

  constructor(daemon: Daemon) {
    this.#daemon = daemon
    const trust: { trust?: Trust } = daemon.certificates ? { trust: trustInFolder(daemon.certificates) } : {}
    // Daemons are asked directly: the proxies of the environment are for registries.
    this.#client = new HttpClient({ environment: {}, patience, ...trust })
  }

  /** The archive with an image. */
  async *save(image: string, name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const version = await this.#version(signal)
    const response = await this.#get(`${version}/images/get?names=${encodeURIComponent(image)}`, signal)
    if (response.status !== 200) throw await this.#refusal(response, name)
    yield* response.chunks()
  }

  /** The newest version that both know, as paths have it. */
  async #version(signal: AbortSignal): Promise<string> {
    const response = await this.#get('/_ping', signal)
    await response.discard()
    const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(response.header('api-version') ?? '') ?? []
    if (major === undefined) return ''
    const theirs = [Number(major), Number(minor)] as const
    const [first, second] = theirs[0] === ours[0] && theirs[1] < ours[1] ? theirs : ours
    return `/v${first}.${second}`
  }

  async #get(path: string, signal: AbortSignal): Promise<Response> {
    const { address, socketPath } = this.#daemon
    const options: RequestOptions = { signal, retries: 0, ...(socketPath ? { socketPath } : {}) }
    try {
      return await this.#client.request(address + path, options)
    } catch (cause) {
      if (!(cause instanceof RequestError)) throw cause
      throw unreachable(cause, this.#daemon)
    }
  }

  async #refusal(response: Response, name: string): Promise<SingError> {
    const message = await messageOf(response)
    if (response.status === 404 || /reference does not exist|no such image/i.test(message))
      return new SingError('IMAGE_NOT_FOUND', `there is no image ${shown(name)}`, {
        hint: `See: docker --host ${shown(this.#daemon.host)} images`,
      })
    const reason = message || `it answered ${response.status}`
    return new SingError('IO', `the Docker daemon at ${shown(this.#daemon.host)} refuses: ${shown(reason)}`)
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}

/** Errors are told as `{"message": "..."}`. */
async function messageOf(response: Response): Promise<string> {
  try {
    const { message } = JSON.parse((await response.bytes(messageLimit)).toString()) as { message?: unknown }
    return typeof message === 'string' ? message : ''
  } catch {
    return ''
  }
}

function unreachable(cause: RequestError, { host }: Daemon): SingError {
  const denied = /permission denied/.test(cause.message)
  const hint = denied
    ? 'Users of the group docker may; without it: docker save -o app.tar NAME where you may, and docker-archive:app.tar'
    : 'Is it running? --docker-host or DOCKER_HOST tells where: unix:///run/user/1000/docker.sock'
  return new SingError('IO', `cannot ask the Docker daemon at ${shown(host)}: ${cause.message}`, {
    hint: cause.hint ?? hint,
    cause,
  })
}
