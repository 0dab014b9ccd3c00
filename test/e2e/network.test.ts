/** Networks of users: loopback only, or connected by pasta or slirp4netns, with ports of the host mapped into them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { onPrivateHost } from '../helpers/private-host.ts'
import { commandLine, environment, program, sing } from '../helpers/sing.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
beforeAll(async () => {
  images = await makeImages()
})

const inside = (flags: readonly string[], script: string) =>
  sing(['exec', ...flags, images.everything, 'sh', '-c', script], { cwd: images.folder })

/** A port of 127.0.0.1 that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The program that listens on the port is gone. */
async function untilFree(port: number): Promise<void> {
  for (;;) {
    const server = createServer().listen(port, '0.0.0.0')
    try {
      await once(server, 'listening')
      server.close()
      return
    } catch {
      await setTimeout(20)
    }
  }
}

/** What a server says that is not up at once. */
async function ask(port: number): Promise<string> {
  for (;;) {
    let text = ''
    try {
      for await (const chunk of createConnection(port, '127.0.0.1')) text += String(chunk)
    } catch {
      // Nobody listens yet, or only the program in between does.
    }
    if (text) return text
    await setTimeout(50)
  }
}

/** A container that runs until it is ended. */
function start(flags: readonly string[], script: string) {
  const [file = '', ...args] = commandLine([program, 'exec', ...flags, images.everything, 'sh', '-c', script])
  const child = spawn(file, args, {
    cwd: images.folder,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal)
  return { child, ended, line: () => once(child.stdout, 'data').then(([chunk]) => String(chunk)) }
}

/** Living processes whose command line holds the word. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d/.test(pid) &&
        readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          .split('\0')
          .some((part) => part.includes(word))
      )
    } catch {
      return false
    }
  })
}

async function untilGone(word: string): Promise<void> {
  while (processesWith(word).length > 0) await setTimeout(20)
}

const refusals: [flags: string[], sentence: RegExp, hint: RegExp][] = [
  [
    ['--net', '--network', 'bridge'],
    /--network bridge: only root can use network plugins/,
    /--network pasta/,
  ],
  [['--netns-path', '/proc/self/ns/net'], /only root can join a network/, /--network pasta/],
  [['--network-args', 'portmap=x:80/tcp'], /portmap=x:80\/tcp: no ports/, /portmap=HOST:CONTAINER/],
  [['--network-args', 'IP=10.0.0.1'], /IP=10\.0\.0\.1 needs network plugins/, /portmap/],
  [['--dns', 'example.org'], /--dns example\.org: not the address of a name server/, /--dns 192\.0\.2\.53/],
]

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a network', () => {
  it.each(refusals)('is refused to a user: %o', async (flags, sentence, hint) => {
    const { status, stderr } = await inside(flags, 'true')
    expect(stderr).toMatch(sentence)
    expect(stderr).toMatch(hint)
    expect(status).toBe(255)
  })

  it('is loopback only with --net, and its low ports are open to the user', async () => {
    const { stdout } = await inside(
      ['--net'],
      'cd /sys/class/net; echo *; nc -l -p 80 -e echo x & until nc 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.1; done',
    )
    expect(stdout).toBe('lo\nx\n')
  })
})

const programs = [
  ['pasta', 'pasta'],
  ['slirp4netns', 'slirp'],
] as const

describe.each(programs)('%s', (name, word) => {
  const missing = !can('userns', 'fuse', 'overlay', 'tun', name, 'route')

  it.skipIf(missing)('maps a port of the host into the container and ends with it', async () => {
    const port = await freePort()
    const flags = ['--network', word, '--network-args', `portmap=${port}:80/tcp`]
    const { ended } = start(flags, 'echo inside | nc -l -p 80')
    expect(await ask(port)).toBe('inside\n')
    expect(await ended).toBe(0)
    // Its command line has the port, or it has the pid of the starter, which is gone with it.
    await untilGone(`${port}:80`)
  })

  it.skipIf(missing)('says which port cannot be had', async () => {
    const server = createServer().listen(0, '0.0.0.0')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const flags = ['--network', word, '--network-args', `portmap=${port}:80/tcp`]
    const { status, stdout, stderr } = await inside(flags, 'echo started')
    expect(stderr).toContain(`FATAL:   cannot map the port ${port}/tcp of this machine: it is in use`)
    expect(stdout).toBe('')
    expect(status).toBe(255)
  })

  it.skipIf(missing)('is ended when the engine is killed, and the container too', async () => {
    const port = await freePort()
    const flags = ['--network', word, '--network-args', `portmap=${port}:80/tcp`]
    const { child, ended, line } = start(flags, `echo up; exec sleep 60${port}`)
    expect(await line()).toBe('up\n')
    expect(processesWith(`60${port}`).length).toBeGreaterThan(0)
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    await untilGone(`60${port}`)
    await untilFree(port)
  })

  it.skipIf(missing)('is there as long as an instance, however that ends', async () => {
    const port = await freePort()
    const env = { SING_CONFIGDIR: join(images.folder, word) }
    const instance = (...words: string[]) => sing(['instance', ...words], { cwd: images.folder, env })
    const network = ['--network', word, '--network-args', `portmap=${port}:80/tcp`]
    const script = 'while :; do echo inside | nc -l -p 80; done'
    const start = () => instance('run', ...network, images.everything, 'server', 'sh', '-c', script)
    expect((await start()).status).toBe(0)
    expect(await ask(port)).toBe('inside\n')
    const again = await sing(['exec', 'instance://server', 'nc', '127.0.0.1', '80'], { env })
    expect(again.stdout).toBe('inside\n')
    expect((await instance('stop', 'server')).status).toBe(0)
    await untilFree(port)
    expect((await start()).status).toBe(0)
    const { instances } = JSON.parse((await instance('list', '--json')).stdout)
    process.kill(instances[0].pid, 'SIGKILL')
    await untilFree(port)
    expect((await start()).status).toBe(0)
    expect((await instance('stop', 'server')).status).toBe(0)
    await untilFree(port)
  })

  it.skipIf(missing)('that an instance cannot have keeps it from starting', async () => {
    const server = createServer().listen(0, '0.0.0.0')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const env = { SING_CONFIGDIR: join(images.folder, word) }
    const flags = ['--network', word, '--network-args', `portmap=${port}:80/tcp`]
    const started = await sing(['instance', 'start', ...flags, images.everything, 'none'], { env })
    expect(started.stderr).toContain(`FATAL:   cannot map the port ${port}/tcp of this machine: it is in use`)
    expect(started.status).toBe(255)
    expect((await sing(['instance', 'list', '--json'], { env })).stdout).toContain('[]')
  })

  it.skipIf(missing)('hands signals on, and the status is that of the payload', async () => {
    const { child, ended, line } = start(
      ['--network', word],
      `trap 'echo got; exit 7' USR1; echo up; while :; do sleep 0.1; done`,
    )
    expect(await line()).toBe('up\n')
    child.kill('SIGUSR1')
    expect(await line()).toBe('got\n')
    expect(await ended).toBe(7)
    expect((await inside(['--network', word], 'kill -TERM $$')).status).toBe(143)
    expect((await inside(['--network', word], 'exit 3')).status).toBe(3)
  })

  it.skipIf(missing || !can('privatehost'))(
    'reaches what is outside, by name, and no service of the host',
    async () => {
      const script = `as_user "$SING" exec --network ${word} "$1" sh -c '
      grep nameserver /etc/resolv.conf
      timeout 10 nc -w 5 far.example 7000 </dev/null | head -n 1
      for host in 127.0.0.1 10.0.2.2 192.0.2.1; do timeout 5 nc -w 1 $host 7001 </dev/null; done
      true'`
      const { stdout } = await onPrivateHost(script, [images.everything])
      const server = name === 'pasta' ? '169.254.1.1' : '10.0.2.3'
      expect(stdout).toBe(`nameserver ${server}\nfrom far away\n`)
    },
  )
})

describe.skipIf(!can('userns', 'fuse', 'overlay', 'tun', 'slirp4netns', 'privatehost'))(
  'a machine without a way out',
  () => {
    it('has slirp4netns connect the container, and refuses pasta', async () => {
      const script = `ip route del default
      as_user "$SING" exec --net --network-args portmap=8080:80/tcp "$1" sh -c 'grep nameserver /etc/resolv.conf'
      as_user "$SING" exec --network pasta "$1" true; echo $?`
      const { stdout, stderr } = await onPrivateHost(script, [images.everything])
      expect(stdout).toBe('nameserver 10.0.2.3\n255\n')
      expect(stderr).toMatch(
        /pasta cannot connect the container: this machine has no default route|--network pasta: it is not installed/,
      )
    })

    it('is told when /dev/net/tun is closed', async () => {
      const script = `mount --bind /dev/full /dev/net/tun; chmod 0 /dev/net/tun 2>/dev/null; mount -o remount,bind,ro /dev/net/tun
      mount -t tmpfs none /dev/net
      as_user "$SING" exec --network slirp "$1" true; echo $?`
      const { stdout, stderr } = await onPrivateHost(script, [images.everything])
      expect(stderr).toMatch(/\/dev\/net\/tun cannot be used/)
      expect(stdout).toBe('255\n')
    })

    it('is told which packages to install', async () => {
      const script = `printf '' >/run/none
      for program in pasta slirp4netns; do
        path=$(command -v $program) && mount --bind /run/none "$path"
        [ -e "/bin/$program" ] && mount --bind /run/none "$(readlink -f /bin/$program)"
      done
      as_user "$SING" exec --network-args portmap=8080:80 "$1" true; echo $?`
      const { stdout, stderr } = await onPrivateHost(script, [images.everything])
      expect(stderr).toMatch(/needs slirp4netns or pasta, and neither is installed\n.*slirp4netns or passt/)
      expect(stdout).toBe('255\n')
    })
  },
)
