/** Containers in the background, as an ordinary user sees them: started, listed, entered, ended; and nothing left. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, environment, program, type RunOptions, run, sing, testUser } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let work = ''
const state = () => ({ SING_CONFIGDIR: join(work, 'state') })
const options = (more: RunOptions = {}): RunOptions => ({
  cwd: work,
  ...more,
  env: { ...state(), ...more.env },
})
const instance = (args: string[], more: RunOptions = {}) => sing(['instance', ...args], options(more))
const inside = (name: string, script: string, flags: string[] = [], more: RunOptions = {}) =>
  sing(['exec', ...flags, `instance://${name}`, 'sh', '-c', script], options(more))

type Listed = {
  instance: string
  pid: number
  img: string
  logOutPath: string
  logErrPath: string
  status: number
}

async function listed(pattern?: string): Promise<Listed[]> {
  const { stdout } = await instance(['list', '--json', ...(pattern ? [pattern] : [])])
  return JSON.parse(stdout).instances
}

const names = async (pattern?: string) => (await listed(pattern)).map(({ instance: name }) => name)

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 30))
}

const logged = async (name: string): Promise<string> => (await instance(['logs', name])).stdout

/** Start with the runscript of the image, which runs its arguments. */
async function begin(name: string, script: string, flags: string[] = []): Promise<void> {
  const outcome = await instance(['run', ...flags, images.everything, name, 'sh', '-c', script])
  expect(outcome).toMatchObject({ status: 0, stdout: '' })
}

const serverProcesses = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
      return /^sing-(squashfs|init)/.test(command) && command.includes('\0') && isTestUsers(pid)
    } catch {
      return false
    }
  })

function isTestUsers(pid: string): boolean {
  const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(uid) === testUser().uid
}

beforeAll(async () => {
  images = await makeImages()
  work = join(images.folder, 'work')
  mkdirSync(work)
  give(work)
})

afterAll(async () => {
  await instance(['stop', '--all', '--force'])
})

beforeEach(async () => {
  await instance(['stop', '--all', '--force'])
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('an instance', () => {
  it('is started, listed, entered and ended', async () => {
    const started = await instance(['start', images.everything, 'web'])
    expect(started).toEqual({ status: 0, stdout: '', stderr: 'INFO:    instance started successfully\n' })
    const { stdout } = await instance(['list'])
    const [{ pid } = { pid: 0 }] = await listed()
    expect(stdout).toMatch(/^INSTANCE NAME {4}PID +IP {4}IMAGE\n/)
    expect(stdout).toContain(`\nweb              ${pid}`)
    expect(stdout).toContain(images.everything)
    expect((await inside('web', 'echo hello')).stdout).toBe('hello\n')
    const stopped = await instance(['stop', 'web'])
    expect(stopped.stderr).toBe(`INFO:    Stopping web instance of ${images.everything} (PID=${pid})\n`)
    expect(stopped.status).toBe(0)
    expect(await names()).toEqual([])
    expect(existsSync(`/proc/${pid}/root`)).toBe(false)
  })

  it('runs its script with the arguments, and keeps what that says', async () => {
    await begin('job', 'echo out; echo err >&2; exec sleep 1000')
    await until(async () => (await logged('job')).includes('err'))
    expect((await instance(['logs', '--out', 'job'])).stdout).toContain('out\n')
    expect((await instance(['logs', '--out', 'job'])).stdout).not.toContain('err\n')
    expect((await instance(['logs', '--err', 'job'])).stdout).toContain('err\n')
    const { stdout } = await instance(['list', '--logs'])
    const [job] = await listed()
    expect(stdout).toContain(`${job?.logErrPath}\n`)
    expect(stdout).toContain(`${job?.logOutPath}\n`)
  })

  it('has processes of its own, which whoever enters shares', async () => {
    await begin('one', 'exec sleep 1234')
    const { stdout } = await inside(
      'one',
      'cat /proc/1/comm; cat /proc/[0-9]*/comm | grep -cx sleep; echo $SINGULARITY_INSTANCE',
    )
    expect(stdout).toBe('sing-init\n1\none\n')
  })

  it('shares what it has changed, its home, its name and its directory for temporary files', async () => {
    mkdirSync(join(work, 'home'), { recursive: true })
    mkdirSync(join(work, 'scratch'), { recursive: true })
    writeFileSync(join(work, 'home/file'), 'content\n')
    give(work)
    const flags = ['--writable-tmpfs', '-c', '-W', 'scratch', '-H', 'home:/home/temp', '--hostname', 'node']
    await begin('one', 'exec sleep 1000', flags)
    expect((await inside('one', 'echo x > /new; touch /tmp/there; hostname; cat ~/file; pwd')).stdout).toBe(
      'node\ncontent\n/home/temp\n',
    )
    expect((await inside('one', 'cat /new')).stdout).toBe('x\n')
    expect(existsSync(join(work, 'scratch/tmp/there'))).toBe(true)
  })

  it('is entered with the environment, directory, umask and standard input of who enters', async () => {
    await begin('one', 'exec sleep 1000')
    const script = 'echo "$A $B $(umask) $PWD"; cat'
    const { stdout } = await run(
      [
        'sh',
        '-c',
        'umask 027; exec "$@"',
        'sh',
        program,
        'exec',
        '--env',
        'A=1',
        'instance://one',
        'sh',
        '-c',
        script,
      ],
      options({ env: { B: '2' }, input: 'typed' }),
    )
    expect(stdout).toBe(`1 2 0027 ${work}\ntyped`)
  })

  it('is entered by run and shell, and gives their status', async () => {
    await begin('one', 'exec sleep 1000')
    expect((await sing(['run', 'instance://one', 'echo', 'a'], options())).stdout).toBe(
      'Running command: echo a\na\n',
    )
    expect((await sing(['shell', 'instance://one'], options({ input: 'echo from shell' }))).stdout).toBe(
      'from shell\n',
    )
    expect((await inside('one', 'exit 9')).status).toBe(9)
    expect((await inside('one', 'kill -KILL $$')).status).toBe(137)
  })

  it('gives no more rights to who enters than a container of its own', async () => {
    await begin('one', 'exec sleep 1000')
    const script = 'grep -E "^(CapEff|CapBnd|CapPrm|NoNewPrivs)" /proc/self/status'
    const fresh = await sing(['exec', images.everything, 'sh', '-c', script], options())
    expect((await inside('one', script)).stdout).toBe(fresh.stdout)
  })

  it.each([
    ['a single id', ['--ignore-subuid']],
    ...(can('subuid') ? ([['a range of ids', []]] as [string, string[]][]) : []),
  ])('may be one of fake root, with %s', async (_, flags) => {
    await begin('root', 'exec sleep 1000', ['--fakeroot', ...flags])
    const { stdout } = await inside(
      'root',
      'id -u; touch /tmp/x$$; chown 1:1 /tmp/x$$ && echo given; rm /tmp/x$$',
    )
    expect(stdout).toBe('0\ngiven\n')
  })

  it('may be unpacked, and takes that with it', async () => {
    await begin('one', 'exec sleep 1000', ['--unsquash', '--tmpdir', work])
    const unpacked = () => readdirSync(work).filter((name) => name.startsWith('sing-rootfs-'))
    expect(unpacked()).toHaveLength(1)
    await sing(['exec', '--unsquash', '--tmpdir', work, images.everything, 'true'], options())
    expect((await inside('one', 'echo still here')).stdout).toBe('still here\n')
    await instance(['stop', 'one'])
    expect(unpacked()).toEqual([])
  })

  it('can be entered from a terminal', async () => {
    await begin('one', 'exec sleep 1000')
    const command = [program, 'exec', 'instance://one', 'sh', '-c', 'test -t 0 && tty && echo on a terminal']
    const [file = '', ...args] = commandLine(command)
    const terminal = spawnTerminal(file, args, { cwd: work, env: environment(options()) })
    let shown = ''
    terminal.onData((text) => {
      shown += text
    })
    await new Promise<void>((resolve) => terminal.onExit(() => resolve()))
    expect(shown).toContain('on a terminal')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('the end of an instance', () => {
  it('is asked for by name, by pattern, and of all', async () => {
    for (const name of ['web1', 'web2', 'db1', 'db2']) await begin(name, 'exec sleep 1000')
    expect(await names('web*')).toEqual(['web1', 'web2'])
    expect((await instance(['stop', 'web*'])).status).toBe(0)
    expect(await names()).toEqual(['db1', 'db2'])
    expect((await instance(['stop', '--all'])).status).toBe(0)
    expect(await names()).toEqual([])
    expect((await instance(['list', 'none'])).stdout).toBe('INSTANCE NAME    PID    IP    IMAGE\n')
  })

  it('is the signal that was asked for, then a harder one', async () => {
    const stubborn = 'trap "echo got usr1" USR1; trap "" INT TERM; echo ready; while :; do sleep 0.05; done'
    await begin('one', stubborn)
    await until(async () => (await logged('one')).includes('ready'))
    expect((await instance(['stop', '--signal', 'USR1', '--timeout', '1', 'one'])).status).toBe(0)
    expect(await logged('one')).toContain('got usr1')
    expect(await names()).toEqual([])
    await begin('two', stubborn)
    await until(async () => (await logged('two')).includes('ready'))
    expect((await instance(['stop', '--force', 'two'])).status).toBe(0)
    expect(await names()).toEqual([])
  })

  it('does not take long where a shell waits for its command', async () => {
    await begin('one', 'sleep 1000; echo more')
    const { status } = await instance(['stop', '--timeout', '1000', 'one'])
    expect(status).toBe(0)
    expect(await logged('one')).not.toMatch(/^more$/m)
  })

  it('lets the command clean up', async () => {
    await begin('one', 'trap "echo bye; exit 0" INT; echo ready; while :; do sleep 0.05; done')
    await until(async () => (await logged('one')).includes('ready'))
    await instance(['stop', 'one'])
    expect(await logged('one')).toContain('bye')
  })

  it('by a kill of anybody is noticed, and the name is free', async () => {
    const file = join(work, 'pid')
    await begin('one', 'exec sleep 1000', ['--pid-file', file])
    const [{ pid } = { pid: 0 }] = await listed()
    expect(readFileSync(file, 'utf8')).toBe(`${pid}\n`)
    process.kill(pid, 'SIGKILL')
    await until(async () => (await names()).length === 0)
    await begin('one', 'exec sleep 1000')
    expect(await names()).toEqual(['one'])
  })

  it('is not that of its command, whose status wait gives', async () => {
    await begin('one', 'exit 3')
    expect((await instance(['wait', 'one'])).status).toBe(3)
    expect(await listed()).toMatchObject([{ instance: 'one', status: 3 }])
    expect((await inside('one', 'echo here')).stdout).toBe('here\n')
  })

  it('ends what follows its output', async () => {
    await begin('one', 'echo first; while :; do sleep 0.05; done')
    const following = instance(['logs', '--follow', 'one'])
    await instance(['stop', 'one'])
    expect((await following).stdout).toContain('first\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a restart', () => {
  it('brings the instance back as it was started', async () => {
    await begin('one', 'echo "begun $COLOUR"; exec sleep 1000', ['--env', 'COLOUR=green', '--writable-tmpfs'])
    await until(async () => (await logged('one')).includes('begun'))
    const [before] = await listed()
    await inside('one', 'echo x > /new')
    const { status } = await instance(['restart', 'one'], { cwd: '/' })
    expect(status).toBe(0)
    const [after] = await listed()
    expect(after?.pid).not.toBe(before?.pid)
    await until(async () => (await logged('one')).match(/begun green/g)?.length === 2)
    expect((await inside('one', 'touch /other && test ! -e /new && echo fresh')).stdout).toBe('fresh\n')
  })

  it('leaves the instance alone when its image is gone', async () => {
    const image = join(work, 'moved.sif')
    copyFileSync(images.everything, image)
    give(image)
    expect((await instance(['run', image, 'one', 'sleep', '1000'])).status).toBe(0)
    rmSync(image)
    const { status, stderr } = await instance(['restart', 'one'])
    expect(stderr).toContain(`cannot open ${image}: no such file or directory`)
    expect(status).toBe(255)
    expect((await inside('one', 'echo here')).stdout).toBe('here\n')
  })

  it('needs the place that it was started in', async () => {
    const place = join(work, 'gone')
    mkdirSync(place)
    give(place)
    await instance(['run', images.everything, 'one', 'sleep', '1000'], { cwd: place })
    rmSync(place, { recursive: true })
    const { status, stderr } = await instance(['restart', 'one'])
    expect(status).toBe(255)
    expect(stderr).toContain(`cannot go to ${place}, where one was started: no such file or directory`)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('what an instance uses', () => {
  it('is shown as a table and as JSON', async () => {
    await begin('one', 'while :; do :; done')
    const { stdout } = await instance(['stats', 'one'])
    expect(stdout).toMatch(
      /^INSTANCE NAME {4}CPU USAGE +MEM USAGE \/ LIMIT +MEM % +BLOCK I\/O +NET I\/O +PIDS\none +\d/,
    )
    const usage = JSON.parse((await instance(['stats', '--json', 'one'])).stdout)
    expect(usage).toMatchObject({ instance: 'one', network: null, processes: 2 })
    expect(usage.cpuPercent).toBeGreaterThan(0)
    expect(usage.memory).toBeGreaterThan(10_000)
  })

  it('holds a network of its own', async () => {
    await begin('one', 'exec sleep 1000', ['--net', '--network', 'none'])
    const { network } = JSON.parse((await instance(['stats', '--json', 'one'])).stdout)
    expect(network).toEqual({ received: 0, sent: 0 })
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('an instance that cannot be', () => {
  it.each([
    [['start', 'IMAGE', 'a/b'], 255, '"a/b" is not a name for an instance'],
    [['start', 'none.sif', 'one'], 255, 'no such file'],
    [
      ['start', '--app', 'none', 'IMAGE', 'one'],
      255,
      'cannot start instance one: its command did not come to run',
    ],
    [['start', '--cwd', '/none', 'IMAGE', 'one'], 255, 'cannot enter the working directory /none'],
    [['start', '--pid-file', '/none/pid', 'IMAGE', 'one'], 255, 'cannot write /none/pid'],
    [['start', '--boot', 'IMAGE', 'one'], 255, '--boot is for root'],
    [['start', '--dmtcp-launch', 'x', 'IMAGE', 'one'], 255, '--dmtcp-launch cannot be used'],
    [['start', '--dmtcp-restart', 'x', 'IMAGE', 'one'], 255, '--dmtcp-restart cannot be used'],
    [['start', 'IMAGE'], 1, 'needs at least 2 arguments'],
    [['stop', 'none'], 1, 'no instance found: none'],
    [['stop', '--all'], 1, 'no instance found'],
    [['stop'], 1, 'needs the name of an instance, or --all'],
    [['stop', '--all', 'x'], 1, '--all and names exclude each other'],
    [['stop', '-s', 'FOO', 'x'], 255, '"FOO" is no signal'],
    [['logs', 'none'], 255, 'there is no instance none'],
    [['stats', 'none'], 255, 'there is no instance none'],
    [['wait', 'none'], 255, 'there is no instance none'],
    [['restart', 'none'], 255, 'there is no instance none'],
    [['list', '--user', 'root'], 255, '--user is for root'],
  ])('%j is told why', async (args, status, sentence) => {
    const words = args.map((word) => (word === 'IMAGE' ? images.everything : word))
    const outcome = await instance(words)
    expect(outcome.stderr).toContain(sentence)
    expect(outcome.status).toBe(status)
    expect(await names()).toEqual([])
  })

  it('is told from one that is there', async () => {
    await begin('one', 'exec sleep 1000')
    const again = await instance(['start', images.everything, 'one'])
    expect(again).toMatchObject({ status: 255, stderr: 'FATAL:   instance one already exists\n' })
    expect((await inside('one', 'echo the first')).stdout).toBe('the first\n')
    const none = await inside('none', 'true')
    expect(none.stderr).toContain('there is no instance none')
    expect(none.status).toBe(255)
  })

  it('may be given up while its environment is still being read', async () => {
    const tree = join(images.folder, 'slow')
    await sing(['build', '--sandbox', tree, images.everything], { cwd: images.folder })
    writeFileSync(join(tree, '.singularity.d/env/20-slow.sh'), 'echo reading; sleep 1000\n')
    const command = ['timeout', '-s', 'INT', '1', program, 'instance', 'start', tree, 'one']
    const { stderr } = await run(command, options())
    expect(stderr).toBe('FATAL:   the start was interrupted (SIGINT)\n')
    expect(await names()).toEqual([])
    expect((await instance(['start', images.everything, 'one'])).status).toBe(0)
  })

  it('leaves nothing', async () => {
    const before = serverProcesses()
    await instance(['start', '--app', 'none', images.everything, 'one'])
    await until(() => serverProcesses().every((pid) => before.includes(pid)))
  })

  it('shows what was said last', async () => {
    const { stderr } = await instance(['start', '--app', 'none', images.everything, 'one'])
    expect(stderr).toMatch(/did not come to run\n.*none/)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('flags of who enters an instance', () => {
  it('that are about the container have no effect, which is told', async () => {
    await begin('one', 'exec sleep 1000', ['--bind', '/usr:/mnt'])
    const { stdout, stderr } = await inside('one', 'id -u', ['--fakeroot', '--bind', '/usr:/mnt'])
    expect(stdout).toBe(`${testUser().uid}\n`)
    expect(stderr).toBe('WARNING: --fakeroot without effect: instance://one is what it was started as\n')
  })

  it('that an instance has no choice about are told at its start', async () => {
    const { status, stderr } = await instance(['start', '--no-init', images.everything, 'one'])
    expect(status).toBe(0)
    expect(stderr).toContain('WARNING: --no-init has no effect: the init of an instance keeps it\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('many instances', () => {
  it('start at the same time, and one name only once', async () => {
    const starts = await Promise.all(
      [1, 2, 3, 1, 2, 3].map((number) => instance(['start', images.everything, `n${number}`])),
    )
    expect(starts.filter(({ status }) => status === 0)).toHaveLength(3)
    expect(starts.filter(({ stderr }) => stderr.includes('already exists'))).toHaveLength(3)
    expect(await names()).toEqual(['n1', 'n2', 'n3'])
  })
})

describe.skipIf(!can('root'))('root', () => {
  const asRoot = (args: string[]) => instance(args, { as: 'self', cwd: '/' })

  it('has instances, and may boot an image', async () => {
    const tree = join(images.folder, 'boot')
    await sing(['build', '--sandbox', tree, images.everything], { cwd: images.folder })
    mkdirSync(join(tree, 'sbin'), { recursive: true })
    rmSync(join(tree, 'sbin/init'), { force: true })
    writeFileSync(join(tree, 'sbin/init'), '#!/bin/sh\necho "booted as $$ $1"\nexec sleep 1000\n', {
      mode: 0o755,
    })
    const { status, stderr } = await asRoot(['start', '--boot', tree, 'machine', 'arg'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'INFO:    instance started successfully\n' })
    await until(async () => (await asRoot(['logs', 'machine'])).stdout.includes('booted as 1 arg'))
    const entered = await sing(
      ['exec', 'instance://machine', 'cat', '/proc/1/comm'],
      options({ as: 'self', cwd: '/' }),
    )
    expect(entered.stdout).toBe('sleep\n')
    expect((await asRoot(['stop', '--force', 'machine'])).status).toBe(0)
  })

  it('sees and ends those of a user', async () => {
    await begin('one', 'exec sleep 1000')
    const { name } = testUser()
    expect((await asRoot(['list', '--user', name])).stdout).toContain('one ')
    expect((await asRoot(['list', '--all'])).stdout).toContain('one ')
    expect((await asRoot(['list'])).stdout).not.toContain('one ')
    expect((await asRoot(['stop', '--user', name, 'one'])).status).toBe(0)
    expect(await names()).toEqual([])
    const unknown = await asRoot(['list', '--user', 'nobody-of-that-name'])
    expect(unknown).toMatchObject({ status: 255 })
    expect(unknown.stderr).toContain('there is no user nobody-of-that-name')
  })
})
