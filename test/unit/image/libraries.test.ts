import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readImageLibraries } from '../../../src/image/libraries.ts'
import { openImage } from '../../../src/image/open.ts'
import { packDirectory } from '../../../src/native/addon.ts'
import { hasProgram } from '../../helpers/can.ts'
import { makeLibc } from '../../helpers/libraries.ts'

const folder = mkdtempSync(join(tmpdir(), 'sing-image-libraries-'))
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0
function makeRoot(files: Readonly<Record<string, string>>): string {
  const root = join(folder, String(count++))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

async function packed(root: string): Promise<string> {
  const file = `${root}.sqfs`
  const fd = openSync(file, 'w+')
  await packDirectory(root, { fd, offset: 0 }).finally(() => closeSync(fd))
  return file
}

describe.skipIf(!hasProgram('gcc'))('an image with glibc', () => {
  let root: string
  beforeAll(() => {
    root = makeRoot({
      'usr/lib64/libGL.so.1': '',
      'usr/local/cuda/compat/libcuda.so.550.54.15': '',
      'usr/local/cuda/compat/libcuda.so.1': '',
    })
    makeLibc(join(root, 'usr/lib64'), '2.31')
    symlinkSync('usr/lib64', join(root, 'lib64'))
  })
  const expected = {
    libc: { kind: 'glibc', version: [2, 31] },
    present: ['libGL.so.1'],
    cudaCompat: '550.54.15',
  }

  it('tells its version and its libraries as a sandbox', async () => {
    expect(await readImageLibraries(await openImage(root), ['libGL.so.1', 'libcuda.so.1'])).toEqual(expected)
  })

  it('tells the same as a file', async () => {
    const image = await openImage(await packed(root))
    expect(await readImageLibraries(image, ['libGL.so.1', 'libcuda.so.1'])).toEqual(expected)
  })
})

describe('an image with another C library', () => {
  const libcOf = async (files: Readonly<Record<string, string>>) =>
    (await readImageLibraries(await openImage(makeRoot(files)), []))?.libc

  it('has musl when it has its loader', async () => {
    expect(await libcOf({ 'lib/ld-musl-x86_64.so.1': '' })).toEqual({ kind: 'musl' })
  })

  it('has one that nobody knows otherwise', async () => {
    expect(await libcOf({ 'etc/x': '' })).toBeUndefined()
    expect(await libcOf({ 'lib64/libc.so.6': 'no library' })).toBeUndefined()
  })
})

it('says nothing of an image that cannot be read', async () => {
  const root = makeRoot({})
  mkdirSync(root)
  const loop = join(root, 'lib64')
  mkdirSync(loop)
  writeFileSync(join(loop, 'libc.so.6'), '')
  const image = { ...(await openImage(root)), rootfs: { file: '/etc/passwd', offset: 0, size: 4096 } }
  expect(await readImageLibraries(image, [])).toBeUndefined()
})
