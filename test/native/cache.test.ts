/** The cache on a real file system: cuts, damage, parallel processes, kills. */

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { type Cache, type CacheOptions, imageKey, openCache } from '../../src/store/cache.ts'
import { readContents, removeEntry } from '../../src/store/contents.ts'
import { blobPath, imagePath } from '../../src/store/place.ts'
import { commandLine, environment, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const content = randomBytes(3_000_000)
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
const descriptor = { mediaType: 'application/octet-stream', digest, size: content.length }
const key = imageKey('net', 'image')
const { signal } = new AbortController()
const name = 'http://image'

type Opened = { cache: Cache; folder: string; root: string; events: Event[] }

function open(more: Partial<CacheOptions> = {}, folder = temporaryFolder()): Opened {
  const events: Event[] = []
  const options: CacheOptions = {
    environment: { SING_CACHEDIR: folder },
    config: { cache: { size: 0, site: '' } },
    disabled: false,
    temporary: folder,
    report: (event) => events.push(event),
    ...more,
  }
  return { cache: openCache(options), folder, root: join(folder, 'cache', 'sing'), events }
}

type Break = 'cut' | 'end' | 'refuse'

/** A server that ends its first connections after so many bytes, and the offsets that it was asked for. */
function server(bytes: Buffer, breaks: readonly (readonly [Break, number])[] = []) {
  const offsets: number[] = []
  const fetch = async (offset: number): Promise<AsyncIterable<Uint8Array>> => {
    const [how, count] = breaks[offsets.length] ?? ['end', bytes.length]
    offsets.push(offset)
    if (how === 'refuse') throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    return (async function* () {
      const end = Math.min(bytes.length, offset + count)
      for (let at = offset; at < end; at += 50_000) yield bytes.subarray(at, Math.min(at + 50_000, end))
      if (how === 'cut') throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
    })()
  }
  return { offsets, fetch }
}

async function fetchAll(cache: Cache, fetch: ReturnType<typeof server>['fetch']): Promise<Buffer> {
  using blob = cache.blob(descriptor, fetch, { signal })
  const { file } = await blob.done
  return readFileSync(file)
}

const partialOf = (root: string): string => join(root, `${blobPath(digest)}.partial`)

describe('a blob', () => {
  it('is fetched once and kept', async () => {
    const { cache, root } = open()
    const { fetch, offsets } = server(content)
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect(offsets).toEqual([0])
    expect(readdirSync(join(root, 'blobs/sha256'))).toEqual([digest.slice(7)])
  })

  it('can be read while it grows', async () => {
    const { cache } = open()
    using blob = cache.blob(descriptor, server(content, [['cut', 100_000]]).fetch, { signal })
    const { fd } = await blob.opened
    const seen: number[] = []
    blob.onAdvance((available) => {
      seen.push(available)
      const buffer = Buffer.alloc(available)
      readSync(fd, buffer, 0, available, 0)
      expect(buffer.equals(content.subarray(0, available))).toBe(true)
    })
    await blob.done
    expect(seen.length).toBeGreaterThan(10)
    expect(blob.available()).toBe(content.length)
  })

  it('goes on where connections were cut, ended early or were refused', async () => {
    const { cache } = open()
    const { fetch, offsets } = server(content, [
      ['cut', 200_000],
      ['refuse', 0],
      ['end', 300_000],
      ['cut', 100_000],
    ])
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect(offsets).toEqual([0, 200_000, 200_000, 500_000, 600_000])
  })

  it('is given up when nothing arrives any more, and what came is kept for the next time', async () => {
    const { cache, root } = open()
    const { fetch, offsets } = server(content, [['cut', 200_000], ...Array(8).fill(['end', 0])])
    await expect(fetchAll(cache, fetch)).rejects.toMatchObject({
      code: 'IO',
      hint: expect.stringContaining('try again'),
    })
    expect(offsets).toEqual([0, ...Array(4).fill(200_000)])
    expect(statSync(partialOf(root)).size).toBe(200_000)
    const next = server(content)
    expect((await fetchAll(cache, next.fetch)).equals(content)).toBe(true)
    expect(next.offsets).toEqual([200_000])
  })

  it('is fetched anew when what another process left is wrong', async () => {
    const { cache, root } = open()
    await fetchAll(cache, server(content).fetch)
    cache.discard(descriptor)
    writeFileSync(partialOf(root), randomBytes(1_000_000))
    const { fetch, offsets } = server(content)
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect(offsets).toEqual([1_000_000, 0])
  })

  it('is not asked for when another process left all of it', async () => {
    const { cache, root } = open()
    await fetchAll(cache, server(content).fetch)
    cache.discard(descriptor)
    writeFileSync(partialOf(root), content)
    const { fetch, offsets } = server(content)
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect(offsets).toEqual([])
  })

  it.each([
    ['other bytes', randomBytes(content.length), /digest sha256:/],
    ['more bytes', Buffer.concat([content, content]), /more than 3000000 bytes/],
  ])('with %s than it should have is refused, and nothing is kept', async (_, bytes, reason) => {
    const { cache, root } = open()
    await expect(fetchAll(cache, server(bytes).fetch)).rejects.toThrow(reason)
    expect(readdirSync(join(root, 'blobs/sha256'))).toEqual([])
  })

  it('that was cut off in the cache is fetched again', async () => {
    const { cache, root } = open()
    await fetchAll(cache, server(content).fetch)
    truncateSync(join(root, blobPath(digest)), 1000)
    const { fetch, offsets } = server(content)
    expect((await fetchAll(cache, fetch)).equals(content)).toBe(true)
    expect(offsets).toEqual([0])
  })

  it('that is asked for twice at once is fetched once', async () => {
    const { cache, events } = open()
    const { fetch, offsets } = server(content)
    await Promise.all([fetchAll(cache, fetch), fetchAll(cache, fetch), fetchAll(cache, fetch)])
    expect(offsets).toEqual([0])
    expect(events).toEqual([])
  })

  it('stops with the signal and keeps what came', async () => {
    const { cache, root } = open()
    const controller = new AbortController()
    using blob = cache.blob(descriptor, server(content, [['cut', 100_000]]).fetch, {
      signal: controller.signal,
    })
    blob.onAdvance((available) => available === 100_000 && controller.abort(new Error('enough')))
    await expect(blob.done).rejects.toThrow('enough')
    expect(statSync(partialOf(root)).size).toBe(100_000)
  })

  it('whose server says no is not asked for again', async () => {
    const { cache, root } = open()
    let asked = 0
    const refuse = (): never => {
      asked++
      throw new Error('no such blob')
    }
    await expect(fetchAll(cache, async () => refuse())).rejects.toThrow('no such blob')
    expect(asked).toBe(1)
    expect(readdirSync(join(root, 'blobs/sha256'))).toEqual([])
  })
})

describe('a document', () => {
  const small = content.subarray(0, 5000)
  const described = {
    mediaType: 'application/json',
    digest: `sha256:${createHash('sha256').update(small).digest('hex')}`,
    size: small.length,
  }

  it('whose bytes changed in the cache is fetched again', async () => {
    const { cache, root } = open()
    await cache.document(described, server(small).fetch, 10_000, signal)
    writeFileSync(join(root, blobPath(described.digest)), Buffer.alloc(small.length))
    const { fetch, offsets } = server(small)
    expect((await cache.document(described, fetch, 10_000, signal)).equals(small)).toBe(true)
    expect(offsets).toEqual([0])
  })

  it.each([described, { ...described, size: undefined }])(
    'that is larger than it may be is refused: %j',
    async (one) => {
      const { cache } = open()
      await expect(cache.document(one, server(small).fetch, 4999, signal)).rejects.toMatchObject({
        code: 'DIGEST',
      })
    },
  )
})

describe('an image', () => {
  const make = async (path: string): Promise<void> => writeFileSync(path, content)
  const never = async (): Promise<void> => expect.unreachable()

  it('is made once', async () => {
    const { cache, root } = open()
    const path = await cache.image(key, make, { signal, name })
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(await cache.image(key, never, { signal, name })).toBe(path)
    expect(cache.find(key)).toBe(path)
    expect(readdirSync(join(root, 'net')).sort()).toEqual([key.id, `${key.id}.json`])
  })

  it('that is wanted anew replaces the former, and is made once for all who wait', async () => {
    const { cache } = open()
    const path = await cache.image(key, make, { signal, name })
    const former = openSync(path, 'r')
    let made = 0
    const makeOther = async (draft: string): Promise<void> => {
      made += 1
      await sleep(100)
      writeFileSync(draft, 'other')
    }
    const want = (): Promise<string> => cache.image(key, makeOther, { signal, name, anew: true })
    expect(await Promise.all([want(), want(), want()])).toEqual([path, path, path])
    expect(made).toBe(1)
    expect(readFileSync(path, 'utf8')).toBe('other')
    expect(readFileSync(former).equals(content)).toBe(true)
    closeSync(former)
  })

  it.each([
    ['is cut off', (path: string) => truncateSync(path, 10)],
    ['is empty', (path: string) => truncateSync(path, 0)],
    ['has no record', (path: string) => rmSync(`${path}.json`)],
    ['has half a record', (path: string) => truncateSync(`${path}.json`, 7)],
  ])('that %s is made again', async (_, damage) => {
    const { cache } = open()
    const path = await cache.image(key, make, { signal, name })
    damage(path)
    expect(cache.find(key)).toBeUndefined()
    expect(readFileSync(await cache.image(key, make, { signal, name })).equals(content)).toBe(true)
  })

  it('that could not be made leaves nothing behind', async () => {
    const { cache, root } = open()
    const fail = async (path: string): Promise<void> => {
      writeFileSync(path, 'half')
      throw new Error('no luck')
    }
    await expect(cache.image(key, fail, { signal, name })).rejects.toThrow('no luck')
    expect(readdirSync(join(root, 'net'))).toEqual([])
  })

  it('that turned out broken is made again', async () => {
    const { cache } = open()
    await cache.image(key, make, { signal, name })
    cache.discardImage(key)
    expect(cache.find(key)).toBeUndefined()
  })
})

/** Start the program that uses a cache; it is killed after so many milliseconds. */
function start(
  what: 'blob' | 'image',
  folder: string,
  step: number,
  killAfter?: number,
): Promise<number | null> {
  const program = join(import.meta.dirname, 'cache-user.ts')
  const [file = '', ...args] = commandLine([process.execPath, program, what, folder, String(step)])
  const child = spawn(file, args, { env: environment(), stdio: ['ignore', 'ignore', 'inherit'] })
  if (killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter)
  return new Promise((resolve) => child.on('close', resolve))
}

function workplace(): string {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'content'), content)
  writeFileSync(join(folder, 'log'), '')
  give(folder)
  return folder
}

const logOf = (folder: string): string[] => readFileSync(join(folder, 'log'), 'utf8').trimEnd().split('\n')

describe('twenty processes', () => {
  it.each([
    ['blob', 'from 0', `done ${content.length}`],
    ['image', 'make', 'done true'],
  ] as const)('that want the same %s have it made once', async (what, made, done) => {
    const folder = workplace()
    const statuses = await Promise.all(Array.from({ length: 20 }, () => start(what, folder, 65_536)))
    expect(statuses).toEqual(Array(20).fill(0))
    const log = logOf(folder)
    expect(log.filter((line) => line === made)).toHaveLength(1)
    expect(log.filter((line) => line === done)).toHaveLength(20)
  })
})

describe('after a kill', () => {
  it.each(['blob', 'image'] as const)(
    'the next process has the %s, and nothing is left over',
    async (what) => {
      const folder = workplace()
      for (let round = 0; round < 8; round++) await start(what, folder, 20_000, 200 + round * 60)
      expect(await start(what, folder, 500_000)).toBe(0)
      const root = join(folder, 'cache/sing')
      const names = readdirSync(join(root, what === 'blob' ? 'blobs/sha256' : 'net'))
      expect(names.filter((found) => /\.(partial|lock|work)$/.test(found))).toEqual([])
      expect(logOf(folder).at(-1)).toBe(what === 'blob' ? `done ${content.length}` : 'done true')
    },
  )

  it('a blob goes on where the killed process was', async () => {
    const folder = workplace()
    const sizeSoFar = () => statSync(partialOf(join(folder, 'cache/sing')), { throwIfNoEntry: false })?.size
    while (!sizeSoFar()) await start('blob', folder, 1000, 600)
    await start('blob', folder, 500_000)
    const offset = Number(
      logOf(folder)
        .findLast((line) => line.startsWith('from'))
        ?.slice(5),
    )
    expect(offset).toBeGreaterThan(0)
  })
})

describe('the size of the cache', () => {
  it('is kept to its limit: what was not used for the longest time goes', async () => {
    const { cache: first, root, folder } = open()
    const make = async (path: string): Promise<void> => writeFileSync(path, content)
    const keys = ['a', 'b', 'c'].map((part) => imageKey('oras', part))
    for (const [index, one] of keys.entries()) {
      const path = await first.image(one, make, { signal, name })
      const time = new Date(Date.now() - (10 - index) * 3_600_000)
      utimesSync(path, time, time)
    }
    first[Symbol.dispose]()
    const { cache } = open({ config: { cache: { size: 7_000_000, site: '' } } }, folder)
    await cache.image(imageKey('oras', 'd'), make, { signal, name })
    const left = keys.map((one) => existsSync(join(root, imagePath(one))))
    expect(left).toEqual([false, false, true])
  })
})

describe('what is in use', () => {
  it('is not removed: blobs that are read, images that were handed out', async () => {
    const { cache, root } = open()
    using blob = cache.blob(descriptor, server(content).fetch, { signal })
    await blob.done
    await cache.image(key, async (path) => writeFileSync(path, content), { signal, name })
    await sleep(10)
    const entries = readContents(root)
    expect(entries.map(removeEntry)).toEqual([false, false])
    expect(readContents(root)).toEqual(entries)
    blob[Symbol.dispose]()
    cache[Symbol.dispose]()
    expect(entries.map(removeEntry)).toEqual([true, true])
    expect(readContents(root)).toEqual([])
  })
})

describe('a cache of the site', () => {
  it('is read and never written, and what is damaged in it is ignored', async () => {
    const site = open()
    await fetchAll(site.cache, server(content).fetch)
    await site.cache.image(key, async (path) => writeFileSync(path, content), { signal, name })
    const own = open({ config: { cache: { size: 0, site: site.folder } } })
    const before = statSync(join(site.root, imagePath(key))).mtimeMs
    expect(own.cache.find(key)).toBe(join(site.root, imagePath(key)))
    const { fetch, offsets } = server(content)
    await fetchAll(own.cache, fetch)
    expect(offsets).toEqual([])
    truncateSync(join(site.root, blobPath(digest)), 100)
    truncateSync(join(site.root, imagePath(key)), 100)
    await fetchAll(own.cache, fetch)
    expect(offsets).toEqual([0])
    expect(own.cache.find(key)).toBeUndefined()
    expect(statSync(join(site.root, blobPath(digest))).size).toBe(100)
    expect(before).toBeLessThanOrEqual(Date.now())
  })
})

describe('a cache that others can change', () => {
  it('is neither read nor written', async () => {
    const { folder, root, cache } = open()
    await fetchAll(cache, server(content).fetch)
    chmodSync(root, 0o775)
    const { cache: other, events } = open({}, folder)
    using _ = other
    const again = server(content)
    await fetchAll(other, again.fetch)
    expect([other.isPrivate, again.offsets]).toEqual([true, [0]])
    const text = `The cache ${root} can be changed by other users and is not used; what is fetched is not kept`
    expect(events).toEqual([{ kind: 'warning', text }])
  })

  it.skipIf(process.geteuid?.() !== 0 || testUser().uid === 0).each(['cache/sing', 'cache'])(
    'because %s is theirs is not used',
    async (name) => {
      const { folder, cache } = open()
      cache[Symbol.dispose]()
      chownSync(join(folder, name), testUser().uid, testUser().gid)
      const { cache: other, events } = open({}, folder)
      using _ = other
      expect(other.isPrivate).toBe(true)
      expect(events).toMatchObject([
        { text: expect.stringContaining('belongs to another user and is not used') },
      ])
    },
  )

  it('by a link in it leads nowhere', async () => {
    const { folder, root, cache } = open()
    const file = join(folder, 'precious')
    writeFileSync(file, 'precious')
    const partial = join(root, `${blobPath(digest)}.partial`)
    mkdirSync(dirname(partial), { recursive: true })
    symlinkSync(file, partial)
    await expect(fetchAll(cache, server(content).fetch)).rejects.toMatchObject({ code: 'ELOOP' })
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })
})

describe('without the cache', () => {
  it('everything lies in a temporary directory that goes at the end', async () => {
    const folder = temporaryFolder()
    const { cache } = open({ disabled: true }, folder)
    expect((await fetchAll(cache, server(content).fetch)).equals(content)).toBe(true)
    expect(cache.isPrivate).toBe(true)
    expect(readdirSync(folder)).toHaveLength(1)
    cache[Symbol.dispose]()
    expect(readdirSync(folder)).toEqual([])
  })

  it('a temporary directory of a killed process is removed by the next, and that of a living one is not', async () => {
    const folder = temporaryFolder()
    const script = `
      import { makePrivateCache } from '${join(import.meta.dirname, '../../src/store/private.ts')}'
      makePrivateCache(process.argv[1])
      process.stdout.write('made')
      setTimeout(() => {}, 100000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], { stdio: 'pipe' })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    using first = open({ disabled: true }, folder).cache
    expect(readdirSync(folder)).toHaveLength(2)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.on('close', resolve))
    using second = open({ disabled: true }, folder).cache
    expect(readdirSync(folder)).toHaveLength(2)
    expect([first.isPrivate, second.isPrivate]).toEqual([true, true])
  })

  it('that can be written, one that can be read is used, with a warning', async () => {
    const { folder, root, cache } = open()
    await fetchAll(cache, server(content).fetch)
    rmSync(join(root, 'CACHEDIR.TAG'))
    await sleep(0)
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const { cache: other, events } = open({ environment: { SING_CACHEDIR: file } }, folder)
    using _ = other
    expect(other.isPrivate).toBe(true)
    expect(events).toMatchObject([{ kind: 'warning', text: expect.stringContaining('cannot be written') }])
  })
})
