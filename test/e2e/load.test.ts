/** Many containers of one image: all of them start, and nothing of them stays. */

import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { mountsOf, processesOf } from '../helpers/left.ts'
import { projectRoot, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

describe.skipIf(!can('userns', 'fuse', 'overlay'))('many containers', () => {
  let folder: string

  beforeAll(() => {
    folder = temporaryFolder()
    mkdirSync(join(folder, 'temporary'))
    copyFileSync(join(projectRoot, 'fixtures/images/everything.sif'), join(folder, 'image.sif'))
    give(folder)
  })

  const start = (...command: string[]) =>
    sing(['exec', 'image.sif', ...command], { cwd: folder, env: { TMPDIR: join(folder, 'temporary') } })

  async function expectNothingLeft(): Promise<void> {
    await expect.poll(() => processesOf(folder), { timeout: 10_000 }).toEqual([])
    expect(mountsOf(folder)).toEqual([])
    expect(readdirSync(join(folder, 'temporary'))).toEqual([])
  }

  it('start one after the other', async () => {
    for (let count = 0; count < 200; count += 1) expect((await start('true')).status).toBe(0)
    await expectNothingLeft()
  })

  it('are 500 instances: started, entered and ended, four at a time', async () => {
    const options = {
      cwd: folder,
      env: { TMPDIR: join(folder, 'temporary'), SING_CONFIGDIR: join(folder, 'state') },
    }
    const instance = (...words: string[]) => sing(words, options)
    async function cycle(lane: number, count: number): Promise<void> {
      const name = `lane${lane}`
      const start = ['instance', 'run', 'image.sif', name, 'sh', '-c', `cd '${folder}'; exec sleep 1000`]
      expect((await instance(...start)).status).toBe(0)
      const entered = await instance('exec', `instance://${name}`, 'echo', String(count))
      expect(entered).toEqual({ status: 0, stdout: `${count}\n`, stderr: '' })
      expect((await instance('instance', 'stop', name)).status).toBe(0)
    }
    const lanes = Array.from({ length: 4 }, async (_, lane) => {
      for (let count = 0; count < 125; count += 1) await cycle(lane, count)
    })
    await Promise.all(lanes)
    expect((await instance('instance', 'list', '--json')).stdout).toContain('"instances": []')
    await expectNothingLeft()
  }, 600_000)

  it.each(['once', 'twice'])('start at the same time, %s', async () => {
    const all = await Promise.all(
      Array.from({ length: 64 }, (_, number) => start('sh', '-c', `echo ${number}; cat /etc/hostname`)),
    )
    expect(all).toEqual(
      all.map((_, number) => ({ status: 0, stdout: `${number}\nsuite-image\n`, stderr: '' })),
    )
    await expectNothingLeft()
  })
})
