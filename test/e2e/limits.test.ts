/** Limits of resources on the kernel: cgroups of version 1 as root and in a directory of the user's own, and refusals. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { environment, program, run, sing, testUser } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
beforeAll(async () => {
  images = await makeImages()
})

const write = (name: string, text: string): string => {
  const path = join(images.folder, name)
  writeFileSync(path, text)
  give(path)
  return path
}

/** Our cgroup in a hierarchy of version 1. */
function ownGroup(controller: string): string {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n')
  const path = lines.find((line) => line.split(':')[1]?.split(',').includes(controller))?.split(':')[2]
  return join('/sys/fs/cgroup', controller, path ?? '/')
}

const exec = (flags: readonly string[], script: string, as: 'user' | 'self' = 'self') =>
  sing(['exec', ...flags, images.everything, 'sh', '-c', script], { as, cwd: images.folder })

/** Prints a file of the cgroup that the script is in. */
const show = (file: string): string => {
  const controller = file.split('.')[0]
  return `cat /sys/fs/cgroup/${controller}$(grep -E '^[0-9]+:([a-z]+,)*${controller}[:,]' /proc/self/cgroup | cut -d: -f3)/${file}`
}

/** Cgroups of ours that are there, below that of the tests. */
const groups = (): string[] =>
  ['memory', 'pids', 'cpu'].flatMap((controller) => {
    const directory = ownGroup(controller)
    return readdirSync(directory)
      .filter((name) => /^sing-\d+/.test(name))
      .map((name) => join(directory, name))
  })

const refusals: [flags: string[], sentence: RegExp][] = [
  [['--memory', 'lots'], /--memory lots: not a size/],
  [['--memory', '1G', '--memory-swap', '500M'], /--memory-swap is lower than --memory/],
  [['--cpus', 'x'], /--cpus x: expected a number of processors/],
  [['--cpuset-cpus', 'a'], /--cpuset-cpus a: not a list of numbers/],
  [['--blkio-weight', '5'], /--blkio-weight 5: expected a whole number from 10 to 1000/],
  [['--blkio-weight-device', '/dev/null:100'], /\/dev\/null: there is no such block device/],
  [['--apply-cgroups', '/no/such/file'], /--apply-cgroups \/no\/such\/file: no such file/],
]

describe.skipIf(!can('userns', 'fuse', 'overlay'))('limits', () => {
  it.each(refusals)('are refused: %o', async (flags, sentence) => {
    const { status, stdout, stderr } = await exec(flags, 'echo started', 'user')
    expect(stderr).toMatch(sentence)
    expect(stdout).toBe('')
    expect(status).toBe(255)
  })

  it('are refused in a file that is none, with its line', async () => {
    const refused = async (text: string) =>
      (await exec(['--apply-cgroups', write('limits.toml', text)], 'echo started', 'user')).stderr
    expect(await refused('[memory]\nlimit = \n')).toMatch(/limits\.toml:2: /)
    expect(await refused('[memory]\nlimits = 5\n')).toMatch(
      /limits\.toml: memory\.limits: no limit has this name/,
    )
    expect(await refused(`#${'x'.repeat(70_000)}`)).toMatch(/larger than 64 KiB/)
  })

  it.skipIf(!can('cgroup1'))(
    'are refused to a user with no cgroup of its own, who is told what is missing',
    async () => {
      const { status, stderr } = await exec(['--memory', '100M'], 'echo started', 'user')
      expect(stderr).toMatch(
        /the cgroup .* is not yours to change, and there is no systemd to ask\n.*Delegate=/,
      )
      expect(status).toBe(255)
    },
  )

  it('are there already for a command that was started again in its scope', async () => {
    const { stdout, status } = await sing(['exec', '--memory', '100M', images.everything, 'env'], {
      env: { SING_IN_SCOPE: '1' },
    })
    expect(status).toBe(0)
    expect(stdout).not.toMatch(/SCOPE/)
  })

  it('of nothing need nothing', async () => {
    expect((await exec(['--pids-limit', '0'], 'echo fine', 'user')).stdout).toBe('fine\n')
  })
})

describe.skipIf(!can('root', 'cgroup1'))('cgroups of root', () => {
  it('hold what flags say, and are gone afterwards', async () => {
    const flags = [
      '--memory',
      '64M',
      '--memory-reservation',
      '32M',
      '--pids-limit',
      '20',
      '--cpus',
      '0.5',
      '--cpu-shares',
      '512',
    ]
    const files = [
      'memory.limit_in_bytes',
      'memory.soft_limit_in_bytes',
      'pids.max',
      'cpu.cfs_quota_us',
      'cpu.shares',
    ]
    const { stdout, stderr, status } = await exec(flags, files.map(show).join('; '))
    expect(stderr).toBe('')
    expect(stdout.split('\n')).toEqual(['67108864', '33554432', '20', '50000', '512', ''])
    expect(status).toBe(0)
    expect(groups()).toEqual([])
  })

  it('hold for an instance and for who enters it, and end with it', async () => {
    const options = {
      as: 'self',
      cwd: images.folder,
      env: { SING_CONFIGDIR: join(images.folder, 'state') },
    } as const
    const start = ['instance', 'run', '--memory', '64M', images.everything, 'one', 'sleep', '1000']
    expect((await sing(start, options)).status).toBe(0)
    const script = show('memory.limit_in_bytes')
    const entered = await sing(['exec', 'instance://one', 'sh', '-c', script], options)
    expect(entered).toEqual({ status: 0, stdout: '67108864\n', stderr: '' })
    expect((await sing(['instance', 'stop', 'one'], options)).status).toBe(0)
    expect(groups()).toEqual([])
  })

  it('hold what a file says, and flags come first', async () => {
    const file = write(
      'all.toml',
      '[memory]\nlimit = 67108864\ndisableOOMKiller = true\n[pids]\nlimit = 50\n',
    )
    const script = [show('memory.limit_in_bytes'), show('memory.oom_control'), show('pids.max')].join('; ')
    const { stdout } = await exec(['--apply-cgroups', file, '--pids-limit', '9'], script)
    expect(stdout).toMatch(/^67108864\noom_kill_disable 1\n(.*\n)*9\n$/)
  })

  it('end who takes more memory than there is', async () => {
    const { status } = await exec(['--memory', '24M'], 'exec tail /dev/zero')
    expect(status).toBe(137)
    expect(groups()).toEqual([])
  })

  it('keep the number of processes', async () => {
    const { stderr } = await exec(['--pids-limit', '3'], 'for i in 1 2 3 4 5; do sleep 1 & done; wait')
    expect(stderr).toMatch(/fork/)
  })

  it('hold processes of a container with processes of its own, and a processor', async () => {
    const script = `${show('pids.max')}; ${show('cpuset.cpus')}; ls /proc | grep -c '^[0-9]'`
    const { stdout } = await exec(['--pid', '--pids-limit', '30', '--cpuset-cpus', '0'], script)
    expect(stdout).toMatch(/^30\n0\n\d\n$/)
  })

  it('say which value the kernel refuses, and leave nothing behind', async () => {
    const { status, stdout, stderr } = await exec(
      ['--memory', '64M', '--cpuset-cpus', '9999'],
      'echo started',
    )
    expect(stderr).toMatch(/^FATAL: {3}cannot set cpuset\.cpus to 9999: /)
    expect(stdout).toBe('')
    expect(status).toBe(255)
    expect(groups()).toEqual([])
  })

  it('are removed by the next when somebody was killed', async () => {
    const words = ['exec', '--pids-limit', '30', images.everything, 'sh', '-c', 'echo up; exec sleep 60']
    const child = spawn(program, words, {
      env: environment({ as: 'self' }),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const group = groups()[0] ?? ''
    expect(group).toContain(`sing-${child.pid}`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    while (readFileSync(join(group, 'cgroup.procs'), 'utf8') !== '') await setTimeout(20)
    expect(existsSync(group)).toBe(true)
    await exec(['--pids-limit', '30'], 'true')
    expect(groups()).toEqual([])
  })
})

describe.skipIf(!can('root', 'cgroup2'))('a cgroup of version 2', () => {
  const unified = '/sys/fs/cgroup/unified'
  const control = join(unified, 'cgroup.subtree_control')
  const wasOn = existsSync(control) && readFileSync(control, 'utf8').includes('hugetlb')
  afterAll(() => {
    if (!wasOn) writeFileSync(control, '-hugetlb')
  })

  it('is made with its controller, beside those of version 1, and is gone afterwards', async () => {
    const text =
      '[memory]\nlimit = 67108864\n[[hugepageLimits]]\npageSize = "2MB"\nlimit = 4194304\n[unified]\n"hugetlb.1GB.max" = "0"\n'
    const file = write('unified.toml', text)
    const show2 = (name: string) => `cat ${unified}$(grep ^0:: /proc/self/cgroup | cut -c 4-)/${name}`
    const script = [show2('hugetlb.2MB.max'), show2('hugetlb.1GB.max'), show('memory.limit_in_bytes')].join(
      '; ',
    )
    const { stdout, stderr } = await exec(['--apply-cgroups', file], script)
    expect(stderr).toBe('')
    expect(stdout).toBe('4194304\n0\n67108864\n')
    expect(readdirSync(unified).filter((name) => /^sing-\d/.test(name))).toEqual([])
  })

  it('says which limit the kernel does not have', async () => {
    const file = write('unknown.toml', '[unified]\n"hugetlb.3MB.max" = "0"\n')
    const { status, stderr } = await exec(['--apply-cgroups', file], 'echo started')
    expect(stderr).toMatch(/cannot set hugetlb\.3MB\.max: the kernel has no such limit/)
    expect(status).toBe(255)
  })
})

describe.skipIf(!can('root', 'cgroup1', 'userns', 'fuse', 'overlay'))('a cgroup of the own', () => {
  const directories = ['memory', 'pids'].map((controller) =>
    join(ownGroup(controller), `delegated-${process.pid}`),
  )

  beforeAll(() => {
    const { uid, gid } = testUser()
    for (const directory of directories) {
      mkdirSync(directory)
      for (const name of ['', 'cgroup.procs', 'tasks']) chownSync(join(directory, name), uid, gid)
    }
  })
  afterAll(async () => {
    for (const directory of directories) {
      for (let tries = 0; tries < 100 && existsSync(directory); tries += 1) {
        try {
          rmdirSync(directory)
        } catch {
          await setTimeout(20)
        }
      }
    }
  })

  /** As the user, from a shell in the directories, as a batch system does it. */
  const delegated = (flags: readonly string[], script: string) => {
    const { uid, gid } = testUser()
    const enter = 'for directory in $DIRECTORIES; do echo $$ >$directory/cgroup.procs; done; exec "$@"'
    const user = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups']
    const command = [program, 'exec', ...flags, images.everything, 'sh', '-c', script]
    const env = { ...environment(), DIRECTORIES: directories.join(' ') }
    return run(['sh', '-c', enter, 'sh', ...user, ...command], { as: 'self', env, cwd: images.folder })
  }

  it('is divided by the user', async () => {
    const { stdout, stderr } = await delegated(
      ['--memory', '64M', '--pids-limit', '20'],
      `${show('memory.limit_in_bytes')}; ${show('pids.max')}`,
    )
    expect(stderr).toBe('')
    expect(stdout).toBe('67108864\n20\n')
    for (const directory of directories) {
      expect(readdirSync(directory).filter((name) => name.startsWith('sing-'))).toEqual([])
    }
  })

  it('is divided under --fakeroot too', async () => {
    expect((await delegated(['--fakeroot', '--pids-limit', '20'], show('pids.max'))).stdout).toBe('20\n')
  })

  it('does not limit what it has no controller for', async () => {
    const { status, stderr } = await delegated(['--memory', '64M', '--cpus', '1'], 'true')
    expect(stderr).toMatch(/the cgroup .*\/cpu.* is not yours to change/)
    expect(status).toBe(255)
  })
})
