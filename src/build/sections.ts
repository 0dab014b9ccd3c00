/** The scripts of a definition: %pre and %setup on the host, %post and %test in the new root file system. */

import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SingError } from '../core/errors.ts'
import { parseLabels } from '../definition/labels.ts'
import { sectionCommand } from '../definition/script.ts'
import type { App, Section, Stage } from '../definition/types.ts'
import { actionScript } from '../plan/action.ts'
import { defaultPath } from '../plan/environment.ts'
import { runOnHost, runSection } from '../runtime/section.ts'
import { sectionDevices } from './devices.ts'
import { existsInside, readInside, resolveInside, writeInside } from './inside.ts'
import { appInstallText } from './metadata.ts'
import type { BuildTools } from './request.ts'
import { removeTree } from './tree.ts'

/** The file behind SINGULARITY_LABELS: one `key value` a line. */
const labelFile = '/.build.labels'
const labelLimit = 1024 * 1024
/** The file behind SINGULARITY_ENVIRONMENT, read whenever a container starts. */
const environmentFile = '/.singularity.d/env/91-environment.sh'
const postScript = '/.post.script'
const aptSettings = '/.apt.conf'

/** Files that %post makes are for everybody to read, whatever the caller's umask; the peers' mask. */
const sectionMask = 0o002

const passedOn = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']
  .flatMap((name) => [name, name.toUpperCase()])
  .concat('TERM')

/** Give a name in the spelling of each runtime, because definitions in the world use all of them. */
function inAllSpellings(name: string, value: string): Record<string, string> {
  return Object.fromEntries(
    ['SINGULARITY', 'APPTAINER', 'SING'].map((prefix) => [`${prefix}_${name}`, value]),
  )
}

function failed(name: string, status: number, section: Section, tools: BuildTools): SingError {
  const place = `${tools.definitionName}:${section.line}`
  return new SingError('SECTION', `%${name} failed with status ${status} (${place})`)
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
  report({ kind: 'info', text: `Running %${name} on the host` })
  const script = join(scratch.path, `${name}.script`)
  writeFileSync(script, section.text, { mode: 0o600 })
  const status = await runOnHost(
    {
      program: [...sectionCommand(section), script],
      environment: { ...tools.environment, ...inAllSpellings('ROOTFS', root) },
      cwd: facts.cwd ?? '/',
      devices: undefined,
    },
    { facts, report, debug, signal },
  )
  if (signal.aborted) throw signal.reason
  if (status !== 0) throw failed(name, status, section, tools)
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

async function runInside(
  program: string[],
  root: string,
  options: { variables: Record<string, string>; writable: boolean; memoryUpper: boolean },
  tools: BuildTools,
): Promise<number> {
  const { facts, report, signal, debug, request } = tools
  const environment = { ...cleanEnvironment(tools), ...options.variables }
  const status = await runSection(
    {
      root,
      program: withImageEnvironment(program, root, environment),
      environment,
      writable: options.writable,
      memoryUpper: options.memoryUpper,
      binds: [...temporaryBinds(root, tools), ...request.binds],
      mounts: request.mounts,
      devices: await sectionDevices(root, tools),
      umask: sectionMask,
    },
    { facts, report, debug, signal },
  )
  if (signal.aborted) throw signal.reason
  return status
}

/** A file at the top of the root file system for as long as a script runs. */
function temporaryFile(root: string, path: string, text: string, mode: number): Disposable {
  writeInside(root, path, text, mode)
  return { [Symbol.dispose]: () => removeTree(join(root, path)) }
}

/** The text of %post and, behind it, of every %appinstall in the order of the definition. */
function postText(stage: Stage): Section | undefined {
  const { post } = stage.sections
  const apps = stage.apps.filter(({ install }) => install)
  const first: Section | undefined = post ?? apps[0]?.install
  if (!first) return undefined
  const text = [post?.text ?? '', ...apps.map((app: App) => appInstallText(app))].join('\n')
  return { text, arguments: post?.arguments ?? [], line: first.line }
}

/**
 * Run %post and what the apps install. Resolves with the labels that it wrote to $SINGULARITY_LABELS.
 * @throws SingError SECTION when it fails
 */
export async function runPost(stage: Stage, root: string, tools: BuildTools): Promise<[string, string][]> {
  const section = postText(stage)
  if (!section) return []
  tools.report({ kind: 'info', text: 'Running %post' })
  using _script = temporaryFile(root, postScript, section.text, 0o755)
  using _labels = temporaryFile(root, labelFile, '', 0o644)
  // With a single id apt cannot become its unprivileged user.
  const isSingleId = tools.facts.idsMapped === 1
  using _settings = isSingleId
    ? temporaryFile(root, aptSettings, 'APT::Sandbox::User "root";\n', 0o644)
    : { [Symbol.dispose]() {} }
  const variables = {
    ...inAllSpellings('ENVIRONMENT', environmentFile),
    ...inAllSpellings('LABELS', labelFile),
    ...(isSingleId ? { APT_CONFIG: aptSettings } : {}),
  }
  const program = [...sectionCommand(section), postScript]
  const status = await runInside(program, root, { variables, writable: true, memoryUpper: false }, tools)
  if (status !== 0) throw failed('post', status, section, tools)
  return parseLabels(readInside(root, labelFile, labelLimit) ?? '')
}

/** Run the %test of this definition in the finished root file system. @throws SingError SECTION when it fails */
export async function runTest(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const section = stage.sections.test
  if (!section) return
  tools.report({ kind: 'info', text: 'Running %test' })
  const program = ['/.singularity.d/test']
  const { writableTest } = tools.request
  const status = await runInside(
    program,
    root,
    { variables: {}, writable: false, memoryUpper: writableTest },
    tools,
  )
  if (status !== 0) throw failed('test', status, section, tools)
}
