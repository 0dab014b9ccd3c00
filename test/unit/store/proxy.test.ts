/** Which proxy stands before which server. */

import { describe, expect, it } from 'vitest'
import { retryAfter } from '../../../src/store/http.ts'
import { isLoopback, isSpared, proxyFor } from '../../../src/store/proxy.ts'

describe('NO_PROXY', () => {
  const cases: [list: string, address: string, spared: boolean][] = [
    ['', 'https://a.example', false],
    ['*', 'https://a.example', true],
    ['a.example', 'https://a.example', true],
    ['a.example', 'https://A.Example', true],
    ['A.EXAMPLE', 'https://a.example', true],
    ['a.example', 'https://b.a.example', true],
    ['a.example', 'https://ba.example', false],
    ['.a.example', 'https://b.a.example', true],
    ['.a.example', 'https://a.example', false],
    ['*.a.example', 'https://b.a.example', true],
    ['*.a.example', 'https://a.example', false],
    ['other, a.example', 'https://a.example', true],
    ['other a.example', 'https://a.example', true],
    ['a.example:443', 'https://a.example', true],
    ['a.example:443', 'http://a.example', false],
    ['a.example:5000', 'https://a.example:5000', true],
    ['a.example:5000', 'https://a.example', false],
    ['10.1.2.3', 'http://10.1.2.3:8080', true],
    ['10.1.2.3:80', 'http://10.1.2.3:8080', false],
    ['10.0.0.0/8', 'http://10.9.9.9', true],
    ['10.0.0.0/8', 'http://11.0.0.1', false],
    ['10.0.0.0/8', 'http://ten.example', false],
    ['10.0.0.0/99', 'http://10.0.0.1', false],
    ['10.0.0.0/x', 'http://10.0.0.1', false],
    ['fd00::/8', 'http://[fd12::1]:80', true],
    ['fd00::/8', 'http://10.0.0.1', false],
    ['[fd12::1]', 'http://[fd12::1]', true],
    ['[fd12::1]:5000', 'http://[fd12::1]:5000', true],
    ['[fd12::1]:5000', 'http://[fd12::1]', false],
    ['2.3', 'http://10.1.2.3', false],
  ]
  it.each(cases)('"%s": %s', (list, address, spared) => {
    expect(isSpared(new URL(address), list)).toBe(spared)
  })
})

describe('the proxy', () => {
  const cases: [address: string, environment: Record<string, string>, proxy: string | undefined][] = [
    ['https://a.example', {}, undefined],
    ['https://a.example', { HTTPS_PROXY: 'http://p:3128' }, 'http://p:3128/'],
    ['https://a.example', { https_proxy: 'p:3128' }, 'http://p:3128/'],
    ['https://a.example', { HTTP_PROXY: 'http://p:3128' }, undefined],
    ['http://a.example', { HTTP_PROXY: 'https://p' }, 'https://p/'],
    ['http://a.example', { HTTP_PROXY: ' ', http_proxy: 'p' }, undefined],
    ['http://a.example', { HTTP_PROXY: '', http_proxy: 'p' }, 'http://p/'],
    ['http://a.example', { HTTP_PROXY: 'p', no_proxy: 'a.example' }, undefined],
    ['http://localhost:5000', { HTTP_PROXY: 'p' }, undefined],
    ['http://127.0.0.1:5000', { HTTP_PROXY: 'p' }, undefined],
    ['http://[::1]:5000', { HTTP_PROXY: 'p' }, undefined],
  ]
  it.each(cases)('for %s with %j', (address, environment, proxy) => {
    expect(proxyFor(new URL(address), environment)?.href).toBe(proxy)
  })

  it('that cannot be used is named without its password', () => {
    const ask = () => proxyFor(new URL('http://a.example'), { HTTP_PROXY: 'socks5://me:secret@p:1080' })
    expect(ask).toThrow('the variable HTTP_PROXY names the proxy "socks5://p:1080", which cannot be used')
  })
})

it.each([
  ['localhost', true],
  ['a.localhost', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['localhost.example', false],
  ['128.0.0.1', false],
  ['127.example', false],
])('%s is this machine: %s', (host, here) => {
  expect(isLoopback(host)).toBe(here)
})

it.each([
  [undefined, undefined],
  ['5', 5000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:00 GMT', 59_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', undefined],
  ['-5', undefined],
])('Retry-After %s is %s milliseconds', (text, milliseconds) => {
  expect(retryAfter(text, 1000)).toBe(milliseconds)
})
