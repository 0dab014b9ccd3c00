/** A Dockerfile and what belongs to it: which it is, where its files are, what it is given. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Report } from '../../core/events.ts'
import { parseDockerfile, targetOf } from '../../definition/dockerfile/parse.ts'
import { platformArguments } from '../../definition/dockerfile/state.ts'
import type { Dockerfile } from '../../definition/dockerfile/types.ts'
import { largestDefinition, type Stage } from '../../definition/types.ts'

export type DockerSpec = {
  readonly file: Dockerfile
  /** Where it lies. */
  readonly path: string
  /** The directory of what it copies, absolute. */
  readonly context: string
  /** The place of the stage that becomes the image. */
  readonly target: number
  readonly arguments: Readonly<Record<string, string>>
}

const names = ['Dockerfile', 'Containerfile']

/** Whether a file is a Dockerfile, by its name or by how it begins: a definition begins with `Bootstrap:`. */
export function isDockerfile(path: string, head: string): boolean {
  const name = basename(path)
  if (/^(Docker|Container)file(\.|$)|\.(docker|container)file$/i.test(name)) return true
  const first = head.split('\n').find((line) => line.trim() !== '' && !/^\s*#/.test(line))
  return /^\s*(FROM|ARG)\s/i.test(first ?? '')
}

/** The Dockerfile in a directory that is no image; undefined when there is none. */
export function dockerfileIn(directory: string): string | undefined {
  if (isThere(join(directory, '.singularity.d'))) return undefined
  return names
    .map((name) => join(directory, name))
    .find((path) => statSync(path, { throwIfNoEntry: false })?.isFile())
}

const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

type Given = {
  readonly context: string
  readonly target?: string | undefined
  readonly arguments: Readonly<Record<string, string>>
}

/** Read a Dockerfile. @throws SingError DEFINITION naming the line, IO when it cannot be read */
export function openDockerfile(path: string, given: Given, report: Report): DockerSpec {
  const file = parseDockerfile(readText(path), basename(path))
  tellSyntax(file, report)
  tellUnused(file, given.arguments, report)
  return {
    file,
    path: resolve(path),
    context: resolve(given.context),
    target: targetOf(file, given.target || undefined),
    arguments: given.arguments,
  }
}

function readText(path: string): string {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new Error('it is no file')
    if (stats.size > largestDefinition) throw new Error('it is larger than 16 MiB')
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SingError('IO', `cannot read the Dockerfile ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** Other readers than the usual one may understand what nobody does here. */
function tellSyntax({ syntax, name }: Dockerfile, report: Report): void {
  if (syntax === undefined || /^(docker\.io\/)?docker\/dockerfile(-upstream)?([:@]|$)/.test(syntax)) return
  const text = `${name}: # syntax=${shown(syntax)} is not asked: the file is read as docker/dockerfile:1 reads it`
  report({ kind: 'warning', text })
}

/** Proxies, what the frontend of others is told, and what is there without being declared. */
const isKnown = (name: string): boolean =>
  /^((https?|ftp|no|all)_proxy|BUILDKIT_\w+|SOURCE_DATE_EPOCH)$/i.test(name) ||
  platformArguments('', '', '').has(name)

function tellUnused(
  { arguments: inFront, stages, name }: Dockerfile,
  given: Given['arguments'],
  report: Report,
): void {
  const instructions = [...inFront, ...stages.flatMap((stage) => stage.instructions)]
  const declared = instructions.flatMap((one) =>
    one.kind === 'arg' ? one.values.map(([argument]) => argument) : [],
  )
  const unused = Object.keys(given).filter((argument) => !declared.includes(argument) && !isKnown(argument))
  if (unused.length > 0)
    report({
      kind: 'warning',
      text: `${name}: no ARG declares ${shown(unused.join(', '))}, which --build-arg gives`,
    })
}

export const isDockerStage = ({ header }: Stage): boolean =>
  header.bootstrap === 'dockerfile' || header.bootstrap === 'buildkit'

/** The Dockerfile that the header of a definition means. @throws SingError as `openDockerfile` */
export function dockerfileOf({ header, headerLines }: Stage, name: string, report: Report): DockerSpec {
  const { from = '', filename, target, frontend, buildargs = '' } = header
  const refuse = (key: string, text: string): SingError =>
    new SingError('DEFINITION', `${name}:${headerLines[key] ?? 0}: ${text}`)
  if (existsSync(from) && !statSync(from).isDirectory())
    throw refuse('from', `From: ${shown(from)} is no directory; the name of a file in it goes to Filename`)
  if (frontend && !/^dockerfile(\.v0)?$/.test(frontend))
    throw refuse('frontend', `Frontend: ${shown(frontend)}: only dockerfile.v0 is understood here`)
  const pairs = buildargs.split(/\s+/).filter(Boolean)
  const wrong = pairs.find((pair) => !/^[^=]+=/.test(pair))
  if (wrong !== undefined) throw refuse('buildargs', `BuildArgs: expected NAME=value, got ${shown(wrong)}`)
  const path = filename ? resolve(from, filename) : (dockerfileIn(from) ?? join(from, 'Dockerfile'))
  const build = Object.fromEntries(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
  return openDockerfile(path, { context: from, target, arguments: build }, report)
}

/** The directory that is meant with a Dockerfile alone. */
export const contextOf = (path: string): string => dirname(resolve(path))
