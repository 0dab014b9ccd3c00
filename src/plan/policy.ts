/** What the site's configuration does not let users ask for. Advice: who wants can read another file (--config). */

import type { Config } from '../config/schema.ts'
import { SingError } from '../core/errors.ts'
import type { Identity } from './identity.ts'
import type { LaunchRequest } from './request.ts'

const separable = ['pid', 'ipc', 'uts'] as const

/** The request without the namespaces that may not be had: as the peers, with a warning instead of an end. */
export function withinPolicy(
  request: LaunchRequest,
  { namespaces, userBinds }: Config,
): { readonly request: LaunchRequest; readonly warnings: readonly string[] } {
  const forbidden = separable.filter((name) => request[name] && !namespaces[name])
  const warnings = [
    ...forbidden.map(
      (name) => `--${name} has no effect: the site's configuration does not allow it (allow ${name} ns)`,
    ),
    ...(request.binds.length > 0 && !userBinds
      ? [
          "--bind and --mount have no effect: the site's configuration does not allow them (user bind control)",
        ]
      : []),
  ]
  if (forbidden.length === 0) return { request, warnings }
  const without = new Set<string>(forbidden)
  const kept = (name: (typeof separable)[number]): boolean => request[name] && !without.has(name)
  return {
    request: {
      ...request,
      pid: kept('pid'),
      ipc: kept('ipc'),
      uts: kept('uts'),
      init: request.init && kept('pid'),
      hostname: kept('uts') ? request.hostname : undefined,
    },
    warnings,
  }
}

/** @throws SingError where only root may start containers */
export function requirePermitted({ namespace }: Identity, { namespaces }: Config): void {
  if (!namespace || namespaces.user) return
  throw new SingError(
    'USER_NAMESPACE',
    "cannot start a container: the site's configuration does not allow user namespaces (allow user ns = no)",
    { hint: 'Ask the administrator, or start it as root' },
  )
}
