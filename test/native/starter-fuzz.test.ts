/**
 * The starter under the sanitizers of the compiler: specs that the planner has made, changed at random but the same way
 * in every run, are performed or refused, and never crash it.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openImage } from '../../src/image/open.ts'
import { encodeSpec, type LaunchSpec, type Op } from '../../src/plan/spec.ts'
import { makeImages } from '../e2e/images.ts'
import { can } from '../helpers/can.ts'
import { projectRoot, run, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { generator, mutate } from './specs.ts'

const wanted = 50_000
const perProcess = 500
/** What the sanitizers end a process with; no program of a spec does. */
const crashed = 86
const sanitizers = `exitcode=${crashed}:detect_leaks=0:handle_segv=1`

type Result = { readonly status: number; readonly stderr: string }

it.skipIf(!can('userns', 'sanitizers'))(
  'performs or refuses whatever a spec is changed into, and never crashes',
  { timeout: 600_000 },
  async () => {
    const harness = compile()
    expect(await perform(harness, [['overflow'], ['undefined']])).toEqual([
      { status: crashed, stderr: expect.stringContaining('heap-buffer-overflow') },
      { status: crashed, stderr: expect.stringContaining('shift exponent 32') },
    ])
    const seeds = (await planned()).map(encodeSpec)
    const untouched = await perform(harness, seeds)
    expect(untouched.filter(({ status }) => status === 0).length).toBeGreaterThan(seeds.length / 2)
    const statuses = new Map<number, number>()
    let next = 0
    const work = async () => {
      while (next < wanted / perProcess) {
        const seed = next++
        const specs = batch(seeds, seed)
        const results = await perform(harness, specs)
        for (const [index, result] of results.entries()) {
          statuses.set(result.status, (statuses.get(result.status) ?? 0) + 1)
          if (!isExpected(result, specs[index]))
            expect({ seed, index, ...result, spec: specs[index] }).toBeUndefined()
        }
      }
    }
    await Promise.all(Array.from({ length: availableParallelism() }, work))
    expect(statuses.get(255)).toBeGreaterThan(wanted / 20)
    expect(statuses.get(0)).toBeGreaterThan(wanted / 20)
  },
)

/** Its own failures end in one line; everything else is the status of a program that ran. */
function isExpected({ status, stderr }: Result, spec: readonly string[] = []): boolean {
  // Who should answer has gone: there is nobody to be told.
  if (status === 255 && spec.includes('sync') && /^(DEBUG .*\n|!)*$/.test(stderr)) return true
  if (status === 255) return /^((WARNING: |DEBUG {3}|sing-squashfs: ).*\n)*FATAL: {3}.+\n$/.test(stderr)
  return status < 128 && status !== crashed
}

function batch(seeds: readonly (readonly string[])[], seed: number): string[][] {
  const random = generator(seed)
  return Array.from({ length: perProcess }, () => mutate(seeds[random(seeds.length)] ?? [], random))
}

/** The harness with the starter in it, and the file server beside it, where a starter looks for it. */
function compile(): string {
  const folder = temporaryFolder()
  const starter = join(projectRoot, 'addon/starter')
  const sources = readdirSync(starter).filter((name) => name.endsWith('.c') && name !== 'main.c')
  const harness = join(folder, 'fuzz-starter')
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', '-pthread'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
    ...[`-I${starter}`, '-o', harness, join(import.meta.dirname, 'fuzz-starter.c')],
    ...sources.map((name) => join(starter, name)),
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
  symlinkSync(join(projectRoot, 'build/Release/sing-squashfs'), join(folder, 'sing-squashfs'))
  give(folder)
  return harness
}

async function perform(harness: string, specs: readonly (readonly string[])[]): Promise<Result[]> {
  const input = specs.map((words) => [words.length, ...words].map((word) => `${word}\0`).join('')).join('')
  const env = { ASAN_OPTIONS: sanitizers, UBSAN_OPTIONS: sanitizers }
  const { status, stdout, stderr } = await run([harness], { cwd: '/', input, env, timeout: 300_000 })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const texts = stdout.split('\0')
  const results = specs.map((_, index) => ({
    status: Number(texts[2 * index]),
    stderr: texts[2 * index + 1] ?? '',
  }))
  expect(texts).toHaveLength(2 * specs.length + 1)
  return results
}

/** The recorded plans, for this user, with an image that is there and a program that soon ends. */
async function planned(): Promise<LaunchSpec[]> {
  const images = await makeImages()
  const { rootfs } = await openImage(images.everything)
  const specs = join(projectRoot, 'fixtures/specs')
  return readdirSync(specs, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(specs, name), 'utf8')).spec as LaunchSpec | undefined)
    .filter((spec) => spec !== undefined)
    .map((spec, index) => settle(spec, index % 8 === 0 ? { ...rootfs } : images.sandbox))
}

function settle(spec: LaunchSpec, image: object | string): LaunchSpec {
  const { uid, gid } = testUser()
  const own = (ranges: LaunchSpec['ids']['uids'], outside: number) =>
    ranges.slice(0, 1).map((range) => ({ ...range, outside, count: 1 }))
  const { mapper: _, ...ids } = spec.ids
  return {
    ...spec,
    ids: { ...ids, uids: own(ids.uids, uid), gids: own(ids.gids, gid), setgroups: 'deny' },
    ops: spec.ops.map((op) => settleOperation(op, image)),
    process: { ...spec.process, programs: [['/bin/true']] },
  }
}

/** Most plans get a sandbox instead of an image file, whose server is most of the time that a launch takes. */
function settleOperation(op: Op, image: object | string): Op {
  if (op.op === 'squashfs')
    return typeof image === 'string' ? { op: 'directory', layer: op.layer, from: image } : { ...op, ...image }
  const isThere = (path: string) => /^\/(dev|etc|proc|sys|tmp|var)(\/|$)/.test(path) && existsSync(path)
  return 'from' in op && !isThere(op.from)
    ? { ...op, from: op.op === 'directory' && typeof image === 'string' ? image : '/etc' }
    : op
}
