/** Layers from strangers, changed at random: no byte of them makes the packer read or write where it may not, or hang. */

import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { tarOf } from '../helpers/tar.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { randomLayers, tortureLayers } from './layers-torture.ts'

const images = Number(process.env.SING_TEST_FUZZ ?? 400)
const sanitizers = 'exitcode=99:abort_on_error=0:halt_on_error=1:detect_leaks=1:allocator_may_return_null=1'

/** The harness with the packer in it. */
function compile(folder: string): string {
  const harness = join(folder, 'fuzz-layers')
  const rooms = ['layers', 'squashfs'].map((room) => join(projectRoot, 'addon', room))
  const sources = rooms.flatMap((room) =>
    readdirSync(room)
      .filter((name) => name.endsWith('.c'))
      .map((name) => join(room, name)),
  )
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', '-pthread'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
    ...[
      `-I${join(projectRoot, 'addon')}`,
      '-o',
      harness,
      join(import.meta.dirname, 'fuzz-layers.c'),
      ...sources,
    ],
    ...[
      '-l:libarchive.a',
      '-l:libnettle.a',
      '-l:libsquashfs.a',
      '-l:libzstd.a',
      '-l:liblz4.a',
      '-l:liblzma.a',
    ],
    ...['-l:libz.a', '-l:liblzo2.a'],
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
  return harness
}

let state = 1
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}
const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T

/** Some bytes of headers or of anything are others; then headers get the right sum, so that more than the sum is looked at. */
function mutate(original: Buffer): Buffer {
  const bytes = Buffer.from(original)
  const headers = headersOf(bytes)
  for (let changes = random(6); changes > 0; changes -= 1) {
    const at = random(3) > 0 && headers.length > 0 ? pick(headers) + random(345) : random(bytes.length)
    const old = bytes[at] ?? 0
    bytes[at] = pick([0, 255, 128, random(256), old ^ (1 << random(8)), ...Buffer.from('0179xgLKS/. =')])
  }
  for (const at of headers) if (random(20) > 0) sum(bytes.subarray(at, at + 512))
  if (random(15) === 0) return bytes.subarray(0, random(bytes.length))
  return random(15) === 0 ? Buffer.concat([bytes.subarray(0, 512 * random(8)), bytes]) : bytes
}

function headersOf(bytes: Buffer): number[] {
  const found: number[] = []
  for (let at = 0; at < bytes.length; at += 512)
    if (bytes.toString('latin1', at + 257, at + 262) === 'ustar') found.push(at)
  return found
}

function sum(header: Buffer): void {
  header.fill(' ', 148, 156)
  const total = header.reduce((before, byte) => before + byte, 0)
  header.write(`${total.toString(8).padStart(6, '0')}\0 `, 148)
}

function compressed(tar: Buffer): Buffer {
  switch (random(8)) {
    case 0:
      return gzipSync(tar)
    case 1:
      return zstdCompressSync(tar)
    case 2:
      return mutate(gzipSync(tar))
    case 3:
      return mutate(zstdCompressSync(tar))
    default:
      return tar
  }
}

it.skipIf(!can('sanitizers'))(
  'changed layers are packed, or refused with a reason',
  async () => {
    const folder = temporaryFolder()
    const harness = compile(folder)
    const seeds = [
      ...tortureLayers,
      ...Array.from({ length: 40 }, (_, seed) => randomLayers(seed)).flat(),
    ].map(tarOf)
    const sparse = spawnSync('sh', [
      '-c',
      'truncate -s 1M "$0" && echo x >>"$0" && tar -S -C / -cf - "$0"',
      join(folder, 's'),
    ])
    seeds.push(sparse.stdout)
    const lines = Array.from({ length: images }, (_, index) =>
      Array.from({ length: 1 + random(4) }, (_, layer) => {
        const path = join(folder, `${index}.${layer}`)
        writeFileSync(path, compressed(mutate(pick(seeds))))
        return path
      }).join(' '),
    )
    give(folder)
    // A block processor of libsquashfs that is destroyed in the middle of a file keeps a block.
    const known = join(folder, 'known')
    writeFileSync(known, 'leak:get_new_block\n')
    const leaks = `suppressions=${known}:print_suppressions=0`
    const env = { ASAN_OPTIONS: sanitizers, UBSAN_OPTIONS: sanitizers, LSAN_OPTIONS: leaks }
    const input = lines.map((line) => `${line}\n`).join('')
    const command = [harness, join(folder, 'image')]
    const { status, stdout, stderr } = await run(command, { cwd: '/', input, env, timeout: 900_000 })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const results = stdout.trimEnd().split('\n')
    expect(results).toHaveLength(images)
    expect(results).not.toContain('unknown error')
    expect(new Set(results).size).toBeGreaterThan(4)
    expect(results.filter((result) => result === 'packed').length).toBeGreaterThan(images / 20)
  },
  1_000_000,
)
