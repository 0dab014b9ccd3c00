/** The planner's decisions, pinned: every host times every request, as files that are read in review like code. */

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { Image } from '../../../src/image/open.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest, type Verb } from '../../../src/plan/request.ts'
import { encodeSpec } from '../../../src/plan/spec.ts'

const fixtures = fileURLToPath(new URL('../../../fixtures/', import.meta.url))
const hosts = readdirSync(`${fixtures}hosts`).map((name) => name.replace('.json', ''))
const factsOf = (host: string): HostFacts => ({
  subids: undefined,
  ...JSON.parse(readFileSync(`${fixtures}hosts/${host}.json`, 'utf8')),
})

const sif: Image = {
  path: '/data/fortune.sif',
  name: 'fortune.sif',
  kind: 'sif',
  rootfs: { file: '/data/fortune.sif', offset: 36864, size: 1048576 },
  arch: 'amd64',
  writable: false,
  bashEnvironment: false,
}
const sandbox: Image = {
  ...sif,
  path: '/data/tree',
  name: 'tree',
  kind: 'sandbox',
  rootfs: { directory: '/data/tree' },
  writable: true,
}

type Case = { verb: Verb; flags: Parameters<typeof toRequest>[1]; command: string[]; image: Image }
const cases: Record<string, Case> = {
  exec: { verb: 'exec', flags: {}, command: ['cat', '/etc/os-release'], image: sif },
  'run-sandbox': { verb: 'run', flags: {}, command: ['a', 'b c'], image: sandbox },
  'shell-contain': { verb: 'shell', flags: { contain: true, ipc: true }, command: [], image: sif },
  containall: {
    verb: 'exec',
    flags: { containall: true, workdir: 'w', scratch: ['/scratch'] },
    command: ['true'],
    image: sif,
  },
  fakeroot: { verb: 'exec', flags: { fakeroot: true }, command: ['id'], image: sif },
  'fakeroot-ignore-subuid': {
    verb: 'exec',
    flags: { fakeroot: true, 'ignore-subuid': true },
    command: ['id'],
    image: sif,
  },
  binds: {
    verb: 'exec',
    flags: {
      bind: ['/b:/m/sub', 'a:/m:ro'],
      mount: ['type=bind,source=/c,destination=/n,nonested'],
      env: ['A=1'],
      hostname: 'node',
    },
    command: ['true'],
    image: sif,
  },
  writable: { verb: 'exec', flags: { writable: true }, command: ['true'], image: sandbox },
  'writable-tmpfs': {
    verb: 'exec',
    flags: { 'writable-tmpfs': true, cleanenv: true, 'no-home': true },
    command: ['true'],
    image: sif,
  },
}

function decide(host: string, name: string): unknown {
  const { verb, flags, command, image } = cases[name] as Case
  const facts = factsOf(host)
  try {
    const options = { openFiles: 1024, debug: false, supervised: false }
    const request = toRequest(verb, flags, command, facts, [])
    // The mounts by reason are those of the spec once more.
    const { mounts: _, ...decided } = plan(request, defaultConfig, image, facts, options)
    return decided
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint: string }
    return { refused: { code, message, hint } }
  }
}

describe.each(hosts)('on %s', (host) => {
  it.each(Object.keys(cases))('%s is planned as recorded', async (name) => {
    await expect(`${JSON.stringify(decide(host, name), null, 2)}\n`).toMatchFileSnapshot(
      `${fixtures}specs/${host}/${name}.json`,
    )
  })
})

describe('the planner', () => {
  it('gives the same spec for the same values', () => {
    expect(decide('laptop', 'binds')).toEqual(decide('laptop', 'binds'))
  })

  it('refuses what cannot be together', () => {
    const facts = factsOf('laptop')
    const ask = (flags: Parameters<typeof toRequest>[1]) => () =>
      toRequest('exec', flags, ['true'], facts, [])
    expect(ask({ writable: true, overlay: ['a'] })).toThrow('exclude each other')
    expect(ask({ writable: true, 'writable-tmpfs': true })).toThrow('exclude each other')
    expect(ask({ scratch: ['x'] })).toThrow('not absolute')
    expect(ask({ network: 'bridge' })).toThrow('only root')
  })

  it('lets bash read the environment scripts that need it, without its own start-up file', () => {
    const facts = factsOf('laptop')
    const image = { ...sif, bashEnvironment: true }
    const { spec } = plan(toRequest('exec', {}, ['true'], facts, []), defaultConfig, image, facts, {
      openFiles: undefined,
      debug: false,
      supervised: false,
    })
    expect(spec.process.programs.map(([shell, option]) => [shell, option])).toEqual([
      ['/bin/bash', '-p'],
      ['/bin/sh', '-c'],
      ['true', undefined],
    ])
  })

  it('warns of what has no effect', () => {
    const facts = factsOf('laptop')
    const warningsOf = (flags: Parameters<typeof toRequest>[1], image: Image) =>
      plan(toRequest('exec', flags, ['true'], facts, []), defaultConfig, image, facts, {
        openFiles: undefined,
        debug: false,
        supervised: false,
      }).warnings
    expect(warningsOf({ 'no-mount': ['tmp', 'bind-paths', '/etc/hosts'] }, sif)).toEqual([])
    expect(warningsOf({ 'no-mount': ['nonsense'] }, sif)).toEqual([expect.stringContaining('nonsense')])
  })

  it('puts no value of the user on a command line', () => {
    const facts = factsOf('laptop')
    const request = toRequest('exec', { env: ['TOKEN=s3cret'] }, ['true'], facts, [['OTHER', 'hidden"quote']])
    const { spec } = plan(request, defaultConfig, sif, facts, {
      openFiles: undefined,
      debug: false,
      supervised: false,
    })
    expect(encodeSpec(spec).join(' ')).not.toMatch(/s3cret|hidden/)
    expect(spec.process.environment).toMatchObject({ TOKEN: 's3cret', OTHER: 'hidden"quote' })
  })
})

describe('the wire form', () => {
  it('counts the fields of every record and ends with end', () => {
    const { spec } = decide('laptop', 'binds') as { spec: Parameters<typeof encodeSpec>[0] }
    const words = encodeSpec(spec)
    const names: string[] = []
    for (let index = 0; index < words.length; ) {
      names.push(words[index] ?? '')
      index += 2 + Number(words[index + 1])
    }
    expect(names[0]).toBe('version')
    expect(names.at(-1)).toBe('end')
    expect(names).toContain('program')
  })
})
