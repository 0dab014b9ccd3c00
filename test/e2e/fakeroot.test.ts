/** --fakeroot beside every other flag that changes what a container is: root inside, whatever else. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { program, run, sing, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let work: string

beforeAll(async () => {
  images = await makeImages()
  work = temporaryFolder()
  for (const name of ['data', 'layer', 'workdir']) mkdirSync(join(work, name))
  writeFileSync(join(work, 'data', 'file'), 'canary\n')
  give(work)
})

const script = 'echo $(id -u) $(id -g) $(id -un) $HOME'
const inside = (flags: string[], image: string, command = script) =>
  sing(['exec', '--fakeroot', ...flags, image, 'sh', '-c', command], { cwd: work })

/** Flags, and the home that they come to; `outside` stands for the path of `data` on the host. */
const rows: readonly (readonly [string, string?])[] = [
  [''],
  ['--contain'],
  ['--containall'],
  ['--compat'],
  ['--pid'],
  ['--pid --no-init'],
  ['--ipc --uts'],
  ['--net --network none'],
  ['--hostname node'],
  ['--userns'],
  ['--writable-tmpfs'],
  ['--overlay layer'],
  ['--overlay layer:ro --writable-tmpfs'],
  ['--no-home'],
  ['--no-mount home,tmp,proc'],
  ['--home data', 'outside'],
  ['--home data:/home/other', '/home/other'],
  ['--contain --home data:/tmp/below', '/tmp/below'],
  ['--contain --workdir workdir --scratch /scratch'],
  ['--bind data:/new/place'],
  ['--cleanenv --no-umask'],
  ['--no-setgroups'],
  ['--drop-caps net_raw'],
  ['--no-privs'],
  ['--cwd /etc'],
]
const identities = [['--fakeroot'], ['--fakeroot', '--ignore-subuid']]

describe.skipIf(!can('userns', 'fuse', 'overlay'))('fakeroot', () => {
  it.each(rows)('is root with %s', async (words = '', home = '/root') => {
    const flags = words.split(' ').filter(Boolean)
    const place = home === 'outside' ? join(work, 'data') : home
    for (const image of [images.everything, images.sandbox]) {
      for (const identity of identities) {
        const outcome = await inside([...identity, ...flags], image)
        expect([identity, outcome.stderr, outcome.stdout]).toEqual([identity, '', `0 0 root ${place}\n`])
      }
    }
  })

  const plain = [
    '',
    '--contain',
    '--containall',
    '--pid',
    '--net --network none',
    '--no-home',
    '--userns',
    '--cwd /etc',
  ]
  it.each(plain)('changes the image itself with --writable %s', async (words) => {
    const flags = words.split(' ').filter(Boolean)
    for (const identity of identities) {
      const all = [...identity, ...flags, '--writable']
      const command = 'touch /made && chown 0:0 /made && ls -l /made && rm /made && id -u'
      const { stdout, status } = await inside(all, images.sandbox, command)
      expect([all, status, stdout]).toEqual([all, 0, expect.stringMatching(/root .*root .*\/made\n0\n$/)])
    }
  })

  it('belongs to the user outside', async () => {
    const { uid } = testUser()
    const { stdout } = await inside(
      ['--bind', `${work}/data:/mnt`],
      images.everything,
      'touch /mnt/made; id -u',
    )
    const owner = await run(['stat', '-c', '%u', join(work, 'data', 'made')])
    expect([stdout, owner.stdout]).toEqual(['0\n', `${uid}\n`])
  })

  it.skipIf(!can('root'))('of root needs no other identity', async () => {
    for (const flags of [['--fakeroot'], ['--fakeroot', '--userns'], ['--userns']]) {
      const args = ['exec', ...flags, images.everything, 'sh', '-c', script]
      const { stdout, stderr } = await sing(args, { as: 'self', cwd: work })
      expect([flags, stderr, stdout]).toEqual([flags, '', '0 0 root /root\n'])
    }
  })
})

describe.skipIf(!can('root', 'userns', 'fuse', 'overlay'))('supplementary groups', () => {
  const { uid, gid } = testUser()
  /** As the user with one more group, to which a folder belongs. */
  const grouped = (flags: string[], command: string) =>
    run(
      [
        'setpriv',
        `--reuid=${uid}`,
        `--regid=${gid}`,
        '--groups=54321',
        program,
        'exec',
        ...flags,
        images.everything,
        'sh',
        '-c',
        command,
      ],
      { as: 'self', cwd: work, env: { HOME: testUser().home } },
    )

  it.each([[[]], [['--fakeroot']], [['--fakeroot', '--no-setgroups']], [['--fakeroot', '--ignore-subuid']]])(
    'keep their rights with %j',
    async (flags: string[]) => {
      const shared = join(work, `shared${flags.length}${flags.at(-1)}`)
      mkdirSync(shared)
      await run(['chown', '0:54321', shared], { as: 'self' })
      await run(['chmod', '2770', shared], { as: 'self' })
      const { stdout, stderr } = await grouped(
        ['--bind', `${shared}:/mnt`, ...flags],
        'touch /mnt/x && ls /mnt',
      )
      expect([stderr, stdout]).toEqual(['', 'x\n'])
    },
  )

  it.skipIf(!can('subuid'))('cannot be left with --no-setgroups', async () => {
    const words = 'cat /proc/self/setgroups'
    expect((await grouped(['--fakeroot'], words)).stdout).toBe('allow\n')
    expect((await grouped(['--fakeroot', '--no-setgroups'], words)).stdout).toBe('deny\n')
    expect((await grouped([], words)).stdout).toBe('deny\n')
  })
})
