/**
 * The words of the program: a table from word to the file that knows it. A file is loaded when its word is
 * used.
 */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import type { Command } from './command.ts'

export type Entry = {
  readonly summary: string
  readonly hidden?: boolean
} & (
  | { readonly load: () => Promise<Command> }
  /** A group: `sing sif` has commands of its own. */
  | { readonly loadGroup: () => Promise<Readonly<Record<string, Command>>> }
)

const action = async (verb: 'exec' | 'run' | 'shell' | 'test'): Promise<Command> =>
  (await import('./commands/action.ts')).commands[verb]

export const commandTable: Readonly<Record<string, Entry>> = {
  apps: {
    summary: 'List the applications of an image',
    load: async () => (await import('./commands/apps.ts')).command,
  },
  build: {
    summary: 'Make an image from a definition file, a Dockerfile or another image',
    load: async () => (await import('./commands/build.ts')).command,
  },
  cache: {
    summary: 'Show what is in the image cache and remove it',
    loadGroup: async () => (await import('./commands/cache.ts')).subcommands,
  },
  capability: {
    summary: 'List the capabilities of Linux',
    loadGroup: async () => (await import('./commands/capability.ts')).subcommands,
  },
  check: {
    summary: 'Look for what should not be in an image, and for what it lacks',
    load: async () => (await import('./commands/check.ts')).command,
  },
  commit: {
    summary: 'Make an image of another one and the changes that lie over it',
    load: async () => (await import('./commands/commit.ts')).command,
  },
  completion: {
    summary: 'Print the completion script for a shell',
    load: async () => (await import('./commands/completion.ts')).command,
  },
  config: {
    summary: 'Show the configuration and change it',
    loadGroup: async () => (await import('./commands/config.ts')).subcommands,
  },
  exec: { summary: 'Run a command in a container', load: () => action('exec') },
  help: { summary: 'Show help', load: async () => (await import('./commands/help.ts')).command },
  inspect: {
    summary: 'Show what an image says about itself',
    load: async () => (await import('./commands/inspect.ts')).command,
  },
  instance: {
    summary: 'Run containers in the background',
    loadGroup: async () => (await import('./commands/instance.ts')).subcommands,
  },
  key: {
    summary: 'Make, list, import and export the keys that sign images',
    loadGroup: async () => (await import('./commands/key.ts')).subcommands,
  },
  keyserver: {
    summary: 'Choose the servers that are asked for keys',
    loadGroup: async () => (await import('./commands/keyserver.ts')).subcommands,
  },
  overlay: {
    summary: 'Make file systems that keep the changes of containers',
    loadGroup: async () => (await import('./commands/overlay.ts')).subcommands,
  },
  pull: {
    summary: 'Fetch an image from a registry, a daemon, an archive or the web',
    load: async () => (await import('./commands/pull.ts')).command,
  },
  push: {
    summary: 'Send an image to a registry',
    load: async () => (await import('./commands/push.ts')).command,
  },
  registry: {
    summary: 'Log in to registries of images',
    loadGroup: async () => (await import('./commands/registry.ts')).subcommands,
  },
  remote: {
    summary: 'Manage endpoints: services of keys and images',
    loadGroup: async () => (await import('./commands/remote.ts')).subcommands,
  },
  run: { summary: 'Run the runscript of an image', load: () => action('run') },
  'run-help': {
    summary: 'Show the help text of an image',
    load: async () => (await import('./commands/run-help.ts')).command,
  },
  shell: { summary: 'Open a shell in a container', load: () => action('shell') },
  sif: {
    summary: 'Look into SIF files and change them',
    loadGroup: async () => (await import('./commands/sif.ts')).subcommands,
  },
  sign: { summary: 'Sign an image', load: async () => (await import('./commands/sign.ts')).command },
  test: { summary: 'Run the test of an image', load: () => action('test') },
  verify: {
    summary: 'Check who signed an image, and that it is what they signed',
    load: async () => (await import('./commands/verify.ts')).command,
  },
  version: { summary: 'Show the version', load: async () => (await import('./commands/version.ts')).command },
  buildcfg: {
    summary: 'Show where parts of the program lie',
    hidden: true,
    load: async () => (await import('./commands/buildcfg.ts')).command,
  },
}

/** Words of the peers that have no command behind them so far, and what they are for. */
export const laterCommands: Readonly<Record<string, string>> = {
  delete: 'images cannot be removed from a library',
  doctor: 'the machine cannot be examined',
  search: 'libraries cannot be searched',
}

/** Other spellings of words, which the peers have, too. */
const spellings: Readonly<Record<string, string>> = { keys: 'key' }

/** Words of Docker and Podman, and of old versions of the peers, for who has them in the fingers. */
const otherWords: Readonly<Record<string, string>> = {
  images: 'cache list',
  login: 'registry login',
  logout: 'registry logout',
  ps: 'instance list',
  rmi: 'cache clean',
  start: 'instance start',
  stop: 'instance stop',
}

/** Words of the peers that are not to come: the reason, and what to use instead. */
export const refusedCommands: Readonly<Record<string, string>> = {
  checkpoint: 'it needs DMTCP inside of the image; programs that save their own state can be started again',
  data: 'pack the files with mksquashfs DIRECTORY FILE, and bind them with --bind FILE:/DESTINATION:image-src=/',
  oci: 'bundles are for runc and crun; build an image of the root file system: build IMAGE.sif DIRECTORY',
  plugin:
    'plugins are programs for one build of the runtime; a profile of the configuration holds flags and binds',
}

/** What is said about a word that has no command, or none yet. */
export function laterText(word: string): string {
  const refused = own(refusedCommands, word)
  return refused
    ? `${word} cannot be used: ${refused}`
    : `${word} is not available yet: ${laterCommands[word]}`
}

/** Own properties only: `constructor` is no command. */
function own<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined
}

export type Found =
  | {
      readonly kind: 'command'
      readonly words: readonly string[]
      readonly command: Command
      readonly rest: readonly string[]
    }
  | { readonly kind: 'group'; readonly word: string; readonly commands: Readonly<Record<string, Command>> }
  | { readonly kind: 'later'; readonly word: string }

const unknown = (text: string, word: string, known: readonly string[]): SingError => {
  const near = suggest(word, known)
  return new SingError('USAGE', text, { hint: near && `Did you mean ${near}?` })
}

const looksLikeImage = (word: string): boolean => /\/|\.(sif|sqfs|squashfs|simg|img)$/.test(word)

/** The peers have `--config FILE` of a group before the word of the command: it means the same behind it. */
function wordFirst(words: readonly string[]): readonly string[] {
  const [flag = ''] = words
  const taken = /^(-c|--config)$/.test(flag) ? 2 : /^(-c.|--config=)/.test(flag) ? 1 : 0
  const word = words[taken]
  return taken === 0 || word === undefined
    ? words
    : [word, ...words.slice(0, taken), ...words.slice(taken + 1)]
}

/**
 * Find what the words name: a command (loaded) and what is behind its words, or a group that was named alone.
 * @throws SingError USAGE for an unknown word, with the nearest known one as hint
 */
export async function findCommand(words: readonly string[]): Promise<Found> {
  const [given = '', ...rest] = words
  const word = own(spellings, given) ?? given
  const entry = own(commandTable, word)
  if (!entry) {
    if (own(laterCommands, word) ?? own(refusedCommands, word)) return { kind: 'later', word }
    if (looksLikeImage(word)) {
      const hint = `To run an image: sing run ${shown(word)}`
      throw new SingError('USAGE', `unknown command "${shown(word)}"`, { hint })
    }
    const other = own(otherWords, word)
    if (other)
      throw new SingError('USAGE', `unknown command "${shown(word)}"`, { hint: `Did you mean ${other}?` })
    const visible = Object.keys(commandTable).filter((name) => !commandTable[name]?.hidden)
    throw unknown(`unknown command "${shown(word)}"`, word, visible)
  }
  if ('load' in entry) return { kind: 'command', words: [word], command: await entry.load(), rest }
  const commands = await entry.loadGroup()
  const behind = wordFirst(rest)
  const [second] = behind
  if (second === undefined || second === '--help' || second === '-h') return { kind: 'group', word, commands }
  const command = own(commands, second)
  if (!command) throw unknown(`unknown command "${shown(second)}" for ${word}`, second, Object.keys(commands))
  return { kind: 'command', words: [word, second], command, rest: behind.slice(1) }
}
