/** What stands behind FROM and `--from=`: nothing, an earlier stage, or an image, with what it says about itself. */

import { resolve } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import { stageNamed } from '../../definition/dockerfile/parse.ts'
import type { OciConfig } from '../../definition/dockerfile/state.ts'
import type { DockerStage } from '../../definition/dockerfile/types.ts'
import { isAboutBase } from '../../image/labels.ts'
import { imageConfig } from '../../image/oci-config.ts'
import { openOciSif } from '../../image/oci-sif.ts'
import { type Image, openImage } from '../../image/open.ts'
import { describeImage } from '../../image/outgoing.ts'
import { requireSource } from '../../image/refused.ts'
import { parseReference } from '../../oci/reference.ts'
import { contentDigest } from '../lock/sources.ts'
import type { BuildTools } from '../request.ts'
import { baseOfImage } from '../sources/image.ts'
import type { SourceBase } from '../sources/index.ts'

export type From =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'stage'; readonly index: number }
  /** `docker://alpine:3.20`, `oci:layout:tag`. */
  | { readonly kind: 'reference'; readonly reference: string }
  /** An image of this machine, absolute. */
  | { readonly kind: 'file'; readonly path: string }

/** `docker:24` is an image of that name in a registry, `docker://docker:24` as well. */
const reference =
  /^(?:(docker|oras|https?|library|shub|ipfs):\/\/|(oci|oci-archive|docker-archive|docker-daemon):)/
/** Schemes whose images lie on this machine, behind a path. */
const ofPaths = ['oci', 'oci-archive', 'docker-archive']

/**
 * What a word means. Paths begin in the context; a plain name is that of a stage above, else of an image in a registry.
 * @throws SingError REFERENCE or UNSUPPORTED for what can name no image
 */
export function readFrom(
  word: string,
  stages: readonly DockerStage[],
  below: number,
  context: string,
  numbers = false,
): From {
  if (word === 'scratch') return { kind: 'nothing' }
  const index = stageNamed(stages, word, below, numbers)
  if (index !== undefined) return { kind: 'stage', index }
  if (/^\.{0,2}\//.test(word)) return { kind: 'file', path: resolve(context, word) }
  const [, local] = /^localimage:(?:\/\/)?(.+)$/.exec(word) ?? []
  if (local !== undefined) return { kind: 'file', path: resolve(context, local) }
  return { kind: 'reference', reference: checked(withPath(word, context)) }
}

/** The reference that a word means, with a path in it made absolute. */
function withPath(word: string, context: string): string {
  const [start = '', , scheme = ''] = reference.exec(word) ?? []
  if (start === '') return `docker://${word}`
  if (!ofPaths.includes(scheme)) return word
  const [, path = '', tag = ''] = /^([^:]*)(:.*)?$/.exec(word.slice(start.length).replace(/^\/\//, '')) ?? []
  return `${scheme}:${resolve(context, path)}${tag}`
}

function checked(reference: string): string {
  requireSource(reference)
  if (!/^https?:/.test(reference)) parseReference(reference)
  return reference
}

export type FoundImage = { readonly found: SourceBase; readonly config: OciConfig }

/** The image behind a word. What is run of it must be for this machine. */
export async function findImage(
  from: Extract<From, { kind: 'reference' | 'file' }>,
  isRun: boolean,
  tools: BuildTools,
): Promise<FoundImage> {
  const { path, image: origin } =
    from.kind === 'file' ? { ...from, image: undefined } : await tools.obtain(from.reference, tools.signal)
  if (from.kind === 'file') await tools.resolved.note(path, () => contentDigest(path, 'keep', tools.signal))
  const image = await openImage(path, { anyArchitecture: !isRun, unlock: tools.request.unlock })
  if (!isRun && image.arch === undefined)
    tools.report({ kind: 'debug', text: `${shown(path)} names no architecture` })
  const config = await configOf(image)
  const found = { ...(await baseOfImage(image, tools)), image: origin }
  return { found, config: origin ? withoutBase(config) : config }
}

/** The base of the base is not that of what is built now. */
function withoutBase(config: OciConfig): OciConfig {
  const labels = Object.entries(config.Labels ?? {}).filter(([key]) => !isAboutBase(key))
  return config.Labels ? { ...config, Labels: Object.fromEntries(labels) } : config
}

type Fields = Readonly<Record<string, unknown>>

/** What other runtimes do not tell of in the configuration that a push writes. */
const carried = ['OnBuild', 'Healthcheck', 'Shell']

/** The configuration of an image: the one that it came with, and what its own scripts have changed about it. */
async function configOf(image: Image): Promise<OciConfig> {
  const oci = image.kind === 'oci-sif' ? await ociSifFields(image.path) : ((image.oci ?? {}) as Fields)
  const described = await describeImage({ ...image, ...(image.oci === undefined ? {} : { oci }) }, false)
  const { config } = JSON.parse(imageConfig(described, []).toString()) as { config: Fields }
  const more = Object.fromEntries(carried.flatMap((key) => (oci[key] ? [[key, oci[key]]] : [])))
  return cleaned({ ...config, ...more, Labels: oci.Labels })
}

async function ociSifFields(path: string): Promise<Fields> {
  const { config } = await openOciSif(path)
  return (JSON.parse(config.document.toString()) as { config?: Fields }).config ?? {}
}

const texts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'

const checks: Readonly<Record<keyof OciConfig, (value: unknown) => boolean>> = {
  User: isText,
  ExposedPorts: isObject,
  Env: texts,
  Entrypoint: texts,
  Cmd: texts,
  Volumes: isObject,
  WorkingDir: isText,
  Labels: (value) => isObject(value) && Object.values(value).every(isText),
  StopSignal: isText,
  OnBuild: texts,
  Healthcheck: (value) => isObject(value) && texts(value.Test),
  Shell: texts,
}

/** Without what is not as a configuration has it. */
function cleaned(fields: Fields): OciConfig {
  const sound = Object.entries(checks).filter(
    ([key, check]) => fields[key] !== undefined && check(fields[key]),
  )
  return Object.fromEntries(sound.map(([key]) => [key, fields[key]])) as OciConfig
}

/** @throws SingError UNSUPPORTED for an image of another machine than the one that is built for */
export function requirePlatform(platform: string, architecture: string, place: string): void {
  const [os = '', arch = architecture] = platform.split('/')
  if (os === 'linux' && arch === architecture) return
  throw new SingError(
    'UNSUPPORTED',
    `${place}: --platform=${shown(platform)}: this build is for linux/${architecture}`,
    {
      hint: 'Leave --platform out, or build on a machine of that kind',
    },
  )
}
