/** What can be wrong with a launch is told in one line that names it, and nothing is started. */

import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { type Outcome, program, projectRoot, run, sing, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

let folder: string

const squashfs = join(projectRoot, 'fixtures/squashfs/zstd.squashfs')

/** The beginning of an ext3, as long as asked for, with this number where the size of a block stands. */
function ext3(length: number, blockShift: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32LE(blockShift, 1024 + 24)
  bytes.writeUInt16LE(0xef53, 1024 + 56)
  return bytes
}

async function makeParts(): Promise<void> {
  const add = ['sif', 'add', '--datatype']
  const data = [...add, '4', '--parttype', '3', '--partarch', '2', '--partfs']
  for (const words of [
    ['sif', 'new', 'parts.sif'],
    [...add, '7', 'parts.sif', 'broken.env'],
    [...data, '1', 'parts.sif', squashfs],
    [...data, '3', 'parts.sif', squashfs],
  ])
    expect(await sing(words, { cwd: folder })).toMatchObject({ status: 0 })
}

beforeAll(async () => {
  folder = temporaryFolder()
  copyFileSync(join(projectRoot, 'fixtures/images/everything.sif'), join(folder, 'image.sif'))
  const files = {
    'broken.env': 'A="',
    'large.env': `A=${'x'.repeat(200_000)}\n`,
    'short.squashfs': 'hsqs and nothing else',
    'short.img': ext3(1100, 0),
    'odd.img': ext3(4096, 7),
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  give(folder)
  await makeParts()
})

function expectRefusal({ status, stdout, stderr }: Outcome, reason: string): void {
  expect(stderr).toMatch(/^FATAL: {3}/)
  expect(stderr).toContain(reason)
  expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
}

describe('a launch is refused, and says why,', () => {
  it.each([
    [['--env-file', 'missing.env'], '--env-file missing.env: no such file or directory'],
    [['--env-file', 'broken.env'], '--env-file broken.env: '],
    [['--home', 'a:b:c'], '--home a:b:c: expected SOURCE or SOURCE:DESTINATION'],
    [['--home', '/tmp:there'], '--home /tmp:there: the destination is not absolute'],
    [['--hostname', 'a_b'], '--hostname a_b: not a host name'],
    [['--bind', 'parts.sif:/m:image-src=/'], 'it has 2 data partitions'],
    [['--bind', 'parts.sif:/m:id=1'], 'object 1 is no file system'],
    [['--bind', 'parts.sif:/m:id=3'], 'object 3 is neither a squashfs nor an ext3'],
    [['--bind', '/etc:/m:image-src=/'], 'cannot bind from the image /etc: it is no image file'],
    [['--bind', 'short.squashfs:/m:image-src=/'], 'its file system is cut off'],
    [['--overlay', 'short.img:ro'], 'its file system is cut off'],
    [['--overlay', 'odd.img:ro'], 'its ext3 has blocks of an impossible size'],
  ])('for %j', async (flags, reason) => {
    expectRefusal(await sing(['exec', ...flags, 'image.sif', 'true'], { cwd: folder }), reason)
  })

  it.skipIf(!can('userns', 'fuse', 'overlay'))('for a variable that no program can have', async () => {
    const outcome = await sing(['exec', '--env-file', 'large.env', 'image.sif', 'true'], { cwd: folder })
    expectRefusal(outcome, 'the arguments and the environment are too large')
    expect(outcome.stderr).toContain('at most 128 KiB')
  })
})

describe.skipIf(!can('userns'))('where /dev/fuse cannot be opened', () => {
  /** As the same user in a namespace in which a file without any right lies over the device. */
  function withoutFuse(...words: string[]): Promise<Outcome> {
    const { uid, gid } = testUser()
    const script = `: >none && chmod 0 none && mount --bind none /dev/fuse &&
      exec unshare --user --map-user=${uid} --map-group=${gid} "$0" "$@"`
    return run(['unshare', '-Urm', 'sh', '-c', script, program, ...words], { cwd: folder })
  }

  it.each([
    [['--no-tmp-sandbox'], '/dev/fuse cannot be used and --no-tmp-sandbox is given'],
    [['--fusemount', 'container:fs /m'], '--fusemount cannot be used: /dev/fuse cannot be opened'],
    [['--bind', `${squashfs}:/m:image-src=/`], 'zstd.squashfs: /dev/fuse cannot be used'],
  ])('%j is refused', async (flags, reason) => {
    expectRefusal(await withoutFuse('exec', ...flags, 'image.sif', 'true'), reason)
  })

  it('an image is unpacked', async () => {
    const { stdout, stderr, status } = await withoutFuse('exec', 'image.sif', 'cat', '/etc/hostname')
    expect({ stdout, status }).toEqual({ stdout: 'suite-image\n', status: 0 })
    expect(stderr).toContain('Unpacking image.sif')
  })
})
