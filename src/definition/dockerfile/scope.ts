/** What the words of one instruction can mean: variables and arguments as they are there. */

import { posix } from 'node:path'
import { excerpt } from '../lines.ts'
import { expandWord, type Lookup } from './expand.ts'
import { type Given, lookupOf, type State } from './state.ts'
import { type Command, type Instruction, type Place, wrong } from './types.ts'

const standardShell = ['/bin/sh', '-c']

export class Scope {
  readonly state: State
  readonly place: Place
  readonly lookup: Lookup

  constructor(state: State, { line }: Instruction, { name, escaper }: Given) {
    this.state = state
    this.place = { name, line, escaper }
    this.lookup = lookupOf(state)
  }

  /** The word with its variables put in. */
  word(text: string): string {
    return expandWord(text, this.lookup, this.place)
  }

  /** The same, for one that must not be empty then. */
  named(text: string, what: string): string {
    const word = this.word(text)
    if (word === '') throw wrong(this.place, `${what} ${excerpt(text)} becomes empty`)
    return word
  }

  /** The command line; what is for a shell is given to the shell of this place. */
  words(command: Command): string[] {
    const { Shell = standardShell } = this.state.config
    return command.form === 'exec' ? [...command.words] : [...Shell, command.text]
  }

  get directory(): string {
    return posix.resolve('/', this.state.config.WorkingDir ?? '/')
  }
}
