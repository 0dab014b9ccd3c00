/** Dockerfiles: from text to stages, refusing what no builder could mean. */

import { excerpt } from '../lines.ts'
import { suggestion } from '../suggest.ts'
import { takeFlags } from './flags.ts'
import { keywordOf, readInstruction } from './instructions.ts'
import { type Line, readLines } from './lines.ts'
import {
  type Dockerfile,
  type DockerStage,
  type Escape,
  type Instruction,
  type Place,
  wrong,
} from './types.ts'
import { plainWords } from './words.ts'

/**
 * Parse a Dockerfile.
 * @throws SingError DEFINITION (`Dockerfile:7: ...`) for the first mistake; nothing has been done by then
 */
export function parseDockerfile(text: string, name: string): Dockerfile {
  const { escaper, syntax, lines } = readLines(text, name)
  const inFront: Instruction[] = []
  const stages: (DockerStage & { instructions: Instruction[] })[] = []
  for (const line of lines) {
    const place = { name, line: line.line, escaper }
    const { keyword, rest } = keywordOf(line, place)
    const stage = stages.at(-1)
    if (keyword === 'FROM') stages.push(readFrom(line, rest, stages, place))
    else if (stage) stage.instructions.push(readInstruction(line, place))
    else if (keyword === 'ARG') inFront.push(readInstruction(line, place))
    else throw wrong(place, `${keyword} stands before FROM`, 'only ARG may stand there')
  }
  if (stages.length === 0)
    throw wrong({ name, line: 0 }, 'there is no FROM', 'a Dockerfile begins with FROM and an image')
  return { name, text: text.replaceAll('\r\n', '\n'), escaper, syntax, arguments: inFront, stages }
}

/** The instructions that an image keeps for those that are built on top of it. @throws SingError DEFINITION */
export function parseTriggers(texts: readonly string[], name: string, escaper: Escape): Instruction[] {
  return texts.flatMap((text) => {
    const { lines } = readLines(escaper === '`' ? `# escape=\`\n${text}` : text, name)
    return lines.map((line) => readInstruction(line, { name, line: 0, escaper }))
  })
}

function readFrom(
  line: Line,
  all: string,
  before: readonly DockerStage[],
  place: Place,
): DockerStage & { instructions: Instruction[] } {
  const { flags, rest } = takeFlags('FROM', all, place)
  const [from = '', as, name, ...more] = plainWords(rest)
  if (from === '') throw wrong(place, 'FROM names no image')
  if ((as !== undefined && (as.toUpperCase() !== 'AS' || name === undefined)) || more.length > 0)
    throw wrong(place, `FROM ${excerpt(rest)}: expected FROM IMAGE or FROM IMAGE AS NAME`)
  const stage = name?.toLowerCase()
  if (stage !== undefined) requireName(stage, before, place)
  const platform = flags.find((flag) => flag.name === 'platform')?.value
  return { name: stage, from, platform, line: place.line, title: line.text, instructions: [] }
}

function requireName(name: string, before: readonly DockerStage[], place: Place): void {
  if (!/^[a-z][a-z0-9-_.]*$/.test(name) || name === 'scratch' || name === 'context')
    throw wrong(place, `${excerpt(name)} cannot be the name of a stage`)
  if (before.some((stage) => stage.name === name))
    throw wrong(place, `there are two stages called ${excerpt(name)}`)
}

/**
 * The place in the list of the stage that a word names: its name, or (where `numbers` count) its place, beginning at 0.
 * Only stages above can be meant. Undefined when it is no stage.
 */
export function stageNamed(
  stages: readonly DockerStage[],
  word: string,
  below: number,
  numbers = false,
): number | undefined {
  const found = stages.findIndex(({ name }, index) => index < below && name === word.toLowerCase())
  if (found >= 0) return found
  return numbers && /^\d{1,9}$/.test(word) && Number(word) < below ? Number(word) : undefined
}

/** The stage to build. @throws SingError DEFINITION when there is none of that name */
export function targetOf({ stages, name }: Dockerfile, target: string | undefined): number {
  if (target === undefined) return stages.length - 1
  const found = stageNamed(stages, target, stages.length, true)
  if (found !== undefined) return found
  throw wrong({ name, line: 0 }, `there is no stage ${excerpt(target)}`, stagesHint(stages, target))
}

/** The stage that a mistyped word probably means, else all that have a name. */
export function stagesHint(stages: readonly DockerStage[], word: string): string | undefined {
  const names = stages.flatMap((stage) => stage.name ?? [])
  return suggestion(word, names) ?? (names.length > 0 ? `stages: ${names.join(', ')}` : undefined)
}
