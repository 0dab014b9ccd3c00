/** Where registries are, and how far away. */

import { expect, it } from 'vitest'
import { apiHost, isInner, isPrivate, withoutPort } from '../../../src/oci/address.ts'

it.each([
  ['docker.io', 'registry-1.docker.io'],
  ['index.docker.io', 'registry-1.docker.io'],
  ['quay.io', 'quay.io'],
  ['localhost:5000', 'localhost:5000'],
])('%s answers at %s', (registry, host) => {
  expect(apiHost(registry)).toBe(host)
})

it.each([
  ['a.example', 'a.example'],
  ['a.example:5000', 'a.example'],
  ['[::1]:5000', '::1'],
  ['[fd00::1]', 'fd00::1'],
])('%s without its port is %s', (host, name) => {
  expect(withoutPort(host)).toBe(name)
})

it.each([
  ['10.1.2.3', true, true],
  ['172.16.0.1', true, true],
  ['172.32.0.1', false, false],
  ['192.168.1.1', true, true],
  ['127.0.0.1', false, true],
  ['169.254.169.254', false, true],
  ['0.0.0.0', false, true],
  ['::1', false, true],
  ['fe80::1', false, true],
  ['fd00::1', false, true],
  ['::ffff:127.0.0.1', false, true],
  ['::ffff:10.0.0.1', false, true],
  ['8.8.8.8', false, false],
  ['2001:db8::1', false, false],
  ['ten.example', false, false],
])('%s is private: %s, inner: %s', (name, isOfPrivateNetwork, isOther) => {
  expect(isPrivate(name)).toBe(isOfPrivateNetwork)
  expect(isInner(name)).toBe(isOther)
})
