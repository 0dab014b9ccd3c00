/** A command in a container that runs already: an instance. What the container is was decided when it was started. */

import type { HostFacts } from '../host/facts.ts'
import type { Bind } from './binds.ts'
import type { Described } from './describe.ts'
import { planEnvironment } from './environment.ts'
import {
  type Inside,
  type PlanOptions,
  type ProgramsImage,
  planPrograms,
  workingDirectories,
} from './plan.ts'
import type { LaunchRequest } from './request.ts'
import type { ProcessName } from './spec.ts'

/** What is known of a container that runs. */
export type Running = Inside & {
  readonly name: string
  readonly process: ProcessName
  readonly image: ProgramsImage & { readonly path: string }
  readonly contain: boolean
  readonly binds: readonly Bind[]
  /** The flags that it was started with. */
  readonly flags: Flags
}

type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

/** Flags that are about the command and not about its container. */
const ofCommand = new Set([
  ...[
    'env',
    'env-file',
    'cleanenv',
    'no-env',
    'no-eval',
    'app',
    'shell',
    'cwd',
    'no-umask',
    'runscript-timeout',
  ],
  ...[
    'add-caps',
    'drop-caps',
    'keep-privs',
    'no-privs',
    'security',
    'plan',
    'json',
    'profile',
    'sharens',
    'disable-cache',
    'tmpdir',
  ],
])

const isGiven = (value: Flags[string]): boolean =>
  value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)

/** Flags that ask for what the container has not; those that it was started with may stand there again. */
export function withoutEffect(flags: Flags, started: Flags): string[] {
  return Object.keys(flags).filter(
    (name) =>
      !ofCommand.has(name) &&
      isGiven(flags[name]) &&
      JSON.stringify(flags[name]) !== JSON.stringify(started[name]),
  )
}

/** Decide a command inside of a running container. */
export function planJoin(
  asked: LaunchRequest,
  flags: Flags,
  running: Running,
  facts: HostFacts,
  options: Pick<PlanOptions, 'openFiles' | 'debug'>,
): Described {
  const { identity, home, devices, image, name, process } = running
  const contain = asked.contain || running.contain
  const request: LaunchRequest = { ...asked, instance: name, contain, binds: running.binds }
  const environment = planEnvironment(request, image, facts.environment, identity, home, devices)
  const { scripts, direct } = planPrograms(request, image, environment, identity)
  const directories = workingDirectories(request, facts, home)
  const useless = withoutEffect(flags, running.flags).map((flag) => `--${flag}`)
  return {
    spec: {
      namespaces: [],
      join: process,
      ids: { uids: [], gids: [], setgroups: 'allow' },
      root: 'host',
      ops: [],
      process: {
        programs: [...scripts, ...direct],
        directories,
        directoryRequired: request.cwd !== undefined,
        environment: { ...environment.variables, PWD: directories[0] ?? '/' },
        umask: request.umask,
        init: false,
        dieWithParent: false,
      },
      openFiles: options.openFiles,
      security: {
        noNewPrivileges: identity.noNewPrivileges,
        capabilities: identity.capabilities,
        filter: identity.filter,
        ...request.security?.powers,
      },
      debug: options.debug,
    },
    mounts: [],
    environment,
    inside: { identity, home, devices },
    warnings: [
      ...(request.security?.warnings ?? []),
      ...environment.warnings,
      ...(useless.length === 0
        ? []
        : [`${useless.join(', ')} without effect: instance://${name} is what it was started as`]),
    ],
  }
}
