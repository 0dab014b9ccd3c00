/** Runs one command: the only place that sees every error, and the only one that ends the process. */

import { checkCount, cutCommand, cutGlobals } from './cli/argv.ts'
import type { Command, Context, Flags } from './cli/command.ts'
import { findCommand, laterText } from './cli/commands.ts'
import { flagDefaults } from './cli/configured.ts'
import { allLaunchFlags, globalFlags, profileFlag } from './cli/options.ts'
import { type Parsed, parseFlags } from './cli/parse.ts'
import { loadSettings, type Settings } from './config/load.ts'
import { exitStatus, SingError } from './core/errors.ts'
import { splitSecrets } from './core/secrets.ts'
import { singularityVersion, version } from './core/version.ts'
import { secretsVariable, takeSecrets } from './host/handed-secrets.ts'
import { answerWidth, ReaderGone, writeAnswer } from './ui/output.ts'
import {
  chooseVerbosity,
  createReport,
  levels,
  reportFatal,
  reportUsage,
  type Verbosity,
} from './ui/report.ts'

/** What a shell reports of a program that wrote into a closed pipe (128 + SIGPIPE). */
const brokenPipe = 141

/** What is known so far of the command line, for the message when it turns out wrong. */
type Progress = { verbosity: Verbosity; words: readonly string[]; command: Command | undefined }

type Start = Pick<Context, 'environment' | 'secrets' | 'openFiles' | 'descriptors' | 'calledAs'>

/** The caller's environment, and what `bin/sing` noted in it. */
function readStart(given: NodeJS.ProcessEnv): Start {
  const {
    SING_OPEN_FILES: openFiles = '',
    SING_DESCRIPTORS: descriptors = '',
    SING_CALLED_AS: calledAs,
    SING_INTERPRETED: interpreted,
    [secretsVariable]: pipe,
    ...variables
  } = given
  // Meant for the engine alone.
  if (interpreted) delete variables.BUN_JSC_useJIT
  const { environment, secrets } = splitSecrets(variables as Record<string, string>)
  // No program that is started gets them by accident.
  for (const name of Object.keys(secrets)) delete given[name]
  return {
    environment,
    secrets: { ...secrets, ...takeSecrets(pipe) },
    openFiles: /^\d+$/.test(openFiles) ? Number(openFiles) : undefined,
    descriptors: descriptors
      .split(' ')
      .filter((word) => /^\d+$/.test(word))
      .map(Number),
    calledAs: calledAs === 'singularity' ? 'singularity' : 'sing',
  }
}

async function showHelp(words: readonly string[], { calledAs }: Start): Promise<number> {
  const { generalPage, pageOf } = await import('./cli/help.ts')
  const page = { program: calledAs, width: answerWidth() }
  writeAnswer(words.length === 0 ? await generalPage(page) : await pageOf(await findCommand(words), page))
  return exitStatus.ok
}

function showVersion({ calledAs }: Start): number {
  writeAnswer(`${calledAs} version ${calledAs === 'singularity' ? singularityVersion : version}\n`)
  return exitStatus.ok
}

/** A word of the peers that has no command yet: an error, except for who asks what it would do. */
async function answerLater(word: string, rest: readonly string[], start: Start): Promise<number> {
  if (rest.includes('--help') || rest.includes('-h')) return showHelp([word], start)
  throw new SingError('UNSUPPORTED', laterText(word))
}

function toVerbosity(options: Flags, { environment }: Start): Verbosity {
  const isOn = (name: string): boolean => options[name] === true
  const [debug, verbose, quiet, silent] = [isOn('debug'), isOn('verbose'), isOn('quiet'), isOn('silent')]
  return chooseVerbosity({ debug, verbose, quiet, silent, nocolor: isOn('nocolor') }, environment)
}

type Chosen = {
  readonly command: Command
  readonly words: readonly string[]
  readonly rest: readonly string[]
  readonly argv: readonly string[]
  readonly options: Flags
  readonly verbosity: Verbosity
}

/** The configuration is read once, by the first who asks. */
function lazySettings({ options }: Chosen, { environment }: Start): () => Promise<Settings> {
  let settings: Promise<Settings> | undefined
  const configFile = typeof options.config === 'string' ? options.config : undefined
  const builtIn = options['build-config'] === true
  return () => {
    settings ??= loadSettings({ configFile, builtIn, environment, flags: allLaunchFlags })
    return settings
  }
}

/** Flags of a command; those of launches may have defaults in the configuration. */
async function readFlags(
  { command }: Chosen,
  ours: readonly string[],
  { environment }: Start,
  settings: () => Promise<Settings>,
): Promise<Parsed> {
  if (!command.flags.includes(profileFlag)) return parseFlags(ours, command.flags, environment)
  const known = await settings()
  const parsed = await parseFlags(ours, command.flags, environment, (chosen) => {
    const { value, origins } = chosen(profileFlag)
    return flagDefaults(known, Array.isArray(value) ? { names: value, origin: origins[0] ?? '' } : undefined)
  })
  return { ...parsed, notices: [...known.warnings, ...parsed.notices] }
}

/** A command that began anew, in a namespace or a scope, has said what it had to say. */
const isSecondLife = ({ SING_REENTERED, SING_IN_SCOPE }: Start['environment']): boolean =>
  SING_REENTERED !== undefined || SING_IN_SCOPE !== undefined

async function runCommand(chosen: Chosen, start: Start): Promise<number> {
  const { command, words, rest, argv, options, verbosity } = chosen
  const { ours, help, args } = cutCommand(rest, command.flags, globalFlags, command.action ?? false)
  if (help) return showHelp(words, start)
  checkCount(args, command.args)
  const report = createReport(verbosity)
  const settings = lazySettings(chosen, start)
  const { flags, origins, notices } = await readFlags(chosen, ours, start, settings)
  if (!isSecondLife(start.environment)) for (const text of notices) report({ kind: 'warning', text })
  const context: Context = {
    ...start,
    report,
    debug: verbosity.level >= levels.debug,
    verbosity,
    print: writeAnswer,
    settings,
    configFile: typeof options.config === 'string' ? options.config : undefined,
  }
  return command.run({ flags, origins, args, words, argv, context })
}

async function main(argv: readonly string[], start: Start, progress: Progress): Promise<number> {
  const { globals, help, version: versionAsked, rest } = cutGlobals(argv, globalFlags)
  const { flags: options } = await parseFlags(globals, globalFlags, start.environment)
  progress.verbosity = toVerbosity(options, start)
  if (versionAsked) return showVersion(start)
  if (help) return showHelp([], start)
  if (rest.length === 0) {
    await showHelp([], start)
    return exitStatus.usage
  }
  const found = await findCommand(rest)
  if (found.kind === 'later') return answerLater(found.word, rest, start)
  if (found.kind === 'group') return showHelp([found.word], start)
  progress.words = found.words
  progress.command = found.command
  return runCommand({ ...found, argv, options, verbosity: progress.verbosity }, start)
}

/** Tell why the command failed; the exit status of the failure. */
function failed(error: unknown, { calledAs }: Start, { verbosity, words, command }: Progress): number {
  if (error instanceof ReaderGone) return brokenPipe
  if (error instanceof SingError && error.code === 'USAGE' && error.status === exitStatus.usage) {
    const usage = command ? `${calledAs} ${command.usage}` : `${calledAs} [global options] <command>`
    reportUsage(error, words.join(' ') || calledAs, usage, calledAs)
    return error.status
  }
  reportFatal(error, verbosity)
  return error instanceof SingError ? error.status : exitStatus.fatal
}

const start = readStart(process.env)
const progress: Progress = { verbosity: { level: levels.info, colour: false }, words: [], command: undefined }
let status: number
try {
  status = await main(process.argv.slice(2), start, progress)
} catch (error) {
  status = failed(error, start, progress)
}
process.exit(status)
