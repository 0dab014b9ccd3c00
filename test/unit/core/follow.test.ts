import { describe, expect, it } from 'vitest'
import { follow, type Node } from '../../../src/core/follow.ts'

const link = (target: string): Node => ({ kind: 'link', target })
const tree: Readonly<Record<string, Node>> = {
  '/usr': { kind: 'directory' },
  '/usr/lib': { kind: 'directory' },
  '/usr/lib/file': { kind: 'other' },
  '/lib': link('usr/lib'),
  '/up': link('../../../usr/./lib/'),
  '/absolute': link('/lib/file'),
  '/nowhere': link('gone/there'),
  '/circle': link('/circle2'),
  '/circle2': link('circle'),
  '/usr/own': link('lib/..'),
}
const look = (path: string): Node | undefined => tree[path]

describe('a path of a tree', () => {
  it.each([
    ['/', '/', 'there'],
    ['', '/', 'there'],
    ['..//../usr/.', '/usr', 'there'],
    ['/lib/file', '/usr/lib/file', 'there'],
    ['/up/file', '/usr/lib/file', 'there'],
    ['/absolute', '/usr/lib/file', 'there'],
    ['/usr/own/lib', '/usr/lib', 'there'],
    ['/nowhere', '/gone/there', 'missing', '/gone'],
    ['/new/file', '/new/file', 'missing', '/new'],
    ['/new/../usr', '/usr', 'missing', '/new'],
    ['/absolute/x', '/usr/lib/file', 'through a file'],
    ['/circle', '/circle', 'too many links'],
  ])('%s is %s: %s', (path, found, state, at = found) => {
    expect(follow(path, look)).toEqual({ path: found, state, at })
  })

  it.each([
    ['/lib', '/lib'],
    ['/lib/', '/lib'],
    ['/lib/../own', '/usr/own'],
    ['/circle', '/circle'],
  ])('%s with its last link kept is %s', (path, found) => {
    expect(follow(path, look, 'keep')).toEqual({ path: found, state: 'there', at: found })
  })
})
