/** The squashfs server and damaged or hostile images: a file may be lost, the server is not. */

import { createHash, randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { buildMounter, buildSanitizedServer, mountLine, type Packed, pack, withMount } from './mount.ts'

const usable = can('userns', 'fuse')
const folder = temporaryFolder()
const at = join(folder, 'mnt')
mkdirSync(at)
const mounter = buildMounter(folder)

/** Numbers from 0 up to 1, always the same for a seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function write(name: string, bytes: Uint8Array): Packed {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  give(path)
  return { path, offset: 0, size: bytes.length }
}

describe.skipIf(!usable)('an image with a damaged block', () => {
  const tree = join(folder, 'files')
  mkdirSync(tree)
  const names = ['a', 'b', 'c', 'd']
  for (const name of names) writeFileSync(join(tree, name), randomBytes(100_000).toString('hex'))
  const whole = pack(tree, join(folder, 'whole.sqfs'), '-comp', 'gzip', '-no-fragments')
  const bytes = readFileSync(whole.path)
  // Data begins right behind the super block; this hits the first file's first block.
  bytes.fill(0x55, 200, 400)
  const damaged = write('damaged.sqfs', bytes)
  const script = 'for f in a b c d; do sha256sum $f 2>&1; done'

  it('loses the file it belongs to and no other', async () => {
    const { stdout, stderr } = await withMount(mounter, damaged, at, script)
    const sums = names.slice(1).map((name) => {
      const sum = createHash('sha256')
        .update(readFileSync(join(tree, name)))
        .digest('hex')
      return `${sum}  ${name}\n`
    })
    expect(stdout).toBe(`sha256sum: a: Input/output error\n${sums.join('')}`)
    expect(stderr).toBe('server status 0\n')
  })

  it('is told about under --debug', async () => {
    const { stderr } = await withMount(mounter, damaged, at, script, { flags: ['--debug'] })
    expect(stderr).toMatch(/^sing-squashfs: file \d+: block 0 \(at \d+, \d+ bytes\) is damaged$/m)
  })

  it.each([
    ['cut off', bytes.subarray(0, bytes.length - 8192)],
    ['no image at all', Buffer.alloc(10_000, 7)],
    ['shorter than a super block', bytes.subarray(0, 50)],
  ])('is not served when it is %s', async (_, rest) => {
    const { stdout, stderr } = await withMount(mounter, write('rest', rest), at, 'true')
    expect(stdout).toBe('')
    expect(stderr).toContain('server status 1')
  })
})

const walk = `find . -ls; find . -type l -exec readlink {} +
  find . -type f -print0 | xargs -0 -n 100 -P 2 cat
  python3 -c "
import os
for top, folders, files in os.walk('.'):
    for name in files:
        try: [os.getxattr(top + '/' + name, key) for key in os.listxattr(top + '/' + name)]
        except OSError: pass"`

/** A small tree with every kind of thing in it. */
function makeVariety(): string {
  const tree = join(folder, 'variety')
  mkdirSync(join(tree, 'many'), { recursive: true })
  for (let i = 0; i < 400; i++) writeFileSync(join(tree, 'many', `some-name-that-is-long-${i}`), `${i}`)
  writeFileSync(join(tree, 'text'), 'text '.repeat(5000))
  writeFileSync(join(tree, 'noise'), randomBytes(20_000))
  writeFileSync(join(tree, 'sparse'), 'x')
  truncateSync(join(tree, 'sparse'), 3_000_000)
  linkSync(join(tree, 'text'), join(tree, 'same'))
  symlinkSync('text', join(tree, 'link'))
  return tree
}

/** Overwrite one to eight bytes, half of the time where the tables are, otherwise anywhere. */
function mutate(bytes: Buffer, seed: number): Buffer {
  const next = random(seed)
  const copy = Buffer.from(bytes)
  const tables = Number(bytes.readBigUInt64LE(64))
  const from = next() < 0.5 ? Math.min(tables, bytes.length - 1) : 0
  for (let left = 1 + Math.floor(next() * 8); left > 0; left--) {
    const place = next() < 0.1 ? Math.floor(next() * 96) : from + Math.floor(next() * (bytes.length - from))
    copy[place] = next() < 0.3 ? 0xff : Math.floor(next() * 256)
  }
  return copy
}

describe.skipIf(!usable)('a hostile image', () => {
  const tree = makeVariety()
  const server = buildSanitizedServer(folder)
  // The second leaves its tables readable to the mutations, which then change numbers instead of breaking streams.
  const shapes = [
    ['packed with zstd', ['-comp', 'zstd', '-b', '4096'], []],
    ['not packed', ['-noI', '-noD', '-noF', '-noX', '-b', '8192'], []],
    [
      'not packed, as a layer',
      ['-noI', '-noX', '-p', 'disk b 660 7 8 8 1'],
      ['--stacked', '--noted', '--owner', '0:0'],
    ],
    ['packed with xz', ['-comp', 'xz', '-b', '16384'], []],
  ] as const

  it.each(shapes)(
    'neither stops nor crashes the server (%s)',
    { timeout: 300_000 },
    async (_, packing, flags) => {
      const image = pack(tree, join(folder, 'variety.sqfs'), ...packing)
      const bytes = readFileSync(image.path)
      const env = { ASAN_OPTIONS: 'exitcode=77:detect_leaks=0', UBSAN_OPTIONS: 'exitcode=77' }
      const outcomes = new Map<string, number[]>()
      const tryOne = async (seed: number) => {
        const mutated = write(`mutated-${seed % 2}.sqfs`, mutate(bytes, seed))
        const line = mountLine(mounter, mutated, at, `(${walk}) >/dev/null 2>&1`, { server, flags })
        const { stderr } = await run(['timeout', '-s', 'KILL', '60', ...line], { env })
        const outcome = /server (status|signal) \d+/.exec(stderr)?.[0] ?? stderr
        outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), seed])
      }
      for (let seed = 1; seed <= 100; seed += 2) await Promise.all([tryOne(seed), tryOne(seed + 1)])
      outcomes.delete('server status 0')
      outcomes.delete('server status 1')
      expect([...outcomes]).toEqual([])
    },
  )
})
