/** Runs one command: the only place that sees every error, and the only one that ends the process. */

import { checkCount, cutCommand, cutGlobals } from './cli/argv.ts'
import type { Command, Context } from './cli/command.ts'
import { findCommand, laterText } from './cli/commands.ts'
import { globalFlags } from './cli/options.ts'
import { parseFlags } from './cli/parse.ts'
import { exitStatus, SingError } from './core/errors.ts'
import { singularityVersion, version } from './core/version.ts'
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

type Start = Pick<Context, 'environment' | 'openFiles' | 'calledAs'>

/** The caller's environment, and what `bin/sing` noted in it. */
function readStart(given: NodeJS.ProcessEnv): Start {
  const { SING_OPEN_FILES: openFiles = '', SING_CALLED_AS: calledAs, ...environment } = given
  return {
    environment: environment as Record<string, string>,
    openFiles: /^\d+$/.test(openFiles) ? Number(openFiles) : undefined,
    calledAs: calledAs === 'singularity' ? 'singularity' : 'sing',
  }
}

async function showHelp(words: readonly string[], { calledAs }: Start): Promise<void> {
  const { generalPage, pageOf } = await import('./cli/help.ts')
  const page = { program: calledAs, width: answerWidth() }
  writeAnswer(words.length === 0 ? await generalPage(page) : await pageOf(await findCommand(words), page))
}

async function runCommand(argv: readonly string[], start: Start, progress: Progress): Promise<number> {
  const { globals, help, version: versionAsked, rest } = cutGlobals(argv, globalFlags)
  const options = (await parseFlags(globals, globalFlags, start.environment)).flags
  const isOn = (name: string) => options[name] === true
  const verbosity = chooseVerbosity(
    {
      debug: isOn('debug'),
      verbose: isOn('verbose'),
      quiet: isOn('quiet'),
      silent: isOn('silent'),
      nocolor: isOn('nocolor'),
    },
    start.environment,
  )
  progress.verbosity = verbosity

  if (versionAsked) {
    writeAnswer(
      `${start.calledAs} version ${start.calledAs === 'singularity' ? singularityVersion : version}\n`,
    )
    return exitStatus.ok
  }
  if (help || rest.length === 0) {
    await showHelp([], start)
    return help ? exitStatus.ok : exitStatus.usage
  }

  const found = await findCommand(rest)
  if (found.kind === 'later') {
    if (!rest.includes('--help') && !rest.includes('-h'))
      throw new SingError('UNSUPPORTED', laterText(found.word))
    writeAnswer(`${laterText(found.word)}\n`)
    return exitStatus.ok
  }
  if (found.kind === 'group') {
    await showHelp([found.word], start)
    return exitStatus.ok
  }

  const { command, words } = found
  progress.words = words
  progress.command = command
  const {
    ours,
    help: helpAsked,
    args,
  } = cutCommand(found.rest, command.flags, globalFlags, command.action ?? false)
  if (helpAsked) {
    await showHelp(words, start)
    return exitStatus.ok
  }
  checkCount(args, command.args)
  const report = createReport(verbosity)
  const { flags, notices } = await parseFlags(ours, command.flags, start.environment)
  for (const text of notices) report({ kind: 'warning', text })
  const context: Context & { configFile: string | undefined } = {
    ...start,
    report,
    debug: verbosity.level >= levels.debug,
    print: writeAnswer,
    configFile: typeof options.config === 'string' ? options.config : undefined,
  }
  return command.run({ flags, args, words, argv, context })
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
  status = await runCommand(process.argv.slice(2), start, progress)
} catch (error) {
  status = failed(error, start, progress)
}
process.exit(status)
