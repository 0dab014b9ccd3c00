/** The squashfs around an encrypted file, as others read it. */

import { spawnSync } from 'node:child_process'
import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { SquashfsImage } from '../../src/native/addon.ts'
import { can } from '../helpers/can.ts'
import { projectRoot } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const start = 96

let harness: string
let folder: string

beforeAll(() => {
  folder = temporaryFolder()
  harness = join(folder, 'write-casing')
  const checked = can('sanitizers') ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] : []
  const sources = ['casing', 'window', 'failure'].map((name) =>
    join(projectRoot, 'addon/squashfs', `${name}.c`),
  )
  const { status, stderr } = spawnSync('gcc', [
    ...['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wall', '-Wextra', '-O1', '-g', ...checked],
    ...[`-I${join(projectRoot, 'addon')}`, '-o', harness, join(import.meta.dirname, 'write-casing.c')],
    ...[...sources, '-l:libsquashfs.a', ...['zstd', 'lz4', 'lzma', 'z'].map((name) => `-l:lib${name}.a`)],
  ])
  if (status !== 0) throw new Error(`cannot compile the harness: ${stderr}`)
})

/** A casing of a file that ends with a word. */
function casing(size: number): string {
  const path = join(folder, `${size}.squashfs`)
  const { status, stdout, stderr } = spawnSync(harness, [path, String(size)], { encoding: 'utf8' })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
  const fd = openSync(path, 'r+')
  writeSync(fd, 'end', start + size - 3)
  closeSync(fd)
  return path
}

const sizes = [3, 4096, 131_072, 131_073, 1_000_000, 5 * 2 ** 30 + 1]

it.each(sizes)('holds a file of %i bytes and its configuration', async (size) => {
  const path = casing(size)
  await using image = await SquashfsImage.open(path, 0, statSync(path).size)
  expect(await image.stat('/')).toMatchObject({ type: 'directory', mode: 0o777, uid: 0, links: 2 })
  expect(await image.stat('/gocryptfs.conf')).toMatchObject({ mode: 0o400, uid: 0, gid: 0, links: 1 })
  expect(await image.stat('/squashfs-1')).toMatchObject({ mode: 0o644, size, links: 1, mtime: 1_000_000_000 })
  expect(await image.list('/')).toEqual(['gocryptfs.conf', 'squashfs-1'])
  expect((await image.read('/gocryptfs.conf', 100))?.toString()).toBe('the configuration')
  const [, , file] = await image.survey()
  expect(image.slice(file?.place ?? 0, size - 3, 10).toString()).toBe('end')
})

it.each(sizes)('shows a file of %i bytes to unsquashfs', (size) => {
  const { stdout, stderr } = spawnSync('unsquashfs', ['-lln', casing(size)], { encoding: 'utf8' })
  expect(stderr).toBe('')
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' '))
  expect(lines.slice(1)).toEqual([
    expect.stringMatching(/^-r-------- 0\/0 17 2001-.* squashfs-root\/gocryptfs.conf$/),
    expect.stringMatching(new RegExp(`^-rw-r--r-- 0/0 ${size} 2001-.* squashfs-root/squashfs-1$`)),
  ])
})
