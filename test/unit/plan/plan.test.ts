/** The planner's decisions, pinned: every host times every request, as files that are read in review like code. */

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { Image } from '../../../src/image/open.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest } from '../../../src/plan/request.ts'
import { encodeSpec } from '../../../src/plan/spec.ts'
import { casesOn, decide, factsOf, fixtures, hosts, record, show, sif } from './recorded.ts'

describe.each(hosts)('on %s', (host) => {
  it.each(casesOn(host))('%s is planned as recorded', async (name) => {
    const { decision, scripts } = record(host, name)
    await expect(`${show(decision)}\n`).toMatchFileSnapshot(`${fixtures}specs/${host}/${name}.json`)
    for (const script of scripts)
      await expect(`${script.text}\n`).toMatchFileSnapshot(`${fixtures}specs/scripts/${script.name}`)
  })

  it('has no other records', () => {
    expect(readdirSync(`${fixtures}specs/${host}`).sort()).toEqual(
      casesOn(host)
        .map((name) => `${name}.json`)
        .sort(),
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
