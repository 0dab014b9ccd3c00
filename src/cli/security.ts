/** The flags that need a look at the machine before they can be decided: privileges, profiles, FUSE programs. */

import type { Config } from '../config/load.ts'
import { SingError, shown } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import {
  findAsShell,
  heldCapabilities,
  readSeccompProfile,
  seccompMachine,
  securityModules,
  userName,
} from '../host/security.ts'
import { type FuseMount, fuseEnvironment, parseFuseMount, requireApart } from '../plan/fusemount.ts'
import { planIdentity } from '../plan/identity.ts'
import type { LaunchRequest } from '../plan/request.ts'
import { decideSecurity, parseSecurity } from '../plan/security.ts'
import type { Flags } from './command.ts'

/** The program of the host, where it lies, and what it may know of the caller. */
function withHostProgram(mount: FuseMount, facts: HostFacts): FuseMount {
  if (mount.side === 'container') return mount
  const [name = '', ...rest] = mount.words
  const path = findAsShell(name, facts.environment.PATH ?? '', facts.cwd ?? '/')
  if (path === undefined) {
    throw new SingError('HOST_TOOL', `--fusemount: this host has no program ${shown(name)}`, {
      hint: 'Install it, or write container: for a program of the image',
    })
  }
  return { ...mount, words: [path, ...rest], environment: fuseEnvironment(facts.environment) }
}

function fuseMounts(flags: Flags, facts: HostFacts): FuseMount[] {
  const given = flags.fusemount
  const mounts = (Array.isArray(given) ? given : []).map(parseFuseMount)
  if (mounts.length > 0 && !facts.fuse) {
    throw new SingError('UNSUPPORTED', '--fusemount cannot be used: /dev/fuse cannot be opened', {
      hint: 'Ask the administrator for access to /dev/fuse (mode 0666)',
    })
  }
  requireApart(mounts)
  return mounts.map((mount) => withHostProgram(mount, facts))
}

/**
 * A request with what these flags come to.
 * @throws SingError for what is unknown, or what this user or this machine cannot have
 */
export async function withSecurity(
  request: LaunchRequest,
  flags: Flags,
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  const wishes = parseSecurity(flags)
  const held = {
    rootHasAll: config.rootCapabilities === 'full',
    capabilities: heldCapabilities(),
    modules: securityModules(),
    nameOf: userName,
  }
  const { request: security, capabilities } = decideSecurity(wishes, planIdentity(request, facts), held)
  const secured: LaunchRequest = { ...request, security, fuseMounts: fuseMounts(flags, facts) }
  if (wishes.profile === undefined) return secured
  const { compileSeccomp } = await import('../plan/seccomp.ts')
  const text = readSeccompProfile(wishes.profile)
  const { warnings, ...seccomp } = compileSeccomp(text, wishes.profile, { ...seccompMachine(), capabilities })
  const powers = { ...security.powers, seccomp }
  return { ...secured, security: { ...security, powers, warnings } }
}
