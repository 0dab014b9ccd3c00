/** MPI ranks in containers, started by the launcher of the host: what they share, and what that is good for. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { processesOf } from '../helpers/left.ts'
import { launcher, type MpiImage, makeMpiImage } from '../helpers/mpi.ts'
import { commandLine, environment, program, run } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

describe.skipIf(!can('userns', 'fuse', 'overlay', 'mpi'))('MPI ranks', () => {
  let folder: string
  let mpi: MpiImage

  beforeAll(async () => {
    folder = temporaryFolder()
    mpi = await makeMpiImage(folder)
  })

  const rank = (flags: readonly string[], ...words: string[]) => [
    ...[program, 'exec', ...flags, mpi.image, 'ring', ...words],
  ]
  const ring = (ranks: number, flags: readonly string[] = []) =>
    run([...launcher(ranks), ...rank(flags)], { cwd: folder })

  const namespaces = (stdout: string) => new Set(stdout.match(/user:\S+ mnt:\S+/g))
  const sorted = (stdout: string) =>
    stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/user:\S+ mnt:\S+: /, ''))
      .sort()

  it('talk to each other, in one container, and read the memory of one another', async () => {
    const { status, stdout, stderr } = await ring(2)
    expect(stderr).not.toMatch(/cma|namespace|ERROR/i)
    expect(sorted(stdout)).toEqual([
      'rank 0 of 2: neighbour 1: message 1: read',
      'rank 1 of 2: neighbour 0: message 0: read',
    ])
    expect(namespaces(stdout).size).toBe(1)
    expect(status).toBe(0)
  })

  it('have containers of their own when that is asked for, and cannot read each other then', async () => {
    const { stdout } = await ring(2, ['--sharens=false'])
    expect(stdout.match(/Operation not permitted$/gm)).toHaveLength(2)
    expect(namespaces(stdout).size).toBe(2)
  })

  it('with binds of their own do not meet', async () => {
    const both = [...launcher(1), ...rank(['--bind', '/usr:/mnt']), ':', '-np', '1', ...rank([])]
    const { stdout } = await run(both, { cwd: folder })
    expect(namespaces(stdout).size).toBe(2)
  })

  it('are served by one process, and leave nothing', async () => {
    const [file = '', ...args] = commandLine([...launcher(4), ...rank([], '3')])
    const launched = spawn(file, args, {
      cwd: folder,
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void launched.kill())
    const ended = new Promise((resolve) => launched.on('close', resolve))
    for await (const line of createInterface({ input: launched.stdout })) if (line === 'together') break
    const servers = processesOf(folder).filter((text) => text.includes('sing-squashfs'))
    expect(servers).toHaveLength(1)
    expect(await ended).toBe(0)
    await expect.poll(() => processesOf(folder), { timeout: 10_000 }).toEqual([])
  })
})
