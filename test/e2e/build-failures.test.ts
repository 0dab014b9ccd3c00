/** Builds that fail or are stopped, at every step: how it is told, that nothing is left, and that the next build is right. */

import { mkdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type BuildFolder,
  buildFolder,
  header,
  inBackground,
  leftBy,
  onTerminal,
  pause,
} from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { program, run, sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'

const needs = can('userns', 'fuse')

let folder: BuildFolder
beforeEach(() => {
  folder = buildFolder()
})

/** The next build with the same cache is right. */
async function expectSound(given: readonly string[] = []): Promise<void> {
  const text =
    '%setup\n  echo 1 > $SINGULARITY_ROOTFS/one\n%post\n  echo 2 > /two\n  # ---\n  echo 3 > /three\n'
  expect((await folder.build(text)).status).toBe(0)
  const { stdout } = await sing(['exec', 'x.sif', 'cat', '/one', '/two', '/three', '/opt/hello.txt'], {
    cwd: folder.path,
  })
  expect(stdout).toBe('1\n2\n3\nhello, file\n')
  rmSync(join(folder.path, 'x.sif'))
  expect(await leftBy(folder, given)).toEqual([])
}

describe.skipIf(!needs)('a build that fails', () => {
  const stages = `Stage: one\n%post\n  touch /there\n`
  const directory = (path: string) => `%post\n  rm -rf ${path}\n  mkdir -p ${path}\n`
  it.each([
    { step: '%pre', text: '%pre\n  exit 3\n', says: /%pre failed with status 3 \(x\.def:4\)$/m },
    { step: 'its base', text: 'Bootstrap: localimage\nFrom: none.sif\n', says: /none\.sif/ },
    {
      step: '%setup',
      text: '%setup\n  touch $SINGULARITY_ROOTFS/a\n  exit 3\n',
      says: /%setup failed with status 3 \(x\.def:5\)$/m,
    },
    { step: '%files', text: '%files\n  /etc/hosts /h\n  /not/there /x\n', says: /x\.def:5: .*\/not\/there/ },
    {
      step: '%files of a stage',
      text: `${stages}${header}%files from one\n  /there /a\n  /not/there /x\n`,
      says: /x\.def:10: .*\/not\/there/,
    },
    {
      step: 'a part of %post',
      text: '%post\n  echo > /a\n  # ---\n  exit 3\n',
      says: /%post \(2 of 2\) failed with status 3 \(x\.def:6\)$/m,
    },
    {
      step: '%appinstall',
      text: '%appinstall a\n  echo > /a\n  exit 3\n',
      says: /%appinstall failed with status 3 \(x\.def:5\)$/m,
    },
    {
      step: 'the test of an earlier stage',
      text: `${stages}%test\n  exit 3\n${header}`,
      says: /%test failed with status 3/,
    },
    { step: '%test', text: '%test\n  exit 3\n', says: /%test failed with status 3 \(x\.def:3\)$/m },
    {
      step: 'what the image says',
      text: `${directory('/.singularity.d/runscript')}%runscript\n  true\n`,
      says: /\.singularity\.d\/runscript/,
    },
    { step: 'its labels', text: directory('/.singularity.d/labels.json'), says: /labels\.json/ },
  ])('in $step says so and leaves nothing', async ({ text, says }) => {
    const { status, stderr } = await folder.build(text)
    expect(stderr).toMatch(says)
    expect(stderr.match(/^FATAL/gm)).toHaveLength(1)
    expect(status).toBe(255)
    expect(await leftBy(folder)).toEqual([])
    await expectSound()
  })

  it('leaves an image of the same name as it is', async () => {
    expect((await folder.build('%runscript\n  echo old\n')).status).toBe(0)
    expect((await folder.build('%post\n  false\n', '--force')).status).toBe(255)
    expect((await sing(['run', 'x.sif'], { cwd: folder.path })).stdout).toBe('old\n')
    expect(await leftBy(folder, ['x.sif'])).toEqual([])
  })

  it.each([
    { disk: 'of the image', at: 'target' },
    { disk: 'of temporary files', at: 'tmp' },
    { disk: 'of the cache', at: 'cache' },
  ])('because the disk $disk is full says so and leaves nothing', async ({ at }) => {
    mkdirSync(join(folder.path, 'target'))
    give(join(folder.path, 'target'))
    folder.write('x.def', `${header}%post\n  head -c 20000000 /dev/urandom > /big\n`)
    const script =
      'mount -t tmpfs -o size=12m none "$1" && { "$2" build target/x.sif x.def; echo status $?; find "$1" -type f -size +0; } 2>&1'
    const place = join(folder.path, at)
    const outcome = await run(['unshare', '-Urm', 'sh', '-c', script, 'sh', place, program], {
      cwd: folder.path,
      env: folder.env,
    })
    const left = outcome.stdout.replace(/^.*status /s, '')
    if (at === 'cache') expect(left).toMatch(/^0\n/)
    else {
      expect(left).toMatch(/^255\n$/)
      expect(outcome.stdout).toMatch(/FATAL: .*(no space left|there is no room|is full)/i)
    }
    expect(await leftBy(folder, ['target'])).toEqual([])
  })
})

describe.skipIf(!needs)('a build that is interrupted', () => {
  let server: Server
  beforeAll(() => {
    // It begins to answer and never ends.
    server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': '100000000' })
      response.write(Buffer.alloc(100_000))
    })
    return new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const wait = 'echo now $((1 + 1)); sleep 60'
  const cases = [
    { step: '%pre', text: `%pre\n  ${wait}\n`, at: /now 2/ },
    {
      step: 'the download of its base',
      text: () => `Bootstrap: http\nFrom: 127.0.0.1:${(server.address() as AddressInfo).port}/x.sif\n`,
      at: /\[1\/1\]|Downloading/,
    },
    { step: '%setup', text: `%setup\n  touch $SINGULARITY_ROOTFS/a\n  ${wait}\n`, at: /now 2/ },
    { step: '%files', text: '%files\n  large /large\n', at: /\[1\/2\] .* s\r?\n/, large: true },
    { step: '%post', text: `%post\n  touch /a\n  ${wait}\n`, at: /now 2/ },
    { step: 'a second part of %post', text: `%post\n  touch /a\n  # ---\n  ${wait}\n`, at: /now 2/ },
    { step: '%post that catches signals', text: `%post\n  trap "" INT TERM HUP\n  ${wait}\n`, at: /now 2/ },
    { step: '%appinstall', text: `%appinstall a\n  ${wait}\n`, at: /now 2/ },
    { step: '%test', text: `%test\n  ${wait}\n`, at: /now 2/ },
    {
      step: 'the packing',
      text: '%post\n  head -c 300000000 /dev/urandom > /big\n',
      at: /Creating the SIF file/,
    },
  ]

  function prepare({ text, large }: (typeof cases)[number]): string[] {
    const body = typeof text === 'string' ? text : text()
    folder.write('x.def', body.startsWith('Bootstrap') ? body : header + body)
    if (large) truncateSync(folder.write('large', ''), 20 * 1024 ** 3)
    return ['large', 'x.def'].filter((name) => statSync(join(folder.path, name), { throwIfNoEntry: false }))
  }

  it.each(cases)('on a terminal in $step leaves nothing', async (example) => {
    const given = prepare(example)
    const terminal = onTerminal(['build', 'x.sif', 'x.def'], folder)
    await terminal.shows(example.at)
    terminal.type('\u0003')
    expect(await terminal.status).toBe(130)
    expect(terminal.text()).toContain('the build was interrupted (SIGINT)')
    expect(await leftBy(folder, given)).toEqual([])
    await expectSound(given)
  })

  it.each(cases)('as a job in $step leaves nothing', async (example) => {
    const given = prepare(example)
    const job = inBackground(['build', 'x.sif', 'x.def'], folder)
    await job.shows(example.at)
    process.kill(-job.pid, 'SIGINT')
    expect(await job.status).toBe(130)
    expect(await leftBy(folder, given)).toEqual([])
  })
})

describe.skipIf(!needs)('a build that is killed', () => {
  const text = `${header}Stage: one
%setup
  echo 1 > $SINGULARITY_ROOTFS/one
%post
  head -c 3000000 /dev/urandom > /a
  # ---
  head -c 3000000 /dev/urandom > /b

${header}%files from one
  /one /one
%post
  head -c 3000000 /dev/urandom > /c
  # ---
  echo 2 > /two
%test
  cat /one
`

  it('twenty times at any moment leaves nothing that harms: no half image, and the next build is right', async () => {
    folder.write('x.def', text)
    const began = Date.now()
    expect((await sing(['build', 'whole.sif', 'x.def'], { cwd: folder.path, env: folder.env })).status).toBe(
      0,
    )
    const whole = Date.now() - began
    rmSync(join(folder.path, 'whole.sif'))
    for (let round = 0; round < 20; round += 1) {
      const moment = Math.floor(Math.random() * whole)
      // Every other time it finds nothing that is known.
      const flags = round % 2 === 0 ? ['--no-cache'] : []
      const job = inBackground(['build', '--force', ...flags, 'x.sif', 'x.def'], folder)
      await pause(moment)
      try {
        process.kill(-job.pid, 'SIGKILL')
      } catch {
        // It was ready before.
      }
      const status = await job.status
      const isThere = statSync(join(folder.path, 'x.sif'), { throwIfNoEntry: false }) !== undefined
      if (isThere) {
        const { stdout } = await sing(['exec', 'x.sif', 'cat', '/one', '/two'], { cwd: folder.path })
        expect(stdout, `killed after ${moment} ms`).toBe('1\n2\n')
      } else expect(status, `killed after ${moment} ms`).toBe(137)
    }
    const { status, stderr } = await sing(['build', '--force', 'x.sif', 'x.def'], {
      cwd: folder.path,
      env: folder.env,
    })
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    const { stdout } = await sing(['exec', 'x.sif', 'sh', '-c', 'cat /one /two; wc -c < /c'], {
      cwd: folder.path,
    })
    expect(stdout).toBe('1\n2\n3000000\n')
    expect(await leftBy(folder, ['x.sif'])).toEqual([])
  }, 240_000)
})
