import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Flags } from '../../../src/cli/command.ts'
import { subcommands } from '../../../src/cli/commands/sif.ts'
import { defaultSettings } from '../../../src/config/layers.ts'
import { silent } from '../../../src/core/events.ts'
import { broken, fileOf, folder, sample } from './samples.ts'

/** Run `sing sif WORD ARGS`; returns what it prints. */
async function sif(word: string, args: string[], flags: Flags = {}): Promise<string> {
  let printed = ''
  const context = {
    report: silent,
    environment: {},
    openFiles: undefined,
    descriptors: [],
    settings: async () => defaultSettings,
    configFile: undefined,
    secrets: {},
    calledAs: 'sing',
    debug: false,
    verbosity: { level: 1, colour: false },
    print: (text: string | Uint8Array) => {
      printed += text
    },
  } as const
  const status = await subcommands[word]?.run({
    flags,
    origins: {},
    args,
    words: ['sif', word],
    argv: [],
    context,
  })
  expect(status).toBe(0)
  return printed
}

const rule = '-'.repeat(78)

describe('the help of sif add', () => {
  it('counts the architectures up', () => {
    const flag = subcommands.add?.flags.find(({ name }) => name === 'partarch')
    expect(flag?.help).toMatch(/: 1 386, 2 amd64, 3 arm, .*, 10 mips64le, .*, 13 loong64$/)
  })
})

describe('sif list', () => {
  it('prints the table that scripts read', async () => {
    expect(await sif('list', [await fileOf(await sample('kinds'))])).toBe(
      `${rule}
ID   |GROUP   |LINK    |SIF POSITION (start-end)  |TYPE
${rule}
1    |1       |NONE    |32176-32184               |Def.FILE
2    |NONE    |NONE    |32184-32192               |Signature (SHA-256)
3    |NONE    |NONE    |32192-32200               |SBOM (spdx-json)
4    |NONE    |NONE    |32200-32208               |Cryptographic Message (Unknown/Unknown)
5    |NONE    |NONE    |32208-32216               |OCI.RootIndex
6    |NONE    |NONE    |32216-37216               |OCI.Blob
7    |1       |NONE    |40960-45960               |FS (Squashfs/*System/amd64)
8    |1       |NONE    |49152-54152               |FS (Squashfs/System/arm64)
9    |2       |1       |54152-54160               |JSON.Generic
10   |NONE    |NONE    |57344-57352               |Generic/Raw
`,
    )
  })

  it('shows links to groups', async () => {
    const path = await fileOf(broken(await sample('tiny'), { edits: [[4096 + 13, '0c0000f0']] }))
    expect(await sif('list', [path])).toContain('\n1    |1       |12  (G) |32176')
  })

  it('gives the same as JSON', async () => {
    const path = await fileOf(await sample('tiny'))
    const objects = JSON.parse(await sif('list', [path], { json: true }))
    expect(objects[2]).toEqual({
      id: 3,
      type: 'FS',
      group: 1,
      link: null,
      offset: 32768,
      size: 4096,
      created: 1795416686,
      modified: 1795416686,
      name: null,
      filesystemType: 'Squashfs',
      partitionType: '*System',
      architecture: 'amd64',
    })
  })
})

describe('sif header', () => {
  it('prints what the file says of itself', async () => {
    expect(await sif('header', [await fileOf(await sample('golden'))])).toBe(`\
Launch Script:        #!/usr/bin/env run-singularity
Version:              01
Primary Architecture: amd64
ID:                   01234567-89ab-4cde-8f01-23456789abcd
Created At:           2023-11-14 22:13:20 +0000 UTC
Modified At:          2023-11-14 22:13:20 +0000 UTC
Descriptors Free:     44
Descriptors Total:    48
Descriptors Offset:   4096
Descriptors Size:     27 KiB
Data Offset:          32176
Data Size:            9 KiB
`)
  })

  it('leaves out what the file does not say', async () => {
    const edits: [number, string][] = [
      [45, 'ffffff'],
      [48, '00'.repeat(16)],
      [64, '00096e88f1ffffff00096e88f1ffffff'],
    ]
    const text = await sif('header', [await fileOf(broken(await sample('tiny'), { edits }))])
    expect(text).toMatch(/^Version: {12}01\nDescriptors Free: {3}45\n/)
  })

  it('makes control characters visible', async () => {
    const path = await fileOf(broken(await sample('tiny'), { edits: [[0, '1b5b324a']] }))
    expect(await sif('header', [path])).toMatch(/^Launch Script: {8}\\x1b\[2J\n/)
  })
})

describe('sif info', () => {
  it('prints everything about one object', async () => {
    expect(await sif('info', ['9', await fileOf(await sample('kinds'))])).toMatch(
      /^ {2}Data Type: {4}JSON.Generic\n {2}ID: {11}9\n {2}Group ID: {5}2\n {2}Linked ID: {4}1\n[\s\S]*Name: {9}hi\n$/,
    )
  })

  it('shows a time that no calendar reaches as seconds', async () => {
    const path = await fileOf(broken(await sample('tiny'), { edits: [[4096 + 41, '0000000000000040']] }))
    expect(await sif('info', ['1', path])).toContain('Created At:   @4611686018427388000\n')
  })

  it.each(['abc', '-1', '0', '1.5', '', '4294967296'])('refuses %j as a number', async (id) => {
    const path = await fileOf(await sample('tiny'))
    await expect(sif('info', [id, path])).rejects.toMatchObject({ code: 'USAGE', status: 1 })
  })

  it('ends with status 1 for an object that is not there', async () => {
    const path = await fileOf(await sample('tiny'))
    await expect(sif('info', ['99', path])).rejects.toMatchObject({ code: 'SIF_OBJECT', status: 1 })
  })
})

describe('sif new, add, setprim and del', () => {
  it('make an image from parts', async () => {
    const path = join(await folder(), 'a.sif')
    const part = await fileOf(Buffer.from('hsqs'))
    await sif('new', [path])
    await sif('add', [path, part], { datatype: 7, filename: 'n', groupid: 3, link: 9, alignment: 8192 })
    await sif('add', [path, part], { datatype: 4, parttype: 1, partfs: 1, partarch: 2 })
    await sif('setprim', ['2', path])
    expect((await sif('list', [path])).split('\n').slice(3)).toEqual([
      '1    |3       |9       |32768-32772               |Generic/Raw',
      '2    |NONE    |NONE    |36864-36868               |FS (Squashfs/*System/amd64)',
      '',
    ])
    await sif('del', ['2', path])
    expect(await sif('header', [path])).not.toContain('Primary Architecture')
  })

  it('keep an existing file unless told otherwise', async () => {
    const path = await fileOf(Buffer.from('precious'))
    await expect(sif('new', [path])).rejects.toMatchObject({ code: 'EXISTS', status: 1 })
    expect(await readFile(path, 'utf8')).toBe('precious')
    await sif('new', [path], { force: true })
    expect((await sif('list', [path])).split('\n')).toHaveLength(4)
  })

  it.each([
    [{}, '--datatype is needed'],
    [{ datatype: 12 }, '--datatype 12: expected a whole number from 1 to 11'],
    [{ datatype: Number.NaN }, '--datatype NaN'],
    [{ datatype: 4 }, '--partarch is needed'],
    [{ datatype: 4, partfs: 1, parttype: 9, partarch: 2 }, '--parttype 9'],
    [{ datatype: 5, signhash: 1 }, '--signentity is needed'],
    [{ datatype: 5, signhash: 1, signentity: 'me' }, '--signentity is needed'],
    [{ datatype: 9, sbomformat: 'x' }, '--sbomformat is needed'],
    [{ datatype: 7, groupid: -1 }, '--groupid -1'],
  ])('refuse the flags %j with a reason', async (flags, reason) => {
    const path = await fileOf(await sample('tiny'))
    const error = await sif('add', [path, path], flags).catch((error) => error)
    expect(error).toMatchObject({ code: 'USAGE', status: 1 })
    expect(error.message).toContain(reason)
  })
})
