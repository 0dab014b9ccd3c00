import { describe, expect, it } from 'vitest'
import { parseBinds, parseMount, sortBinds } from '../../../src/plan/binds.ts'

const places = (list: string) =>
  parseBinds(list).map(({ source, destination, readonly }) => [source, destination, readonly])

describe('--bind', () => {
  it.each([
    ['/a', [['/a', '/a', false]]],
    ['/a:/b', [['/a', '/b', false]]],
    ['/a:/b:ro', [['/a', '/b', true]]],
    ['/a:/b:rw', [['/a', '/b', false]]],
    [
      '/a:/b,/c:/d:ro,/e',
      [
        ['/a', '/b', false],
        ['/c', '/d', true],
        ['/e', '/e', false],
      ],
    ],
    ['/a\\,b:/c', [['/a,b', '/c', false]]],
    ['/a\\:b:/c', [['/a:b', '/c', false]]],
    ['/x y:/z w', [['/x y', '/z w', false]]],
    [
      '/a:/b:image-src=/,ro,/c',
      [
        ['/a', '/b', true],
        ['/c', '/c', false],
      ],
    ],
    ['rel:/b', [['rel', '/b', false]]],
  ])('reads %s', (list, expected) => {
    expect(places(list)).toEqual(expected)
  })

  it.each([
    ['/a:b', 'not absolute'],
    ['a', 'not absolute'],
    ['/a:/b:rx', 'unknown option "rx"'],
    ['/a:/b:fake_option=1', 'unknown option'],
    ['/a:/b:ro:more', 'too many colons'],
    ['/a:/b:id=0', 'number of an object'],
    ['/a:/b:id=x', 'number of an object'],
    [':/b', 'source is empty'],
    ['/a:/', 'the root of the container cannot be replaced'],
    ['/', 'the root of the container cannot be replaced'],
    ['/a:/b/..', 'the root of the container cannot be replaced'],
  ])('refuses %s', (list, reason) => {
    expect(() => parseBinds(list)).toThrow(reason)
  })

  it('keeps the directory and the object of an image file', () => {
    expect(parseBinds('/i.sif:/m:id=4,image-src=/sub,ro')[0]).toMatchObject({
      objectId: 4,
      imageSource: '/sub',
      readonly: true,
    })
  })
})

describe('options of binds', () => {
  it.each([
    ['--bind', '/a:/b:ro,optional', { readonly: true, optional: true, nested: true }],
    ['--bind', '/a:/b:nonested', { readonly: false, optional: false, nested: false }],
    ['--bind', '/a:/b:ro,rw', { readonly: false }],
    ['--bind', '/a:/b:rw,ro', { readonly: true }],
    ['--bind', '/a:/b:image-src=/c\\,d\\:e,ro', { imageSource: '/c,d:e', readonly: true }],
    [
      '--mount',
      'type=bind,source=/a,destination=/b,optional,nonested,ro',
      { readonly: true, optional: true, nested: false },
    ],
    ['--mount', 'type=bind,source=/a,destination=/b,rw', { readonly: false, optional: false, nested: true }],
  ])('are read from %s %s', (flag, text, expected) => {
    expect(flag === '--bind' ? parseBinds(text)[0] : parseMount(text)).toMatchObject(expected)
  })
})

describe('--mount', () => {
  it.each([
    ['type=bind,source=/a,destination=/b', ['/a', '/b', false, true]],
    ['type=bind,src=/a,dst=/b,ro', ['/a', '/b', true, true]],
    ['type=bind,src=/a,target=/b,readonly', ['/a', '/b', true, true]],
    ['type=bind,"source=/a,b",destination=/c', ['/a,b', '/c', false, true]],
    ['type=bind,source=/a,destination=/b,nonested', ['/a', '/b', false, false]],
  ])('reads %s', (text, [source, destination, readonly, nested]) => {
    expect(parseMount(text)).toMatchObject({ source, destination, readonly, nested })
  })

  it.each([
    ['type=bind,source=/a', 'destination= is missing'],
    ['type=bind,destination=/a', 'source= is missing'],
    ['type=tmpfs,destination=/a', 'type "tmpfs"'],
    ['source=/a,destination=/b', 'type= is missing'],
    ['type=bind,source=/a,destination=/b,colour=red', 'unknown option "colour=red"'],
    ['source=/a,destination=/b,type', 'unknown option "type"'],
    ['type=bind,source=/a,destination=b', 'not absolute'],
    ['type=bind,bind-propagation=shared,source=/a,destination=/b', 'unknown option'],
    ['type=bind,"source=/a', 'quote is not closed'],
  ])('refuses %s', (text, reason) => {
    expect(() => parseMount(text)).toThrow(reason)
  })
})

it('mounts parents before what lies below them and keeps the order otherwise', () => {
  const order = ['/m/x/y', '/b', '/m', '/m/x', '/a'].map((destination) => ({ destination }))
  expect(sortBinds(order).map(({ destination }) => destination)).toEqual(['/b', '/m', '/a', '/m/x', '/m/x/y'])
})
