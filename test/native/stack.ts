/**
 * Runs scripts in a stack of layers, as root of a mount namespace that ends with this process: `stack.ts JSON`. Prints what the
 * scripts said.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { mountStack } from '../../src/runtime/mounted.ts'

export type StackRun = {
  /** Where everything happens: an empty directory. */
  readonly folder: string
  /** Files, the topmost first. */
  readonly layers: readonly string[]
  readonly allRoot: boolean
  readonly script: string
}

const { folder, layers, allRoot, script }: StackRun = JSON.parse(process.argv[2] ?? '')
const at = join(folder, 'root')
mkdirSync(at)
const windows = layers.map((file) => ({ file, offset: 0, size: statSync(file).size }))
using _mounted = await mountStack(windows, { at, directory: join(folder, 'changes'), allRoot })
const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: at, encoding: 'utf8' })
process.stdout.write(stdout + stderr)
process.exitCode = status ?? 1
