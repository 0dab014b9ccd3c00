/** Commands in instances, and instances themselves, as the planner decides them. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { Image } from '../../../src/image/open.ts'
import { planJoin, type Running, withoutEffect } from '../../../src/plan/join.ts'
import { plan } from '../../../src/plan/plan.ts'
import { asInstance, toRequest, type Verb } from '../../../src/plan/request.ts'

const fixture = fileURLToPath(new URL('../../../fixtures/hosts/laptop.json', import.meta.url))
const facts: HostFacts = { subids: undefined, ...JSON.parse(readFileSync(fixture, 'utf8')) }
type Flags = Parameters<typeof toRequest>[1]

const image: Image = {
  path: '/data/fortune.sif',
  name: 'fortune.sif',
  kind: 'sif',
  rootfs: { file: '/data/fortune.sif', offset: 36864, size: 1048576 },
  arch: 'amd64',
  writable: false,
  bashEnvironment: false,
}
const options = { openFiles: undefined, debug: false, supervised: false, job: 77 }

function started(verb: Verb, flags: Flags = {}) {
  const request = asInstance(toRequest(verb, flags, ['a'], facts, []), 'db')
  return { request, ...plan(request, defaultConfig, image, facts, options) }
}

function running(flags: Flags = {}): Running {
  const { request, inside } = started('start', flags)
  const process = { pid: 500, started: '12' }
  return { ...inside, name: 'db', process, image, contain: request.contain, binds: request.binds, flags }
}

const joined = (flags: Flags, instance: Running, command = ['ps']) =>
  planJoin(toRequest('exec', flags, command, facts, []), flags, instance, facts, options)

describe('an instance', () => {
  it('has processes of its own below an init, whatever else is asked for', () => {
    for (const flags of [{}, { compat: true }, { 'no-init': true }, { 'no-pid': true }]) {
      const { spec } = started('start', flags)
      expect(spec.namespaces).toContain('pid')
      expect(spec.process.init).toBe(true)
      expect(spec.instance).toEqual({ job: 77, confirming: 1 })
    }
  })

  it('knows its name', () => {
    const { environment } = started('run').spec.process
    expect(environment).toMatchObject({ SINGULARITY_INSTANCE: 'db', APPTAINER_INSTANCE: 'db' })
  })

  it('says when it comes to its command, and hides the way to say it from everything before', () => {
    const [script = ''] = started('start').spec.process.programs.map((words) => words[2])
    expect(script).toContain('_sing_up; exec "$@"')
    expect(script).toContain('_sing_image 3>&-')
    const [plain = ''] = plan(
      toRequest('run', {}, [], facts, []),
      defaultConfig,
      image,
      facts,
      options,
    ).spec.process.programs.map((words) => words[2])
    expect(plain).not.toContain('_sing_up')
    expect(plain).not.toContain('&3')
  })

  it("is the image's own init with --boot, as process 1", () => {
    const { spec } = started('start', { boot: true })
    expect(spec.process).toMatchObject({ programs: [['/sbin/init', 'a']], init: false })
    expect(spec.instance?.confirming).toBe(0)
  })
})

describe('a command in an instance', () => {
  it('enters it, and makes nothing', () => {
    const { spec, warnings } = joined({}, running())
    expect(spec).toMatchObject({ join: { pid: 500, started: '12' }, namespaces: [], ops: [], root: 'host' })
    expect(spec.instance).toBeUndefined()
    expect(spec.process.init).toBe(false)
    expect(warnings).toEqual([])
  })

  it('is who the instance is', () => {
    const { spec } = joined({}, running({ fakeroot: true, 'ignore-subuid': true }))
    expect(spec.security).toMatchObject({ capabilities: 'all', filter: 'fakeroot' })
    expect(spec.process.environment.HOME).toBe('/root')
  })

  it('has the environment of its own caller and of the instance', () => {
    const instance = running({ bind: ['/data:/mnt'], home: '/data:/home/other' })
    const { environment } = joined({ env: ['A=1'], bind: ['/x'] }, instance).spec.process
    expect(environment).toMatchObject({
      A: '1',
      HOME: '/home/other',
      SINGULARITY_BIND: '/mnt',
      SINGULARITY_INSTANCE: 'db',
      SINGULARITY_NAME: 'fortune.sif',
      APPTAINER_COMMAND: 'exec',
    })
  })

  it('begins where the caller is, or at home where the instance is contained', () => {
    expect(joined({}, running()).spec.process.directories[0]).toBe('/data/run')
    expect(joined({}, running({ contain: true })).spec.process.directories[0]).toBe('/home/ada')
    expect(joined({ cwd: '/usr' }, running()).spec.process).toMatchObject({
      directories: ['/usr'],
      directoryRequired: true,
    })
  })

  it('is told what has no effect, unless the instance was started with it', () => {
    const flags = {
      bind: ['/data'],
      fakeroot: true,
      writable: false,
      overlay: [],
      env: ['A=1'],
      cleanenv: true,
    }
    expect(withoutEffect(flags, {})).toEqual(['bind', 'fakeroot'])
    expect(withoutEffect(flags, { bind: ['/data'], fakeroot: true })).toEqual([])
    expect(joined(flags, running()).warnings).toEqual([
      '--bind, --fakeroot without effect: instance://db is what it was started as',
    ])
  })
})
