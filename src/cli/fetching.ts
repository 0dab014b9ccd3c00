/** What flags, environment and configuration say about fetching images. */

import { accessSync, constants } from 'node:fs'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { singularityVersion } from '../core/version.ts'
import { hostArchitecture } from '../image/architecture.ts'
import type { Fetched, FetchOptions } from '../image/fetch.ts'
import { requestedPlatform } from '../oci/platform.ts'
import { type Cache, openCache } from '../store/cache.ts'
import { cacheRoot } from '../store/place.ts'
import type { Call, Flags } from './command.ts'
import { parseLayerLimits } from './layer-limits.ts'
import { askLogin } from './login.ts'
import { wordOf } from './words.ts'

const words = (value: Flags[string]): readonly string[] => (Array.isArray(value) ? value : [])

/** More do not make anything faster, and servers mind. */
const mostParallel = 32

type Environment = Readonly<Record<string, string>>

/** The name under which a variable is set. */
const setName = (environment: Environment, name: string): string | undefined =>
  ['SING', 'APPTAINER', 'SINGULARITY'].map((prefix) => `${prefix}_${name}`).find((full) => environment[full])

/** The peers ask for one file in several parts; here several files come at the same time. */
function tellIdle(environment: Environment, report: Report): void {
  for (const name of ['DOWNLOAD_PART_SIZE', 'DOWNLOAD_BUFFER_SIZE']) {
    const found = setName(environment, name)
    if (found)
      report({ kind: 'warning', text: `${found} has no effect: no file is fetched in several parts` })
  }
}

function parallelOf(environment: Environment, configured: number): number {
  const name = setName(environment, 'DOWNLOAD_CONCURRENCY')
  if (name === undefined) return Math.min(Math.max(1, configured), mostParallel)
  const value = environment[name] ?? ''
  if (/^[1-9]\d{0,4}$/.test(value)) return Math.min(Number(value), mostParallel)
  throw new SingError('USAGE', `${name}=${shown(value)}: expected a number of downloads, such as 4`, {
    status: 255,
  })
}

/** Where a source may unpack what it cannot read in place: beside the cache when that can be written. */
function scratchParent(isPrivate: boolean, temporary: string, environment: Environment): string {
  const root = isPrivate ? undefined : cacheRoot(environment)
  try {
    if (root) accessSync(root, constants.W_OK | constants.X_OK)
    return root ?? temporary
  } catch {
    return temporary
  }
}

/** The variables of the peers for temporary files are those of the flag; behind it comes TMPDIR. */
const temporaryOf = ({ flags, context }: Call): string =>
  wordOf(flags, 'tmpdir') ?? context.environment.TMPDIR ?? '/tmp'

/** The cache that the flags, the environment and the settings of a call name. */
async function openCallCache(call: Call): Promise<Cache> {
  const { environment, report } = call.context
  const { config } = await call.context.settings()
  const disabled = call.flags['disable-cache'] === true
  return openCache({ environment, config, disabled, temporary: temporaryOf(call), report })
}

/**
 * Everything that fetching an image needs. Dispose of the cache at the end: a temporary one is removed then.
 * @throws SingError for flags, variables and settings that make no sense
 */
export async function fetchingOptions(call: Call, signal: AbortSignal, cache?: Cache): Promise<FetchOptions> {
  const { flags, context } = call
  const { environment, report } = context
  const { config } = await context.settings()
  tellIdle(environment, report)
  const host = { os: 'linux', architecture: hostArchitecture() }
  const platform = requestedPlatform(
    {
      arch: wordOf(flags, 'arch'),
      archVariant: wordOf(flags, 'arch-variant'),
      platform: wordOf(flags, 'platform'),
    },
    host,
  )
  const cacheOrNew = cache ?? (await openCallCache(call))
  return {
    cache: cacheOrNew,
    parallel: parallelOf(environment, config.downloads.parallel),
    host,
    platform,
    version: singularityVersion,
    limits: parseLayerLimits(words(flags['layer-limits'])),
    scratch: scratchParent(cacheOrNew.isPrivate, temporaryOf(call), environment),
    report,
    signal,
    source: {
      environment,
      report,
      noHttps: flags['no-https'] === true,
      authFile: wordOf(flags, 'authfile'),
      username: wordOf(flags, 'docker-username'),
      password: wordOf(flags, 'docker-password'),
      dockerHost: wordOf(flags, 'docker-host'),
      ask: flags['docker-login'] === true ? askLogin : undefined,
    },
  }
}

/** Fetches what it is asked for. Most builds ask for nothing: what fetching needs is made for the first who does. */
export class Fetcher implements Disposable {
  readonly #call: Call
  #cache: Promise<Cache> | undefined
  #options: FetchOptions | undefined
  #opened: Cache | undefined

  constructor(call: Call) {
    this.#call = call
  }

  /** The image in the cache. */
  readonly obtain = async (reference: string, signal: AbortSignal): Promise<Fetched> => {
    const { fetchImage } = await import('../image/fetch.ts')
    this.#options ??= await fetchingOptions(this.#call, signal, await this.cache())
    return await fetchImage(reference, this.#options)
  }

  /** The cache of this command. */
  readonly cache = async (): Promise<Cache> => {
    this.#cache ??= openCallCache(this.#call).then((cache) => {
      this.#opened = cache
      return cache
    })
    return await this.#cache
  };

  /** A temporary cache goes away with the images in it. */
  [Symbol.dispose](): void {
    this.#opened?.[Symbol.dispose]()
  }
}
