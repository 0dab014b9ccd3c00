/** An image whose signatures were verified is the one that is mounted, or nothing is. */

import { appendFileSync, closeSync, copyFileSync, openSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { versionOf } from '../../src/image/version.ts'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { give } from '../helpers/temp.ts'
import { pack } from './mount.ts'
import { hasServer, launch, makeScene, makeSpec } from './starter.ts'

const scene = makeScene()
const image = pack(scene.root, join(scene.folder, 'image.sqfs'))

const ops: Op[] = [
  { op: 'squashfs', layer: 'image', file: image.path, offset: 0, size: image.size, mount: 'fuse' },
  { op: 'overlay', lower: ['image'], userxattr: true },
]

function version(): string {
  const fd = openSync(image.path, 'r')
  try {
    return versionOf(fd)
  } finally {
    closeSync(fd)
  }
}

const start = (found: string, file = image.path) =>
  launch(makeSpec('', ['id'], { ops, verified: { file, version: found } }))

const changed = expect.stringContaining(
  `cannot open the image ${image.path}: it was changed after its signatures were verified\n`,
)

describe.skipIf(!can('userns', 'fuse', 'overlay') || !hasServer)('a verified image', () => {
  it('is mounted while it is what it was', async () => {
    expect(await start(version())).toMatchObject({ status: 0, stderr: '' })
  })

  it('is not mounted once something was written to it', async () => {
    const before = version()
    appendFileSync(image.path, 'x')
    expect(await start(before)).toMatchObject({ status: 255, stderr: changed })
  })

  it('is not mounted once another file has its name, with the same bytes', async () => {
    const before = version()
    copyFileSync(image.path, `${image.path}.new`)
    give(`${image.path}.new`)
    renameSync(`${image.path}.new`, image.path)
    expect(await start(before)).toMatchObject({ status: 255, stderr: changed })
  })

  it('says nothing about other files', async () => {
    expect(await start('1:2:3:4.000000000', '/other')).toMatchObject({ status: 0 })
  })
})
