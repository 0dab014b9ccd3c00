/** `sing help`: the page of the program, of a group or of a command. */

import { answerWidth } from '../../ui/output.ts'
import type { Command } from '../command.ts'
import { findCommand } from '../commands.ts'
import { generalPage, pageOf } from '../help.ts'

export const command: Command = {
  usage: 'help [command]',
  summary: 'Show help',
  examples: ['sing help', 'sing help build', 'sing help sif list'],
  flags: [],
  args: [0, 2],
  async run({ args, context }) {
    const page = { program: context.calledAs, width: answerWidth() }
    context.print(args.length === 0 ? await generalPage(page) : await pageOf(await findCommand(args), page))
    return 0
  },
}
