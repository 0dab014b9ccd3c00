/** Going on with a build that failed in a shell. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type BuildFolder, buildFolder, header, leftBy, onTerminal } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { type Outcome, sing } from '../helpers/sing.ts'

const needs = can('userns', 'fuse', 'overlay')

let folder: BuildFolder
beforeEach(() => {
  folder = buildFolder()
})

/** Build on a terminal, and type into the shell of the step that fails. */
async function failIn(text: string, typed: string, ...flags: string[]): Promise<string> {
  folder.write('x.def', text)
  const terminal = onTerminal(['build', '--on-error', 'shell', ...flags, 'x.sif', 'x.def'], folder)
  await terminal.shows(/build> /)
  terminal.type(`${typed}; exit\n`)
  expect(await terminal.status).toBe(255)
  return terminal.text()
}

function resume(...flags: string[]): Promise<Outcome> {
  return sing(['build', ...flags, '--resume', 'x.sif', 'x.def'], { cwd: folder.path, env: folder.env })
}

async function inImage(script: string): Promise<string> {
  return (await sing(['exec', 'x.sif', 'sh', '-c', script], { cwd: folder.path })).stdout
}

const states = async (): Promise<string[]> => {
  const args = ['cache', 'list', '--type', 'build', '--verbose']
  const { stdout } = await sing(args, { cwd: folder.path, env: folder.env })
  return stdout.split('\n').filter((line) => line.includes('which failed'))
}

const kept = 'What you left is kept: build once more with --resume'
const text = `${header}%post
  echo 1 >> /first
  # ---
  echo 2 >> /second
  rm /opt/hello.txt
  test -e /repaired
%post
  echo 3 > /third
`

describe.skipIf(!needs)('a build that failed in a shell', () => {
  it('is resumed on the tree as it was left, repairs and removals included', async () => {
    expect(await failIn(text, 'echo yes > /repaired; chown 5:7 /repaired; rm -r /usr/share')).toContain(kept)
    expect(await leftBy(folder)).toEqual([])
    expect(await states()).toHaveLength(1)
    folder.write('x.def', text.replace('rm /opt', 'rm -f /opt'))
    const { status, stderr } = await resume()
    expect(stderr).toContain('[2/3] %post (1 of 2)  cached\n')
    expect(stderr).toContain(
      'INFO:    %post (2 of 2) runs on what it left when it failed; what is made now is not kept\n',
    )
    expect(status).toBe(0)
    expect(await inImage('cat /first /second /third /repaired; ls /opt/hello.txt /usr/share')).toBe(
      '1\n2\n2\n3\nyes\n',
    )
    expect(await leftBy(folder, ['x.sif'])).toEqual([])
    // Its result is not what the text gives: the next build makes that, and no state is left.
    expect(await states()).toEqual([])
    const next = await sing(['build', '--force', 'x.sif', 'x.def'], { cwd: folder.path, env: folder.env })
    expect(next.stderr).toContain('[3/3] %post (2 of 2)  failed')
  })

  it('can fail again and be resumed again', async () => {
    await failIn(text, 'echo a > /a')
    folder.write('x.def', text)
    expect(
      await failIn(text.replace('rm /opt', 'rm -f /opt'), 'ls /a && touch /repaired', '--resume'),
    ).toContain(kept)
    expect(await states()).toHaveLength(2)
    expect((await resume()).status).toBe(0)
    expect(await inImage('cat /a; wc -l < /second')).toBe('a\n3\n')
    expect(await states()).toEqual([])
  })

  it('is resumed in %setup and in an earlier stage', async () => {
    const stages = `${header}Stage: one\n%setup\n  test -e $SINGULARITY_ROOTFS/repaired\n${header}%files from one\n  /repaired /r\n`
    expect(await failIn(stages, 'echo r > $SINGULARITY_ROOTFS/repaired')).toContain(kept)
    expect((await resume()).status).toBe(0)
    expect(await inImage('cat /r')).toBe('r\n')
  })

  it('has one state, the last', async () => {
    await failIn(text, 'echo a > /a')
    await failIn(text.replace('echo 1', 'echo 0'), 'echo b > /b')
    expect(await states()).toHaveLength(1)
  })

  it('is built anew when what comes before has changed, and says so', async () => {
    await failIn(text, 'touch /repaired')
    folder.write('x.def', text.replace('echo 1', 'echo 0').replace('test -e /repaired', 'true'))
    const { status, stderr } = await resume()
    expect(stderr).toContain(
      'WARNING: --resume had no effect: what comes before the step that failed is not what it was\n',
    )
    expect(status).toBe(0)
    expect(await inImage('cat /first /second')).toBe('0\n2\n')
  })

  it('is not taken without being asked for', async () => {
    await failIn(text, 'touch /repaired')
    const { status } = await sing(['build', 'x.sif', 'x.def'], { cwd: folder.path, env: folder.env })
    expect(status).toBe(255)
    expect(await states()).toHaveLength(1)
  })

  it('keeps nothing where no cache is', async () => {
    expect(await failIn(text, 'touch /repaired', '--disable-cache')).not.toContain(kept)
    rmSync(join(folder.path, 'cache'), { recursive: true })
  })
})

describe.skipIf(!needs)('--resume', () => {
  it.each([
    {
      name: 'nothing failed',
      flags: [],
      says: /there is nothing to resume: no build of .*x\.sif from x\.def was left\n/,
    },
    {
      name: 'nothing is kept',
      flags: ['--disable-cache'],
      says: /--resume: this build keeps nothing that it could go on with\n/,
    },
  ])('is refused where $name', async ({ flags, says }) => {
    folder.write('x.def', `${header}%pre\n  touch ran\n`)
    const { status, stderr } = await resume(...flags)
    expect(status).toBe(255)
    expect(stderr).toMatch(says)
    expect(await leftBy(folder)).toEqual([])
  })
})
