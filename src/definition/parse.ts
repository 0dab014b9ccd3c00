/** Definition files: from text to stages with their sections, refusing what no builder could mean. */

import { agents, generalKeys, headerKeys, shownKey } from './agents.ts'
import { excerpt } from './lines.ts'
import { type HeaderEntry, type SectionText, type StageText, scanDefinition } from './scan.ts'
import { isAppSection, joinSections, readApps, readFiles, sectionNames } from './sections.ts'
import { suggestion } from './suggest.ts'
import { newValues, type Values } from './template.ts'
import { type Arguments, type Definition, mistake, type Stage, stageSections } from './types.ts'

export type { App, Arguments, Definition, FileCopy, FilesBlock, Section, Stage } from './types.ts'

export type ParseOptions = {
  /** How messages call the file. */
  readonly name: string
  /** From the command line; these win over those of a file. */
  readonly arguments?: Arguments
  readonly fileArguments?: Arguments
  /** An argument that no stage uses is a warning instead of an error. */
  readonly warnUnused?: boolean
  readonly warn?: (text: string) => void
}

/**
 * Parse a definition file.
 * Throws DEFINITION (`fortune.def:7: ...`) for the first mistake; nothing has been done by then.
 */
export function parseDefinition(text: string, options: ParseOptions): Definition {
  const values = newValues({ ...options.fileArguments, ...options.arguments })
  const scanned = scanDefinition(text, options.name, values)
  const stages = assembleStages(scanned.stages, options)
  refuseUnused(values, options)
  return { stages, text: scanned.text }
}

/** Refuse build arguments that nothing uses, or warn. Throws DEFINITION. */
export function refuseUnused({ given, used }: Values, { name, warnUnused, warn }: ParseOptions): void {
  const unused = Object.keys(given).filter((argument) => !used.has(argument))
  if (unused.length === 0) return
  const text = `build argument ${unused.join(', ')} is given but not used`
  if (!warnUnused) {
    const hint = suggestion(unused[0] as string, used)
    const flag = 'with --warn-unused-build-args this is only a warning'
    throw mistake(name, 0, text, hint ? `${hint}\n${flag}` : flag)
  }
  warn?.(`${name}: ${text}`)
}

/** Stages out of their texts; each is checked against those before it. Throws DEFINITION. */
export function assembleStages(texts: readonly StageText[], options: ParseOptions): Stage[] {
  const stages: Stage[] = []
  const earlier = new Set<string>()
  for (const text of texts) {
    const stage = assembleStage(text, options)
    for (const { from, line } of stage.files) {
      if (from !== undefined && !earlier.has(from)) throw unknownStage(from, line, earlier, options)
    }
    if (stage.name !== undefined) {
      const line = stage.headerLines.stage ?? 0
      if (earlier.has(stage.name)) {
        throw mistake(options.name, line, `there are two stages called ${excerpt(stage.name)}`)
      }
      earlier.add(stage.name)
    }
    stages.push(stage)
  }
  return stages
}

function unknownStage(from: string, line: number, earlier: Set<string>, { name }: ParseOptions): Error {
  const rule = 'files can come from a stage above this one that has a line Stage: NAME'
  return mistake(
    name,
    line,
    `there is no earlier stage called ${excerpt(from)}`,
    suggestion(from, earlier) ?? rule,
  )
}

function assembleStage(text: StageText, options: ParseOptions): Stage {
  const { header, headerLines } = readHeader(text, options)
  checkAgent(header, headerLines, options)
  for (const section of text.sections) checkSection(section, options.name)
  return {
    ...(header.stage ? { name: header.stage } : {}),
    header,
    headerLines,
    sections: Object.fromEntries(
      stageSections.flatMap((name) => {
        const section = joinSections(text.sections.filter((one) => one.name === name))
        return section ? [[name, section]] : []
      }),
    ),
    files: text.sections
      .filter(({ name }) => name === 'files')
      .map((block) => readFiles(block, options.name)),
    apps: readApps(text.sections.filter(isAppSection), options.name),
    line: text.line,
  }
}

function readHeader(text: StageText, { name, warn }: ParseOptions): Pick<Stage, 'header' | 'headerLines'> {
  const entries = new Map<string, HeaderEntry>()
  for (const entry of text.header) {
    const { key, line } = entry
    if (!headerKeys.has(key)) {
      const hint = suggestion(key, headerKeys, shownKey)
      throw mistake(name, line, `unknown header keyword ${excerpt(key)}`, hint)
    }
    if (entries.has(key)) warn?.(`${name}:${line}: ${shownKey(key)} is given twice, the last one counts`)
    entries.set(key, entry)
  }
  const all = [...entries.values()]
  return {
    header: Object.fromEntries(all.map(({ key, value }) => [key, value])),
    headerLines: Object.fromEntries(all.map(({ key, line }) => [key, line])),
  }
}

function checkAgent(
  header: Stage['header'],
  lines: Stage['headerLines'],
  { name, warn }: ParseOptions,
): void {
  const bootstrap = header.bootstrap ?? ''
  const agent = agents.get(bootstrap)
  const line = lines.bootstrap ?? 0
  if (!agent) {
    const hint = suggestion(bootstrap, agents.keys()) ?? `known agents: ${[...agents.keys()].join(', ')}`
    throw mistake(
      name,
      line,
      bootstrap ? `unknown agent ${excerpt(bootstrap)}` : 'Bootstrap names no agent',
      hint,
    )
  }
  const missing = agent.required.find((keys) => keys.every((key) => !header[key]))
  if (missing) {
    throw mistake(
      name,
      line,
      `Bootstrap: ${agent.name} needs ${missing.map(shownKey).join(' or ')} in the header`,
    )
  }
  const urls = `${header.mirrorurl} ${header.updateurl}`
  if (urls.includes('%{OSVERSION}') && !header.osversion) {
    throw mistake(
      name,
      lines.mirrorurl ?? line,
      'the address holds %{OSVERSION}, so the header needs OSVersion',
    )
  }
  for (const key of Object.keys(header)) {
    if (generalKeys.includes(key) || agent.keys.includes(key)) continue
    warn?.(`${name}:${lines[key]}: Bootstrap: ${agent.name} does not use ${shownKey(key)}`)
  }
}

function checkSection({ name, words, line }: SectionText, file: string): void {
  if (sectionNames.has(name)) {
    const [option, ...program] = isAppSection({ name }) ? words.slice(1) : words
    if (option === '-c' && program.length === 0)
      throw mistake(file, line, `-c behind %${name} names no program`)
    return
  }
  const hint = suggestion(name, sectionNames, (near) => `%${near}`)
  throw mistake(
    file,
    line,
    `unknown section %${excerpt(name)}`,
    hint ?? 'a line that begins with % begins a section; in a script put something before the %',
  )
}
