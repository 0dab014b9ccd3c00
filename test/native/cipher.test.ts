/** Encrypted files, read at any place; what was changed in them is never handed out. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { sealBlock, sealFile } from '../helpers/sealed.ts'
import { projectRoot } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const forged = 'encrypted data that is damaged, or changed by somebody without the key'
const outside = 'data lies outside the image'
const key = randomBytes(32)
const id = randomBytes(16)
const plain = randomBytes(20 * 4096 + 1234)
const sealed = sealFile(key, plain, id)
const header = 18
const block = 4128

let harness: string
let folder: string

beforeAll(() => {
  folder = temporaryFolder()
  harness = join(folder, 'read-cipher')
  const checked = can('sanitizers') ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] : []
  const sources = ['cipher', 'seal', 'window', 'failure'].map((name) =>
    join(projectRoot, 'addon/squashfs', `${name}.c`),
  )
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', ...checked],
    ...[`-I${join(projectRoot, 'addon')}`, '-o', harness, join(import.meta.dirname, 'read-cipher.c')],
    ...[...sources, '-l:libsquashfs.a', '-l:libnettle.a'],
    ...['zstd', 'lz4', 'lzma', 'z'].map((name) => `-l:lib${name}.a`),
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
})

/** What reading ranges of a file gives, each as hexadecimal or as a sentence. */
function read(bytes: Buffer, ranges: readonly (readonly [number, number])[], using = key): string[] {
  const path = join(folder, 'sealed')
  writeFileSync(path, bytes)
  const lines = ranges.map(([place, size]) => `${using.toString('hex')} ${path} ${place} ${size}\n`)
  const { status, stdout, stderr } = spawnSync(harness, {
    input: lines.join(''),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout.split('\n').slice(0, -1)
}

function changed(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(sealed)
  change(bytes)
  return bytes
}

it('reads any range', () => {
  const ranges = [
    [0, plain.length],
    [0, 1],
    [4095, 2],
    [4096, 4096],
    [1, 4096 * 9],
    [plain.length - 1, 1],
    [plain.length, 0],
    ...Array.from({ length: 100 }, () => {
      const place = Math.floor(Math.random() * plain.length)
      return [place, Math.floor(Math.random() * (plain.length - place))] as const
    }),
  ] as const
  const expected = ranges.map(([place, size]) => plain.subarray(place, place + size).toString('hex'))
  expect(read(sealed, ranges)).toEqual(expected)
})

it('says that a range lies outside', () => {
  expect(
    read(sealed, [
      [plain.length, 1],
      [0, plain.length + 1],
      [2 ** 52, 1],
    ]),
  ).toEqual([outside, outside, outside])
})

it.each([1, 4095, 4096, 4097, 8192])('reads a file of %i bytes', (size) => {
  const bytes = randomBytes(size)
  expect(read(sealFile(key, bytes), [[0, size]])).toEqual([bytes.toString('hex')])
})

const start = (number: number): number => header + number * block
const swapped = changed((bytes) => {
  bytes.copyWithin(start(1), start(2), start(3))
  sealed.copy(bytes, start(2), start(1), start(2))
})
const damages = [
  [
    'a byte of the data is changed',
    changed((bytes) => bytes.writeUInt8((bytes[start(1) + 100] ?? 0) ^ 1, start(1) + 100)),
  ],
  [
    'a byte of the nonce is changed',
    changed((bytes) => bytes.writeUInt8((bytes[start(1)] ?? 0) ^ 1, start(1))),
  ],
  [
    'a byte of the tag is changed',
    changed((bytes) => bytes.writeUInt8((bytes[start(2) - 1] ?? 0) ^ 1, start(2) - 1)),
  ],
  ['two blocks are swapped', swapped],
  ['a block is all zero', changed((bytes) => bytes.fill(0, start(1), start(2)))],
  [
    'a block is of another file',
    changed((bytes) => sealBlock(key, randomBytes(16), 1, plain.subarray(4096, 8192)).copy(bytes, start(1))),
  ],
  [
    'a block is of another key',
    changed((bytes) => sealBlock(randomBytes(32), id, 1, plain.subarray(4096, 8192)).copy(bytes, start(1))),
  ],
] as const
it.each(damages)('refuses where %s, and reads the rest', (_, bytes) => {
  const beside = plain.subarray(0, 4096).toString('hex')
  expect(
    read(bytes, [
      [4096, 4096],
      [5000, 10],
      [0, 4096],
      [0, plain.length],
    ]),
  ).toEqual([forged, forged, beside, forged])
})

const impossible = [
  ['nothing', 0],
  ['the header', header],
  ['a part of the header', 7],
  ['a block without data', header + 32],
  ['a part of a nonce', start(3) + 5],
] as const
it.each(impossible)('refuses a file that is cut off to %s', (_, size) => {
  expect(read(sealed.subarray(0, size), [[0, 1]])).toEqual([forged])
})

it('refuses the last block when it is cut off', () => {
  expect(read(sealed.subarray(0, -1), [[20 * 4096, 1]])).toEqual([forged])
})

it('refuses another version, another file id, another key', () => {
  const version = changed((bytes) => bytes.writeUInt16BE(3))
  const other = changed((bytes) => bytes.writeUInt8((bytes[5] ?? 0) ^ 1, 5))
  const range = [[0, 1]] as const
  expect([...read(version, range), ...read(other, range), ...read(sealed, range, randomBytes(32))]).toEqual([
    forged,
    forged,
    forged,
  ])
})
