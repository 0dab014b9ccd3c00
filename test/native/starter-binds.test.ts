/** Binds of the host and of layers: their rights, their places, and what is refused. */

import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { bind, hostDirectory, launch, makeScene, makeSpec, overlayRoot } from './starter.ts'

const scene = makeScene()

/** Run the probe in the tree with places of memory and these operations behind the root. */
const inOverlay = (ops: readonly Op[], words: readonly string[]) =>
  launch(makeSpec(scene.root, words, { ops: [...overlayRoot(scene.root), ...ops] }))

describe.skipIf(!can('overlay'))('a bind', () => {
  it('shows a directory of the host without its setuid bits and devices', async () => {
    const { stdout } = await inOverlay(
      [bind(hostDirectory(scene), '/mnt/data')],
      ['cat', '/mnt/data/here', '--', 'flags', '/mnt/data'],
    )
    expect(stdout).toBe('of the host\n/mnt/data: rw nosuid nodev\n')
  })

  it('can be read-only', async () => {
    const { stdout } = await inOverlay(
      [bind(hostDirectory(scene), '/mnt/data', { readonly: true })],
      ['touch', '/mnt/data/new'],
    )
    expect(stdout).toBe('touch: Read-only file system\n')
  })

  it('can be read-only together with the mounts below it', async () => {
    const ops = [
      { op: 'tmpfs', at: '/mnt/below', missing: 'create', size: 0, mode: 0o755 } as const,
      bind('/proc', '/p', { readonly: true, trusted: true }),
      bind('/dev', '/d', { readonly: true, trusted: true }),
    ]
    const { stdout } = await inOverlay(ops, ['flags', '/d', '--', 'flags', '/d/pts', '--', 'flags', '/p'])
    expect(stdout).toMatch(/^\/d: ro.*\n\/d\/pts: ro.*\n\/p: ro.*\n$/)
  })

  it('keeps devices effective when it is trusted', async () => {
    const { stdout } = await inOverlay(
      [bind('/dev/null', '/dev/null', { trusted: true }), bind('/dev/zero', '/dev/zero')],
      ['null', '/dev/null', '--', 'null', '/dev/zero'],
    )
    expect(stdout).toBe('null: ok\nnull: Permission denied\n')
  })

  it('of a file makes a file', async () => {
    const { stdout } = await inOverlay(
      [bind(join(hostDirectory(scene), 'here'), '/a/b/c')],
      ['cat', '/a/b/c'],
    )
    expect(stdout).toBe('of the host\n')
  })

  it('finds its source below a directory that an earlier bind covers', async () => {
    const host = hostDirectory(scene)
    const ops = [
      { op: 'tmpfs', at: '/tmp', missing: 'create', size: 0, mode: 0o1777 } as const,
      bind(host, host),
    ]
    const { stdout } = await inOverlay(ops, ['cat', join(host, 'here')])
    expect(stdout).toBe('of the host\n')
  })

  it.each([
    [
      'a source that does not exist',
      bind('/no/such', '/mnt'),
      'cannot bind /no/such at /mnt: /no/such: No such file or directory',
    ],
    [
      'a file over a directory',
      bind('/etc/passwd', '/mnt'),
      'cannot bind /etc/passwd at /mnt: /etc/passwd is a file and /mnt is a directory',
    ],
    [
      'a directory over a file',
      bind('/etc', '/bin/probe'),
      'cannot bind /etc at /bin/probe: /etc is a directory and /bin/probe is none',
    ],
    [
      'a place that does not exist',
      bind('/etc', '/none', { missing: 'fail' }),
      'cannot bind /etc at /none: /none does not exist in the container',
    ],
    [
      'a place below a file',
      bind('/etc', '/bin/probe/x'),
      'cannot bind /etc at /bin/probe/x: /bin/probe/x: Not a directory',
    ],
    [
      'a name that is too long',
      bind('/etc', `/${'x'.repeat(300)}`),
      `cannot bind /etc at /${'x'.repeat(300)}: /${'x'.repeat(300)}: File name too long`,
    ],
  ])('is refused for %s', async (_, op, sentence) => {
    const { status, stderr } = await inOverlay([op], ['id'])
    expect({ status, stderr }).toEqual({ status: 255, stderr: `FATAL:   ${sentence}\n` })
  })

  it('that is soft warns and goes on', async () => {
    const { status, stderr, stdout } = await inOverlay(
      [bind('/etc/passwd', '/mnt', { soft: true })],
      ['env', 'PWD'],
    )
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'PWD=/\n' })
    expect(stderr).toBe(
      'WARNING: cannot bind /etc/passwd at /mnt: /etc/passwd is a file and /mnt is a directory\n',
    )
  })

  it('that is soft says nothing of a source that the host lacks', async () => {
    const { status, stderr } = await inOverlay([bind('/no/such', '/mnt', { soft: true })], ['env', 'PWD'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('is left out where its place is missing and may be', async () => {
    const ops = [
      bind('/etc', '/none', { missing: 'skip' }),
      bind('/etc', '/bin/probe/x', { missing: 'skip' }),
    ]
    const { status, stdout } = await inOverlay(ops, ['stat', '/none'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '/none: No such file or directory\n' })
  })

  it('names the place that cannot be made in a read-only directory', async () => {
    const ops = [bind(hostDirectory(scene), '/mnt', { readonly: true }), bind('/etc', '/mnt/new')]
    const { stderr } = await inOverlay(ops, ['id'])
    expect(stderr).toMatch(
      /cannot bind \/etc at \/mnt\/new: making the directory new of \/mnt\/new: Read-only/,
    )
  })

  it('of the whole host shows the host as it was, and nothing of how the container is made', async () => {
    const host = hostDirectory(scene)
    const words = [
      'cat',
      `/host${host}/here`,
      '--',
      'cat',
      `/more${host}/here`,
      '--',
      'cat',
      '/proc/self/mountinfo',
    ]
    const { stdout } = await inOverlay(
      [bind('/', '/host'), bind('/', '/more'), bind('/proc', '/proc')],
      words,
    )
    expect(stdout).toMatch(/^of the host\nof the host\n/)
    expect(stdout.match(/ - overlay overlay [^\n]*layers\/0/g)).toHaveLength(1)
  })

  it('explains why mounts below its source cannot be left out', async () => {
    const { stderr } = await inOverlay([bind('/', '/mnt', { recursive: false })], ['id'])
    expect(stderr).toMatch(/cannot bind \/ at \/mnt: Invalid argument \(other mounts lie below it/)
  })
})

describe.skipIf(!can('overlay'))('a part of a layer', () => {
  const data = hostDirectory(scene)
  symlinkSync('/below/../here', join(data, 'link'))
  symlinkSync('../../../../here', join(data, 'dots'))

  const inData = (
    path: string,
    at: string,
    words: readonly string[],
    missing: 'create' | 'skip' = 'create',
  ) => {
    const layer = { op: 'directory', layer: 'data', from: data } as const
    const part = { op: 'layer-bind', layer: 'data', path, at, missing, readonly: true } as const
    return launch(makeSpec(scene.root, words, { ops: [layer, ...overlayRoot(scene.root), part] }))
  }

  it('is bound read-only', async () => {
    const { stdout } = await inData('/', '/data', ['cat', '/data/here', '--', 'touch', '/data/new'])
    expect(stdout).toBe('of the host\ntouch: Read-only file system\n')
  })

  it.each(['/here', '/link', '/dots'])('is a file by the name %s', async (path) => {
    expect((await inData(path, '/etc/part', ['cat', '/etc/part'])).stdout).toBe('of the host\n')
  })

  it('is left out where its place is missing and may be', async () => {
    expect((await inData('/', '/none', ['stat', '/none'], 'skip')).stdout).toBe(
      '/none: No such file or directory\n',
    )
  })

  it.each([
    ['/none', '/data', '/none does not exist in the layer'],
    ['/here', '/etc', '/here is a file and /etc is a directory'],
  ])('is refused: %s at %s', async (path, at, sentence) => {
    const { stderr } = await inData(path, at, ['id'])
    expect(stderr).toBe(`FATAL:   cannot bind ${path} of the layer "data" at ${at}: ${sentence}\n`)
  })
})
