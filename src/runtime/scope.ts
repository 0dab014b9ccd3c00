/** Scopes of systemd: only systemd moves processes into them. */

import { SingError } from '../core/errors.ts'
import type { Scope } from '../host/cgroups.ts'
import type { ScopeRecord } from './around.ts'

/** What an instance notes of the scope that it was started in. */
export function toRecord({ directory, unit, session }: Scope): ScopeRecord {
  return { kind: 'scope', directories: [directory], unit, session }
}

/** The request that moves a process into a scope: a call of AttachProcessesToUnit (org.freedesktop.systemd1(5)). */
export function attachArguments(
  { unit, session }: Pick<ScopeRecord, 'unit' | 'session'>,
  pid: number,
): string[] {
  const manager = [
    'org.freedesktop.systemd1',
    '/org/freedesktop/systemd1',
    'org.freedesktop.systemd1.Manager',
  ]
  return [
    ...(session ? ['--user'] : []),
    'call',
    ...manager,
    'AttachProcessesToUnit',
    'ssau',
    unit,
    '',
    '1',
    String(pid),
  ]
}

/**
 * Put a process into the scope of an instance.
 * @throws SingError RESOURCES: it would escape the limits otherwise
 */
export async function joinScope(
  scope: ScopeRecord,
  pid: number,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const { execa } = await import('execa')
  const { exitCode, stderr, shortMessage } = await execa('busctl', attachArguments(scope, pid), {
    // The bus of the session, also for who came without a session.
    env: { XDG_RUNTIME_DIR: environment.XDG_RUNTIME_DIR || `/run/user/${process.getuid?.()}` },
    reject: false,
    timeout: 10_000,
  })
  if (exitCode === 0) return
  throw new SingError(
    'RESOURCES',
    `cannot enter the scope ${scope.unit}: ${stderr.trim().split('\n')[0] || shortMessage}`,
    { hint: 'The limits of the instance are those of this scope; only systemd moves processes into it' },
  )
}
