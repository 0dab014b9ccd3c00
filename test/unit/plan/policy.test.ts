/** What the site's configuration takes away from a launch. */

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/schema.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest } from '../../../src/plan/request.ts'
import { factsOf, sif } from './recorded.ts'

const options = { openFiles: undefined, debug: false, supervised: false }

function planned(conf: string, flags: Parameters<typeof toRequest>[1], facts = factsOf('laptop')) {
  return plan(toRequest('exec', flags, ['true'], facts, []), parseConfig(conf, 'c'), sif, facts, options)
}

describe('the site', () => {
  it('takes namespaces away with a warning', () => {
    const conf = 'allow pid ns = no\nallow uts ns = no\n'
    const { spec, warnings } = planned(conf, { containall: true, hostname: 'h' })
    expect(spec.namespaces).toEqual(['user', 'mount', 'ipc'])
    expect(spec.process.init).toBe(false)
    expect(spec.hostname).toBeUndefined()
    expect(warnings).toEqual([
      "--pid has no effect: the site's configuration does not allow it (allow pid ns)",
      "--uts has no effect: the site's configuration does not allow it (allow uts ns)",
    ])
    expect(planned('allow ipc ns = no', { ipc: true }).spec.namespaces).toEqual(['user', 'mount'])
    expect(planned(conf, {}).warnings).toEqual([])
  })

  it('lets users bind nothing of their own', () => {
    const { spec, warnings } = planned('user bind control = no', { bind: ['/data:/mnt'] })
    expect(spec.ops.filter((op) => 'at' in op && op.at === '/mnt')).toEqual([])
    expect(warnings[0]).toContain('(user bind control)')
  })

  it('leaves containers to root', () => {
    expect(() => planned('allow user ns = no', {})).toThrow(
      'does not allow user namespaces (allow user ns = no)',
    )
    expect(
      planned('allow user ns = no', {}, { ...factsOf('laptop'), isRoot: true, uid: 0 }).spec.namespaces,
    ).toEqual(['mount'])
  })

  it('keeps later mounts of the host outside', () => {
    expect(planned('mount slave = no', {}).spec.privateMounts).toBe(true)
    expect(planned('', {}).spec.privateMounts).toBeUndefined()
  })

  it('brings in what is mounted on the host, but for what the image has of its own', () => {
    const fileSystems = [
      '/',
      '/proc',
      '/usr',
      '/usr/local',
      '/data',
      '/data/deep',
      '/gpfs/home',
      '/var/lib/x',
      '/run/u',
    ]
    const facts = { ...factsOf('laptop'), fileSystems }
    const places = ({ mounts }: ReturnType<typeof planned>) =>
      mounts.find(({ reason }) => reason === 'hostfs')?.ops.map((op) => 'at' in op && op.at)
    expect(places(planned('mount hostfs = yes', {}, facts))).toEqual(['/data', '/gpfs/home'])
    expect(places(planned('mount hostfs = yes', { 'no-mount': ['hostfs'] }, facts))).toEqual([])
    expect(places(planned('', {}, facts))).toBeUndefined()
  })
})
