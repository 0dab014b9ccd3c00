/** What ADD makes of addresses. */

import { expect, it } from 'vitest'
import { fileName } from '../../../src/build/dockerfile/add.ts'

const names = [
  ['https://example.org/a/b.tar', 'b.tar'],
  ['https://example.org/a%20b?c=d#e', 'a b'],
] as const

it.each(names)('%s is a file named %s', (address, name) => {
  expect(fileName(address)).toBe(name)
})

it.each([
  'https://example.org',
  'https://example.org/a/',
  'https://example.org/%2e%2e',
  'http://',
  'http://a/%zz',
])('%s names no file', (address) => {
  expect(() => fileName(address)).toThrow('the address ends without the name of a file')
})
