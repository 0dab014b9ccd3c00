/** RUN, COPY and ADD with everything put in: what is done to the files. */

import { posix } from 'node:path'
import { excerpt } from '../lines.ts'
import { expandWord } from './expand.ts'
import { flagValue, flagValues, hasFlag } from './flags.ts'
import { heredocText } from './lines.ts'
import { type RunMount, readMount } from './mounts.ts'
import type { Scope } from './scope.ts'
import { runEnvironment } from './state.ts'
import { type Command, type Flag, type Heredoc, type Instruction, type Place, wrong } from './types.ts'

/** What is done to the files, with everything put in. */
export type Action = { readonly line: number; readonly title: string } & (
  | {
      readonly kind: 'run'
      readonly words: readonly string[]
      /** A file that is run instead, which is there only while it runs. */
      readonly script: { readonly path: string; readonly text: string } | undefined
      /** Where the text that is run begins in the Dockerfile, when it stands there line by line. */
      readonly textLine: number | undefined
      readonly environment: Readonly<Record<string, string>>
      readonly user: string
      readonly directory: string
      readonly mounts: readonly RunMount[]
      readonly network: 'default' | 'none' | 'host'
    }
  | {
      readonly kind: 'copy' | 'add'
      readonly from: string | undefined
      readonly sources: readonly string[]
      readonly texts: readonly { readonly name: string; readonly text: string }[]
      /** Absolute; one that is meant as a directory ends with a slash. */
      readonly destination: string
      readonly owner: string | undefined
      readonly mode: string | undefined
      readonly keepsParents: boolean
      readonly excluded: readonly string[]
      readonly checksum: string | undefined
      readonly unpacks: boolean | undefined
    }
  | { readonly kind: 'workdir'; readonly path: string }
)

export type WithoutPlace<T> = T extends unknown ? Omit<T, 'line' | 'title'> : never
/** What RUN does. */
export function readRun(
  scope: Scope,
  { command, flags, texts }: Extract<Instruction, { kind: 'run' }>,
): WithoutPlace<Action> {
  const network = flagValue(flags, 'network', scope.lookup, scope.place) ?? 'default'
  if (network !== 'default' && network !== 'none' && network !== 'host')
    throw wrong(scope.place, `RUN --network=${excerpt(network)}: expected default, none or host`)
  refusePowers(flags, scope)
  const mounts = flagValues(flags, 'mount', scope.lookup, scope.place)
  return {
    kind: 'run',
    ...programOf(scope, command, texts),
    environment: runEnvironment(scope.state),
    user: scope.state.config.User ?? '',
    directory: scope.directory,
    mounts: mounts.map((mount) => readMount(mount, scope.directory, scope.place)),
    network,
  }
}

function refusePowers(flags: readonly Flag[], scope: Scope): void {
  const security = flagValue(flags, 'security', scope.lookup, scope.place) ?? 'sandbox'
  if (security !== 'sandbox')
    throw wrong(
      scope.place,
      `RUN --security=${excerpt(security)}: nobody gets more than root of a user namespace has`,
      'leave it out',
    )
  if (flags.some(({ name }) => name === 'device'))
    throw wrong(scope.place, 'RUN --device cannot be given: give GPUs to the whole build with --nv or --rocm')
}

/** Texts below a command are for the shell, unless one is all that there is: then it is the command, or a script. */
function programOf(
  scope: Scope,
  command: Command,
  texts: readonly Heredoc[],
): Pick<Extract<Action, { kind: 'run' }>, 'words' | 'script' | 'textLine'> {
  const [first] = texts
  if (command.form === 'exec' || !first)
    return { words: scope.words(command), script: undefined, textLine: undefined }
  const isAlone = texts.length === 1 && /^\d*<<-?\S+$/.test(command.text)
  if (!isAlone) {
    const below = texts.map(({ text, name }) => `\n${text}${name}`).join('')
    return {
      words: scope.words({ form: 'shell', text: command.text + below }),
      script: undefined,
      textLine: undefined,
    }
  }
  const text = heredocText(first)
  const textLine = first.line
  if (!text.startsWith('#!'))
    return { words: scope.words({ form: 'shell', text }), script: undefined, textLine }
  const path = '/.run.script'
  return { words: [path], script: { path, text }, textLine }
}

/** What COPY and ADD do. */
export function readTransfer(
  scope: Scope,
  act: Extract<Instruction, { kind: 'copy' | 'add' }>,
): WithoutPlace<Action> {
  const { flags } = act
  const value = (name: string): string | undefined => flagValue(flags, name, scope.lookup, scope.place)
  return {
    kind: act.kind,
    from: fromOf(flags, scope.place),
    sources: act.sources.map((source) => scope.named(source, 'the source')),
    texts: act.texts.map((text) => ({ name: text.name, text: contentOf(text, scope) })),
    destination: destinationOf(act.destination, scope),
    owner: value('chown'),
    mode: value('chmod'),
    keepsParents: hasFlag(flags, 'parents'),
    excluded: flagValues(flags, 'exclude', scope.lookup, scope.place),
    checksum: value('checksum'),
    unpacks: flags.some(({ name }) => name === 'unpack') ? hasFlag(flags, 'unpack') : undefined,
  }
}

function contentOf(heredoc: Heredoc, scope: Scope): string {
  const text = heredocText(heredoc)
  return heredoc.expands ? expandWord(text, scope.lookup, scope.place, 'text') : text
}

function destinationOf(text: string, scope: Scope): string {
  const word = scope.named(text, 'the destination')
  const path = posix.resolve('/', scope.directory, word)
  const isDirectory = path !== '/' && /(^|\/)\.{0,2}$/.test(word)
  return isDirectory ? `${path}/` : path
}

/** The stage or image that COPY takes from. What it is must be known before anything is built, so no variable can say it. */
export function fromOf(flags: readonly Flag[], place: Pick<Place, 'name' | 'line'>): string | undefined {
  const from = flags.find(({ name }) => name === 'from')?.value
  if (from?.includes('$'))
    throw wrong(
      place,
      `--from=${excerpt(from)}: variables cannot be used here`,
      'begin a stage with it: FROM IMAGE AS NAME',
    )
  return from
}
