/** exec, run, shell and test: words of the user into a launch. */

import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { type Config, loadConfig } from '../../config/load.ts'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { readEnvironmentFile } from '../../host/envfile.ts'
import { type HostFacts, readHostFacts } from '../../host/facts.ts'
import { openDataImage } from '../../image/data.ts'
import { type Image, openImage } from '../../image/open.ts'
import { type LaunchPlan, plan } from '../../plan/plan.ts'
import { type LaunchRequest, toRequest, type Verb } from '../../plan/request.ts'
import { replace, run } from '../../runtime/launch.ts'
import type { Call, Command } from '../command.ts'
import { launchFlags, shellFlags } from '../options.ts'

/** A mistyped --workdir must not become a directory with the results in it. */
function requireWorkdir(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  throw new SingError('BIND', `--workdir ${shown(path)}: no such directory`)
}

/** Effects that a plan asks for before the first system call of the launch. */
function makeDirectories(directories: LaunchPlan['directories']): void {
  for (const { path, mode } of directories) {
    try {
      if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, mode)
    } catch (error) {
      throw new SingError('IO', `cannot make ${path}: ${reasonOf(error)}`, { cause: error })
    }
  }
}

/** Look up the file systems of image files that binds name with image-src or id. */
function withDataImages(request: LaunchRequest): LaunchRequest {
  const binds = request.binds.map((bind) => {
    if (bind.imageSource === undefined && bind.objectId === undefined) return bind
    return { ...bind, window: openDataImage(bind.source, bind.objectId) }
  })
  return { ...request, binds }
}

const allowances = { sif: 'sif', squashfs: 'squashfs', sandbox: 'directory' } as const

/** The site may leave out kinds of images. */
function requireAllowed(image: Image, config: Config): void {
  if (config.images[allowances[image.kind]]) return
  throw new SingError(
    'UNSUPPORTED',
    `cannot start ${image.path}: the site's configuration does not allow images of this kind`,
    { hint: 'Convert it: sing build IMAGE.sif SOURCE, or ask the administrator' },
  )
}

function mustUnpack(call: Call, image: Image, facts: HostFacts): boolean {
  const { flags } = call
  if ('directory' in image.rootfs) return false
  if (flags.unsquash === true || flags['tmp-sandbox'] === true) return true
  if (facts.fuse || (facts.isRoot && !facts.inUserNamespace && facts.loop)) return false
  if (flags['no-tmp-sandbox'] === true) {
    throw new SingError(
      'UNSUPPORTED',
      `cannot mount ${image.path}: /dev/fuse cannot be used and --no-tmp-sandbox is given`,
      {
        hint: 'Ask the administrator for access to /dev/fuse (mode 0666), or leave --no-tmp-sandbox out',
      },
    )
  }
  return true
}

async function runUnpacked(call: Call, image: Image, launch: (image: Image) => LaunchPlan): Promise<number> {
  const { flags, context } = call
  const { unpackImage } = await import('../../runtime/unpacked.ts')
  const { catchInterruption } = await import('../../runtime/interrupt.ts')
  const asked = typeof flags.tmpdir === 'string' ? flags.tmpdir : ''
  const parent = asked || context.environment.TMPDIR || '/tmp'
  // To the end: what was unpacked has to be removed, however often somebody presses Ctrl-C.
  using interruption = catchInterruption(`unpacking ${image.name}`)
  context.report({ kind: 'info', text: `Unpacking ${image.name} to a temporary sandbox in ${parent}` })
  const options = { report: context.report, signal: interruption.signal }
  const { image: unpacked, remove } = await unpackImage(image, parent, options)
  try {
    interruption.signal.throwIfAborted()
    return await run(launch(unpacked).spec)
  } finally {
    await remove()
  }
}

async function launch(verb: Verb, call: Call): Promise<number> {
  const { flags, args, context } = call
  const [path = '', ...command] = args
  const image = openImage(path)
  const facts = readHostFacts(context.environment)
  const files = flags['env-file']
  const assignments = (Array.isArray(files) ? files : []).flatMap((file) =>
    readEnvironmentFile(file, context.environment),
  )
  const request = withDataImages(toRequest(verb, flags, command, facts, assignments))
  const config = loadConfig(context.configFile)
  requireAllowed(image, config)
  const { openFiles, debug } = context
  const decide = (chosen: Image, supervised: boolean) =>
    plan(request, config, chosen, facts, { openFiles, debug, supervised })
  const decided = decide(image, false)
  for (const text of decided.warnings) context.report({ kind: 'warning', text })
  if (flags.plan === true) {
    context.print(`${JSON.stringify(decided.spec, null, 2)}\n`)
    return 0
  }
  if (request.workdir && decided.directories.length > 0) requireWorkdir(request.workdir)
  makeDirectories(decided.directories)
  if (mustUnpack(call, image, facts)) return runUnpacked(call, image, (unpacked) => decide(unpacked, true))
  return replace(decided.spec, context.descriptors)
}

const examples: Record<Verb, string[]> = {
  exec: [
    'sing exec fortune.sif cat /etc/os-release',
    'sing exec --bind /data:/mnt,/scratch fortune.sif ls /mnt',
  ],
  run: ['sing run fortune.sif', './fortune.sif argument'],
  shell: ['sing shell fortune.sif', 'sing shell --fakeroot --writable tree/'],
  test: ['sing test fortune.sif'],
}

function action(verb: Verb, usage: string, summary: string, least: number): Command {
  return {
    usage,
    summary,
    examples: examples[verb],
    flags: verb === 'shell' ? [...launchFlags, ...shellFlags] : launchFlags,
    args: [least, Number.POSITIVE_INFINITY],
    action: true,
    run: (call) => launch(verb, call),
  }
}

export const commands: Record<Verb, Command> = {
  exec: action('exec', 'exec [options] <image> <command> [argument...]', 'Run a command in a container', 2),
  run: action('run', 'run [options] <image> [argument...]', 'Run the runscript of an image', 1),
  shell: action('shell', 'shell [options] <image>', 'Open a shell in a container', 1),
  test: action('test', 'test [options] <image> [argument...]', 'Run the test of an image', 1),
}
