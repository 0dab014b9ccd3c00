/** Where the cache lies, and what its entries are called. */

import { userInfo } from 'node:os'
import { describe, expect, it } from 'vitest'
import { blobPath, cacheRoot, imageKey, imagePath, siteRoot } from '../../../src/store/place.ts'

const home = { HOME: '/home/ada' }
const own = `${userInfo().homedir}/.cache/sing`

const roots = [
  [home, '/home/ada/.cache/sing'],
  [{ ...home, XDG_CACHE_HOME: '/xdg' }, '/xdg/sing'],
  [{ ...home, XDG_CACHE_HOME: 'xdg' }, '/home/ada/.cache/sing'],
  [{ ...home, XDG_CACHE_HOME: '/xdg', SINGULARITY_CACHEDIR: '/scratch' }, '/scratch/cache/sing'],
  [{ ...home, SINGULARITY_CACHEDIR: '/c', APPTAINER_CACHEDIR: '/b' }, '/b/cache/sing'],
  [{ ...home, SINGULARITY_CACHEDIR: '/c', APPTAINER_CACHEDIR: '/b', SING_CACHEDIR: '/a' }, '/a/cache/sing'],
  [{ ...home, SING_CACHEDIR: '', SINGULARITY_CACHEDIR: '/c/' }, '/c/cache/sing'],
  [{}, own],
  [{ HOME: 'ada' }, undefined],
] as const

describe('the cache', () => {
  it.each(roots)('with %j lies in %s', (environment, root) => {
    expect(cacheRoot(environment)).toBe(root)
  })

  it('of the site lies where one lies whose variable names the directory', () => {
    expect(siteRoot('/site')).toBe(cacheRoot({ SING_CACHEDIR: '/site' }))
  })

  it('cannot be named by a relative path', () => {
    expect(() => cacheRoot({ APPTAINER_CACHEDIR: 'cache' })).toThrow('APPTAINER_CACHEDIR=cache')
  })
})

describe('the name of an entry', () => {
  it('of a blob is its digest', () => {
    const hex = 'a'.repeat(64)
    expect(blobPath(`sha256:${hex}`)).toBe(`blobs/sha256/${hex}`)
  })

  it.each([
    '',
    'sha256:../../x',
    `sha256:${'A'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    `sha256:${'a'.repeat(63)}`,
  ])('is never made of %j', (digest) => expect(() => blobPath(digest)).toThrow('no digest'))

  it.each(['', '.', '..', 'a/b', 'a.lock', 'a.json'])('of an image is never %j', (id) => {
    expect(() => imagePath({ type: 'net', id })).toThrow('cannot name')
  })

  it('of an image differs when any part of its key does', () => {
    const names = [
      imageKey('net', 'a', 'b'),
      imageKey('net', 'ab'),
      imageKey('net', 'a', 'b', ''),
      imageKey('oras', 'ab'),
    ]
    expect(new Set(names.map(imagePath)).size).toBe(4)
    expect(imageKey('net', 'a', 'b')).toEqual(names[0])
  })
})
