/** `sing pull` while everything goes wrong: killed, interrupted, without room. */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { copyImage, type Layout, writeLayout } from '../helpers/oci.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { commandLine, environment, type Outcome, program, run, sing } from '../helpers/sing.ts'
import type { TarEntry } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const file = (path: string, size: number): TarEntry => ({ path, data: randomBytes(size) })

let layout: Layout
let folder = ''
beforeAll(() => {
  const layers = [1, 2, 3, 4, 5, 6].map((at) => [file(`layer-${at}`, 3 << 20)])
  layout = writeLayout(join(temporaryFolder(), 'layout'), { app: { layers } })
})
beforeEach(() => {
  folder = temporaryFolder()
})

const settings = (more: Record<string, string> = {}) => ({
  cwd: folder,
  env: { SINGULARITY_CACHEDIR: join(folder, 'cache'), SINGULARITY_TMPDIR: join(folder), ...more },
})
const pull = (args: readonly string[], more?: Record<string, string>): Promise<Outcome> =>
  sing(['pull', ...args], settings(more))
const visible = () => readdirSync(folder).filter((name) => name !== 'cache')

/** Names in the cache that are neither blobs nor images nor what is noted beside them. */
function leftovers(): string[] {
  const names = readdirSync(join(folder, 'cache'), { recursive: true }) as string[]
  return names.filter((name) => /\.work|\.partial-|sing-cache-/.test(name))
}

/** Start a pull and end it by a signal after a while. Returns the status. */
async function ended(
  signal: 'SIGKILL' | 'SIGINT' | 'SIGTERM',
  after: number,
  reference: string,
): Promise<number> {
  const [command = '', ...args] = commandLine([program, 'pull', '--no-https', 'x.sif', reference])
  const { cwd, env } = settings()
  const child = spawn(command, args, { cwd, env: environment({ env }), stdio: 'ignore' })
  const status = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
  await sleep(after)
  child.kill(signal)
  return await status
}

describe.skipIf(!can('registry'))('a pull', () => {
  let registry: Registry
  let reference = ''
  beforeAll(async () => {
    registry = await startRegistry()
    reference = `docker://${registry.host}/suite/app:1`
    await copyImage(`oci:${layout.folder}:app`, `docker://${registry.host}/suite/app:1`)
    return () => registry[Symbol.asyncDispose]()
  })

  it('that is killed at any time leaves a sound cache', { timeout: 120_000 }, async () => {
    for (let at = 0; at < 12; at += 1) {
      rmSync(join(folder, 'x.sif'), { force: true })
      await ended('SIGKILL', 100 + at * 60, reference)
    }
    rmSync(join(folder, 'x.sif'), { force: true })
    expect(await pull(['--no-https', 'x.sif', reference])).toMatchObject({ status: 0 })
    expect(await pull(['y.sif', `oci:${layout.folder}:app`])).toMatchObject({ status: 0 })
    // Their definitions tell of two origins, the root file systems are the same.
    const rootOf = (name: string) => readFileSync(join(folder, name)).subarray(36_864, 18 << 20)
    expect(rootOf('x.sif').equals(rootOf('y.sif'))).toBe(true)
    expect(visible()).toEqual(['x.sif', 'y.sif'])
    expect(leftovers()).toEqual([])
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('that is ended by %s leaves nothing half done', async (signal) => {
    registry.proxy.meddle = ({ url = '' }) => (url.includes('/blobs/') ? { cutAfter: 1 << 20 } : undefined)
    const status = await ended(signal, 700, reference)
    registry.proxy.meddle = undefined
    expect(status).toBe(signal === 'SIGINT' ? 130 : 143)
    expect(visible()).toEqual([])
    expect(leftovers()).toEqual([])
  })

  it('that gets no answer says so in one line', async () => {
    const { status, stderr } = await pull(['--no-https', 'x.sif', 'docker://127.0.0.1:1/suite/app:1'])
    expect(status).toBe(255)
    expect(stderr.split('\n').filter((line) => line.startsWith('FATAL'))).toHaveLength(1)
    expect(visible()).toEqual([])
  })
})

describe.skipIf(!can('root'))('without room', () => {
  /** A pull with a small file system of its own at a place of the folder; what it leaves there is its standard output. */
  async function pullWithSmall(name: string, args: readonly string[]): Promise<Outcome> {
    const place = join(folder, name)
    mkdirSync(place)
    const script =
      'mount -t tmpfs -o size=6m,mode=777 tmpfs "$0" && "$@"; status=$?; find "$0" -type f; exit $status'
    const command = commandLine([program, 'pull', ...args])
    return await run(['unshare', '--mount', 'sh', '-c', script, place, ...command], {
      as: 'self',
      ...settings(),
    })
  }

  it('in the cache, says so and leaves nothing half done', async () => {
    const { status, stdout, stderr } = await pullWithSmall('cache', ['x.sif', `oci:${layout.folder}:app`])
    expect(status).toBe(255)
    expect(stderr).toMatch(/no space left in the cache .*: \d+ MiB more are needed, \d+ \w+ are free/)
    expect(stdout).not.toMatch(/\.work|\.partial/)
    expect(visible()).toEqual([])
  })

  it('in the place of the new image, says so and leaves nothing half done', async () => {
    const { status, stdout, stderr } = await pullWithSmall('place', [
      'place/x.sif',
      `oci:${layout.folder}:app`,
    ])
    expect(status).toBe(255)
    expect(stderr).toContain('no space left in the directory of the new image')
    expect(stdout).toBe('')
  })

  it('in the temporary directory, says so and leaves nothing half done', async () => {
    const flags = ['--disable-cache', '--tmpdir', join(folder, 'tmp')]
    const { status, stdout, stderr } = await pullWithSmall('tmp', [
      ...flags,
      'x.sif',
      `oci:${layout.folder}:app`,
    ])
    expect(status).toBe(255)
    expect(stderr).toContain('no space left in the temporary directory')
    expect(stdout).toBe('')
    expect(visible()).toEqual(['tmp'])
  })
})
