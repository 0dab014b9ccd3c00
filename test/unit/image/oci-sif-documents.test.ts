import { describe, expect, it } from 'vitest'
import { relayeredConfig, relayeredManifest, rootIndexBytes } from '../../../src/image/oci-sif-documents.ts'

const making = { from: `sha256:${'a'.repeat(64)}`, by: 'sing 0.1.0' }
const last = {
  created: '2020-01-02T03:04:05Z',
  created_by: 'sing 0.1.0',
  comment: `oci-sif created from ${'a'.repeat(64)}`,
}
const created = Date.parse(last.created) / 1000
const relayer = (document: object, diffIds: string[]) =>
  JSON.parse(
    relayeredConfig({ document: Buffer.from(JSON.stringify(document)), created }, diffIds, making).toString(),
  )

describe('the configuration of an OCI-SIF', () => {
  const history = [{ created_by: 'one' }, { created_by: 'env', empty_layer: true }, { created_by: 'two' }]

  it.each([
    ['as many layers', ['x', 'y'], [...history, { ...last, empty_layer: true }]],
    ['one layer', ['x'], [...history.map((entry) => ({ ...entry, empty_layer: true })), last]],
  ])('tells how it was made, with an entry for each layer: %s', (_, diffIds, expected) => {
    const config = { Env: ['A=1'] }
    const document = {
      architecture: 'amd64',
      config,
      rootfs: { type: 'layers', diff_ids: ['a', 'b'] },
      history,
      more: 1,
    }
    expect(relayer(document, diffIds)).toEqual({
      ...document,
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: expected,
    })
  })

  it.each([undefined, null, 'text', [null, 1]])('may come from one without a usable history: %j', (none) => {
    expect(relayer({ history: none }, ['x']).history).toEqual([last])
  })

  it('that does not tell its time has the first there is', () => {
    const { history: made } = JSON.parse(
      relayeredConfig({ document: Buffer.from('{}'), created: undefined }, ['x'], making).toString(),
    )
    expect(made[0].created).toBe('1970-01-01T00:00:00Z')
  })
})

it('the manifest and the index of an OCI-SIF have the members that others write, in their order', () => {
  const digest = `sha256:${'b'.repeat(64)}`
  const layers = [{ mediaType: 'l', digest, size: 2 }]
  const bytes = relayeredManifest(
    { annotations: { b: '1', a: '2' } },
    { mediaType: 'docker', digest, size: 1 },
    layers,
  )
  expect(bytes.toString()).toBe(
    `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":1,"digest":"${digest}"},"layers":[{"mediaType":"l","size":2,"digest":"${digest}"}],"annotations":{"a":"2","b":"1"}}`,
  )
  const index = (platform: Parameters<typeof rootIndexBytes>[1]['platform']) =>
    JSON.parse(rootIndexBytes({ mediaType: 'm', digest, size: 3 }, { platform }).toString()).manifests[0]
      .platform
  expect(index({ os: 'linux', architecture: 'arm', variant: 'v7' })).toEqual({
    os: 'linux',
    architecture: 'arm',
    variant: 'v7',
  })
  expect(index({ os: '', architecture: 'amd64' })).toEqual({ os: 'linux', architecture: 'amd64' })
})
