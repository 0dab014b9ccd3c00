/**
 * Changes bytes of small images at random, the same way in every run, and reads and unpacks the results. A crash ends the process:
 * it is one of its own. `mutate.ts FOLDER-OF-IMAGES FOLDER-FOR-FILES COUNT`
 */

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SingError } from '../../src/core/errors.ts'
import { SquashfsImage } from '../../src/native/addon.ts'

const [images = '', work = '', count = '100'] = process.argv.slice(2)
const seeds = readdirSync(images)
  .filter((name) => name.endsWith('.squashfs'))
  .map((name) => readFileSync(join(images, name)))

let state = 1
/** A number from 0 to below `limit`. */
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

/** Superblock, tables at the end and anything else get a third each. */
function position(size: number): number {
  const part = random(3)
  if (part === 0) return random(96)
  return part === 1 ? size - 1 - random(Math.min(size, 1500)) : random(size)
}

function mutate(original: Buffer): Buffer {
  const bytes = Buffer.from(original)
  for (let changes = 1 + random(4); changes > 0; changes -= 1) {
    const at = position(bytes.length)
    const old = bytes[at] ?? 0
    bytes[at] = [0, 255, random(256), old ^ (1 << random(8))][random(4)] ?? 0
  }
  return random(20) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

let nodes = 0
/** Everything that can be asked; directories may contain themselves, so there is an end to it. */
async function readAll(image: SquashfsImage, path: string, depth: number): Promise<void> {
  nodes += 1
  if (depth > 6 || nodes > 60) return
  const ask = [image.stat(path, false), image.read(path, 100_000), image.readlink(path), image.xattrs(path)]
  for (const answer of await Promise.allSettled(ask)) check(answer)
  const [list] = await Promise.allSettled([image.list(path)])
  check(list)
  for (const name of (list.status === 'fulfilled' && list.value) || []) {
    await readAll(image, `${path}/${name}`, depth + 1)
  }
}

/** Damage is told in our own words. */
function check(answer: PromiseSettledResult<unknown>): void {
  if (answer.status === 'rejected' && !(answer.reason instanceof SingError)) throw answer.reason
}

let opened = 0
async function attempt(): Promise<void> {
  const original = seeds[random(seeds.length)] ?? Buffer.alloc(0)
  const bytes = mutate(original)
  const path = join(work, 'mutated')
  const to = join(work, 'unpacked')
  writeFileSync(path, bytes)
  const [result] = await Promise.allSettled([SquashfsImage.open(path, 0, bytes.length)])
  check(result)
  if (result.status === 'rejected') return
  opened += 1
  await using image = result.value
  const [survey] = await Promise.allSettled([image.survey()])
  check(survey)
  for (const { type, place } of survey.status === 'fulfilled' ? survey.value : [])
    if (type === 'file') check((await Promise.allSettled([(async () => image.slice(place, 5, 5000))()]))[0])
  nodes = 0
  await readAll(image, '', 0)
  mkdirSync(to)
  const [extracted] = await Promise.allSettled([image.extract(to)])
  check(extracted)
  remove(to)
}

function remove(path: string): void {
  chmodSync(path, 0o700)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) remove(join(path, entry.name))
  }
  rmSync(path, { recursive: true, force: true })
}

const tried = Number(count)
for (let index = 0; index < tried; index += 1) await attempt()
rmSync(join(work, 'mutated'), { force: true })
console.log(JSON.stringify({ tried, opened }))
