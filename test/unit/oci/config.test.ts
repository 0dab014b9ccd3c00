import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { configLimit, parseConfig } from '../../../src/oci/config.ts'
import { configFields, digestOf, json } from './documents.ts'

const name = 'oci:dir'

describe('the configuration of an image', () => {
  it('is read with everything that somebody uses', () => {
    const document = json(configFields)
    expect(parseConfig(document, 2, name)).toEqual({
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
      created: 1714979289,
      entrypoint: ['/bin/echo', 'a b'],
      command: ['c'],
      environment: ['A=1', 'B=x\ny'],
      labels: { a: 'b' },
      workingDirectory: '/work',
      user: '1000:1000',
      diffIds: [digestOf('d'), digestOf('e')],
      document,
    })
  })

  it.each([
    {},
    { config: null, created: null, rootfs: null, os: null },
    { config: { Cmd: null, Entrypoint: null, Env: null, Labels: null, User: '', WorkingDir: '' } },
  ])('may leave out everything: %j', (fields) => {
    expect(parseConfig(json(fields), 0, name)).toMatchObject({
      platform: { os: '', architecture: '' },
      created: undefined,
      entrypoint: [],
      command: [],
      environment: [],
      labels: {},
      workingDirectory: '',
      user: '',
      diffIds: [],
    })
  })

  it('may have a word instead of a list', () => {
    expect(parseConfig(json({ config: { Cmd: 'sh' } }), 0, name).command).toEqual(['sh'])
  })

  it.each([
    ['1970-01-01T00:00:00Z', 0],
    ['2024-05-06T09:08:09+02:00', 1714979289],
    ['2024-05-06t07:08:09.9z', 1714979289],
    ['0001-01-01T00:00:00Z', undefined],
    ['', undefined],
  ])('was created at %s', (created, seconds) => {
    expect(parseConfig(json({ created }), 0, name).created).toBe(seconds)
  })

  it.each([
    [{ created: 'yesterday' }, 'created is no time'],
    [{ created: '2024-99-99T00:00:00Z' }, 'created is no time'],
    [{ created: 5 }, 'created is not a text'],
    [{ config: [] }, 'config is not an object'],
    [{ config: { Env: [1] } }, 'config.Env[0] is not a text'],
    [{ config: { Env: ['A=\0'] } }, 'config.Env[0] is not a text'],
    [{ config: { Cmd: {} } }, 'config.Cmd is not a list'],
    [{ config: { Labels: { a: 1 } } }, 'config.Labels.a is not a text'],
    [{ rootfs: { diff_ids: ['sha256:x'] } }, 'rootfs.diff_ids[0] is no sha256 or sha512 digest'],
    [{ rootfs: { diff_ids: [digestOf('1')] } }, 'it counts 1 layers, and the manifest 2'],
    [{ architecture: 7 }, 'architecture is not a text'],
  ])('that is damaged is refused: %j', (change, reason) => {
    const read = () => parseConfig(json({ ...configFields, ...change }), 2, name)
    expect(read).toThrow(`the configuration of oci:dir is damaged: ${reason}`)
    expect(read).toThrow(expect.objectContaining({ code: 'IMAGE_FORMAT' }))
  })

  it('is not larger than any that is sound', () => {
    expect(() => parseConfig(Buffer.alloc(configLimit + 1, ' '), 0, name)).toThrow(`more than ${configLimit}`)
  })

  it('that is nested without an end is refused', () => {
    const volumes = `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`
    expect(() => parseConfig(Buffer.from(`{"config":{"Volumes":${volumes}}}`), 0, name)).toThrow(
      'the configuration of oci:dir is damaged: config is nested too deeply',
    )
  })

  it('is believed or refused with a sentence, whatever is in it', () => {
    const values = fc.oneof(
      fc.json().map((text) => JSON.parse(text)),
      fc.integer(),
    )
    const members = fc.constantFrom('Entrypoint', 'Cmd', 'Env', 'Labels', 'WorkingDir', 'User')
    const fields = fc.constantFrom('created', 'os', 'architecture', 'variant', 'config', 'rootfs')
    fc.assert(
      fc.property(fields, members, values, fc.boolean(), (field, member, value, deep) => {
        const change = deep ? { config: { [member]: value } } : { [field]: value }
        try {
          parseConfig(json({ ...configFields, ...change }), 2, name)
        } catch (error) {
          expect(error).toBeInstanceOf(SingError)
        }
      }),
    )
  })
})
