/** Manifests, indexes and configurations to change in tests. */

import { Buffer } from 'node:buffer'
import type { Descriptor } from '../../../src/oci/types.ts'

export const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`

export const layer = (digit: string, more: object = {}): Descriptor => ({
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  digest: digestOf(digit),
  size: 100,
  ...more,
})

export const manifestFields = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('c'), size: 20 },
  layers: [layer('1'), layer('2')],
  annotations: { one: '1' },
}

const entry = (digit: string, more: object): Descriptor => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestOf(digit),
  size: 400,
  ...more,
})

/** An entry of an index for a platform such as `linux/arm/v7`; `''` tells none. */
export function imageFor(digit: string, platform: string, more: object = {}): Descriptor {
  const [os = '', architecture = '', variant] = platform.split('/')
  const told = { os, architecture, ...(variant ? { variant } : {}) }
  return entry(digit, { ...(platform ? { platform: told } : {}), ...more })
}

export const configFields = {
  created: '2024-05-06T07:08:09.123456789Z',
  os: 'linux',
  architecture: 'arm64',
  variant: 'v8',
  config: {
    Entrypoint: ['/bin/echo', 'a b'],
    Cmd: ['c'],
    Env: ['A=1', 'B=x\ny'],
    Labels: { a: 'b' },
    WorkingDir: '/work',
    User: '1000:1000',
  },
  rootfs: { type: 'layers', diff_ids: [digestOf('d'), digestOf('e')] },
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
