/** Copies of images of the cache. */

import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { placeImage } from '../../src/image/place.ts'
import { can } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const content = randomBytes(3_000_000)
const { signal } = new AbortController()

function workplace(): { folder: string; from: string } {
  const folder = temporaryFolder()
  const from = join(folder, 'cached')
  writeFileSync(from, content, { mode: 0o600 })
  mkdirSync(join(folder, 'to'))
  return { folder, from }
}

it('has the bytes of the image, the mode of a program, and replaces what was there', async () => {
  const { folder, from } = workplace()
  const target = join(folder, 'to/x.sif')
  writeFileSync(target, 'old')
  chmodSync(target, 0o600)
  await placeImage(from, target, signal)
  expect(readFileSync(target).equals(content)).toBe(true)
  expect(statSync(target).mode & 0o777).toBe(0o755 & ~process.umask())
  expect(readdirSync(join(folder, 'to'))).toEqual(['x.sif'])
})

it('is not begun when the work was called off, and leaves what was there', async () => {
  const { folder, from } = workplace()
  const target = join(folder, 'to/x.sif')
  writeFileSync(target, 'old')
  await expect(placeImage(from, target, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  expect(readFileSync(target, 'utf8')).toBe('old')
  expect(readdirSync(join(folder, 'to'))).toEqual(['x.sif'])
})

it('names the target that cannot be written', async () => {
  const { folder, from } = workplace()
  await expect(placeImage(from, join(folder, 'none/x.sif'), signal)).rejects.toMatchObject({
    code: 'IO',
    message: `cannot write ${folder}/none/x.sif: no such file or directory`,
  })
})

it.skipIf(!can('userns'))('says how much is needed where the disk is full, and leaves nothing', async () => {
  const { folder, from } = workplace()
  const script = `
    const { placeImage } = await import('${projectRoot}/src/image/place.ts')
    await placeImage(process.argv[1], process.argv[2] + '/x.sif', new AbortController().signal)
      .catch((error) => console.log(error.code, error.message, error.hint))`
  const shell =
    'mount -t tmpfs -o size=1m none "$1" && "$2" --input-type=module -e "$3" "$4" "$1"; ls -A "$1"'
  const to = join(folder, 'to')
  chmodSync(from, 0o644)
  const { stdout } = await run([
    'unshare',
    '-Urm',
    'sh',
    '-c',
    shell,
    'sh',
    to,
    process.execPath,
    script,
    from,
  ])
  expect(stdout).toBe(
    `DISK_FULL no space left in the directory of the new image ${to}: 3 MiB more are needed, 1 MiB are free Make room there, or name a place with more space\n`,
  )
})
