/**
 * Runs scripts in a stack of layers, as root of a mount namespace that ends with this process: `stack.ts JSON`. What each step changes
 * is packed as a layer for the next one. Prints what the last script said.
 */

import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { unpackLayers } from '../../src/image/unpack.ts'
import type { PackResult } from '../../src/native/addon.ts'
import { packDirectory, packLayer } from '../../src/native/addon.ts'
import { mountStack } from '../../src/runtime/mounted.ts'

export type StackRun = {
  /** Where everything happens: an empty directory. Layers are `layer-N`, images of the whole are `whole`, `anew`, and `unpacked`. */
  readonly folder: string
  /** Files, the topmost first. */
  readonly layers: readonly string[]
  readonly allRoot: boolean
  readonly inUserNamespace: boolean
  /** Each leaves a layer. */
  readonly steps: readonly string[]
  /** Runs in the stack of all of them, and in each image of the whole. */
  readonly show: string
}

const { folder, layers, steps, show, ...ids }: StackRun = JSON.parse(process.argv[2] ?? '')
const at = join(folder, 'root')
const windowOf = (file: string) => ({ file, offset: 0, size: statSync(file).size })
const stack = layers.map(windowOf)
let mounts = 0

async function mounted<T>(windows: typeof stack, work: (changes: string) => Promise<T>): Promise<T> {
  using stacked = await mountStack(windows, { at, directory: join(folder, `mount-${mounts++}`), ...ids })
  return await work(stacked.changes)
}

function sh(script: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: at, encoding: 'utf8' })
  process.stderr.write(stderr)
  if (status !== 0) throw new Error(`status ${status} of ${script}\n${stdout}`)
  return stdout
}

async function write(name: string, pack: (fd: number) => Promise<PackResult>): Promise<typeof stack> {
  const fd = openSync(join(folder, name), 'wx+')
  await pack(fd)
  closeSync(fd)
  return [windowOf(join(folder, name))]
}

mkdirSync(at)
for (const [index, step] of steps.entries()) {
  const layer = await mounted(stack, async (changes) => {
    sh(step)
    return write(`layer-${index}`, (fd) => packLayer(changes, { fd, offset: 0 }))
  })
  stack.unshift(...layer)
}
const shown = { stack: '', whole: '', anew: '', unpacked: '' }
await mounted(stack, async (changes) => {
  shown.stack = sh(show)
  for (const name of ['whole', 'anew'] as const) {
    const base = { layers: stack, changes, repack: name === 'anew' }
    await write(name, (fd) => packDirectory(at, { fd, offset: 0, base }))
  }
})
const files = join(folder, 'files')
mkdirSync(files)
await unpackLayers(stack.toReversed(), files, { ownership: true, notes: ids.allRoot })
await write('unpacked', (fd) => packDirectory(files, { fd, offset: 0 }))
for (const name of ['whole', 'anew', 'unpacked'] as const)
  await mounted([windowOf(join(folder, name))], async () => {
    shown[name] = sh(show)
  })
process.stdout.write(JSON.stringify(shown))
