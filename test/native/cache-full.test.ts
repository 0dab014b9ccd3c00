/** A cache on a disk that is full: what is not needed makes room, and what does not fit is told and leaves nothing. */

import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

/** Runs on a disk of 4 MiB at the place of its argument. */
const setup = `
  import { createHash } from 'node:crypto'
  import { readFileSync, writeFileSync, utimesSync } from 'node:fs'
  const { imageKey, openCache } = await import('${projectRoot}/src/store/cache.ts')
  const { readContents } = await import('${projectRoot}/src/store/contents.ts')
  const [disk, source] = process.argv.slice(1)
  const content = readFileSync(source)
  const { signal } = new AbortController()
  const open = (disabled) => openCache({
    environment: { SING_CACHEDIR: disk, TMPDIR: disk },
    config: { cache: { size: 0, site: '' } },
    disabled,
    report: () => {},
  })
  const fetchBlob = async (cache, bytes) => {
    const digest = 'sha256:' + createHash('sha256').update(bytes).digest('hex')
    const chunks = async () => (async function* () { for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536) })()
    using blob = cache.blob({ mediaType: '', digest, size: bytes.length }, chunks, { signal })
    await blob.done
  }
  const fetchImage = (cache, name, bytes) =>
    cache.image(imageKey('net', name), async (path) => writeFileSync(path, bytes), { signal, name, expected: bytes.length })
  const attempt = (work) => work.then(() => console.log('worked'), ({ code, message, hint }) => console.log(code, message, hint))
  const age = () => {
    const old = new Date(Date.now() - 3600000)
    for (const { path } of readContents(disk + '/cache/sing')) utimesSync(path, old, old)
  }
  const names = () => console.log(readContents(disk + '/cache/sing').map(({ id }) => id.length))
`

function onFullDisk(script: string): Promise<string> {
  const folder = temporaryFolder()
  const disk = join(folder, 'disk')
  const source = join(folder, 'source')
  mkdirSync(disk)
  writeFileSync(source, randomBytes(5 * 1024 * 1024))
  give(folder)
  const shell =
    'mount -t tmpfs -o size=4m none "$1" && "$2" --input-type=module -e "$3" "$1" "$4" && find "$1" -type f -size +0 -printf "left %f\\n"'
  const words = ['sh', disk, process.execPath, setup + script, source]
  return run(['unshare', '-Urm', 'sh', '-c', shell, ...words]).then(({ stdout, stderr }) =>
    (stdout + stderr).replaceAll(disk, 'DISK').replace(/left CACHEDIR.TAG\n/, ''),
  )
}

const advice = 'Make room with: sing cache clean; or name a directory with more space in SINGULARITY_CACHEDIR'

describe.skipIf(!can('userns'))('on a full disk', () => {
  it('a blob that does not fit is told, with what is needed, and leaves nothing', async () => {
    expect(await onFullDisk(`using cache = open(false); await attempt(fetchBlob(cache, content))`)).toMatch(
      new RegExp(
        `^DISK_FULL no space left in the cache DISK/cache/sing: 1 MiB more are needed, \\d+ (B|KiB) are free ${advice}\n$`,
      ),
    )
  })

  it('an image that does not fit is told and leaves nothing', async () => {
    expect(
      await onFullDisk(`using cache = open(false); await attempt(fetchImage(cache, 'a', content))`),
    ).toMatch(
      new RegExp(
        `^DISK_FULL no space left in the cache DISK/cache/sing: 5 MiB more are needed, 4 MiB are free ${advice}\n$`,
      ),
    )
  })

  it('a temporary cache names the temporary directory', async () => {
    expect(
      await onFullDisk(
        `{ using cache = open(true); await attempt(fetchBlob(cache, content)); await attempt(fetchImage(cache, 'a', content)) }`,
      ),
    ).toMatch(
      /^(DISK_FULL no space left in the temporary directory DISK: \d MiB more are needed, \d+ (B|KiB|MiB) are free Name another.*\n){2}$/,
    )
  })

  it.each(['fetchBlob(cache, other)', `fetchImage(cache, 'b', other)`])(
    'what was not used for long makes room: %s',
    async (work) => {
      const script = `
        const other = content.subarray(0, 3 * 1024 * 1024)
        { using cache = open(false); await fetchImage(cache, 'a', content.subarray(7, 2 * 1024 * 1024)); await fetchBlob(cache, content.subarray(9, 1024 * 1024)) }
        age()
        using cache = open(false)
        await attempt(${work})
        names()`
      expect(await onFullDisk(script)).toMatch(/^worked\n\[ 64 \]\n(left .*\n){1,2}$/)
    },
  )
})
