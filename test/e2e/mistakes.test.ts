/** What people type from habit or by mistake, and the way out that they are told. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images

beforeAll(async () => {
  images = await makeImages()
  mkdirSync(join(images.folder, 'changes'))
  give(join(images.folder, 'changes'))
})

/** The words, the exit status, what is wrong, and what to do. IMAGE stands for an image. */
const mistakes: readonly (readonly [line: string, status: number, reason: RegExp, way: RegExp])[] = [
  ['exec -it IMAGE ls', 1, /unknown flag: -t in -it/, /sing shell IMAGE/],
  ['exec --rm IMAGE ls', 1, /unknown flag: --rm/, /leave --rm out/],
  ['exec -v /tmp:/q IMAGE ls', 1, /unknown flag: -v/, /--bind SOURCE:DESTINATION/],
  ['exec --publish 80:80 IMAGE ls', 1, /unknown flag: --publish/, /--network-args portmap=/],
  ['exec --detach IMAGE ls', 1, /unknown flag: --detach/, /sing instance start/],
  ['IMAGE', 1, /unknown command/, /To run an image: sing run /],
  ['exec IMAGE --bind /tmp ls', 255, /cannot run --bind: options stand before the image/, /IMAGE COMMAND/],
  ['exec --writable-tmpfs 2G IMAGE true', 255, /cannot open 2G/, /--writable-tmpfs=2G/],
  ['exec --overlay changes:foo IMAGE true', 255, /no such file/, /"foo" is no option .*:ro and :rw are/],
  ['exec --overlay none:foo IMAGE true', 255, /no such file/, /To make it: mkdir /],
  [
    'exec --bind /none:/x IMAGE true',
    255,
    /cannot bind \/none at \/x: no such/,
    /--bind \/none:\/x:optional/,
  ],
  [
    'exec --memory 1G --memory-swap 1M IMAGE true',
    255,
    /--memory-swap is lower than --memory/,
    /both|together/,
  ],
  ['overlay create --size 100M x.img', 1, /--size needs a whole number \(MiB\), not "100M"/, /Usage|sing/],
]

describe('a mistake', () => {
  it.each(mistakes)('%s', async (line, status, reason, way) => {
    const words = line.split(' ').map((word) => (word === 'IMAGE' ? images.everything : word))
    const result = await sing(words, { cwd: images.folder })
    expect(result.status).toBe(status)
    expect(result.stderr).toMatch(reason)
    expect(result.stderr).toMatch(way)
  })

  it.each([['--proot', '/x'], ['--keep-layers'], ['--runscript-timeout', '1m']])(
    '%s is told to have no effect',
    async (...flag) => {
      const result = await sing(['exec', ...flag, images.everything, 'true'])
      expect(result).toMatchObject({ status: 0, stderr: expect.stringContaining(`${flag[0]} has no effect`) })
    },
  )
})
