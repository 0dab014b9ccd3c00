/** How the scripts of a definition run: %pre and %setup on the host, %post and %test in the new root file system. */

import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sectionCommand } from '../definition/script.ts'
import type { Section, Stage } from '../definition/types.ts'
import { actionScript } from '../plan/action.ts'
import { defaultPath } from '../plan/environment.ts'
import { runOnHost, runSection } from '../runtime/section.ts'
import { sectionDevices } from './devices.ts'
import { existsInside, resolveInside } from './inside.ts'
import type { BuildTools } from './request.ts'
import { runScript, type Script, type Streams } from './script.ts'

/** Files that %setup and %post make are for everybody to read, whatever the caller's umask; the peers' mask. */
const sectionMask = 0o002

export const passedOn = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']
  .flatMap((name) => [name, name.toUpperCase()])
  .concat('TERM')

/** Give a name in the spelling of each runtime, because definitions in the world use all of them. */
export function inAllSpellings(name: string, value: string): Record<string, string> {
  return Object.fromEntries(
    ['SINGULARITY', 'APPTAINER', 'SING'].map((prefix) => [`${prefix}_${name}`, value]),
  )
}

/** A section as a script in the file `path`. */
export function scriptOf(title: string, section: Section, path: string, tools: BuildTools): Script {
  const { text, line, lines } = section
  return { title, text, path, definition: tools.definitionName, line, lines }
}

/** Run %pre or %setup as the program of the host that it is. @throws SingError SECTION when it fails */
export async function runHostSection(
  name: 'pre' | 'setup',
  stage: Stage,
  root: string,
  tools: BuildTools,
): Promise<void> {
  const section = stage.sections[name]
  if (!section) return
  const { facts, report, signal, debug, scratch } = tools
  const script = join(scratch.path, `${name}.script`)
  writeFileSync(script, section.text, { mode: 0o600 })
  const request = {
    program: [...sectionCommand(section), script],
    environment: { ...tools.environment, ...inAllSpellings('ROOTFS', root) },
    cwd: facts.cwd ?? '/',
    devices: undefined,
    ...(name === 'setup' ? { umask: sectionMask } : {}),
  }
  await runScript(scriptOf(`%${name}`, section, script, tools), tools, (streams, shell) =>
    runOnHost(shell ? { ...request, program: shell } : request, { facts, report, debug, signal, ...streams }),
  )
}

function cleanEnvironment(tools: BuildTools): Record<string, string> {
  const kept = passedOn.flatMap((name) => {
    const value = tools.environment[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { ...Object.fromEntries(kept), HOME: '/root', PATH: defaultPath, LANG: 'C' }
}

/** The program behind the environment of the image, read by the image's own shell if it has one. */
function withImageEnvironment(program: string[], root: string, variables: Record<string, string>): string[] {
  if (!existsInside(root, '/bin/sh')) return program
  const environment = {
    variables,
    host: passedOn.filter((name) => variables[name] !== undefined),
    injected: [],
    path: { prepend: '', append: '', replace: '' },
    libraryPath: { prepend: '', append: '' },
    warnings: [],
  }
  const script = actionScript('exec', environment, { evaluate: false, imageName: '', uid: 0, gid: 0 })
  return ['/bin/sh', '-c', script, 'sh', ...program]
}

/** A path as `--bind` takes it. */
function bindWord(path: string): string {
  return path.replace(/[\\,:]/g, '\\$&')
}

/**
 * Directories for temporary files that belong to this build alone. With those of the host a script that cleans up behind
 * itself (`rm -rf /tmp/*`) would remove the user's files, and the tree that is being built.
 */
function temporaryBinds(root: string, tools: BuildTools): string[] {
  return ['tmp', 'var/tmp'].flatMap((path) => {
    const place = join(root, path)
    if (resolveInside(root, path) !== place || !statSync(place, { throwIfNoEntry: false })?.isDirectory())
      return []
    const own = join(tools.scratch.path, path.replace('/', '-'))
    mkdirSync(own, { recursive: true })
    chmodSync(own, 0o1777)
    return [`${bindWord(own)}:/${path}`]
  })
}

/** Run a program in the tree. Resolves with its exit status. */
export async function runInside(
  program: string[],
  root: string,
  options: { variables: Record<string, string>; writable: boolean; memoryUpper: boolean },
  tools: BuildTools,
  streams: Streams,
): Promise<number> {
  const { facts, report, signal, debug, request } = tools
  const environment = { ...cleanEnvironment(tools), ...options.variables }
  using devices = await sectionDevices(root, tools)
  return await runSection(
    {
      root,
      program: withImageEnvironment(program, root, environment),
      environment,
      writable: options.writable,
      memoryUpper: options.memoryUpper,
      binds: [...temporaryBinds(root, tools), ...request.binds],
      mounts: request.mounts,
      devices: devices.ops,
      umask: sectionMask,
    },
    { facts, report, debug, signal, ...streams },
  )
}
