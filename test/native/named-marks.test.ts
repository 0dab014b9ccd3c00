/** What fuse-overlayfs leaves in an upper directory where it cannot make whiteouts, packed as a layer. */

import { closeSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packLayer, SquashfsImage } from '../../src/native/addon.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const folder = temporaryFolder()

function makeUpper(name: string, files: readonly string[]): string {
  const root = join(folder, name)
  for (const path of files) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), 'x')
  }
  return root
}

/** Names with what they mean. */
async function packed(root: string, namedMarks: boolean): Promise<string[]> {
  const path = `${root}-${namedMarks}.squashfs`
  const fd = openSync(path, 'wx+')
  await packLayer(root, { fd, offset: 0 }, { namedMarks }).finally(() => closeSync(fd))
  await using image = await SquashfsImage.open(path, 0, statSync(path).size)
  const kindOf = ({ type, major, minor, opaque }: Awaited<ReturnType<typeof image.survey>>[number]) =>
    type === 'character' && major + minor === 0 ? 'gone' : opaque ? 'opaque' : type
  return (await image.survey()).map((entry) => `${entry.path} ${kindOf(entry)}`)
}

it('hides what a name says, and makes directories opaque', async () => {
  const root = makeUpper('marked', [
    'a/.wh.removed',
    'a/kept',
    'b/.wh..wh..opq',
    'b/new',
    'c/.wh..wh.other',
    'c/.wh.',
  ])
  expect(await packed(root, true)).toEqual([
    '/ directory',
    '/a directory',
    '/a/kept file',
    '/a/removed gone',
    '/b opaque',
    '/b/new file',
    '/c directory',
  ])
})

it('makes the root opaque', async () => {
  expect(await packed(makeUpper('root', ['.wh..wh..opq', 'new']), true)).toEqual(['/ opaque', '/new file'])
})

it('shows a file that was made again', async () => {
  expect(await packed(makeUpper('again', ['.wh.file', 'file']), true)).toEqual(['/ directory', '/file file'])
})

it('takes such names for what they are where the kernel has made the changes', async () => {
  expect(await packed(makeUpper('plain', ['.wh.name', '.wh..wh..opq']), false)).toEqual([
    '/ directory',
    '/.wh..wh..opq file',
    '/.wh.name file',
  ])
})
