/** `sing completion`: scripts that complete our words and flags in a shell. */

import { SingError, shown } from '../../core/errors.ts'
import type { Command } from '../command.ts'
import { commandTable } from '../commands.ts'
import { completionScript, shells, type Word } from '../completion.ts'
import { globalFlags } from '../options.ts'

async function wordsOf(word: string): Promise<Word[]> {
  const entry = commandTable[word]
  if (!entry || entry.hidden) return []
  if ('load' in entry) return [{ words: [word], summary: entry.summary, flags: (await entry.load()).flags }]
  const commands = Object.entries(await entry.loadGroup()).filter(([, { hidden }]) => !hidden)
  return commands.map(([second, { summary, flags }]) => ({ words: [word, second], summary, flags }))
}

export const command: Command = {
  usage: 'completion <bash|zsh|fish|powershell>',
  summary: 'Print the completion script for a shell',
  examples: ['source <(sing completion bash)', 'sing completion fish > ~/.config/fish/completions/sing.fish'],
  // Accepted for scripts that were written for the peers: bash shows no descriptions anyway.
  flags: [{ name: 'no-descriptions', kind: 'boolean', help: 'no effect', hidden: true }],
  args: [1, 1],
  async run({ args: [asked = ''], context }) {
    const shell = shells.find((name) => name === asked)
    if (!shell)
      throw new SingError('USAGE', `unknown shell "${shown(asked)}"`, {
        hint: `Known are ${shells.join(', ')}`,
      })
    const commands = (await Promise.all(Object.keys(commandTable).map(wordsOf))).flat()
    context.print(completionScript(shell, { globals: globalFlags.filter(({ hidden }) => !hidden), commands }))
    return 0
  },
}
