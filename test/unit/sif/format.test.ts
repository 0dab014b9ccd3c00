import { describe, expect, it } from 'vitest'
import { details, typeWithDetails } from '../../../src/sif/details.ts'
import {
  architectureCode,
  decodeDescriptors,
  decodeHeader,
  encodeDescriptor,
  encodeHeader,
  noTime,
  patchHeader,
} from '../../../src/sif/format.ts'
import { sample } from './samples.ts'

async function objectsOf(name: 'tiny' | 'kinds' | 'edited') {
  const bytes = await sample(name)
  return decodeDescriptors(bytes.subarray(4096), decodeHeader(bytes), bytes.length)
}

describe('the header', () => {
  it('says what Apptainer wrote', async () => {
    const { raw: _, ...header } = decodeHeader(await sample('tiny'))
    expect(header).toEqual({
      launch: '',
      version: '01',
      arch: '02',
      id: '9e4ecff2-58f0-461e-8fc0-413f02175dc4',
      created: 1795416685,
      modified: 1795416686,
      free: 45,
      total: 48,
      tableOffset: 4096,
      tableSize: 28080,
      dataOffset: 32176,
      dataSize: 4688,
    })
  })

  it('has the same bytes when it is written again', async () => {
    const bytes = await sample('kinds')
    const header = decodeHeader(bytes)
    expect(encodeHeader(header)).toEqual(bytes.subarray(0, 128))
  })

  it('keeps a launch line and the absence of id and times', () => {
    const fields = { ...decodeHeader(Buffer.concat([encodeHeader(bare)])), raw: undefined }
    expect(fields).toMatchObject({ launch: '#!/usr/bin/env run-singularity\n', id: '', created: noTime })
  })

  it('keeps every byte that a change does not name', async () => {
    const raw = Buffer.from((await sample('tiny')).subarray(0, 128))
    raw.set([0xff, 0, 0xfe], 0)
    const patched = patchHeader(raw, { arch: '04', free: 3 })
    expect(decodeHeader(patched)).toMatchObject({ arch: '04', free: 3, total: 48 })
    patched.set(raw.subarray(0x2d, 0x2f), 0x2d)
    patched.set(raw.subarray(0x50, 0x58), 0x50)
    expect(patched).toEqual(raw)
  })

  const bare = {
    launch: '#!/usr/bin/env run-singularity\n',
    version: '01',
    arch: '00',
    id: '',
    created: noTime,
    modified: noTime,
    free: 0,
    total: 0,
    tableOffset: 4096,
    tableSize: 0,
    dataOffset: 4096,
    dataSize: 0,
  }
})

describe('descriptors', () => {
  it('say what Apptainer wrote', async () => {
    const [, json, partition] = await objectsOf('tiny')
    expect(json).toMatchObject({
      slot: 1,
      id: 2,
      dataType: 0x4006,
      group: 1,
      link: { kind: 'none' },
      offset: 32195,
      size: 64,
      paddedSize: 64,
      name: 'inspect-metadata.json',
    })
    expect(partition).toMatchObject({
      paddedSize: 4096 + 32768 - 32259,
      partition: { filesystem: 1, kind: 2, arch: '02' },
    })
  })

  it('have the same bytes when they are written again', async () => {
    for (const name of ['tiny', 'kinds', 'edited'] as const) {
      for (const object of await objectsOf(name)) expect(encodeDescriptor(object)).toEqual(object.raw)
    }
  })

  it('are described in the words other tools print', async () => {
    expect((await objectsOf('kinds')).map(typeWithDetails)).toEqual([
      'Def.FILE',
      'Signature (SHA-256)',
      'SBOM (spdx-json)',
      'Cryptographic Message (Unknown/Unknown)',
      'OCI.RootIndex',
      'OCI.Blob',
      'FS (Squashfs/*System/amd64)',
      'FS (Squashfs/System/arm64)',
      'JSON.Generic',
      'Generic/Raw',
    ])
  })

  it('name signers and digests', async () => {
    const [, signature, , , index] = await objectsOf('kinds')
    expect(signature && details(signature)).toContainEqual([
      'Entity',
      '433FE984155206BD962725E20E8713472A879943',
    ])
    const digest = 'sha256:d4e4877bac978b7952f0d544fc52ebff5411d351d129f1f056fa43f11da9af2b'
    expect(index && details(index)).toEqual([['Digest', digest]])
  })
})

describe('architectures', () => {
  it.each([
    ['amd64', '02'],
    ['arm64', '04'],
    ['loong64', '13'],
    ['pdp11', '00'],
  ])('%s has the code %s', (name, code) => expect(architectureCode(name)).toBe(code))
})
