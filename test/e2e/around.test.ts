/** The engine stays beside a container that it set something up for: nobody at a terminal or in a script may notice. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, environment, program } from '../helpers/sing.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
beforeAll(async () => {
  images = await makeImages()
})

const container = (script: string): string[] => [
  program,
  'exec',
  '--network',
  'slirp4netns',
  images.everything,
  'sh',
  '-c',
  script,
]

/** A command on a terminal of its own, with what it shows. */
function onTerminal(command: readonly string[]) {
  const [file = '', ...args] = commandLine(command)
  const terminal = spawnTerminal(file, args, { cwd: images.folder, env: environment() })
  let shown = ''
  terminal.onData((text) => {
    shown += text
  })
  const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)))
  const until = async (text: string) => {
    while (!shown.includes(text)) await setTimeout(20)
  }
  return { terminal, ended, until, shown: () => shown }
}

describe.skipIf(!can('userns', 'fuse', 'overlay', 'tun', 'slirp4netns'))(
  'a container with something around it',
  () => {
    it('gets an interrupt of the terminal once', async () => {
      const script = 'trap "echo got INT" INT; echo up; sleep 1 & wait; sleep 1; sleep 0.1; exit 4'
      const { terminal, ended, until, shown } = onTerminal(container(script))
      await until('up')
      terminal.write('\u0003')
      await until('got INT')
      expect(await ended).toBe(4)
      expect(shown().match(/got INT/g)).toHaveLength(1)
    })

    it('is stopped and goes on as any job', async () => {
      const { terminal, ended, until } = onTerminal(['bash', '--norc', '-i'])
      const quoted = container('echo u""p; read line; echo "got $line"; exit 6').map((word) => `'${word}'`)
      terminal.write(`${quoted.join(' ')}\r`)
      await until('up\r\n')
      terminal.write('\u001a')
      await until('Stopped')
      terminal.write('fg\r')
      await setTimeout(200)
      terminal.write('words\r')
      await until('got words')
      terminal.write('exit $?\r')
      expect(await ended).toBe(6)
    })

    it('has the descriptors and the input of its caller, and no others', async () => {
      const script = 'cat; head -c 3 <&5; echo; ls /proc/self/fd'
      const show = async (command: string[]): Promise<string> => {
        const file = openSync(join(import.meta.dirname, 'around.test.ts'), 'r')
        const [name = '', ...args] = commandLine(command)
        const child = spawn(name, args, {
          cwd: images.folder,
          env: environment(),
          stdio: ['pipe', 'pipe', 'inherit', 'ignore', 'ignore', file],
        })
        closeSync(file)
        child.stdin?.end('from stdin\n')
        let text = ''
        child.stdout?.on('data', (chunk) => {
          text += String(chunk)
        })
        await once(child, 'close')
        return text
      }
      const text = await show(container(script))
      expect(text).toMatch(/^from stdin\n\/\*\*\n/)
      expect(text).toBe(await show(container(script).filter((word) => !/^--network|^slirp/.test(word))))
    })

    it.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2'] as const)(
      'gets %s that is sent to it',
      async (signal) => {
        const script =
          'for s in TERM HUP INT USR2; do trap "echo got $s; exit 9" $s; done; echo up; while :; do sleep 0.1; done'
        const [name = '', ...args] = commandLine(container(script))
        const child = spawn(name, args, {
          cwd: images.folder,
          env: environment(),
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        await once(child.stdout, 'data')
        child.kill(signal)
        const [said] = await once(child.stdout, 'data')
        expect(String(said)).toBe(`got ${signal.slice(3)}\n`)
        expect((await once(child, 'exit'))[0]).toBe(9)
      },
    )
  },
)
