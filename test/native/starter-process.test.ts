/** What the payload is: its directory, limits, signals, descriptors, namespaces of processes, and how it ends. */

import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, copyFileSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, run } from '../helpers/sing.ts'
import {
  type Changes,
  launch,
  launchThrough,
  makeScene,
  makeSpec,
  makeTree,
  mountTable,
  processesWith,
  start,
  startLine,
  until,
} from './starter.ts'

const scene = makeScene()
const probe = (words: readonly string[], changes: Changes = {}) =>
  launch(makeSpec(scene.root, words, changes))

const withInit: Changes = { namespaces: ['user', 'mount', 'pid'], process: { init: true } }
const withoutInit: Changes = { namespaces: ['user', 'mount', 'pid'] }

describe.skipIf(!can('userns'))('the program', () => {
  const runs = (programs: string[][], environment: Record<string, string> = { PATH: '/none:/bin' }) =>
    probe([], { process: { programs, environment } })

  it('keeps its arguments, empty ones and blanks too', async () => {
    expect((await probe(['args', '', ' a  b ', '*'])).stdout).toBe('[][ a  b ][*]\n')
  })

  it('is looked for in PATH when its name has no slash', async () => {
    expect((await runs([['probe', 'env', 'PATH']])).stdout).toBe('PATH=/none:/bin\n')
  })

  it('is looked for at the usual places when there is no PATH', async () => {
    expect((await runs([['probe', 'env', 'PATH']], {})).stdout).toBe('PATH=(unset)\n')
  })

  it('is the first that exists', async () => {
    expect((await runs([['/no/shell'], ['none'], ['/bin/probe', 'args', 'third']])).stdout).toBe('[third]\n')
  })

  const broken = makeTree(scene, 'broken')
  writeFileSync(join(broken, 'bin', 'plain'), 'data')
  writeFileSync(join(broken, 'bin', 'script'), '#! /no/interpreter -x\n')
  writeFileSync(join(broken, 'bin', 'text'), 'echo no first line\n')
  for (const name of ['script', 'text']) chmodSync(join(broken, 'bin', name), 0o755)

  it.each([
    ['foo', 'cannot run foo: executable file not found in the image (searched PATH=/bin)'],
    ['/no/foo', 'cannot run /no/foo: executable file not found in the image'],
    ['/bin/probe/foo', 'cannot run /bin/probe/foo: executable file not found in the image'],
    ['/etc', 'cannot run /etc: Is a directory'],
    ['/bin/plain', 'cannot run /bin/plain: Permission denied'],
    ['plain', 'cannot run /bin/plain: Permission denied'],
    ['/bin/script', 'cannot run /bin/script: its interpreter /no/interpreter does not exist in the image'],
    [
      '/bin/text',
      'cannot run /bin/text: Exec format error (no script with a #! line, and no program for this kind of machine)',
    ],
  ])('%s cannot be run', async (name, sentence) => {
    const { status, stderr } = await launch(makeSpec(broken, [], { process: { programs: [[name]] } }))
    expect({ status, stderr }).toEqual({ status: 255, stderr: `FATAL:   ${sentence}\n` })
  })

  it('names all that were tried', async () => {
    const { stderr } = await runs([['/bin/bash', '-c', 'x'], ['/bin/sh']])
    expect(stderr).toBe('FATAL:   cannot run /bin/bash or /bin/sh: executable file not found in the image\n')
  })
})

describe.skipIf(!can('userns'))('the working directory', () => {
  it('is the first that can be entered, and PWD says which', async () => {
    const directories = ['/none', '/etc', '/bin']
    const { stdout } = await probe(['cwd', '--', 'env', 'PWD'], { process: { directories } })
    expect(stdout).toBe('cwd=/etc\nPWD=/etc\n')
  })

  it('is the root when none can be entered', async () => {
    const { stdout } = await probe(['cwd', '--', 'env', 'PWD'], { process: { directories: ['/none'] } })
    expect(stdout).toBe('cwd=/\nPWD=/\n')
  })

  it('leaves PWD alone when it is the first', async () => {
    const environment = { PWD: '/by/another/name' }
    const { stdout } = await probe(['env', 'PWD'], { process: { directories: ['/etc'], environment } })
    expect(stdout).toBe('PWD=/by/another/name\n')
  })

  it('must be entered when it was asked for', async () => {
    const process = { directories: ['/none', '/'], directoryRequired: true }
    const { status, stderr } = await probe(['cwd'], { process })
    expect(stderr).toBe('FATAL:   cannot enter the working directory /none: No such file or directory\n')
    expect(status).toBe(255)
  })
})

describe.skipIf(!can('userns'))('the process', () => {
  it('has the soft limit of open files that it is given, and the hard one of the caller', async () => {
    const limited = (words: string[], changes: Changes) =>
      run(['prlimit', '--nofile=100:200', ...startLine(makeSpec(scene.root, words, changes))], { cwd: '/' })
    expect((await limited(['limits'], {})).stdout).toBe('nofile=100:200\n')
    expect((await limited(['limits'], { openFiles: 50 })).stdout).toBe('nofile=50:200\n')
    expect((await limited(['limits'], { openFiles: 500 })).stdout).toBe('nofile=200:200\n')
  })

  it('has the umask of the caller, or the one it is given', async () => {
    const line = (changes: Changes) => startLine(makeSpec(scene.root, ['umask'], changes))
    const masked = (changes: Changes) =>
      run(['sh', '-c', 'umask 027; exec "$@"', 'sh', ...line(changes)], { cwd: '/' })
    expect((await masked({})).stdout).toBe('umask=0027\n')
    expect((await masked({ process: { umask: 0o77 } })).stdout).toBe('umask=0077\n')
  })

  it('ignores what its caller ignores but SIGPIPE and SIGXFSZ', async () => {
    const { stdout } = await launchThrough(scene, ['caller', 'ignores'], makeSpec(scene.root, ['signals']))
    expect(stdout).toContain('ignored HUP\n')
    expect(stdout).toContain('ignored CHLD\n')
    expect(stdout).not.toMatch(/PIPE|XFSZ/)
  })

  it.each([
    ['on its own', {}],
    ['below an init', withInit],
    ['as process 1', withoutInit],
  ])('has no signal blocked: %s', async (_, changes) => {
    const spec = makeSpec(scene.root, ['signals'], changes)
    expect((await launchThrough(scene, ['caller', 'blocks'], spec)).stdout).toBe('')
  })

  it('comes to its status though the caller ignores SIGCHLD', async () => {
    const spec = makeSpec(scene.root, ['exit', '3'], withInit)
    expect((await launchThrough(scene, ['caller', 'ignores'], spec)).status).toBe(3)
  })

  it('gets standard descriptors that wait', async () => {
    const { stdout } = await launchThrough(scene, ['caller', 'nonblocking'], makeSpec(scene.root, ['fds']), {
      input: '',
    })
    expect(stdout).toMatch(/^fds: 0 1 2[ \d]*\n$/)
  })

  it('gets the descriptors of the caller and none of the starter', () => {
    const file = openSync('/etc/passwd', 'r')
    const stdio = ['ignore', 'pipe', 'inherit', 'ignore', file] as const
    const show = (line: readonly string[]) => {
      const [command = '', ...args] = commandLine(line)
      return spawnSync(command, args, { cwd: '/', stdio: [...stdio], encoding: 'utf8' }).stdout
    }
    const without = show([scene.probe, 'fds'])
    expect(without).toMatch(/ 4\b/)
    expect(show(startLine(makeSpec(scene.root, ['fds'])))).toBe(without)
    closeSync(file)
  })

  it('starts without standard descriptors', async () => {
    const spec = makeSpec(scene.root, ['write', '/tmp/written', 'x'])
    const { status, stderr } = await launchThrough(scene, ['caller', 'closes'], spec)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('has a host name and a loopback device of its own', async () => {
    const namespaces = ['user', 'mount', 'uts', 'net'] as const
    const { stdout } = await probe(['hostname', '--', 'loopback'], { namespaces, hostname: 'elsewhere' })
    expect(stdout).toBe('hostname=elsewhere\nlo is up\n')
  })

  it('has no children that it did not make', async () => {
    expect((await probe(['children'])).stdout).toBe('children: none\n')
  })

  it('says what it does when that is asked for', async () => {
    const { stderr } = await probe(['id'], { debug: true })
    expect(stderr).toMatch(/^DEBUG {3}starter: \d+ us: entered the user namespace/m)
  })
})

describe.skipIf(!can('userns'))('the end of the payload', () => {
  const kinds: [string, Changes][] = [
    ['without a pid namespace', {}],
    ['as process 1', withoutInit],
    ['below an init', withInit],
  ]

  it.each(kinds)('gives its status: %s', async (_, changes) => {
    expect((await probe(['exit', '0'], changes)).status).toBe(0)
    expect((await probe(['exit', '42'], changes)).status).toBe(42)
  })

  it.each(kinds.filter(([name]) => name !== 'as process 1'))(
    'by a signal gives 128 and more: %s',
    async (_, changes) => {
      expect((await probe(['kill', '9'], changes)).status).toBe(137)
      expect((await probe(['kill', '15'], changes)).status).toBe(143)
    },
  )

  it('ends all that is left in its pid namespace', async () => {
    const { ended } = start(makeSpec(scene.root, ['background', '1000'], withInit))
    expect(await ended).toBe(0)
  })

  it('that cannot be run below an init has its sentence and status', async () => {
    const process = { programs: [['/none']], init: true }
    const { status, stderr } = await probe([], { ...withInit, process })
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: 'FATAL:   cannot run /none: executable file not found in the image\n',
    })
  })
})

describe.skipIf(!can('userns'))('processes', () => {
  it('the payload has the pid that the starter had', async () => {
    const { child, line } = start(makeSpec(scene.root, ['pids']))
    const shown = await line()
    // setpriv and the starter exec, so the pid never changes.
    expect(shown).toMatch(new RegExp(`^pid=${child.pid} `))
  })

  it('the payload is process 1 without an init, and another one with it', async () => {
    expect((await probe(['pids'], withoutInit)).stdout).toBe('pid=1 ppid=0\n')
    expect((await probe(['pids'], withInit)).stdout).toBe('pid=2 ppid=1\n')
  })

  it('orphans are reaped by the init', async () => {
    expect((await probe(['orphan'], withInit)).stdout).toBe('the orphan was reaped\n')
  })

  it.each(['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const)(
    '%s comes through to the payload, once',
    async (name) => {
      for (const changes of [withInit, withoutInit]) {
        const { child, line, ended } = start(makeSpec(scene.root, ['trap'], changes))
        expect(await line()).toBe('ready')
        child.kill(name)
        expect(await line()).toBe(`got ${name.slice(3)}`)
        child.kill('SIGTERM')
        expect(await line()).toBe('got TERM')
        expect(await ended).toBe(0)
      }
    },
  )

  it.each([
    ['with an init', withInit],
    ['without', withoutInit],
    ['without a pid namespace', {}],
  ])('an interrupt of the terminal comes once: %s', async (_, changes) => {
    const [file = '', ...args] = commandLine(startLine(makeSpec(scene.root, ['trap'], changes)))
    const terminal = spawnTerminal(file, args, { cwd: '/' })
    let shown = ''
    terminal.onData((text) => {
      shown += text
    })
    const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)))
    await until(() => shown.includes('ready'))
    terminal.write('\u0003')
    await until(() => shown.includes('got INT'))
    process.kill(terminal.pid, 'SIGTERM')
    expect(await ended).toBe(0)
    expect(shown.match(/got INT/g)).toHaveLength(1)
  })

  it('a signal that the payload does not expect ends it', async () => {
    const { child, line, ended } = start(makeSpec(scene.root, ['sleep', '1000'], withInit))
    expect(await line()).toBe('sleeping')
    child.kill('SIGTERM')
    expect(await ended).toBe(143)
  })

  it.each([
    ['with an init', withInit],
    ['without', withoutInit],
  ])('nothing is left when the starter is killed: %s', async (_, changes) => {
    const words = ['background', '1000', '--', 'sleep', '1000']
    const { child, line, ended } = start(makeSpec(scene.root, words, changes))
    expect(await line()).toBe('sleeping')
    child.kill('SIGKILL')
    // Its output is open as long as anybody lives who holds it.
    expect(await ended).toBe('SIGKILL')
  })

  it('the starter holds no output that the payload has closed', async () => {
    const words = ['caller', 'closes', '/bin/probe', 'sleep', '1000']
    const { child, line } = start(makeSpec(scene.root, words, withInit))
    expect(await line()).toBeUndefined()
    child.kill('SIGKILL')
  })

  it('a hundred starts leave neither mounts nor processes', async () => {
    const marked = join(scene.folder, 'marked')
    mkdirSync(marked, { recursive: true })
    copyFileSync(scene.probe, join(marked, 'probe'))
    const before = mountTable()
    const spec = makeSpec('', [], {
      ...withInit,
      root: 'host',
      ops: [{ op: 'tmpfs', at: '/mnt', missing: 'fail', size: 0, mode: 0o755 }],
      process: { programs: [[join(marked, 'probe'), 'background', '1000']], init: true },
    })
    for (let round = 0; round < 100; round += 1) expect((await launch(spec)).status).toBe(0)
    await until(() => processesWith(join(marked, 'probe')).length === 0)
    const own = (table: string) =>
      table.split('\n').filter((line) => line.includes(scene.folder) || / \/mnt /.test(line))
    expect(own(mountTable())).toEqual(own(before))
  })
})
