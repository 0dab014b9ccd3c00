/** Stacks of layers from strangers, changed at random: no byte of them makes what reads them read or write elsewhere, or hang. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const stacks = Number(process.env.SING_TEST_FUZZ ?? 400)
const sanitizers = 'exitcode=99:abort_on_error=0:halt_on_error=1:detect_leaks=1:allocator_may_return_null=1'

function compile(folder: string): string {
  const harness = join(folder, 'fuzz-stack')
  const room = join(projectRoot, 'addon/squashfs')
  const sources = readdirSync(room).filter((name) => name.endsWith('.c'))
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', '-pthread'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
    ...[`-I${join(projectRoot, 'addon')}`, '-o', harness, join(import.meta.dirname, 'fuzz-stack.c')],
    ...sources.map((name) => join(room, name)),
    ...['squashfs', 'zstd', 'lz4', 'lzma', 'z', 'lzo2', 'nettle'].map((name) => `-l:lib${name}.a`),
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
  return harness
}

/** What a script makes in an empty directory, as a layer whose bytes can be changed: nothing in it is compressed. */
function layer(folder: string, name: string, script: string, pseudo: readonly string[] = []): Buffer {
  const tree = join(folder, name)
  mkdirSync(tree)
  const made = spawnSync('sh', ['-ec', script], { cwd: tree, encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`cannot make ${name}: ${made.stderr}`)
  const plain = ['-noI', '-noD', '-noF', '-noX', '-comp', 'zstd', '-noappend', '-quiet', '-no-progress']
  const more = pseudo.flatMap((line) => ['-p', line])
  const file = join(folder, `${name}.squashfs`)
  const { status, stderr } = spawnSync('mksquashfs', [tree, file, ...plain, ...more], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`mksquashfs: ${stderr}`)
  return readFileSync(file)
}

function makeSeeds(folder: string): Buffer[] {
  const files =
    'mkdir -p a/b c; echo x > a/b/f; echo y > a/g; head -c 300000 /dev/urandom > c/large; truncate -s 1M c/hole'
  const links = 'mkdir -p a c; ln -s ../c a/b; ln -s f c/link; echo z > c/f; ln c/f c/hard; mkfifo c/pipe'
  const marks = 'mkdir -p a/b c/deep/er; setfattr -n user.overlay.opaque -v y a'
  const notes = 'mkdir a c; touch a/g c/null; setfattr -n user.sing.stat -v 5:6:c:1:3 c/null'
  return [
    layer(folder, 'files', files),
    layer(folder, 'links', `${links}; setfattr -n user.sing.stat -v 4294967295:0 c/f`),
    layer(folder, 'marks', marks, ['c/large c 0 0 0 0 0', 'c/disk b 660 7 8 8 1']),
    layer(folder, 'notes', `${notes}; setfattr -n user.overlay.redirect -v /a c`, ['a/b c 0 0 0 0 0']),
  ]
}

let state = 1
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

/** Data is most of a layer, and says nothing: superblock and tables are what is changed. */
function mutate(original: Buffer): Buffer {
  const bytes = Buffer.from(original)
  for (let changes = random(5); changes > 0; changes -= 1) {
    const at = random(5) === 0 ? random(96) : bytes.length - 1 - random(Math.min(bytes.length, 2500))
    const old = bytes[at] ?? 0
    bytes[at] = [0, 255, 1, random(256), old ^ (1 << random(8))][random(5)] ?? 0
  }
  return random(30) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

it.skipIf(!can('sanitizers', 'xattrs'))(
  'changed layers are packed and unpacked, or refused with a reason',
  async () => {
    const folder = temporaryFolder()
    const harness = compile(folder)
    const seeds = makeSeeds(folder)
    const lines = Array.from({ length: stacks }, (_, index) =>
      Array.from({ length: 1 + random(4) }, (_, position) => {
        const path = join(folder, `${index}.${position}`)
        writeFileSync(path, mutate(seeds[random(seeds.length)] ?? Buffer.alloc(0)))
        return path
      }).join(' '),
    )
    mkdirSync(join(folder, 'upper'))
    mkdirSync(join(folder, 'upper/a'))
    writeFileSync(join(folder, 'upper/a/new'), 'new')
    give(folder)
    // A block processor of libsquashfs that is destroyed in the middle of a file keeps a block.
    const known = join(folder, 'known')
    writeFileSync(known, 'leak:get_new_block\n')
    const leaks = `suppressions=${known}:print_suppressions=0`
    const env = { ASAN_OPTIONS: sanitizers, UBSAN_OPTIONS: sanitizers, LSAN_OPTIONS: leaks }
    const input = lines.map((line) => `${line}\n`).join('')
    const command = [harness, ...['image', 'upper', 'unpacked'].map((name) => join(folder, name))]
    const { status, stdout, stderr } = await run(command, { cwd: '/', input, env, timeout: 900_000 })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const results = stdout.trimEnd().split('\n')
    expect(results).toHaveLength(stacks)
    expect(results.filter((result) => result.includes('unknown error'))).toEqual([])
    expect(new Set(results).size).toBeGreaterThan(4)
    expect(results.filter((result) => result === 'packed, unpacked').length).toBeGreaterThan(stacks / 20)
  },
  1_000_000,
)
