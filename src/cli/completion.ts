/**
 * Completion scripts for shells, made from the tables of commands and flags. They run nothing of ours when
 * used.
 */

import type { Flag } from './options.ts'

export type Shell = 'bash' | 'zsh' | 'fish' | 'powershell'

/** A command as a script sees it. */
export type Word = {
  /** `exec`, or `sif list`. */
  readonly words: readonly string[]
  readonly summary: string
  readonly flags: readonly Flag[]
}

export type Words = { readonly globals: readonly Flag[]; readonly commands: readonly Word[] }

const programs = ['sing', 'singularity'] as const
const shownFlags = (flags: readonly Flag[]): Flag[] => flags.filter(({ hidden }) => !hidden)
const spellings = ({ name, short }: Flag): string[] => [`--${name}`, ...(short ? [`-${short}`] : [])]
const spelled = (flags: readonly Flag[]): string => flags.flatMap(spellings).join(' ')
const takesValue = ({ kind }: Flag): boolean => kind !== 'boolean'
const unique = (words: readonly string[]): string[] => [...new Set(words)]

/** The words that may follow `before`, the start of a command. */
function following(commands: readonly Word[], before: readonly string[]): Word[] {
  const deeper = commands.filter(
    ({ words }) => before.every((word, at) => words[at] === word) && words.length > before.length,
  )
  const names = unique(deeper.map(({ words }) => words[before.length] ?? ''))
  return names.map((name) => {
    const exact = deeper.find(
      ({ words }) => words.length === before.length + 1 && words[before.length] === name,
    )
    return exact ?? { words: [...before, name], summary: `Commands for ${name}`, flags: [] }
  })
}

const groupsOf = (commands: readonly Word[]): string[] =>
  unique(commands.filter(({ words }) => words.length > 1).map(({ words }) => words[0] ?? ''))

const lastWords = (commands: readonly Word[]): string => commands.map(({ words }) => words.at(-1)).join(' ')

function bash({ globals, commands }: Words): string {
  const flagCase = ({ words, flags }: Word): string => {
    const own = shownFlags(flags)
    return `    '${words.join(' ')}') flags='${spelled(own)} --help' values=' ${spelled(own.filter(takesValue))} ' ;;`
  }
  const groupCase = (group: string): string =>
    `      ${group}) group=${group} words='${lastWords(following(commands, [group]))}' ;;`
  return `# Completion of ${programs.join(' and ')} for bash.
_sing_flags() {
  case $1 in
    '') flags='${spelled(globals)} --help --version' values=' ${spelled(globals.filter(takesValue))} ' ;;
${commands.map(flagCase).join('\n')}
    *) flags='--help' values=' ' ;;
  esac
}
_sing() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= group= flags values words at word
  words='${lastWords(following(commands, []))}'
  _sing_flags ''
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ $word == -* ]]; then
      [[ $values == *" $word "* ]] && ((at++))
      continue
    fi
    if [[ -z $words ]]; then
      # The image and what follows belong to the container.
      COMPREPLY=()
      return
    fi
    command=\${group:+$group }$word words=
    case $command in
${groupsOf(commands).map(groupCase).join('\n')}
    esac
    _sing_flags "$command"
  done
  ((at > COMP_CWORD)) && return
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o default -F _sing ${programs.join(' ')}
`
}

const singleQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

function zshFlag(flag: Flag): string {
  const help = flag.help.replace(/[[\]:\\]/g, '\\$&')
  const value = takesValue(flag) ? `:${flag.placeholder ?? 'value'}:_files` : ''
  return spellings(flag)
    .map((spelling) =>
      singleQuoted(`*${spelling}${value && spelling.startsWith('--') ? '=' : ''}[${help}]${value}`),
    )
    .join(' ')
}

function zsh({ globals, commands }: Words): string {
  const described = (words: readonly Word[]): string =>
    words.map(({ words: names, summary }) => singleQuoted(`${names.at(-1)}:${summary}`)).join(' ')
  const rest = `'*:argument:_files'`
  const commandCase = ({ words, flags }: Word): string =>
    `    ${singleQuoted(words.join(' '))}) _arguments -s -S ${[...shownFlags(flags).map(zshFlag), rest].join(' ')} ;;`
  const groupCase = (group: string): string => {
    const inside = described(following(commands, [group]))
    return `        ${group}) group=${group} words_found=(${inside}); _arguments -C '1:command:->sub' '*::argument:->subargument' ;;`
  }
  return `#compdef ${programs.join(' ')}
# Completion of ${programs.join(' and ')} for zsh.
_sing_command() {
  case $1 in
${commands.map(commandCase).join('\n')}
    *) _files ;;
  esac
}
_sing() {
  local state line group
  local -a words_found
  _arguments -C ${globals.map(zshFlag).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      words_found=(${described(following(commands, []))})
      _describe command words_found
      ;;
    argument)
      case $line[1] in
${groupsOf(commands).map(groupCase).join('\n')}
        *) _sing_command "$line[1]" ;;
      esac
      case $state in
        sub) _describe command words_found ;;
        subargument) _sing_command "$group $line[1]" ;;
      esac
      ;;
  esac
}
compdef _sing ${programs.join(' ')}
`
}

function fish({ globals, commands }: Words): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const flagLine = (condition: string, flag: Flag): string => {
    const options = [...(flag.short ? [`-s ${flag.short}`] : []), ...(takesValue(flag) ? ['-r'] : [])]
    return [
      'complete -c $program -n',
      quoted(condition),
      `-l ${flag.name}`,
      ...options,
      '-d',
      quoted(flag.help),
    ].join(' ')
  }
  const wordLine = (condition: string, { words, summary }: Word): string =>
    `complete -c $program -n ${quoted(condition)} -f -a ${words.at(-1)} -d ${quoted(summary)}`
  const seen = ({ words }: Word): string =>
    words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')
  const lines = [
    ...globals.map((flag) => flagLine('__fish_use_subcommand', flag)),
    ...following(commands, []).map((word) => wordLine('__fish_use_subcommand', word)),
    ...groupsOf(commands).flatMap((group) => {
      const inside = following(commands, [group])
      const condition = `__fish_seen_subcommand_from ${group}; and not __fish_seen_subcommand_from ${lastWords(inside)}`
      return inside.map((word) => wordLine(condition, word))
    }),
    ...commands.flatMap((word) => shownFlags(word.flags).map((flag) => flagLine(seen(word), flag))),
  ]
  return `# Completion of ${programs.join(' and ')} for fish.
for program in ${programs.join(' ')}
${lines.map((line) => `    ${line}`).join('\n')}
end
`
}

function powershell({ globals, commands }: Words): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
  const array = (words: readonly string[]): string => `@(${words.map(quoted).join(', ')})`
  const rows = commands.map(
    ({ words, flags }) =>
      `    ${quoted(words.join(' '))} = ${array([...shownFlags(flags).flatMap(spellings), '--help'])}`,
  )
  const groups = groupsOf(commands).map(
    (group) =>
      `    ${quoted(group)} = ${array(following(commands, [group]).map(({ words }) => words.at(-1) ?? ''))}`,
  )
  const first = following(commands, []).map(({ words }) => words[0] ?? '')
  return `# Completion of ${programs.join(' and ')} for PowerShell.
Register-ArgumentCompleter -Native -CommandName ${programs.join(', ')} -ScriptBlock {
  param($current, $tree, $position)
  $flags = @{
${rows.join('\n')}
  }
  $groups = @{
${groups.join('\n')}
  }
  $before = @($tree.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $position } |
    ForEach-Object { $_.ToString() } | Where-Object { -not $_.StartsWith('-') })
  $command = $before[0]
  $known = if (-not $command) { ${array([...first, ...globals.flatMap(spellings), '--help', '--version'])} }
    elseif ($groups.ContainsKey($command) -and $before.Count -lt 2) { $groups[$command] }
    elseif ($groups.ContainsKey($command)) { $flags["$command $($before[1])"] }
    else { $flags[$command] }
  $known | Where-Object { $_ -like "$current*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`
}

const writers: Readonly<Record<Shell, (words: Words) => string>> = { bash, zsh, fish, powershell }

export const shells = Object.keys(writers) as readonly Shell[]

/** The completion script of a shell. */
export function completionScript(shell: Shell, words: Words): string {
  return writers[shell](words)
}
