/** Encrypted files that are written at any place and in any order, and opened by other means. */

import { spawnSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { openFile } from '../helpers/sealed.ts'
import { projectRoot } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const key = randomBytes(32)
const block = 4096

let harness: string
let path: string

beforeAll(() => {
  const folder = temporaryFolder()
  harness = join(folder, 'write-cipher')
  path = join(folder, 'sealed')
  const checked = can('sanitizers') ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] : []
  const sources = ['cipher_write', 'seal', 'window', 'failure'].map((name) =>
    join(projectRoot, 'addon/squashfs', `${name}.c`),
  )
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', ...checked],
    ...[`-I${join(projectRoot, 'addon')}`, '-o', harness, join(import.meta.dirname, 'write-cipher.c')],
    ...[...sources, '-l:libsquashfs.a', '-l:libnettle.a'],
    ...['zstd', 'lz4', 'lzma', 'z'].map((name) => `-l:lib${name}.a`),
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
})

/** Perform the steps. Gives what they answered and the file they made, opened. */
function write(steps: readonly string[]): { answers: string[]; plain: Buffer } {
  const { status, stdout, stderr } = spawnSync(harness, [path, key.toString('hex')], {
    input: steps.map((step) => `${step}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return { answers: stdout.split('\n').slice(0, -1), plain: openFile(key, readFileSync(path)) }
}

/** Steps at random, what they answer, and what is there at the end. */
class Model {
  plain = Buffer.alloc(0)
  readonly steps: string[] = []
  readonly answers: string[] = []

  write(place: number, bytes: Buffer): void {
    this.steps.push(`write ${place} ${bytes.toString('hex')}`)
    const end = place + bytes.length
    if (bytes.length > 0) this.#grow(end)
    bytes.copy(this.plain, place)
  }

  fill(place: number, size: number, value: number): void {
    this.steps.push(`fill ${place} ${size} ${value}`)
    this.#grow(place + size)
    this.plain.fill(value, place, place + size)
  }

  truncate(size: number): void {
    this.steps.push(`truncate ${size}`)
    this.#grow(size)
    this.plain = Buffer.from(this.plain.subarray(0, size))
  }

  read(place: number, size: number): void {
    this.steps.push(`read ${place} ${size}`)
    this.answers.push(this.plain.subarray(place, place + size).toString('hex'))
  }

  #grow(size: number): void {
    if (size > this.plain.length)
      this.plain = Buffer.concat([this.plain, Buffer.alloc(size - this.plain.length)])
  }
}

/** Sizes around those of blocks are the ones that go wrong. */
function size(most: number): number {
  const near = randomInt(Math.floor(most / block) + 1) * block + randomInt(5) - 2
  return Math.max(1, Math.min(most, randomInt(2) === 0 ? near : randomInt(most)))
}

function step(model: Model): void {
  const { length } = model.plain
  const place = randomInt(3) === 0 ? size(length + 1) - 1 : length
  const kind = randomInt(10)
  if (kind < 5) model.write(place, randomBytes(size(12_000)))
  else if (kind === 5) model.fill(length + randomInt(3 * block), size(300_000), randomInt(256))
  else if (kind === 6) model.truncate(size(length + block))
  else if (length > 0) {
    const from = randomInt(length)
    model.read(from, size(Math.min(length - from, 50_000)))
  }
}

it.each(Array.from({ length: 12 }, (_, index) => index))('keeps what is written in any order (%i)', () => {
  const model = new Model()
  for (let count = 0; count < 120; count += 1) step(model)
  const { answers, plain } = write(model.steps)
  expect(answers).toEqual(model.answers)
  expect(plain.equals(model.plain)).toBe(true)
})

it('leaves an empty file to those who open it', () => {
  expect(write([]).plain).toHaveLength(0)
})

it('says that what is read lies outside', () => {
  expect(write(['fill 0 10 1', 'read 5 6']).answers).toEqual(['data lies outside the image'])
})

it('never seals twice with one nonce', () => {
  const rewriting = Array.from({ length: 50 }, () => [
    'fill 0 96 7',
    'sealed 18 16',
    'fill 4096 4096 7',
    'sealed 4146 16',
  ])
  const { answers } = write(['fill 0 10000 7', ...rewriting.flat()])
  expect(answers).toHaveLength(100)
  expect(new Set(answers).size).toBe(100)
})
