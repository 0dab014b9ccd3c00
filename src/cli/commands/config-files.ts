/** `sing config global` and `sing config fakeroot`: the files that administrators know from the peers. */

import { confValues, findConfDirective, resetConf, setConf, unsetConf } from '../../config/confedit.ts'
import { findConfFile, findFile, readText, systemConfigFile } from '../../config/files.ts'
import {
  addRange,
  disableRange,
  enableRange,
  freeRange,
  hasRange,
  removeRange,
  type User,
} from '../../config/subids.ts'
import { writeConfig } from '../../config/write.ts'
import { SingError, shown } from '../../core/errors.ts'
import { findAccount } from '../../host/user.ts'
import type { Call, Command, Flags } from '../command.ts'
import type { Flag } from '../options.ts'

const toggle = (name: string, short: string, help: string): Flag => ({ name, short, kind: 'boolean', help })

/** The one flag of several that was given. */
function chosen<T extends string>(flags: Flags, names: readonly T[]): T {
  const given = names.filter((name) => flags[name] === true)
  const [first] = given
  if (first !== undefined && given.length === 1) return first
  throw new SingError('USAGE', `needs one of ${names.map((name) => `--${name}`).join(', ')}`)
}

const fileModes = { mode: 0o644, folderMode: 0o755 }

async function runGlobal({ flags, args, context }: Call): Promise<number> {
  const action = chosen(flags, ['set', 'unset', 'get', 'reset'])
  const [asked = '', value] = args
  const file = context.configFile ?? findConfFile() ?? systemConfigFile
  const directive = findConfDirective(asked)
  const text = findFile(file) === undefined ? '' : readText(file)
  if (action === 'get') {
    context.print(`${confValues(text, directive).join(',')}\n`)
    return 0
  }
  if (action === 'set' && value === undefined)
    throw new SingError('USAGE', `--set ${shown(asked)} needs a value`)
  const after =
    action === 'set'
      ? setConf(text, directive, value ?? '')
      : action === 'unset'
        ? unsetConf(text, directive, value)
        : resetConf(text, directive)
  if (directive.ineffective !== undefined) {
    const sentence = `"${directive.name}" has no effect here: ${directive.ineffective}`
    context.report({ kind: 'warning', text: sentence })
  }
  if (flags['dry-run'] === true) context.print(after)
  else if (after !== text) writeConfig(file, after, fileModes)
  return 0
}

export const global: Command = {
  usage: 'config global <action> <directive> [value]',
  summary: 'Change the singularity.conf of this machine, or that of --config',
  examples: ['sing config global --set "bind path" /data', 'sing config global --get "mount dev"'],
  flags: [
    toggle('set', 's', 'set the directive; a list gets one more value'),
    toggle('unset', 'u', 'take a value out of a list, or back what was set'),
    toggle('get', 'g', 'print its value'),
    toggle('reset', 'r', 'back to the default'),
    toggle('dry-run', 'd', 'print the file that would be written instead of writing it'),
  ],
  args: [1, 2],
  run: runGlobal,
}

const files = ['/etc/subuid', '/etc/subgid'] as const

/** Users who change /etc/subuid by hand would gain ids that nobody gave them. */
function requireRoot(): void {
  if (process.geteuid?.() === 0) return
  throw new SingError('USAGE', 'only root can give ranges of subordinate ids away', {
    status: 255,
    hint: 'Ask the administrator for: sing config fakeroot --add USER. --fakeroot works without one, with one id',
  })
}

function accountOf(name: string): User {
  const account = findAccount(name)
  if (account) return { name, uid: account.id }
  throw new SingError('USAGE', `there is no user ${shown(name)}`, { status: 255 })
}

function changeRange(action: 'add' | 'disable' | 'enable' | 'remove', texts: readonly string[], user: User) {
  if (action === 'add') {
    const start = freeRange(texts)
    if (start === undefined)
      throw new SingError('USAGE', 'there is no range of 65536 ids left to give away', { status: 255 })
    return (text: string) => addRange(text, user, start)
  }
  const lacking = files.find((_, index) => !hasRange(texts[index] ?? '', user))
  if (lacking) {
    throw new SingError('USAGE', `${user.name} has no range in ${lacking}`, {
      status: 255,
      hint: `Give one: sing config fakeroot --add ${user.name}`,
    })
  }
  const change = { disable: disableRange, enable: enableRange, remove: removeRange }[action]
  return (text: string) => change(text, user)
}

async function runFakeroot({ flags, args: [name = ''] }: Call): Promise<number> {
  const action = chosen(flags, ['add', 'disable', 'enable', 'remove'])
  requireRoot()
  const user = accountOf(name)
  const texts = files.map((file) => (findFile(file) === undefined ? '' : readText(file)))
  const change = changeRange(action, texts, user)
  for (const [index, file] of files.entries()) {
    const before = texts[index] ?? ''
    const after = change(before)
    if (after !== before) writeConfig(file, after, fileModes)
  }
  return 0
}

export const fakeroot: Command = {
  usage: 'config fakeroot <action> <user>',
  summary: 'Give a user a range of subordinate ids for --fakeroot (root only)',
  flags: [
    toggle('add', 'a', 'give a range of 65536 ids'),
    toggle('disable', 'd', 'take the range back, but keep it'),
    toggle('enable', 'e', 'give the range again'),
    toggle('remove', 'r', 'forget the range'),
  ],
  args: [1, 1],
  run: runFakeroot,
}
