/** Images of a cache show that they are in use, so that nobody removes them. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { pack } from './mount.ts'
import { hasServer, launchThrough, makeScene, makeSpec, start, until } from './starter.ts'

const scene = makeScene()
const image = pack(scene.root, join(scene.folder, 'image.sqfs'))

const ops = (held: true | undefined): Op[] => [
  { op: 'squashfs', layer: 'image', file: image.path, offset: 0, size: image.size, mount: 'fuse', held },
  { op: 'overlay', lower: ['image'], userxattr: true },
]

/** Whether somebody could have the file alone. */
const isFree = (): boolean => spawnSync('flock', ['--nonblock', image.path, 'true']).status === 0

describe.skipIf(!can('userns', 'fuse', 'overlay') || !hasServer)('the image of a container', () => {
  it('is locked as long as the container lives, when it belongs to a cache', async () => {
    const running = start(makeSpec('', ['trap'], { ops: ops(true) }))
    await running.line()
    expect(isFree()).toBe(false)
    running.child.kill('SIGKILL')
    await running.ended
    await until(isFree)
  })

  it('is not locked otherwise', async () => {
    const running = start(makeSpec('', ['trap'], { ops: ops(undefined) }))
    await running.line()
    expect(isFree()).toBe(true)
  })

  it.runIf(process.arch === 'x64')('is used without a lock where there are none', async () => {
    const { status, stderr } = await launchThrough(
      scene,
      ['without', '73=38'], // flock
      makeSpec('', ['id'], { ops: ops(true) }),
    )
    expect([status, stderr]).toEqual([0, ''])
  })
})
