/** A launch told in values: where each mount and each variable comes from. */

import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import { describe as describeLaunch, type Sources } from '../../../src/plan/describe.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest } from '../../../src/plan/request.ts'
import { factsOf, sif } from './recorded.ts'

type Flags = Parameters<typeof toRequest>[1]
type Given = {
  readonly flags?: Flags
  readonly origins?: Readonly<Record<string, readonly string[]>>
  readonly environment?: Record<string, string>
  readonly files?: readonly (readonly [string, string, string])[]
  readonly image?: typeof sif
}

function told({ flags = {}, origins = {}, environment = {}, files = [], image = sif }: Given = {}) {
  const facts = { ...factsOf('laptop'), environment }
  const request = toRequest('exec', flags, ['ls', '-l'], facts, files)
  const options = { openFiles: 1024, debug: false, supervised: false }
  const sources: Sources = {
    directive: (key) => (key === 'mount.tmp' ? '/etc/sing/sing.yaml:3' : 'default'),
    flag: (name) => origins[name] ?? (flags[name] === undefined ? [] : [`--${name}`]),
    value: (name) => flags[name],
    environment,
    limits: ['memory'],
    unpacked: false,
  }
  return describeLaunch(plan(request, defaultConfig, image, facts, options), request, image, sources)
}

const mountAt = (at: string, given?: Given) => told(given).mounts.findLast((mount) => mount.at === at)
const variable = (name: string, given: Given) => told(given).environment.find((line) => line.name === name)

describe('a description', () => {
  it('begins with the image and ends with what the payload may do', () => {
    expect(told()).toMatchObject({
      format: 1,
      image: { path: '/data/fortune.sif', kind: 'sif', unpacked: false },
      command: { verb: 'exec', words: ['ls', '-l'], app: '' },
      namespaces: ['user', 'mount'],
      network: 'host',
      hostname: null,
      umask: null,
      init: false,
      limits: [{ name: 'open-files', value: '1024', origin: 'host' }],
      security: { noNewPrivileges: true, capabilities: 'none', filter: 'none', seccomp: false, label: null },
    })
  })

  it('has the mounts in their order', () => {
    const { mounts } = told({ flags: { bind: ['/data:/mnt:ro'] } })
    expect(mounts[0]).toMatchObject({ at: '(image)', kind: 'squashfs', origin: 'image' })
    expect(mounts.at(-1)).toMatchObject({ at: '/', kind: 'readonly' })
    expect(mounts.find(({ at }) => at === '/mnt')).toEqual({
      at: '/mnt',
      kind: 'bind',
      source: '/data',
      options: ['ro'],
      origin: '--bind',
    })
  })

  it.each<[string, Given, string]>([
    ['/dev', {}, 'mount.dev, default'],
    ['/dev', { flags: { contain: true } }, '--contain'],
    ['/proc', {}, 'mount.proc, default'],
    ['/proc', { flags: { pid: true } }, '--pid'],
    ['/sys', {}, 'mount.sys, default'],
    ['/etc/hosts', {}, 'bind-paths, default'],
    ['/tmp', {}, 'mount.tmp, /etc/sing/sing.yaml:3'],
    ['/home/x', { flags: { home: '/h:/home/x' }, origins: { home: ['SING_HOME'] } }, 'SING_HOME'],
    ['/s', { flags: { scratch: ['/r', '/s'] }, origins: { scratch: ['--scratch', 'X'] } }, 'X'],
    ['/etc/resolv.conf', {}, 'resolv-conf, default'],
    ['/etc/resolv.conf', { flags: { dns: ['1.1.1.1'] } }, '--dns'],
    ['/etc/passwd', {}, 'passwd, default'],
    ['/etc/hostname', { flags: { hostname: 'h' } }, '--hostname'],
    ['/b', { flags: { bind: ['/a', '/x,/y:/b'] }, origins: { bind: ['--bind', 'SING_BIND'] } }, 'SING_BIND'],
    [
      '/m',
      {
        flags: { mount: ['type=bind,source=/a,destination=/m'] },
        origins: { mount: ['launch.mount (/f:2)'] },
      },
      'launch.mount (/f:2)',
    ],
  ])('says why there is %s', (at, given, origin) => {
    expect(mountAt(at, given)?.origin).toBe(origin)
  })

  it.each<[string, Given, string, string]>([
    ['A', { environment: { A: 'h' } }, 'h', 'host'],
    ['A', { environment: { A: 'h', SINGULARITYENV_A: 's' } }, 's', 'SINGULARITYENV_A'],
    ['A', { environment: { SINGULARITYENV_A: 's', APPTAINERENV_A: 'a' } }, 'a', 'APPTAINERENV_A'],
    ['A', { environment: { APPTAINERENV_A: 'a' }, files: [['A', 'f', 'x.env']] }, 'f', '--env-file x.env'],
    [
      'A',
      {
        flags: { env: ['A=1', 'B=2,A=3'] },
        origins: { env: ['launch.env (/f:2)', '--env'] },
        files: [['A', 'f', 'x']],
      },
      '3',
      '--env',
    ],
    ['B', { flags: { env: ['B=2'] }, origins: { env: ['launch.env (/f:2)'] } }, '2', 'launch.env (/f:2)'],
    ['HOME', {}, factsOf('laptop').user.home, 'runtime'],
    ['LANG', { flags: { cleanenv: true } }, 'C', 'runtime'],
    ['PATH', { flags: { env: ['PATH=/x:$PATH'] } }, '/x:$PATH', '--env'],
    ['PREPEND_PATH', { environment: { APPTAINERENV_PREPEND_PATH: '/y' } }, '/y', 'APPTAINERENV_PREPEND_PATH'],
    ['I', { image: { ...sif, oci: { Env: ['I=1'] } } as typeof sif }, '1', 'image (OCI configuration)'],
  ])('says where %s comes from', (name, given, value, origin) => {
    expect(variable(name, given)).toEqual({ name, value, origin })
  })

  it('leaves out what the runtime tells itself', () => {
    const names = told({ flags: { env: ['A="$(date)"'] } }).environment.map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('_sing_'))).toEqual([])
  })

  it('tells the limits', () => {
    expect(told({ flags: { memory: '1G' } }).limits[0]).toEqual({
      name: 'memory',
      value: '1G',
      origin: '--memory',
    })
  })
})
