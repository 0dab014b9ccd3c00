/** Many processes that want the same image at the same time, and kills in between. */

import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { uploadLayout, writeLayout } from '../helpers/oci.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { commandLine, environment, program, type RunOptions, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer } from './oci-images.ts'

const usable = can('registry', 'userns', 'fuse', 'overlay')

let registry: Registry
let reference = ''
beforeAll(async () => {
  if (!usable) return
  registry = await startRegistry()
  const random = (path: string) => [{ path, data: randomBytes(2 << 20) }]
  const layers = [await busyboxLayer(), random('one'), random('two'), [{ path: 'word', data: 'hello\n' }]]
  const layout = writeLayout(join(temporaryFolder(), 'layout'), { app: { layers } })
  await uploadLayout(layout, 'app', `http://${registry.host}`, 'suite/app')
  reference = `docker://${registry.host}/suite/app:app`
  return () => registry[Symbol.asyncDispose]()
})

/** How often each blob was asked for since the last time. */
function blobRequests(): number[] {
  const paths = registry.proxy.requests
    .splice(0)
    .filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'))
    .map(({ path }) => path)
  return [...new Set(paths)].map((path) => paths.filter((other) => other === path).length)
}

const settings = (folder: string): RunOptions => ({ cwd: folder, env: { SINGULARITY_CACHEDIR: folder } })
const root = (folder: string): string => join(folder, 'cache/sing')

/** Names in the cache of what is not finished. */
const unfinished = (folder: string): string[] =>
  (readdirSync(root(folder), { recursive: true }) as string[]).filter((name) =>
    /\.(partial|lock|work)/.test(name),
  )

describe.skipIf(!usable)('twenty containers of one image', () => {
  const words = ['exec', '--no-https', '', 'cat', '/word']
  const start = (folder: string) => sing(words.with(2, reference), settings(folder))

  it('that nobody has yet fetch it once', async () => {
    const folder = temporaryFolder()
    blobRequests()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => start(folder)))
    expect(outcomes.filter(({ status, stdout }) => status !== 0 || stdout !== 'hello\n')).toEqual([])
    expect(blobRequests()).toEqual([1, 1, 1, 1, 1])
    expect(unfinished(folder)).toEqual([])
  })

  it('that is damaged in the cache fetch it once', async () => {
    const folder = temporaryFolder()
    await start(folder)
    const damage = 'find "$1" -type f -size +100k -exec truncate -s 0 {} +'
    await run(['sh', '-c', damage, 'sh', root(folder)])
    blobRequests()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => start(folder)))
    expect(outcomes.filter(({ status, stdout }) => status !== 0 || stdout !== 'hello\n')).toEqual([])
    expect(Math.max(...blobRequests())).toBe(1)
  })
})

describe.skipIf(!usable)('a pull that is killed', () => {
  it('twenty times leaves a sound cache', { timeout: 300_000 }, async () => {
    const folder = temporaryFolder()
    const [file = '', ...args] = commandLine([program, 'pull', '--no-https', '--force', 'x.sif', reference])
    for (let round = 0; round < 20; round++) {
      const options = { cwd: folder, env: environment(settings(folder)), stdio: 'ignore' } as const
      const child = spawn(file, args, options)
      const ended = new Promise((resolve) => child.on('close', resolve))
      await sleep(randomInt(20, 900))
      child.kill('SIGKILL')
      await ended
      // Sometimes all is there already: then from the beginning.
      if (round % 5 === 4) await sing(['cache', 'clean', '--force'], settings(folder))
    }
    const { status, stderr } = await sing(
      ['pull', '--no-https', '--force', 'x.sif', reference],
      settings(folder),
    )
    expect([status, stderr]).toEqual([0, expect.any(String)])
    expect(unfinished(folder)).toEqual([])
    expect(readdirSync(folder).sort()).toEqual(['cache', 'x.sif'])
    const clean = temporaryFolder()
    await sing(['pull', '--no-https', 'y.sif', reference], settings(clean))
    expect(readFileSync(join(folder, 'x.sif')).equals(readFileSync(join(clean, 'y.sif')))).toBe(true)
    expect((await sing(['exec', 'x.sif', 'cat', '/word'], settings(folder))).stdout).toBe('hello\n')
  })
})

describe.skipIf(!usable)('the image of a container that runs', () => {
  it('stays in the cache', async () => {
    const folder = temporaryFolder()
    const line = commandLine([program, 'exec', '--no-https', reference, 'sh', '-c', 'echo begun; sleep 1000'])
    const [file = '', ...args] = line
    const child = spawn(file, args, {
      cwd: folder,
      env: environment(settings(folder)),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => child.on('close', resolve))
    try {
      await new Promise((resolve) => child.stdout?.once('data', resolve))
      const { stderr } = await sing(['cache', 'clean', '--force', '--type', 'oci-tmp'], settings(folder))
      expect(stderr).toMatch(/Kept 1 entry, .*: in use/)
    } finally {
      child.kill('SIGKILL')
      await ended
    }
  })
})

describe.skipIf(!usable)('without the cache', () => {
  it('a container runs, and nothing is left', async () => {
    const folder = temporaryFolder()
    const temporary = join(folder, 'tmp')
    mkdirSync(temporary)
    give(folder)
    const options = { cwd: folder, env: { SINGULARITY_CACHEDIR: folder, TMPDIR: temporary } }
    const { status, stdout } = await sing(
      ['exec', '--no-https', '--disable-cache', reference, 'cat', '/word'],
      options,
    )
    expect([status, stdout]).toEqual([0, 'hello\n'])
    expect(readdirSync(temporary)).toEqual([])
    expect(existsSync(root(folder))).toBe(false)
  })
})
