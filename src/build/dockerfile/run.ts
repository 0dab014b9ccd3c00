/** RUN: a command in the tree, as its image would be run: its environment, its user, its directory. */

import type { Action } from '../../definition/dockerfile/actions.ts'
import { inShort } from '../../definition/dockerfile/words.ts'
import { runSection } from '../../runtime/section.ts'
import { sectionDevices } from '../devices.ts'
import { makeDirectoryInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { runScript, type Script } from '../script.ts'
import { passedOn } from '../sections.ts'
import { temporaryFile } from '../temporary-file.ts'
import { type MountSources, openMounts } from './mounts.ts'
import { userIn } from './owner.ts'

export type Run = Extract<Action, { kind: 'run' }>

/** What Docker gives to commands. */
const runMask = 0o022

/** Variables of the caller that commands see, and the image does not keep. */
function proxies(
  environment: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const found = passedOn.flatMap((name) => {
    const value = given[name] ?? environment[name]
    return value === undefined ? [] : [[name, value]]
  })
  return Object.fromEntries(found)
}

/** No script of the image tells the loader where drivers of the host are. */
function withLibraries(environment: Record<string, string>, directory: string): Record<string, string> {
  if (directory === '') return environment
  const path = [environment.LD_LIBRARY_PATH, directory].filter(Boolean).join(':')
  return { ...environment, LD_LIBRARY_PATH: path }
}

/** Run the command. @throws SingError SECTION when it fails */
export async function performRun(
  run: Run,
  root: string,
  sources: MountSources,
  buildArguments: Readonly<Record<string, string>>,
  tools: BuildTools,
): Promise<void> {
  const { facts, report, signal, debug } = tools
  const user = run.user === '' ? { uid: 0, gid: 0, groups: [], home: '/root' } : userIn(root, run.user)
  for (const path of ['/dev', '/proc', '/sys', run.directory]) makeDirectoryInside(root, path)
  await using mounts = await openMounts(run.mounts, sources, tools)
  const { script } = run
  using _script = script && temporaryFile(root, script.path, script.text, 0o755)
  using devices = await sectionDevices(root, tools)
  const request = {
    root,
    program: run.words,
    environment: withLibraries(
      { ...proxies(tools.environment, buildArguments), HOME: user.home, ...run.environment },
      devices.libraryPath,
    ),
    writable: true,
    memoryUpper: false,
    binds: tools.request.binds,
    mounts: tools.request.mounts,
    devices: devices.ops,
    umask: runMask,
    directory: run.directory,
    operations: mounts.operations,
    withoutNetwork: run.network === 'none',
    ...(user.uid === 0 && user.gid === 0 ? {} : { user }),
  }
  await runScript(scriptOf(run, tools), tools, (streams, shell) =>
    runSection(shell ? { ...request, program: shell } : request, {
      facts,
      report,
      debug,
      signal,
      ...streams,
    }),
  )
}

/** What is known of the command's text: where its lines stand in the Dockerfile. */
function scriptOf(run: Run, { definitionName: definition }: BuildTools): Script {
  const { title, line, script, textLine, words } = run
  const about = { title: inShort(title), definition, line }
  if (textLine === undefined) return { ...about, path: '', text: '', lines: [] }
  const { path = words[0] ?? '', text = words.at(-1) ?? '' } = script ?? {}
  return { ...about, path, text, lines: text.split('\n').map((_, index) => textLine + index) }
}
