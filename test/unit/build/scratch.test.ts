import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openScratch, scratchParent } from '../../../src/build/scratch.ts'
import { type Event, silent } from '../../../src/core/events.ts'

let parent = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'sing-test-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(10)
}

const options = { keep: false, report: silent }

/** A directory as a build leaves it that was killed: its mark with some values changed. */
function abandoned(name: string, change: Record<string, unknown>): string {
  const scratch = openScratch(parent, { ...options, keep: true })
  const mark = JSON.parse(readlinkSync(join(scratch.path, 'owner')))
  const path = join(parent, name)
  mkdirSync(path)
  symlinkSync(JSON.stringify({ ...mark, ...change }), join(path, 'owner'))
  rmSync(scratch.path, { recursive: true })
  return path
}

/** A program that keeps a temporary directory, tells its path and ends. */
function keeping(directory: string): string {
  const module = new URL('../../../src/build/scratch.ts', import.meta.url).href
  return `import { openScratch } from ${JSON.stringify(module)}
const scratch = openScratch(${JSON.stringify(directory)}, { keep: true, report: () => {} })
scratch.directory('tree')
scratch.close()
console.log(scratch.path)`
}

/** The pid of a process that has ended. */
function deadPid(): number {
  return spawnSync('true').pid
}

describe('temporary directories of builds', () => {
  it('are only for their owner and gone at the end', () => {
    const scratch = openScratch(parent, options)
    writeFileSync(join(scratch.directory('tree'), 'file'), '')
    scratch.close()
    expect(readdirSync(parent)).toEqual([])
  })

  it('stay with --no-cleanup, and the path is told', () => {
    const events: Event[] = []
    const scratch = openScratch(parent, { keep: true, report: (event) => events.push(event) })
    scratch.close()
    expect(existsSync(scratch.path)).toBe(true)
    expect(events).toContainEqual({ kind: 'info', text: expect.stringContaining(scratch.path) })
  })

  it('stay with --no-cleanup also when the next build comes along', () => {
    const path = spawnSync(process.execPath, ['--input-type=module', '--eval', keeping(parent)], {
      encoding: 'utf8',
    }).stdout.trim()
    openScratch(parent, options).close()
    expect(readdirSync(parent)).toEqual([basename(path)])
  })

  it('of a build that was killed are removed by the next one', () => {
    const dead = abandoned('sing-build-dead', { pid: deadPid() })
    const reused = abandoned('sing-build-reused', { started: '1' })
    const rebooted = abandoned('sing-build-rebooted', { boot: 'earlier' })
    openScratch(parent, options).close()
    expect([dead, reused, rebooted].filter((path) => existsSync(path))).toEqual([])
  })

  it('of a build whose end nobody has noticed are removed too', async () => {
    // The second `sleep` does not wait for the child that the shell left it, which ends when the shell is gone.
    const parentOfDead = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      const pid = Number(String(await once(parentOfDead.stdout, 'data')))
      await until(() => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '))
      const started = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
      const zombie = abandoned('sing-build-zombie', { pid, started })
      openScratch(parent, options).close()
      expect(existsSync(zombie)).toBe(false)
    } finally {
      parentOfDead.kill()
    }
  })

  it('of a build that was killed before it could mark them are removed too', () => {
    mkdirSync(join(parent, 'sing-build-empty'))
    openScratch(parent, options).close()
    expect(readdirSync(parent)).toEqual([])
  })

  it('of a build that was killed while it removed its own are removed too', async () => {
    const module = new URL('../../../src/build/scratch.ts', import.meta.url).href
    const code = `import { writeFileSync } from 'node:fs'
      import { openScratch } from ${JSON.stringify(module)}
      const scratch = openScratch(${JSON.stringify(parent)}, { keep: false, report: () => {} })
      const tree = scratch.directory('tree')
      for (let number = 0; number < 4000; number += 1) writeFileSync(tree + '/' + number, '')
      console.log(scratch.path)
      scratch.close()`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const tree = join(String(await once(child.stdout, 'data')).trim(), 'tree')
    await until(() => !existsSync(tree) || readdirSync(tree).length < 4000)
    child.kill('SIGKILL')
    await once(child, 'exit')
    openScratch(parent, options).close()
    expect(readdirSync(parent)).toEqual([])
  })

  it('of builds that may still run are left alone', () => {
    const kept = [
      abandoned('sing-build-running', {}),
      abandoned('sing-build-elsewhere', { boot: 'another', host: 'another' }),
      abandoned('sing-build-container', { pidNamespace: 'pid:[1]', pid: deadPid() }),
    ]
    mkdirSync(join(parent, 'sing-build-unmarked', 'tree'), { recursive: true })
    mkdirSync(join(parent, 'other'))
    openScratch(parent, options).close()
    expect(readdirSync(parent).sort()).toEqual(
      [...kept.map((path) => path.slice(parent.length + 1)), 'sing-build-unmarked', 'other'].sort(),
    )
  })

  it('are made where the user says', () => {
    expect(scratchParent('/asked', { TMPDIR: '/variable' })).toBe('/asked')
    expect(scratchParent(undefined, { TMPDIR: '/variable' })).toBe('/variable')
    expect(['/tmp', '/var/tmp']).toContain(scratchParent(undefined, {}))
  })

  it('cannot be made in a missing directory, which is told with what to do', () => {
    expect(() => openScratch(join(parent, 'missing'), options)).toThrowError(
      expect.objectContaining({ code: 'IO', hint: expect.stringContaining('--tmpdir') }),
    )
  })
})
