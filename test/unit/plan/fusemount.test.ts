import { describe, expect, it } from 'vitest'
import { fuseEnvironment, parseFuseMount, requireApart } from '../../../src/plan/fusemount.ts'

describe('--fusemount', () => {
  it.each([
    ['host:sshfs server:/data /mnt', ['host', 'sshfs server:/data -f', '/mnt']],
    ['host-daemon:sshfs server:/data /mnt', ['host', 'sshfs server:/data', '/mnt']],
    ['container:/bin/fs -o a,b  /mnt', ['container', '/bin/fs -o a,b -f', '/mnt']],
    ['container-daemon:fs /mnt', ['container', 'fs', '/mnt']],
  ])('reads %s', (text, [side, words, at]) => {
    const mount = parseFuseMount(text)
    expect([mount.side, mount.words.join(' '), mount.at]).toEqual([side, words, at])
  })

  it('keeps words in quotes together', () => {
    expect(parseFuseMount(`host:fs 'a b' -o"x y"='' "/m n"`)).toMatchObject({
      words: ['fs', 'a b', '-ox y=', '-f'],
      at: '/m n',
    })
  })

  it.each([
    ['sshfs server:/data /mnt', 'does not begin with host:'],
    ['toString:fs /mnt', 'does not begin with host:'],
    ['host:sshfs server:/data mnt', 'does not end with an absolute mount point'],
    ['host:', 'does not end with an absolute mount point'],
    ['host:/mnt', 'there is no program'],
  ])('refuses %s', (text, reason) => {
    expect(() => parseFuseMount(text)).toThrow(reason)
  })

  it.each([
    [['container:a /far', 'container:b /far'], '/far lies in what a serves at /far'],
    [['container:a /far/', 'host:b /x/../far/b'], '/x/../far/b lies in what a serves at /far/'],
    [['container:a /', 'container:b /b'], '/b lies in what a serves at /'],
    [['container:a /far', 'container:b /further', 'host:c /'], undefined],
    [['host:a /far', 'container:b /far/b'], undefined],
  ])('has mounts apart that would wait for each other: %j', (texts, reason) => {
    const check = () => requireApart(texts.map(parseFuseMount))
    if (reason) expect(check).toThrow(reason)
    else expect(check).not.toThrow()
  })

  it('shows programs of the host no more of the environment than they need', () => {
    expect(fuseEnvironment({ HOME: '/h', PATH: '/bin', TOKEN: 'secret' })).toEqual(['HOME=/h', 'PATH=/bin'])
  })
})
