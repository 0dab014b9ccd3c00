/** What a build begins with: a definition file, an image of this machine, or a reference to one elsewhere. */

import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import { parseArgumentFile, parseBuildArguments } from '../definition/arguments.ts'
import { defaultStage } from '../definition/default.ts'
import { parseJsonDefinition } from '../definition/json.ts'
import { type ParseOptions, parseDefinition } from '../definition/parse.ts'
import { type Definition, largestDefinition } from '../definition/types.ts'
import { openImage } from '../image/open.ts'
import type { CommitSpec } from './commit/plan.ts'
import {
  contextOf,
  type DockerSpec,
  dockerfileIn,
  dockerfileOf,
  isDockerfile,
  isDockerStage,
  openDockerfile,
} from './dockerfile/spec.ts'
import { requireRunnable } from './foreign.ts'
import { type BuildRequest, isEverySection } from './request.ts'
import { checkSource } from './sources/index.ts'
import { isStream, readStream } from './stream.ts'

export type BuildSpec = {
  readonly definition: Definition
  /** What is built in the place of stages. */
  readonly dockerfile?: DockerSpec
  readonly commit?: CommitSpec
  /** The definition's file for messages; the image as typed when there is none. */
  readonly name: string
  /** Scripts will run, which needs root. */
  readonly isDefinition: boolean
  /** An image that only a mount shows, which needs root, too. */
  readonly isMounted?: boolean
}

/** SIF and squashfs show themselves here; definitions hold no NUL. */
const headLength = 4096

function readHead(path: string): Buffer {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(headLength)
    return bytes.subarray(0, readSync(fd, bytes, 0, headLength, 0))
  } finally {
    closeSync(fd)
  }
}

function readDefinitionText(path: string): string {
  if (isStream(path)) return readStream(path, largestDefinition).toString()
  const { size } = statSync(path)
  if (size > largestDefinition) {
    throw new SingError('DEFINITION', `${shown(path)} is no definition: it is larger than 16 MiB`)
  }
  return readFileSync(path, 'utf8')
}

function readBuildArguments(request: BuildRequest): Pick<ParseOptions, 'arguments' | 'fileArguments'> {
  const { buildArguments, buildArgumentFile: file } = request
  const given = { arguments: parseBuildArguments(buildArguments) }
  if (file === undefined) return given
  try {
    return { ...given, fileArguments: parseArgumentFile(readDefinitionText(file), shown(file)) }
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('IO', `--build-arg-file ${shown(file)}: ${reasonOf(cause)}`, { cause })
  }
}

function parseText(text: string, name: string, request: BuildRequest, report: Report): BuildSpec {
  const parse = request.json ? parseJsonDefinition : parseDefinition
  const definition = parse(text, {
    name,
    ...readBuildArguments(request),
    warnUnused: request.warnUnusedArguments,
    warn: (text) => report({ kind: 'warning', text }),
  })
  return { definition, name, isDefinition: true }
}

const definitionFile = (path: string, request: BuildRequest, report: Report): BuildSpec =>
  parseText(readDefinitionText(path), basename(path), request, report)

/** What comes through a pipe, which is read once. */
function fromStream(path: string, request: BuildRequest, report: Report): BuildSpec {
  const bytes = readStream(path, largestDefinition)
  const head = bytes.subarray(0, headLength)
  const refuse = (what: string, hint: string): never => {
    throw new SingError('DEFINITION', `${shown(path)}: ${what} cannot come through a pipe`, { hint })
  }
  if (!request.json && looksLikeImage(head)) refuse('an image', 'Save it to a file first')
  if (!request.json && isDockerfile(path, head.toString()))
    refuse('a Dockerfile', 'It copies from the directory that it is in: save it to a file there')
  return parseText(bytes.toString(), path, request, report)
}

function fromDockerfile(path: string, request: BuildRequest, report: Report): BuildSpec {
  const { arguments: given, fileArguments = {} } = readBuildArguments(request)
  if (!isEverySection(request.sections))
    throw new SingError('USAGE', '--section: a Dockerfile has no sections to choose', { status: 255 })
  const build = { ...fileArguments, ...given }
  const wanted = { context: contextOf(path), target: request.stage, arguments: build }
  const dockerfile = openDockerfile(path, wanted, report)
  const { name, text } = dockerfile.file
  return { definition: { stages: [], text }, dockerfile, name, isDefinition: true }
}

/** What is taken as it is, under its two-line definition. */
function plain(agent: string, from: string, name: string): BuildSpec {
  return { definition: defaultStage(agent, from), name, isDefinition: false }
}

/** Undefined also when a path leads nowhere: through a file, round in a circle. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function statSpec(path: string): Stats {
  try {
    return statSync(path)
  } catch (cause) {
    throw new SingError('IMAGE_NOT_FOUND', `cannot open ${shown(path)}: ${reasonOf(cause)}`, {
      hint: 'Build from a definition file, a Dockerfile, an image file, a sandbox directory or a reference such as docker://NAME',
      cause,
    })
  }
}

/** What only shows when the file is opened: that this user may not. */
function requireReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK)
  } catch (cause) {
    throw new SingError('IO', `cannot open ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

function looksLikeImage(head: Buffer): boolean {
  return head.includes(0) || head.includes('SIF_MAGIC')
}

async function readSpec(request: BuildRequest, report: Report): Promise<BuildSpec> {
  const { spec, json } = request
  const reference = /^([a-z][a-z0-9-]*):(?:\/\/)?(.+)$/s.exec(spec)
  const stats = lookAt(spec)
  if (!stats && reference) return plain(reference[1] ?? '', reference[2] ?? '', spec)
  if (!json && (stats ?? statSpec(spec)).isDirectory()) {
    const dockerfile = dockerfileIn(spec)
    return dockerfile ? fromDockerfile(dockerfile, request, report) : await fromImage(spec)
  }
  if (isStream(spec)) return fromStream(spec, request, report)
  if (!statSpec(spec).isFile()) {
    const what = stats?.isDirectory()
      ? 'a directory, and no definition in JSON'
      : 'neither a file nor a directory'
    throw new SingError('IMAGE_FORMAT', `${shown(spec)} is ${what}`)
  }
  requireReadable(spec)
  const head = readHead(spec)
  if (!json && looksLikeImage(head)) return await fromImage(spec)
  if (!json && isDockerfile(spec, head.toString())) return fromDockerfile(spec, request, report)
  return definitionFile(spec, request, report)
}

async function fromImage(path: string): Promise<BuildSpec> {
  // Nothing of it runs, so any architecture will do.
  const { rootfs } = await openImage(resolve(path), { anyArchitecture: true, ext3: true, unlock: 'keep' })
  const isMounted = 'filesystem' in rootfs && rootfs.filesystem === 'ext3'
  return { ...plain('localimage', path, path), isMounted }
}

/** Something of it can be read only once: whoever starts anew before building does so before it is read. */
export function isReadOnce({ spec, buildArgumentFile }: BuildRequest): boolean {
  return isStream(spec) || (buildArgumentFile !== undefined && isStream(buildArgumentFile))
}

/**
 * Read what to build from and check all that can be known before anything is made.
 * @throws SingError naming the file and the line
 */
export async function openSpec(request: BuildRequest, report: Report): Promise<BuildSpec> {
  const spec = await readSpec(request, report)
  if (request.update && (!spec.isDefinition || spec.dockerfile)) {
    throw new SingError('USAGE', '--update needs a definition file', { status: 255 })
  }
  if (request.stage !== undefined && !spec.dockerfile) {
    const hint = 'In a definition that begins with a Dockerfile, the header has a line Target: STAGE'
    throw new SingError('USAGE', '--target chooses a stage of a Dockerfile', { hint, status: 255 })
  }
  for (const stage of spec.definition.stages) {
    if (isDockerStage(stage)) dockerfileOf(stage, spec.name, silent)
    else checkSource(stage, spec.name)
  }
  requireRunnable(spec, request)
  return spec
}
