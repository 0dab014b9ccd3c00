/** A process that uses a cache, for tests with many of them: `node cache-user.ts blob|image FOLDER [BYTES PER STEP]`. */

import { createHash } from 'node:crypto'
import { appendFileSync, copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { imageKey, openCache } from '../../src/store/cache.ts'

const [what, folder = '', step = '65536'] = process.argv.slice(2)
const content = readFileSync(join(folder, 'content'))
const note = (text: string): void => appendFileSync(join(folder, 'log'), `${text}\n`)
const { signal } = new AbortController()

using cache = openCache({
  environment: { SING_CACHEDIR: folder },
  config: { cache: { size: 0, site: '' } },
  disabled: false,
  report: ({ kind, ...event }) => {
    if ('text' in event) note(`${kind}: ${event.text}`)
  },
})

async function* slowly(offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < content.length; at += Number(step)) {
    await sleep(2)
    yield content.subarray(at, at + Number(step))
  }
}

if (what === 'blob') {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  const descriptor = { mediaType: 'application/octet-stream', digest, size: content.length }
  using blob = cache.blob(
    descriptor,
    async (offset) => {
      note(`from ${offset}`)
      return slowly(offset)
    },
    { signal },
  )
  note(`done ${(await blob.done).size}`)
} else {
  const make = async (path: string): Promise<void> => {
    note('make')
    await sleep(300)
    copyFileSync(join(folder, 'content'), path)
  }
  const path = await cache.image(imageKey('net', 'image'), make, { signal, name: 'http://image' })
  note(`done ${readFileSync(path).equals(content)}`)
}
