/** Where the room of an image goes. */

import { expect, it } from 'vitest'
import { sizesOf } from '../../../src/check/sizes.ts'
import { factsOf } from './facts.ts'

const file = (size: number) => ({ text: 'x', size })

it('names directories that tell something, and files', () => {
  const { items } = factsOf({
    '/opt/big/data/a': file(500),
    '/opt/big/data/b': file(400),
    '/opt/small': file(50),
    '/usr/lib/c': file(300),
    '/usr/bin/d': file(200),
  })
  const sizes = sizesOf(items)
  expect(sizes).toMatchObject({ bytes: 1450, files: 5 })
  // Nearly everything of /opt is in /opt/big, and all of that in /opt/big/data.
  expect(sizes.directories.map(({ path }) => path)).toEqual(['/opt/big/data', '/usr', '/usr/lib', '/usr/bin'])
  expect(sizes.largest[0]).toEqual({ path: '/opt/big/data/a', bytes: 500, files: 1 })
})

it('counts a file with two names once', () => {
  const linked = { ...file(100), inode: 99, links: 2 }
  expect(sizesOf(factsOf({ '/a/x': linked, '/b/x': linked }).items)).toMatchObject({ bytes: 100, files: 1 })
})
