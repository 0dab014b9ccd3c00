/** The words of --fusemount: `TYPE:PROGRAM [ARGUMENTS] MOUNTPOINT`. */

import { posix } from 'node:path'
import { SingError } from '../core/errors.ts'

export type FuseMount = {
  /** Where the program comes from and runs. */
  readonly side: 'host' | 'container'
  /** The program and its arguments; what it serves comes behind them as /dev/fd/N. */
  readonly words: readonly string[]
  readonly at: string
  /** Of a program of the host. */
  readonly environment: readonly string[]
}

const sides = {
  host: { side: 'host', daemon: false },
  'host-daemon': { side: 'host', daemon: true },
  container: { side: 'container', daemon: false },
  'container-daemon': { side: 'container', daemon: true },
} as const

const hint =
  "Write --fusemount 'host:PROGRAM [ARGUMENTS] /MOUNTPOINT', or container: for a program of the image"

/** Blanks separate words; quotes keep them together. */
const splitWords = (text: string): string[] =>
  (text.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? []).map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  )

/** @throws SingError for a specification that has no program, no mount point or another kind */
export function parseFuseMount(text: string): FuseMount {
  const refuse = (reason: string) =>
    new SingError('USAGE', `--fusemount ${text}: ${reason}`, { hint, status: 255 })
  const colon = text.indexOf(':')
  const kind = text.slice(0, Math.max(colon, 0))
  if (!Object.hasOwn(sides, kind))
    throw refuse('it does not begin with host:, container:, or one of them with -daemon')
  const { side, daemon } = sides[kind as keyof typeof sides]
  const words = splitWords(text.slice(colon + 1))
  const at = words.pop() ?? ''
  if (!at.startsWith('/')) throw refuse('it does not end with an absolute mount point')
  if (words.length === 0) throw refuse('there is no program')
  // Programs made with libfuse go into the background unless they are told not to.
  return { side, words: daemon ? words : [...words, '-f'], at, environment: [] }
}

const isWithin = (path: string, directory: string): boolean =>
  `${posix.normalize(path)}/`.startsWith(posix.normalize(`${directory}/`))

/**
 * A program of the image begins to serve when all mounts are made: whoever touched its place before would wait for ever.
 * @throws SingError for a mount point at or below that of an earlier program of the image
 */
export function requireApart(mounts: readonly FuseMount[]): void {
  for (const [index, { at }] of mounts.entries()) {
    const earlier = mounts
      .slice(0, index)
      .find(({ side, at: place }) => side === 'container' && isWithin(at, place))
    if (!earlier) continue
    throw new SingError(
      'USAGE',
      `--fusemount: ${at} lies in what ${earlier.words[0]} serves at ${earlier.at}`,
      {
        hint: 'Choose mount points that do not lie in each other',
        status: 255,
      },
    )
  }
}

/** What a program of the host needs of the caller's environment; no secrets, for it becomes part of a command line. */
const handedOn = [
  'HOME',
  'USER',
  'LOGNAME',
  'PATH',
  'LANG',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'SSH_AUTH_SOCK',
  'KRB5CCNAME',
]

/** The part of an environment that programs of the host get, as `NAME=value`. */
export const fuseEnvironment = (environment: Readonly<Record<string, string>>): string[] =>
  handedOn.flatMap((name) => (environment[name] === undefined ? [] : [`${name}=${environment[name]}`]))
