/** exec, run, shell and test in a running instance: `instance://NAME`. */

import { readHostFacts } from '../host/facts.ts'
import { planJoin } from '../plan/join.ts'
import type { Verb } from '../plan/request.ts'
import { joinCgroups } from '../runtime/cgroup.ts'
import { placeOf, requireInstance } from '../runtime/instances.ts'
import { replace } from '../runtime/launch.ts'
import type { Call, Flags } from './command.ts'
import { readRequest, tellPlan } from './launch.ts'

/** Flags that this command line or the environment gives; what files say was said of other containers. */
function spokenFlags({ flags, origins }: Call): Flags {
  const isConfigured = (name: string) => origins[name]?.every((origin) => origin.includes(' (')) ?? false
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !isConfigured(name)))
}

/** Become a process of the instance. */
export async function launchInside(verb: Verb, call: Call): Promise<number> {
  const { flags, args, context } = call
  const [reference = '', ...command] = args
  const facts = readHostFacts(context.environment)
  const place = placeOf(context.environment, { ...facts.user, uid: facts.uid })
  const instance = requireInstance(place, reference.slice('instance://'.length))
  const { config } = await context.settings()
  const request = await readRequest(verb, call, command, facts, config)
  const { openFiles, debug } = context
  const { pid, started } = instance.mark
  const running = { ...instance, process: { pid, started } }
  const decided = planJoin(request, spokenFlags(call), running, facts, { openFiles, debug })
  const { spec } = decided
  tellPlan(decided, context.report)
  if (flags.plan === true) {
    const { printPlan } = await import('./plan.ts')
    return printPlan(call, { request, image: { ...instance.image, kind: 'instance' } }, decided)
  }
  const { cgroups } = instance.around
  if (cgroups?.kind === 'scope')
    await (await import('../runtime/scope.ts')).joinScope(cgroups, process.pid, context.environment)
  else if (cgroups) joinCgroups(cgroups, process.pid)
  return replace(spec, context.descriptors)
}
