/** The wire form of the launch spec: what is not exactly it, is refused before anything is done. */

import { describe, expect, it } from 'vitest'
import { encodeSpec } from '../../src/plan/spec.ts'
import { type Outcome, run } from '../helpers/sing.ts'
import { makeScene, makeSpec, starter } from './starter.ts'

const scene = makeScene()
const good = encodeSpec(makeSpec(scene.root, ['id']))

const send = (args: readonly string[]): Promise<Outcome> => run([starter, ...args], { cwd: '/' })

/** The good spec with the fields of a record replaced; undefined removes the record. */
function edit(name: string, fields: readonly string[] | undefined): string[] {
  const at = good.indexOf(name)
  const count = Number(good[at + 1])
  const record = fields ? [name, String(fields.length), ...fields] : []
  return good.toSpliced(at, 2 + count, ...record)
}

/** The good spec with records put in front of another. */
const before = (name: string, ...words: string[]): string[] => good.toSpliced(good.indexOf(name), 0, ...words)

const refused: [what: string, args: string[], sentence: RegExp][] = [
  ['nothing', [], /ends before its end/],
  ['another version', edit('version', ['2']), /version "2" is not supported/],
  ['no version', edit('version', undefined), /"debug" stands where version is expected/],
  ['an unknown record', before('init', 'colour', '1', 'red'), /"colour" stands where init is expected/],
  ['a record twice', before('init', 'init', '1', '0'), /"init" stands where no-new-privileges is expected/],
  ['records in another order', before('root', 'init', '1', '0'), /stands where root is expected/],
  ['a count beyond the end', good.toSpliced(1, 1, '4000'), /version: "4000" is no number that fits/],
  ['a count that is no number', good.toSpliced(1, 1, 'x'), /version: "x" is no number/],
  ['a negative count', good.toSpliced(1, 1, '-1'), /version: "-1" is no number/],
  ['a wrong number of fields', edit('debug', ['0', '0']), /debug: 2 fields are not the right number/],
  ['a flag that is neither', edit('debug', ['2']), /debug: "2" is no number that fits/],
  ['an unknown namespace', edit('namespaces', ['user', 'time']), /unknown word "time"/],
  ['a namespace twice', edit('namespaces', ['user', 'mount', 'user']), /"user" stands there twice/],
  ['a map without a namespace', edit('namespaces', ['mount']), /go together/],
  ['a namespace without a map', edit('uid', undefined), /go together/],
  ['operations on the mounts of the host', edit('namespaces', ['user']), /operations need a mount namespace/],
  ['an id beyond all', edit('uid', ['0', '4294967295', '1']), /uid: "4294967295" is no number/],
  ['an empty range', edit('uid', ['0', '0', '0']), /a range of 0 ids from 0 does not fit/],
  ['a range beyond all', edit('uid', ['1', '0', '4294967295']), /does not fit/],
  ['an id with a sign', edit('uid', ['+1', '0', '1']), /"\+1" is no number/],
  ['an id with a blank', edit('uid', [' 1', '0', '1']), /" 1" is no number/],
  ['a mapper that is no path', before('setgroups', 'mapper', '2', 'a', '/b'), /"a" is no absolute path/],
  ['a host name without its namespace', before('init', 'hostname', '1', 'x'), /needs a uts namespace/],
  [
    'a filter that records without mounts of its own',
    encodeSpec(
      makeSpec('', ['id'], { root: 'host', ops: [], namespaces: ['user'], security: { filter: 'record' } }),
    ),
    /filter: recording needs a mount namespace of its own/,
  ],
  ['an init without its namespace', edit('init', ['1']), /needs a pid namespace/],
  ['a umask that is not octal', before('init', 'umask', '1', '8'), /umask: "8" is no number/],
  ['a umask beyond all', before('init', 'umask', '1', '7777'), /umask: "7777" is no number/],
  ['a root without operations', edit('layer-root', undefined), /no operation makes the root/],
  ['a layer twice', before('layer-root', 'directory', '3', 'image', '/x', '0'), /two layers "image"/],
  [
    'an ext3 that nobody mounts',
    before('layer-root', 'ext3', '9', 'x', '/x', '0', '1', 'read', '', '', '0', ''),
    /neither the kernel nor a program/,
  ],
  [
    'an ext3 in a way that there is not',
    before('layer-root', 'ext3', '9', 'x', '/x', '0', '1', 'both', '', '', '1', ''),
    /unknown word "both"/,
  ],
  [
    'a key that is no descriptor',
    before('layer-root', 'squashfs', '9', 'x', '/x', '0', '1', 'fuse', '', '', '0', '999'),
    /squashfs: 999 is no descriptor for it/,
  ],
  [
    'a key in the place of standard error',
    before('layer-root', 'squashfs', '9', 'x', '/x', '0', '1', 'fuse', '', '', '0', '2'),
    /squashfs: 2 is no descriptor for it/,
  ],
  [
    'changes of a layer that nobody made',
    before('layer-root', 'overlay', '4', '', '1', '', 'other/upper'),
    /no layer "other" before it/,
  ],
  ['two roots of different kinds', before('init', 'underlay', '1', 'image'), /comes behind the root/],
  ['a layer that nobody made', edit('layer-root', ['other']), /no layer "other" before it/],
  [
    'a place before the root',
    before('layer-root', 'tmpfs', '4', '/x', 'fail', '0', '755'),
    /before the root/,
  ],
  ['a layer behind the root', before('init', 'memory', '2', 'late', '0'), /comes behind the root/],
  ['two roots', before('init', 'layer-root', '1', 'image'), /comes behind the root/],
  ['layers for the host', edit('root', ['host']), /the host's tree takes no layers/],
  ['a layer without a name', edit('directory', ['', '/x', '0']), /directory: "" is no name of a layer/],
  [
    'a mapper without a user namespace',
    [
      ...good.slice(0, good.indexOf('namespaces')),
      ...['namespaces', '0', 'mapper', '2', '/a', '/b', 'setgroups', '1', 'deny', 'root', '1', 'host'],
      ...good.slice(good.indexOf('init')),
    ],
    /mapper: there is no user namespace/,
  ],
  [
    'more ranges than the kernel takes',
    before('uid', ...Array.from({ length: 340 }, () => ['uid', '3', '0', '0', '1']).flat()),
    /uid: the kernel takes no more than 340 ranges/,
  ],
  [
    'a value that belongs to no index',
    before('init', 'records', '6', '/x', 'fail', 'a', 'absent', '0', ''),
    /records: "" is no index=value/,
  ],
  [
    'an index that something follows',
    before('init', 'records', '6', '/x', 'fail', 'a', 'absent', '', '0,1'),
    /records: ",1" is no list of indexes/,
  ],
  ['a relative source', edit('directory', ['image', 'x', '0']), /directory: "x" is no absolute path/],
  ['a relative place', before('init', 'proc', '2', 'proc', 'fail'), /proc: "proc" is no absolute path/],
  ['an unknown way', before('init', 'proc', '2', '/proc', 'maybe'), /unknown word "maybe"/],
  ['a mode beyond all', before('init', 'mkdir', '2', '/x', '17777'), /mkdir: "17777" is no number/],
  ['a link to nothing', before('init', 'symlink', '2', '/x', ''), /nothing a link can point to/],
  [
    'a window beyond all',
    before('layer-root', 'squashfs', '7', 'x', '/x', '9223372036854775807', '1', 'fuse', '', ''),
    /squashfs: "1" is no number/,
  ],
  [
    'half an owner',
    before('layer-root', 'squashfs', '7', 'x', '/x', '0', '1', 'fuse', '0', ''),
    /an owner has a uid and a gid/,
  ],
  [
    'a place that nobody serves yet',
    before(
      'init',
      ...['fuse', '5', '/a/', 'create', 'container', '1', 'sh'],
      ...['mkdir', '2', '/a/b', '755'],
    ),
    /mkdir: nobody serves \/a\/ yet/,
  ],
  ['an odd number of lines', before('init', 'records', '3', '/x', 'fail', 'a'), /records: 3 fields/],
  [
    'a line break in a line',
    before('init', 'records', '6', '/x', 'fail', 'a\nb', 'absent', '', ''),
    /holds a line break/,
  ],
  [
    'values without an index',
    before('init', 'records', '6', '/x', 'fail', 'a', 'absent', 'root', ''),
    /does not begin with the index/,
  ],
  [
    'an index beyond all',
    before('init', 'records', '6', '/x', 'fail', 'a', 'absent', '', '64'),
    /does not begin with the index/,
  ],
  [
    'a network that is no path',
    before('uid', 'join-net', '1', 'eth0'),
    /join-net: "eth0" is no absolute path/,
  ],
  [
    'a network to join beside a new one',
    edit('namespaces', ['user', 'mount', 'net']).flatMap((word, index, words) =>
      word === 'uid' && words[index + 1] === '3' ? ['join-net', '1', '/proc/self/ns/net', word] : [word],
    ),
    /join-net: there is a new net namespace/,
  ],
  ['an answer that nobody gives', before('init', 'answer', '3', '/x', 'fail', '644'), /nobody is asked/],
  ['a closed descriptor', before('no-new-privileges', 'sync', '1', '99'), /sync: 99 is no descriptor/],
  ['a standard descriptor', before('no-new-privileges', 'sync', '1', '1'), /sync: 1 is no descriptor/],
  ['a process without a pid to join', before('uid', 'join', '2', '0', '1'), /join: 0 is no process/],
  ['a container to join and to make', before('uid', 'join', '2', '1', '1'), /nothing is made in it/],
  ['a group that is a path', before('uid', 'share', '2', '/tmp', 'a/b'), /share: "a\/b" is no name/],
  ['a group that meets nowhere', before('uid', 'share', '2', 'tmp', 'a'), /share: "tmp" is no absolute path/],
  [
    'a group with a pid namespace',
    edit('namespaces', ['user', 'mount', 'pid']).flatMap((word, index, words) =>
      word === 'uid' && words[index + 1] === '3' ? ['share', '2', '/tmp', 'a', word] : [word],
    ),
    /share: it needs a new root, and no pid or net namespace/,
  ],
  [
    'an instance without processes of its own',
    before('no-new-privileges', 'instance', '2', '0', '0'),
    /instance: it needs a pid namespace/,
  ],
  ['an unknown filter', edit('filter', ['all']), /filter: unknown word "all"/],
  ['capabilities that are no set', edit('capabilities', ['some']), /capabilities: "some" is no number/],
  ['capabilities beyond all', edit('capabilities', ['0x10000000000000000']), /capabilities: .* is no number/],
  ['a user without a group', before('directories', 'user', '1', '0'), /user: 1 fields/],
  ['a group that is no id', before('directories', 'user', '3', '0', '0', '4294967295'), /user: "4294967295"/],
  ['a label of an unknown module', before('directories', 'label', '2', 'smack', 'x'), /unknown word "smack"/],
  ['an empty label', before('directories', 'label', '2', 'apparmor', ''), /label: "" is none/],
  ['an empty filter', before('directories', 'seccomp', '2', '0', ''), /seccomp: 0 digits are no filter/],
  ['half an instruction', before('directories', 'seccomp', '2', '0', '06000000'), /8 digits are no filter/],
  [
    'a filter that the kernel cannot take',
    before('directories', 'seccomp', '2', '0', '0600000000000000'.repeat(4097)),
    /65552 digits are no filter/,
  ],
  [
    'a filter in another notation',
    before('directories', 'seccomp', '2', '0', '06000000000000FF'),
    /not written in hexadecimal/,
  ],
  [
    'a FUSE mount without program',
    before('init', 'fuse', '5', '/x', 'fail', 'host', '0', 'A=1'),
    /no program/,
  ],
  ['too few words', before('init', 'fuse', '5', '/x', 'fail', 'host', '2', 'a'), /fuse: "2" is no number/],
  [
    'a FUSE program of nowhere',
    before('init', 'fuse', '5', '/x', 'fail', 'moon', '1', 'a'),
    /unknown word "moon"/,
  ],
  [
    'a FUSE program that would outlive the container',
    before('init', 'fuse', '5', '/x', 'fail', 'container', '1', 'a'),
    /needs a pid namespace/,
  ],
  ['an empty directory', edit('directories', ['0', '']), /a name is empty/],
  ['no program', edit('program', undefined), /"end" stands where program is expected/],
  ['an empty program', edit('program', []), /program: 0 fields/],
  ['a program without a name', edit('program', ['']), /empty name/],
  ['no end', edit('end', undefined), /ends before its end/],
  ['arguments behind the end', [...good, 'x'], /behind its end/],
  ['a cut in the middle', good.slice(0, good.indexOf('filter') + 1), /ends before its end/],
]

describe('the launch spec', () => {
  it.each(refused)('refuses %s', async (_, args, sentence) => {
    const { status, stdout, stderr } = await send(args)
    expect(stderr).toMatch(sentence)
    expect(stderr).toMatch(/^FATAL: {3}\S.*\n$/)
    expect(stdout).toBe('')
    expect(status).toBe(255)
  })

  it('refuses a key for an image that the kernel is to mount', async () => {
    const args = before('layer-root', 'squashfs', '9', 'x', '/x', '0', '1', 'kernel', '', '', '0', '7')
    const line = ['sh', '-c', 'exec "$@" 7</dev/null', 'sh', starter, ...args]
    const { status, stderr } = await run(line, { cwd: '/' })
    expect(stderr).toMatch(/the kernel cannot mount what is encrypted/)
    expect(status).toBe(255)
  })

  it('shows control characters instead of sending them to the terminal', async () => {
    const { stderr } = await send(edit('version', ['\u001b[2J\u009b']))
    expect(stderr).toContain('"\\x1b[2J\\xc2')
  })
})
