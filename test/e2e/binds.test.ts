/** What binds and homes do beyond the words that they are written in. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let work: string
const inside = (flags: string[], command: string, global: string[] = []) =>
  sing([...global, 'exec', ...flags, images.everything, 'sh', '-c', command], { cwd: work })

beforeAll(async () => {
  images = await makeImages()
  work = temporaryFolder()
  mkdirSync(join(work, 'data'))
  writeFileSync(join(work, 'data', 'file'), 'canary\n')
  give(work)
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a bind', () => {
  it.each([
    ['--bind', '/none:/x:optional'],
    ['--bind', '/none:/x:ro,optional'],
    ['--bind', '/none.sqfs:/x:image-src=/,optional'],
    ['--mount', 'type=bind,source=/none,destination=/x,optional'],
  ])('that is optional may lack its source: %s %s', async (flag, spec) => {
    expect(await inside([flag, spec], 'test -e /x')).toMatchObject({ status: 1, stderr: '' })
    const { stderr } = await inside([flag, spec], 'true', ['-v'])
    expect(stderr).toMatch(/\/none\S* does not exist and is not bound at \/x\n/)
  })

  it('that is optional is there when its source is', async () => {
    for (const options of ['optional', 'optional,ro', 'ro,optional,nonested']) {
      const { stdout } = await inside(
        ['--bind', `data:/x:${options}`],
        'cat /x/file; touch /x/new 2>/dev/null; echo $?',
      )
      expect([options, stdout]).toEqual([options, `canary\n${options.includes('ro') ? 1 : 0}\n`])
    }
  })

  it('stays out of the containers inside with nonested', async () => {
    const flags = [
      '--bind',
      'data:/a:nonested',
      '--bind',
      'data:/b',
      '--mount',
      'type=bind,src=data,dst=/c,nonested',
    ]
    const { stdout } = await inside(flags, 'echo $SINGULARITY_BIND; cat /a/file /c/file')
    expect(stdout).toMatch(/^\S*\/b\ncanary\ncanary\n$/)
    expect(stdout).not.toMatch(/\/a|\/c/)
  })

  it.each([
    [['--bind', 'data:/'], '--bind data:/: the root of the container cannot be replaced'],
    [['--bind', 'data:/x/..'], 'the root of the container cannot be replaced'],
    [['--mount', 'type=bind,src=data,dst=/'], 'the root of the container cannot be replaced'],
    [['--scratch', '/'], '--scratch /: the root of the container cannot be replaced'],
    [['--dns', 'one;two'], '--dns one;two: not the address of a name server'],
  ])('with %j is refused', async (flags, sentence) => {
    const { status, stderr } = await inside(flags, 'true')
    expect(stderr).toContain(sentence)
    expect(status).toBe(255)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a home below /tmp', () => {
  it.each([[[]], [['--contain']], [['--containall']]])(
    'is not covered by it, with %j',
    async (flags: string[]) => {
      const place = `/tmp/sing-home-${process.pid}`
      const { stdout } = await inside([...flags, '--home', `data:${place}`], 'cat "$HOME/file"; ls -d /tmp')
      expect(stdout).toBe('canary\n/tmp\n')
      if (existsSync(place)) await sing(['exec', images.everything, 'rmdir', place])
    },
  )
})
