/** Encrypted images from strangers, and keys that are none, changed at random: nothing of them makes a reader read elsewhere, or hang. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { SquashfsImage } from '../../src/native/addon.ts'
import { can } from '../helpers/can.ts'
import { squashfsOf } from '../helpers/encrypted-sif.ts'
import { sealFile } from '../helpers/sealed.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const images = Number(process.env.SING_TEST_FUZZ ?? 400)
const sanitizers = 'exitcode=99:abort_on_error=0:halt_on_error=1:detect_leaks=1:allocator_may_return_null=1'
const plain = ['-noI', '-noD', '-noF', '-noX']

function compile(folder: string): string {
  const harness = join(folder, 'fuzz-encrypted')
  const room = join(projectRoot, 'addon/squashfs')
  const sources = readdirSync(room).filter((name) => name.endsWith('.c'))
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', '-pthread'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
    ...[`-I${join(projectRoot, 'addon')}`, '-o', harness, join(import.meta.dirname, 'fuzz-encrypted.c')],
    ...sources.map((name) => join(room, name)),
    ...['squashfs', 'zstd', 'lz4', 'lzma', 'z', 'lzo2', 'nettle'].map((name) => `-l:lib${name}.a`),
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
  return harness
}

function record(key: Buffer, pieces: readonly number[]): Buffer {
  const bytes = Buffer.alloc(48 + pieces.length * 8)
  bytes.write('SINGKEY1')
  key.copy(bytes, 8)
  bytes.writeUInt32LE(pieces.length / 2, 40)
  for (const [index, number] of pieces.entries()) bytes.writeBigUInt64LE(BigInt(number), 48 + index * 8)
  return bytes
}

let state = 1
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

/** A few bytes within [from, to) become others. */
function mutate(original: Buffer, from: number, to: number): Buffer {
  const bytes = Buffer.from(original)
  for (let changes = random(5); changes > 0; changes -= 1) {
    const at = from + random(to - from)
    const old = bytes[at] ?? 0
    bytes[at] = [0, 255, 1, random(256), old ^ (1 << random(8))][random(5)] ?? 0
  }
  return random(20) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

/** One that is sealed anew behind each change, so that what is in it is believed. */
async function makeImage(folder: string, key: Buffer, inner: Buffer) {
  const outer = squashfsOf({ 'gocryptfs.conf': randomBytes(300), 'squashfs-1': sealFile(key, inner) }, plain)
  const path = join(folder, 'seed')
  writeFileSync(path, outer)
  await using image = await SquashfsImage.open(path, 0, outer.length)
  return { outer, record: record(key, (await image.stored('/squashfs-1')) ?? []) }
}

it.skipIf(!can('sanitizers'))(
  'changed images are read, or refused with a reason',
  async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'cases'))
    const harness = compile(folder)
    const key = randomBytes(32)
    const inner = squashfsOf({ a: Buffer.from('text'), large: randomBytes(300_000) }, plain)
    const seeds = [
      await makeImage(folder, key, inner),
      await makeImage(folder, key, squashfsOf({ b: Buffer.from('x') }, [])),
    ]
    for (let count = 0; count < 8; count += 1)
      seeds.push(await makeImage(folder, key, mutate(inner, inner.length - 2000, inner.length)))
    const lines = Array.from({ length: images }, (_, index) => {
      const seed = seeds[random(seeds.length)] ?? { outer: Buffer.alloc(0), record: Buffer.alloc(0) }
      const [image, secret] = [join(folder, 'cases', `${index}`), join(folder, 'cases', `${index}.key`)]
      const { length } = seed.outer
      const [from, to] = random(3) === 0 ? [0, length] : [Math.max(0, length - 1500), length]
      writeFileSync(image, random(3) === 0 ? seed.outer : mutate(seed.outer, from, to))
      writeFileSync(secret, random(2) === 0 ? seed.record : mutate(seed.record, 0, seed.record.length))
      return `${image} ${secret}\n`
    })
    give(folder)
    const env = { ASAN_OPTIONS: sanitizers, UBSAN_OPTIONS: sanitizers }
    const { status, stdout, stderr } = await run([harness], {
      cwd: '/',
      input: lines.join(''),
      env,
      timeout: 900_000,
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const results = stdout.trimEnd().split('\n')
    expect(results).toHaveLength(images)
    expect(results.filter((result) => result.includes('unknown error'))).toEqual([])
    expect(new Set(results).size).toBeGreaterThan(8)
    expect(results.filter((result) => result === 'read, opened').length).toBeGreaterThan(images / 20)
  },
  1_000_000,
)
