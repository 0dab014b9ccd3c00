import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { partDigest } from '../../../src/build/digest.ts'
import { contentHash, fileId, lookHash } from '../../../src/build/fingerprint.ts'
import { toBytes } from '../../../src/build/inside.ts'
import { contentDigest } from '../../../src/build/lock/sources.ts'
import { Facts } from '../../../src/store/facts.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const { signal } = new AbortController()

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
  mkdirSync(join(folder, 'tree/inner'), { recursive: true })
  mkdirSync(join(folder, 'elsewhere'))
  writeFileSync(join(folder, 'tree/a'), 'one')
  writeFileSync(join(folder, 'tree/inner/b'), 'two')
  writeFileSync(join(folder, 'elsewhere/c'), 'three')
  symlinkSync('../elsewhere', join(folder, 'tree/link'))
})

const content = (without = ''): Promise<string> =>
  contentHash(toBytes(join(folder, 'tree')), { links: 'follow', facts: undefined, signal, without })

const at = (path: string): string => join(folder, path)

describe('the hash of what a tree holds', () => {
  const changes: readonly [string, () => void][] = [
    ['the contents of a file', () => writeFileSync(at('tree/inner/b'), 'TWO')],
    ['a mode', () => chmodSync(at('tree/a'), 0o600)],
    ['a name', () => renameSync(at('tree/a'), at('tree/z'))],
    ['the place of a file', () => renameSync(at('tree/inner/b'), at('tree/b'))],
    ['a new directory', () => mkdirSync(at('tree/new'))],
    ['what a link leads to', () => writeFileSync(at('elsewhere/c'), 'four')],
  ]
  it.each(changes)('tells %s', async (_, change) => {
    const before = await content()
    change()
    expect(await content()).not.toBe(before)
  })

  it('tells nothing of times and of what is beside', async () => {
    const before = await content()
    utimesSync(at('tree/a'), 1, 1)
    writeFileSync(at('beside'), '')
    expect(await content()).toBe(before)
  })

  it('tells no difference between a link and what it leads to, as a copy has none', async () => {
    const before = await content()
    renameSync(at('elsewhere'), at('moved'))
    renameSync(at('tree/link'), at('gone'))
    renameSync(at('moved'), at('tree/link'))
    expect(await content()).toBe(before)
  })

  it('leaves out where a build works', async () => {
    const before = await content()
    mkdirSync(at('tree/scratch'))
    writeFileSync(at('tree/scratch/x'), '')
    expect(await content(fileId(statSync(at('tree/scratch'))))).toBe(before)
  })

  it('is none for a link that leads back above itself', async () => {
    symlinkSync('.', at('tree/inner/up'))
    await expect(content()).rejects.toThrow('above itself')
  })

  it('is none for a link that leads nowhere', async () => {
    symlinkSync('missing', at('tree/inner/lost'))
    await expect(content()).rejects.toThrow('ENOENT')
  })
})

describe('the digest of a base', () => {
  const digest = (): Promise<string> => contentDigest(at('tree'), 'keep', signal)

  it('has links as they are, whatever they lead to', async () => {
    symlinkSync('..', at('tree/inner/up'))
    symlinkSync('missing', at('tree/inner/lost'))
    const before = await digest()
    writeFileSync(at('elsewhere/c'), 'four')
    expect(await digest()).toBe(before)
    unlinkSync(at('tree/inner/lost'))
    symlinkSync('lost', at('tree/inner/lost'))
    expect(await digest()).not.toBe(before)
  })

  it('knows names that are no UTF-8, and what is in them', async () => {
    mkdirSync(Buffer.from(`${at('tree')}/\xff`, 'latin1'))
    const before = await digest()
    writeFileSync(Buffer.from(`${at('tree')}/\xff/\xfe`, 'latin1'), '')
    expect(await digest()).not.toBe(before)
  })

  it('is the usual one of a file', async () => {
    const sha256 = createHash('sha256').update('one').digest('hex')
    expect(await contentDigest(at('tree/a'), 'keep', signal)).toBe(`sha256:${sha256}`)
  })
})

describe('the look of a tree', () => {
  it('tells what changed, times too', () => {
    const before = lookHash(at('tree'))
    expect(lookHash(at('tree'))).toBe(before)
    utimesSync(at('tree/inner/b'), 1, 1)
    expect(lookHash(at('tree'))).not.toBe(before)
  })

  it('is none when there is too much to look at', () => {
    expect(lookHash(at('tree'), 5)).toMatch(/^[0-9a-f]{64}$/)
    expect(lookHash(at('tree'), 4)).toBeUndefined()
    expect(lookHash(at('missing'))).toBeUndefined()
  })
})

describe('the digest of a large file', () => {
  const size = 5 * 1024 * 1024
  const digest = (facts: Facts): Promise<string> =>
    partDigest(at('large'), { offset: 0, size }, { facts, signal })

  function write(fill: number): void {
    writeFileSync(at('large'), Buffer.alloc(size, fill))
  }

  it('is that of the part that is asked for', async () => {
    writeFileSync(at('parts'), Buffer.concat([Buffer.alloc(10, 1), Buffer.alloc(10, 2)]))
    writeFileSync(at('part'), Buffer.alloc(10, 2))
    const whole = await partDigest(at('part'), { offset: 0, size: 10 }, { signal })
    expect(await partDigest(at('parts'), { offset: 10, size: 10 }, { signal })).toBe(whole)
  })

  it('is not read again where files do not change', async () => {
    const options = { facts: new Facts(folder), signal }
    const part = { offset: 0, size, isCached: true }
    write(1)
    const before = await partDigest(at('large'), part, options)
    write(2)
    expect(await partDigest(at('large'), part, options)).toBe(before)
    expect(await partDigest(at('large'), { ...part, size: size - 1 }, options)).not.toBe(before)
  })

  it('is not noted while the file is young, because its times may not tell the next change', async () => {
    const facts = new Facts(folder)
    write(1)
    const before = await digest(facts)
    write(2)
    expect(await digest(facts)).not.toBe(before)
  })
})
