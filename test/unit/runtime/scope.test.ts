/** Scopes of systemd, as far as they go without one. */

import { describe, expect, it } from 'vitest'
import { attachArguments, joinScope, toRecord } from '../../../src/runtime/scope.ts'

const scope = toRecord({ directory: '/sys/fs/cgroup/a/run-1.scope', unit: 'run-1.scope', session: true })

describe('a scope', () => {
  it('is noted with its cgroup, where the numbers are', () => {
    expect(scope).toEqual({
      kind: 'scope',
      directories: ['/sys/fs/cgroup/a/run-1.scope'],
      unit: 'run-1.scope',
      session: true,
    })
  })

  it('is entered by the systemd that made it', () => {
    const call = 'call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager'
    const rest = [...call.split(' '), 'AttachProcessesToUnit', 'ssau', 'run-1.scope', '', '1', '7']
    expect(attachArguments(scope, 7)).toEqual(['--user', ...rest])
    expect(attachArguments({ ...scope, session: false }, 7)).toEqual(rest)
  })

  it('that cannot be entered is named', async () => {
    await expect(joinScope(scope, process.pid, { XDG_RUNTIME_DIR: '/none' })).rejects.toMatchObject({
      code: 'RESOURCES',
      message: expect.stringMatching(/^cannot enter the scope run-1\.scope: ./),
      hint: expect.stringContaining('only systemd'),
    })
  })
})
