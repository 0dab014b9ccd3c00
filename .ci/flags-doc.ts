/**
 * The page of all commands and flags, written from the same tables that read the command line.
 *   node .ci/flags-doc.ts > docs/flags.md
 */

import type { Command } from '../src/cli/command.ts'
import { commandTable, laterCommands, refusedCommands } from '../src/cli/commands.ts'
import { type Flag, globalFlags, launchFlags } from '../src/cli/options.ts'

const prefixes = ['SING_', 'APPTAINER_', 'SINGULARITY_']

/** A cell of a table: on one line, and with no bar of its own. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const spelled = ({ name, short, aliases = [], kind, placeholder, optionalValue }: Flag): string => {
  const value =
    kind === 'boolean' ? (optionalValue ? `[=${optionalValue}]` : '') : ` <${placeholder ?? kind}>`
  const names = [
    ...(short ? [`-${short}`] : []),
    `--${name}${value}`,
    ...aliases.map((alias) => `--${alias}`),
  ]
  return names.map((word) => `\`${word}\``).join(', ')
}

const twins = ({ env = [], unprefixed }: Flag): string =>
  env.map((key) => `\`${key}\`${unprefixed ? ' (also without prefix)' : ''}`).join(', ')

function meaning({ help, refused, later, notice }: Flag): string {
  if (refused) return `**Refused:** ${refused}.`
  if (later) return `**Not yet:** ${later}.`
  return notice ? `${help}. *${notice}.*` : `${help}.`
}

function table(flags: readonly Flag[]): string[] {
  return [
    '| flag | variables | meaning |',
    '|---|---|---|',
    ...flags.map((flag) => `| ${spelled(flag)} | ${twins(flag)} | ${cell(meaning(flag))} |`),
    '',
  ]
}

/** The flags of all launches stand in one place; a command repeats only its own. */
const isShared = (flag: Flag): boolean => launchFlags.includes(flag)

function commandSection(name: string, { summary, description, usage, flags }: Command): string[] {
  const own = flags.filter((flag) => !isShared(flag))
  return [
    `### ${name}`,
    '',
    `\`sing ${usage}\``,
    '',
    `${summary}.${description ? ` ${description.replaceAll('\n', ' ')}` : ''}`,
    ...(own.length < flags.length ? ['Takes the [flags of containers](#flags-of-containers).'] : []),
    '',
    ...(own.length > 0 ? table(own) : []),
  ]
}

async function commandSections(): Promise<string[]> {
  const sections = Object.entries(commandTable).map(async ([word, entry]) => {
    if ('load' in entry) return commandSection(word, await entry.load())
    const commands = Object.entries(await entry.loadGroup())
    return commands.flatMap(([second, command]) => commandSection(`${word} ${second}`, command))
  })
  return (await Promise.all(sections)).flat()
}

const wordTable = (words: Readonly<Record<string, string>>): string[] => [
  '| word | reason |',
  '|---|---|',
  ...Object.entries(words).map(([word, reason]) => `| \`${word}\` | ${cell(reason)} |`),
  '',
]

/** The text of docs/flags.md. */
export async function flagsPage(): Promise<string> {
  const groups = [...new Set(launchFlags.map(({ group = 'Others:' }) => group))]
  return [
    '# Commands and flags',
    '',
    'This page is written from the tables that read the command line: `npm run docs` makes it anew.',
    '',
    `A flag may also be set by a variable: its key behind one of the prefixes ${prefixes.map((prefix) => `\`${prefix}\``).join(', ')}, the first`,
    'that is set. The command line beats variables, except for `--bind` and `--mount`, which add up. Truths are `1`, `t`, `true`, `0`, `f` and `false`.',
    'What neither of them says may stand in a file: [configuration](configuration.md).',
    'Flags stand before the image; what follows it belongs to the container.',
    '',
    '## Global flags',
    '',
    'They stand before the command.',
    '',
    ...table(globalFlags),
    '## Flags of containers',
    '',
    'Of `exec`, `run`, `shell`, `test`, and, as far as they describe the container, of `instance start` and `instance run`.',
    '',
    ...groups.flatMap((group) => [
      `### ${group.replace(/:$/, '')}`,
      '',
      ...table(launchFlags.filter((flag) => (flag.group ?? 'Others:') === group)),
    ]),
    '## Commands',
    '',
    ...(await commandSections()),
    '## Words without a command',
    '',
    'Not to come:',
    '',
    ...wordTable(refusedCommands),
    'Not there yet:',
    '',
    ...wordTable(laterCommands),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

if (import.meta.main) process.stdout.write(await flagsPage())
