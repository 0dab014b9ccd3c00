/** Help pages, made from the tables of commands and flags. */

import { toColumns } from '../ui/table.ts'
import type { Command } from './command.ts'
import { commandTable, type Found, laterCommands, laterText } from './commands.ts'
import { type Flag, globalFlags } from './options.ts'

export type Page = {
  /** The name the program was called by. */
  readonly program: string
  /** Columns there are. */
  readonly width: number
}

const firstUpper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}\n`).join('')

/** Text in lines of at most `width`; lines that begin with a blank are tables or examples and stay. */
function wrapped(text: string, width: number): string {
  const wrapLine = (line: string): string => {
    if (/^\s/.test(line)) return line
    const lines: string[] = []
    for (const word of line.split(' ')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(word)
    }
    return lines.join('\n')
  }
  return text.split('\n').map(wrapLine).join('\n')
}

/** Examples are written with the program's own name, and shown with the one that was used. */
const renamed = (line: string, program: string): string => line.replace(/^sing /, `${program} `)

function describe({ help, placeholder, refused, later }: Flag): string {
  const value = placeholder ? `<${placeholder}> ` : ''
  const state = refused ? ' (cannot be used)' : later ? ' (not available yet)' : ''
  return value + help + state
}

/** Options of a command as a table, in the groups that the flags name. */
async function optionsTable(flags: readonly Flag[], width: number): Promise<string> {
  const { default: yargs } = await import('yargs')
  const parser = yargs([], '/')
    .detectLocale(false)
    .exitProcess(false)
    .help(false)
    .version(false)
    .usage('')
    .wrap(width)
  for (const flag of flags) {
    parser.option(flag.name, {
      ...(flag.short && { alias: flag.short }),
      describe: describe(flag),
      requiresArg: flag.kind !== 'boolean',
      hidden: flag.hidden ?? false,
      group: flag.group ?? 'Options:',
    })
  }
  return `${(await parser.getHelp()).trim()}\n`
}

const helpRow: Flag = { name: 'help', short: 'h', kind: 'boolean', help: 'show this help' }

/** The usage line of a command. */
export function usageLine({ usage }: Command, program: string): string {
  return `${program} ${usage}`
}

/** The page of one command. */
export async function commandPage(command: Command, { program, width }: Page): Promise<string> {
  const { summary, description, examples = [], flags } = command
  const sections = [
    `${summary}\n`,
    `Usage:\n${indented([usageLine(command, program)])}`,
    ...(description ? [`${wrapped(description.trim(), width)}\n`] : []),
    await optionsTable([...flags, helpRow], width),
    ...(examples.length > 0
      ? [`Examples:\n${indented(examples.map((line) => renamed(line, program)))}`]
      : []),
  ]
  return sections.join('\n')
}

const rowsOf = (entries: readonly (readonly [string, { readonly summary: string }])[]): string[][] =>
  [...entries]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([word, { summary }]) => [`  ${word}`, summary])

/** The page of a group such as `sif`. */
export function groupPage(
  word: string,
  commands: Readonly<Record<string, Command>>,
  { program }: Page,
): string {
  const summary = commandTable[word]?.summary ?? firstUpper(word)
  const sections = [
    `${summary}\n`,
    `Usage:\n${indented([`${program} ${word} <command>`])}`,
    `Commands:\n${toColumns(rowsOf(Object.entries(commands).filter(([, { hidden }]) => !hidden)))}`,
    `See: ${program} help ${word} <command>\n`,
  ]
  return sections.join('\n')
}

/** The page of the program. */
export async function generalPage({ program, width }: Page): Promise<string> {
  const visible = Object.entries(commandTable).filter(([, { hidden }]) => !hidden)
  const version: Flag = { name: 'version', kind: 'boolean', help: 'show the version' }
  const sections = [
    'Containers from single-file images, for every user, without daemon and without setuid\n',
    `Usage:\n${indented([`${program} [global options] <command>`])}`,
    `Commands:\n${toColumns(rowsOf(visible))}`,
    `Not available yet:\n${indented(wrapped(Object.keys(laterCommands).join(', '), width - 4).split('\n'))}`,
    await optionsTable([...globalFlags, helpRow, version], width),
    `Examples:\n${indented([
      `${program} build fortune.sif fortune.def`,
      `${program} run fortune.sif`,
      `${program} help exec`,
    ])}`,
  ]
  return sections.join('\n')
}

/** The page of whatever was found. */
export async function pageOf(found: Found, page: Page): Promise<string> {
  switch (found.kind) {
    case 'command':
      return commandPage(found.command, page)
    case 'group':
      return groupPage(found.word, found.commands, page)
    case 'later':
      return `${laterText(found.word)}\n`
  }
}
