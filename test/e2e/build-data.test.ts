import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { projectRoot, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const image = join(projectRoot, 'fixtures/images/everything.sif')

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
  mkdirSync(join(folder, 'data/sub'), { recursive: true })
  writeFileSync(join(folder, 'data/payload'), 'payload\n')
  writeFileSync(join(folder, 'data/sub/secret'), 'secret\n')
  chmodSync(join(folder, 'data/sub/secret'), 0o600)
  symlinkSync('../payload', join(folder, 'data/sub/link'))
  for (const name of ['data', 'data/payload', 'data/sub', 'data/sub/secret']) give(join(folder, name))
})

const build = (args: readonly string[], env: Record<string, string> = {}) =>
  sing(['build', ...args], { cwd: folder, env })
const bound = (options: string, ...command: string[]) =>
  sing(['exec', '--bind', `x.sif:/mnt:${options}`, image, ...command], { cwd: folder })

describe.skipIf(!can('userns', 'fuse'))('a data image', () => {
  it('holds a directory in its third object, and can be bound', async () => {
    const { status, stderr } = await build(['--data', 'x.sif', 'data'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('Build complete') })
    const list = await sing(['sif', 'list', 'x.sif'], { cwd: folder })
    expect(list.stdout).toMatch(/^3 .*FS \(Squashfs\/Data\/\w+\)$/m)
    const read = await bound('image-src=/', 'cat', '/mnt/payload', '/mnt/sub/secret', '/mnt/sub/link')
    expect(read).toMatchObject({ status: 0, stdout: 'payload\nsecret\npayload\n' })
    expect((await bound('image-src=/sub', 'ls', '/mnt')).stdout).toBe('link\nsecret\n')
    expect((await bound('id=3', 'touch', '/mnt/new')).stderr).toContain('Read-only')
  })

  it('holds a single file, or the files of an image', async () => {
    expect((await build(['--data', 'x.sif', 'data/payload'])).status).toBe(0)
    expect((await bound('image-src=/', 'ls', '/mnt')).stdout).toBe('payload\n')
    await build(['--data', 'first.sif', 'data'])
    expect((await build(['--data', '--force', 'x.sif', 'first.sif'])).status).toBe(0)
    expect((await bound('image-src=/', 'cat', '/mnt/payload')).stdout).toBe('payload\n')
    expect((await build(['--data', '--force', 'x.sif', image])).status).toBe(0)
    expect((await bound('image-src=/', 'ls', '-d', '/mnt/bin')).stdout).toBe('/mnt/bin\n')
  })

  it.skipIf(!can('ext3'))('keeps the ext3 that it is made of', async () => {
    await run(['sh', '-c', 'truncate -s 2M d.img && mke2fs -q -t ext3 -d data d.img'], { cwd: folder })
    expect((await build(['--data', 'x.sif', 'd.img'])).status).toBe(0)
    expect((await sing(['sif', 'list', 'x.sif'], { cwd: folder })).stdout).toContain('FS (Ext3/Data/')
    expect((await bound('image-src=/', 'cat', '/mnt/payload')).stdout).toBe('payload\n')
  })

  it('has the same bytes for the same data and time, and the compression that was asked for', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    await build(['--data', 'one.sif', 'data'], env)
    await build(['--data', '--reproducible', 'two.sif', 'data'], env)
    expect(readFileSync(join(folder, 'one.sif')).equals(readFileSync(join(folder, 'two.sif')))).toBe(true)
    for (const name of ['three.sif', 'four.sif']) await build(['--data', '--reproducible', name, 'data'])
    expect(readFileSync(join(folder, 'three.sif')).equals(readFileSync(join(folder, 'four.sif')))).toBe(true)
    expect((await build(['--data', '--compress', 'gzip', 'x.sif', 'data'], {})).status).toBe(0)
    expect((await bound('image-src=/', 'cat', '/mnt/payload')).stdout).toBe('payload\n')
  })

  it.each([
    [['x.sif', 'nonsuch'], '--data nonsuch: no such file or directory'],
    [['x.sif', 'docker://alpine'], '--data docker://alpine: no such file or directory'],
    [['data/x.sif', 'data'], '--data data: the new image would be a part of its own data'],
    [['--sandbox', 'x', 'data'], '--data data: data is packed in a SIF file; leave --sandbox out'],
    [['--compress', 'xz', 'x.sif', image], 'the file system of an image stays as it is compressed'],
    [['x.sif', '/dev/null'], '--data /dev/null: it is neither a file nor a directory'],
  ])('is not made: %j', async (args, sentence) => {
    const { status, stderr } = await build(['--data', ...args])
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining(sentence) })
    expect(readdirSync(folder)).toEqual(['data'])
    expect(readdirSync(join(folder, 'data')).sort()).toEqual(['payload', 'sub'])
  })
})
