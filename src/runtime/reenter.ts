/** Run this same command again as root of a user namespace: the one door to fakeroot for commands that build. */

import { closeSync, writeSync } from 'node:fs'
import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import { secretsVariable } from '../host/handed-secrets.ts'
import { enginePath } from '../native/paths.ts'
import { makePipe } from '../native/pipe.ts'
import { planIdentity } from '../plan/identity.ts'
import { planReentry, type ReentryIdentity } from '../plan/section.ts'
import type { Filter } from '../plan/spec.ts'
import { replace, replaceBy, scopeMark } from './launch.ts'

const mark = 'SING_REENTERED'

/** What of a command is needed to run it again. */
export type Reentry = {
  readonly argv: readonly string[]
  readonly context: {
    readonly environment: Readonly<Record<string, string>>
    readonly secrets: Readonly<Record<string, string>>
    readonly calledAs: string
    readonly openFiles: number | undefined
    readonly descriptors: readonly number[]
    readonly debug: boolean
  }
}

/** Is this the second life of a command, as root of the namespace that the first life made? */
export function isReentered(context: Pick<Reentry['context'], 'environment'>): boolean {
  return context.environment[mark] === '1'
}

/** The environment that tells the engine what `bin/sing` told it the first time. */
function secondLife(context: Reentry['context']): Record<string, string> {
  return {
    ...context.environment,
    SING_CALLED_AS: context.calledAs,
    SING_DESCRIPTORS: context.descriptors.join(' '),
    ...(context.openFiles === undefined ? {} : { SING_OPEN_FILES: String(context.openFiles) }),
  }
}

/** What a pipe holds without anybody who reads. */
const pipeCapacity = 65536

type Handed = { readonly environment: Record<string, string>; readonly descriptors: readonly number[] }

/** The second life gets the secrets of the environment through a pipe: its own environment can be looked at. */
function handSecrets({ secrets, descriptors }: Reentry['context']): Handed {
  if (Object.keys(secrets).length === 0) return { environment: {}, descriptors }
  const bytes = Buffer.from(JSON.stringify(secrets))
  if (bytes.length > pipeCapacity)
    throw new SingError('ENVIRONMENT', `${Object.keys(secrets).join(', ')}: more than ${pipeCapacity} bytes`)
  const { read, write } = makePipe()
  writeSync(write, bytes)
  closeSync(write)
  bytes.fill(0)
  return { environment: { [secretsVariable]: String(read) }, descriptors: [...descriptors, read] }
}

/** Replace this process by `command`, which is to run the same command again. Does not return. */
export function enterScope({ argv, context }: Reentry, command: readonly string[]): never {
  const [program = ''] = command
  const handed = handSecrets(context)
  const environment = { ...secondLife(context), ...handed.environment, [scopeMark]: '1' }
  return replaceBy(program, [...command, ...enginePath(), ...argv], environment, handed.descriptors)
}

/** What is built shall have the owners and devices that were asked for. */
function recording(filter: Filter): Filter {
  if (filter === 'fakeroot') return 'record'
  return filter === 'devices' ? 'record-devices' : filter
}

/** Replace this process by the same command inside the namespace. Does not return. @throws SingError USER_NAMESPACE */
export function reenterAsRoot(
  call: Reentry,
  facts: HostFacts,
  { ignoreSubids, keepGroups }: { readonly ignoreSubids: boolean; readonly keepGroups: boolean },
): never {
  const identity = planIdentity(
    { fakeroot: true, ignoreSubids, userns: true, security: { keepGroups } },
    facts,
  )
  const filter = recording(identity.filter)
  return reenter(call, facts, { namespaces: ['user', 'mount'], ids: identity.ids, filter })
}

/** The same for root, of a namespace with one id perhaps, who keeps what it is and gets a mount namespace of its own. Does not return. */
export function reenterWithOwnMounts(call: Reentry, facts: HostFacts): never {
  const ids = { uids: [], gids: [], setgroups: 'allow' } as const
  const filter = facts.idsMapped === 1 ? 'record' : 'none'
  return reenter(call, facts, { namespaces: ['mount'], ids, filter })
}

function reenter(call: Reentry, facts: HostFacts, identity: ReentryIdentity): never {
  const { context } = call
  const handed = handSecrets(context)
  const environment = { ...secondLife(context), ...handed.environment, [mark]: '1' }
  const spec = planReentry(
    [...enginePath(), ...call.argv],
    environment,
    identity,
    facts,
    context.openFiles,
    context.debug,
  )
  return replace(spec, handed.descriptors)
}
