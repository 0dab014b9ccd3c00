/** What a launch spec makes at places of the root, and that links in an image lead none of it to the host. */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { testUser } from '../helpers/sing.ts'
import {
  bind,
  hostDirectory,
  launch,
  launchThrough,
  makeScene,
  makeSpec,
  makeTree,
  overlayRoot,
} from './starter.ts'

const scene = makeScene()

/** Run the probe in the tree with places of memory and these operations behind the root. */
const inOverlay = (ops: readonly Op[], words: readonly string[]) =>
  launch(makeSpec(scene.root, words, { ops: [...overlayRoot(scene.root), ...ops] }))

describe.skipIf(!can('overlay'))('things made in the container', () => {
  it('directories have their mode, whatever the umask', async () => {
    const { stdout } = await inOverlay(
      [{ op: 'mkdir', at: '/a/b', mode: 0o1777 }],
      ['stat', '/a', '--', 'stat', '/a/b'],
    )
    expect(stdout).toMatch(/\/a: directory 0755.*\n\/a\/b: directory 1777/)
  })

  it('a directory cannot take the place of a file', async () => {
    const { stderr } = await inOverlay([{ op: 'mkdir', at: '/bin/probe', mode: 0o755 }], ['id'])
    expect(stderr).toBe('FATAL:   cannot make the directory /bin/probe: File exists\n')
  })

  it('a link may stand there already when it is the same', async () => {
    const ops: Op[] = [
      { op: 'symlink', at: '/l', to: '/x' },
      { op: 'symlink', at: '/l', to: '/x' },
    ]
    expect((await inOverlay(ops, ['readlink', '/l'])).stdout).toBe('/l -> /x\n')
    const { stderr } = await inOverlay([...ops, { op: 'symlink', at: '/l', to: '/y' }], ['id'])
    expect(stderr).toBe('FATAL:   cannot make the link /l: File exists\n')
  })

  it('a file has its text and mode and lives in memory', async () => {
    const op = { op: 'file', at: '/etc/made', missing: 'create', mode: 0o600, text: 'line\nüber\n' } as const
    const { stdout } = await inOverlay(
      [op],
      ['cat', '/etc/made', '--', 'stat', '/etc/made', '--', 'flags', '/etc/made'],
    )
    expect(stdout).toMatch(/^line\nüber\n\/etc\/made: file 0600 .*\n\/etc\/made: rw nosuid nodev\n$/)
  })

  it('a file cannot take the place of a directory', async () => {
    const op = { op: 'file', at: '/etc', missing: 'create', mode: 0o600, text: '' } as const
    expect((await inOverlay([op], ['id'])).stderr).toBe(
      'FATAL:   cannot put a file at /etc: Is a directory\n',
    )
  })
})

describe.skipIf(!can('overlay', 'root'))('in a tree of somebody else', () => {
  /** A tree that belongs to another user, or only to another group. */
  function foreignTree(owner: string): string {
    const root = makeTree(scene, `tree-of-${owner.replace(':', '-')}`)
    mkdirSync(join(root, 'etc/shared'))
    chmodSync(join(root, 'etc/shared'), 0o1777)
    execFileSync('chown', ['-R', owner, root])
    return root
  }

  it.each(['0:0', `${testUser().uid}:12345`])('(%s) places are made all the same', async (owner) => {
    const root = foreignTree(owner)
    const host = hostDirectory(scene)
    const ops: Op[] = [
      ...overlayRoot(root),
      bind(host, '/etc/shared/a/b'),
      bind(join(host, 'here'), '/etc/one'),
      { op: 'tmpfs', at: '/mnt/memory', missing: 'create', size: 0, mode: 0o750 },
      { op: 'file', at: '/etc/two', missing: 'create', mode: 0o644, text: 'two\n' },
    ]
    const words = ['cat', '/etc/shared/a/b/here', '--', 'cat', '/etc/one', '--', 'cat', '/etc/two']
    const { stdout, stderr } = await launch(
      makeSpec(root, [...words, '--', 'stat', '/mnt/memory', '--', 'stat', '/etc/shared'], { ops }),
    )
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^of the host\nof the host\ntwo\n.*directory 0750.*\n.*directory 1777/)
    expect(readdirSync(join(root, 'etc'))).toEqual(['shared'])
  })
})

describe.skipIf(!can('overlay'))('records of passwd-like files', () => {
  const text = 'root:x:0:0:root:/root:/bin/ash\nme:x:7:7:::/bin/zsh\nother:x:1001:9::/o:\n+::::::'
  const line = 'me:x:1001:1001:Me:/home/me:/bin/sh'
  const same = [
    [0, 'me'],
    [2, '1001'],
  ] as const

  async function records(lines: (Op & { op: 'records' })['lines'], file: string | undefined = text) {
    const root = makeTree(scene, `records-${Math.random().toString(36).slice(2)}`)
    if (file !== '') writeFileSync(join(root, 'etc/passwd'), file)
    const ops: Op[] = [...overlayRoot(root), { op: 'records', at: '/etc/passwd', missing: 'create', lines }]
    return (await launch(makeSpec(root, ['cat', '/etc/passwd'], { ops }))).stdout
  }

  it('a record takes the place of all that are the same and keeps fields of the first', async () => {
    const result = 'root:x:0:0:root:/root:/bin/ash\nme:x:1001:1001:Me:/home/me:/bin/zsh\n+::::::\n'
    expect(await records([{ line, same, when: 'replace', keep: [6] }])).toBe(result)
  })

  it('a kept field that is empty gives way', async () => {
    const lines = [{ line, same: [[2, '1001']] as const, when: 'replace', keep: [6] } as const]
    expect(await records(lines)).toContain('\nme:x:1001:1001:Me:/home/me:/bin/sh\n')
  })

  it('a record is added at the end when there is none', async () => {
    expect(await records([{ line: 'new:x:5', same: [[0, 'new']], when: 'replace', keep: [1] }])).toBe(
      `${text}\nnew:x:5\n`,
    )
    expect(await records([{ line: 'new:x:5', same: [[0, 'new']], when: 'absent', keep: [] }])).toBe(
      `${text}\nnew:x:5\n`,
    )
  })

  it('a record that may be absent leaves the same one alone', async () => {
    expect(await records([{ line: 'root:y', same: [[0, 'root']], when: 'absent', keep: [] }])).toBe(
      `${text}\n`,
    )
  })

  it('a file that does not exist holds the records alone', async () => {
    expect(await records([{ line, same, when: 'replace', keep: [6] }], '')).toBe(`${line}\n`)
  })

  it('what is no text file is not read', async () => {
    const ops: Op[] = [{ op: 'records', at: '/etc', missing: 'create', lines: [] }]
    expect((await inOverlay(ops, ['id'])).stderr).toMatch(
      /cannot put a file at \/etc: there is something else/,
    )
  })
})

describe.skipIf(!can('overlay'))('links in an image', () => {
  /** A tree with links, and a directory of the host bound at /host in it. */
  async function attack(links: Readonly<Record<string, string>>, op: (host: string) => Op) {
    const root = makeTree(scene, `links-${Math.random().toString(36).slice(2)}`)
    const host = hostDirectory(scene)
    for (const [name, to] of Object.entries(links)) symlinkSync(to, join(root, name))
    const ops = [
      ...overlayRoot(root),
      bind(host, '/host'),
      bind('/proc', '/proc', { trusted: true }),
      op(host),
    ]
    const outcome = await launch(
      makeSpec(root, ['stat', '/host/new', '--', 'stat', '/new', '--', 'stat', '/mnt/new'], { ops }),
    )
    return { ...outcome, host }
  }

  it.each<[string, Record<string, string>, Op]>([
    ['makes no directory', { l: '/host' }, { op: 'mkdir', at: '/l/new', mode: 0o755 }],
    ['makes no link', { l: '/host' }, { op: 'symlink', at: '/l/new', to: 'x' }],
    ['puts no file', { l: '/host' }, { op: 'file', at: '/l/new', missing: 'create', mode: 0o644, text: 'x' }],
    ['makes no place of a bind', { l: '/host' }, bind('/etc', '/l/new')],
    ['covers nothing that is there', { l: '/host/below' }, bind('/etc', '/l')],
    [
      'mounts no memory',
      { l: '/host/below' },
      { op: 'tmpfs', at: '/l', missing: 'fail', size: 0, mode: 0o755 },
    ],
    ['takes no relative link', { l: 'host' }, bind('/etc', '/l/new')],
    ['takes no link with dots', { l: 'mnt/../../../host' }, bind('/etc', '/l/new')],
    ['takes no dangling link', { l: '/host/new' }, bind('/etc', '/l')],
    ['takes no chain of links', { a: '/b', b: 'l', l: '/host/new' }, bind('/etc', '/a')],
    ['takes no link in between', { l: '/host' }, bind('/etc', '/l/below/../new')],
    ['changes no rights', { l: '/host' }, { op: 'readonly', at: '/l' }],
  ])('lead into no directory of the host: %s', async (_, links, op) => {
    const { status, stderr, host } = await attack(links, () => op)
    expect(stderr).toMatch(/a link in the image leads \S+ into a directory of the host\n$/)
    expect(status).toBe(255)
    expect(() => readFileSync(join(host, 'new'))).toThrow(/ENOENT/)
  })

  it.each<[string, Record<string, string>, string]>([
    ['an absolute link', { l: '/mnt' }, '/l/new'],
    ['too many dots', { l: '../../../../../../../../mnt' }, '/l/new'],
    ['dots in the path', {}, '/../../mnt/./new'],
    ['a dangling link', { l: '/mnt/new' }, '/l'],
  ])('stay in the container: %s', async (_, links, at) => {
    const { stdout, stderr } = await attack(links, () => ({ op: 'mkdir', at, mode: 0o755 }))
    expect(stderr).toBe('')
    expect(stdout).toContain('/mnt/new: directory')
  })

  it('of the kernel lead to their text, not to where they point', async () => {
    const { stderr, stdout } = await attack({}, () => ({
      op: 'mkdir',
      at: '/proc/self/root/new',
      mode: 0o755,
    }))
    expect(stderr).toBe('')
    expect(stdout).toContain('/new: directory')
  })

  it('that go round in circles are refused', async () => {
    const { stderr } = await attack({ l: 'l' }, () => bind('/etc', '/l'))
    expect(stderr).toMatch(/Too many levels of symbolic links/)
  })

  it('may lead into memory of the container', async () => {
    const root = makeTree(scene, 'link-to-memory')
    symlinkSync('/run', join(root, 'var-run'))
    const ops: Op[] = [
      ...overlayRoot(root),
      { op: 'tmpfs', at: '/run', missing: 'create', size: 0, mode: 0o755 },
      { op: 'mkdir', at: '/var-run/new', mode: 0o755 },
    ]
    const { stdout } = await launch(makeSpec(root, ['stat', '/run/new'], { ops }))
    expect(stdout).toContain('/run/new: directory')
  })

  it('of the host itself are followed inside', async () => {
    const host = hostDirectory(scene)
    symlinkSync('below', join(host, 'l'))
    const ops = [bind(host, '/host'), { op: 'mkdir', at: '/host/l/new', mode: 0o755 } as const]
    const { stdout } = await inOverlay(ops, ['stat', '/host/below/new'])
    expect(stdout).toContain('/host/below/new: directory')
  })

  it('need not be told apart by a number that old kernels do not give', async () => {
    const root = makeTree(scene, 'links-old')
    const host = hostDirectory(scene)
    symlinkSync('/host', join(root, 'l'))
    const ops = [...overlayRoot(root), bind(host, '/host'), bind('/etc', '/l/new')]
    // statx
    const { stderr } = await launchThrough(
      scene,
      ['without', '332=38,291=38'],
      makeSpec(root, ['id'], { ops }),
    )
    expect(stderr).toMatch(/a link in the image leads/)
  })
})
