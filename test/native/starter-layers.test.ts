/** Layers that take changes: their locks, and programs that mount them, where the kernel lacks something. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { give } from '../helpers/temp.ts'
import { launch, launchThrough, makeScene, makeSpec, processesWith, until } from './starter.ts'

const scene = makeScene()

function folder(): string {
  const path = mkdtempSync(join(scene.folder, 'changes-'))
  give(path)
  return path
}

const overlay = (from: string, program?: string): Op[] => [
  { op: 'directory', layer: 'image', from: scene.root },
  { op: 'directory', layer: 'changes', from, locked: true },
  { op: 'overlay', lower: ['image'], upper: 'changes', userxattr: program === undefined, program },
]

const onlyHere = it.runIf(process.arch === 'x64') // numbers of system calls

describe.skipIf(!can('overlay'))('a directory that takes changes', () => {
  onlyHere('is used without a lock where there are none, and the user is told', async () => {
    const from = folder()
    const spec = makeSpec(scene.root, ['id'], { ops: overlay(from) })
    const { status, stderr } = await launchThrough(scene, ['without', '73=38'], spec) // flock
    expect([status, stderr]).toEqual([
      0,
      `WARNING: cannot lock ${from}: Function not implemented: nothing keeps other containers from writing to it\n`,
    ])
  })

  onlyHere('is not used when nobody could hold its lock', async () => {
    const spec = makeSpec(scene.root, ['id'], { ops: overlay(folder()) })
    for (const [call, reason] of [
      ['294=24', /^FATAL: {3}cannot keep the lock of the overlay: Too many open files\n$/], // inotify_init1
      ['254=28', /^FATAL: {3}cannot mount the overlay: keeping its lock: No space left on device\n$/], // inotify_add_watch
    ] as const) {
      const { status, stderr } = await launchThrough(scene, ['without', call], spec)
      expect([status, stderr]).toEqual([255, expect.stringMatching(reason)])
    }
  })

  it('must be there', async () => {
    const { stderr } = await launch(
      makeSpec(scene.root, ['id'], { ops: overlay(join(scene.folder, 'none')) }),
    )
    expect(stderr).toMatch(/cannot use the directory .*none: No such file/)
  })
})

describe.skipIf(!can('userns', 'fuse', 'ext3'))('a program that mounts', () => {
  const program = spawnSync('sh', ['-c', 'command -v fuse-overlayfs'], { encoding: 'utf8' }).stdout.trim()

  it('makes the root, and notes that it was there', async () => {
    const from = folder()
    mkdirSync(join(from, 'work/work'), { recursive: true, mode: 0o755 })
    spawnSync('chmod', ['0000', join(from, 'work/work')])
    give(from)
    const spec = makeSpec(scene.root, ['id'], { ops: overlay(from, program) })
    expect((await launch(spec)).stderr).toBe('')
    expect(statSync(join(from, 'work/work')).mode & 0o777).toBe(0o700)
  })

  it('is named when it fails', async () => {
    const refused = async (path: string) =>
      (await launch(makeSpec(scene.root, ['id'], { ops: overlay(folder(), path) }))).stderr
    expect(await refused('/none')).toBe(
      'FATAL:   cannot mount the overlay: /none: No such file or directory\n',
    )
    expect(await refused('/bin/false')).toMatch(/\/bin\/false: it failed without a word/)
    // As fuse2fs, which ends well when it could not mount anything.
    expect(await refused('/bin/echo')).toMatch(/cannot mount the overlay: \/bin\/echo: .*workdir=/)
  })

  onlyHere('needs a kernel that can clone mounts', async () => {
    const before = processesWith('fuse-overlayfs')
    const spec = makeSpec(scene.root, ['id'], { ops: overlay(folder(), program) })
    const { stderr } = await launchThrough(scene, ['without', '428=38'], spec) // open_tree
    expect(stderr).toMatch(/open_tree: Function not implemented/)
    await until(() => processesWith('fuse-overlayfs').every((pid) => before.includes(pid)))
  })
})
