/** What lies over an image, who puts it together, and what cannot be: as tables. */

import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { Image } from '../../../src/image/open.ts'
import type { OverlayLayer } from '../../../src/image/overlay.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest } from '../../../src/plan/request.ts'

const laptop = {
  uid: 1000,
  gid: 1000,
  groups: [],
  user: { name: 'ada', gecos: '', home: '/home/ada', shell: '/bin/sh' },
  groupNames: [],
  cwd: '/home/ada',
  isRoot: false,
  inUserNamespace: false,
  idsMapped: 4294967295,
  userNamespaces: { allowed: true },
  overlayInUserNamespace: true,
  fuse: true,
  loop: false,
  fuse2fs: '/usr/bin/fuse2fs',
  fuseOverlayfs: '/usr/bin/fuse-overlayfs',
  subids: undefined,
  environment: {},
} satisfies HostFacts

const root = { ...laptop, uid: 0, gid: 0, isRoot: true, loop: true }
const bareHost = { ...laptop, fuse2fs: undefined, fuseOverlayfs: undefined }
const oldKernel = { ...laptop, overlayInUserNamespace: false }

const sif: Image = {
  path: '/i.sif',
  name: 'i.sif',
  kind: 'sif',
  rootfs: { file: '/i.sif', offset: 4096, size: 4096 },
  arch: undefined,
  writable: true,
  bashEnvironment: false,
}
const embedded = { file: '/i.sif', offset: 8192, size: 4096, filesystem: 'ext3' } as const
const withOverlay: Image = { ...sif, overlays: [embedded] }
const sandbox: Image = {
  ...sif,
  path: '/tree',
  kind: 'sandbox',
  rootfs: { directory: '/tree', type: 0xef53 },
}
const onNfs: Image = { ...sandbox, rootfs: { directory: '/tree', type: 0x6969 } }

const ext4 = 0xef53
const folder: OverlayLayer = { directory: '/d', type: ext4 }
const ext3: OverlayLayer = { file: '/o.img', offset: 0, size: 4096, filesystem: 'ext3' }
const squashfs: OverlayLayer = { file: '/o.sqfs', offset: 0, size: 4096, filesystem: 'squashfs' }

type Flags = Parameters<typeof toRequest>[1]
type Over = readonly (readonly [word: string, ...layers: OverlayLayer[]])[]
type Case = {
  readonly flags?: Flags
  readonly over?: Over
  readonly image?: Image
  readonly facts?: HostFacts
  readonly config?: Partial<typeof defaultConfig>
}

function decide({ flags = {}, over = [], image = sif, facts = laptop, config = {} }: Case) {
  const request = toRequest('exec', { ...flags, overlay: over.map(([word]) => word) }, ['true'], facts, [])
  const overlays = request.overlays.map((overlay, index) => ({
    ...overlay,
    layers: over[index]?.slice(1) as OverlayLayer[],
  }))
  const options = { openFiles: undefined, debug: false, supervised: false }
  return plan({ ...request, overlays }, { ...defaultConfig, ...config }, image, facts, options)
}

/** The layers and the root, in few words. */
function rootOf(asked: Case): string {
  const { spec } = decide(asked)
  const words = spec.ops.flatMap((op): string[] => {
    switch (op.op) {
      case 'squashfs':
        return [`${op.layer}:squashfs`]
      case 'ext3':
        return [`${op.layer}:ext3-${op.access}${op.kernel ? '-kernel' : ''}`]
      case 'directory':
        return [`${op.layer}:directory${op.locked ? '-locked' : ''}`]
      case 'memory':
        return [`${op.layer}:memory-${op.size}`]
      case 'overlay':
        return [`${op.program ? 'fuse' : 'kernel'}(${[op.upper ?? '-', ...op.lower].join(' ')})`]
      case 'underlay':
        return ['underlay']
      case 'root':
        return ['plain']
      default:
        return []
    }
  })
  return [...words, ...(spec.process.stay ? ['stay'] : [])].join(', ')
}

const image = 'image:squashfs'

describe('the root', () => {
  it.each<[string, Case, string]>([
    ['an image alone', {}, `${image}, kernel(- image)`],
    [
      'a directory that takes changes',
      { over: [['/d', folder]] },
      `${image}, upper:directory-locked, kernel(upper image)`,
    ],
    [
      'directories that are read, the last one on top',
      {
        over: [
          ['/a:ro', folder],
          ['/b:ro', folder],
        ],
      },
      `${image}, lower0:directory, lower1:directory, kernel(- lower1/upper lower0/upper image)`,
    ],
    [
      'a squashfs, which never takes changes, below a directory that does',
      {
        over: [
          ['/o.sqfs', squashfs],
          ['/d', folder],
        ],
      },
      `${image}, lower0:squashfs, upper:directory-locked, kernel(upper lower0 image)`,
    ],
    [
      'an ext3 that takes changes',
      { over: [['/o.img', ext3]] },
      `${image}, upper:ext3-write, fuse(upper image), stay`,
    ],
    [
      'an ext3 that is read',
      { over: [['/o.img:ro', ext3]] },
      `${image}, lower0:ext3-read, fuse(- lower0/upper image)`,
    ],
    [
      'the overlay in a SIF, read unless --writable',
      { image: withOverlay },
      `${image}, lower0:ext3-read, fuse(- lower0/upper image)`,
    ],
    [
      'the overlay in a SIF with --writable',
      { image: withOverlay, flags: { writable: true } },
      `${image}, upper:ext3-write, fuse(upper image), stay`,
    ],
    [
      'the overlay in a SIF below changes in memory',
      { image: withOverlay, flags: { 'writable-tmpfs': true } },
      `${image}, lower0:ext3-read, upper:memory-0, fuse(upper lower0/upper image)`,
    ],
    [
      'a SIF that is one layer of another',
      { over: [['/i.sif:ro', embedded]] },
      `${image}, lower0:ext3-read, fuse(- lower0/upper image)`,
    ],
    [
      'changes in memory',
      { flags: { 'writable-tmpfs': true } },
      `${image}, upper:memory-0, kernel(upper image)`,
    ],
    [
      'changes in memory of a given size',
      { flags: { 'writable-tmpfs': '2G' }, config: { sessionSize: 1024 } },
      `${image}, upper:memory-2147483648, kernel(upper image)`,
    ],
    [
      'changes in memory of the configured size',
      { flags: { 'writable-tmpfs': true }, config: { sessionSize: 1024 } },
      `${image}, upper:memory-1024, kernel(upper image)`,
    ],
    [
      'a bare ext3 with --writable',
      { image: { ...sif, kind: 'ext3', rootfs: { ...embedded, offset: 0 } }, flags: { writable: true } },
      'image:ext3-write, plain, stay',
    ],
    [
      'a bare ext3',
      { image: { ...sif, kind: 'ext3', rootfs: { ...embedded, offset: 0 } } },
      'image:ext3-read, kernel(- image)',
    ],
    [
      'a directory with the marks of fuse-overlayfs',
      { over: [['/d', { ...folder, marked: true }]] },
      `${image}, upper:directory-locked, fuse(upper image)`,
    ],
    [
      'changes on a file system that cannot have them',
      { over: [['/d', { ...folder, type: 0x0bd00bd0 }]] },
      `${image}, upper:directory-locked, fuse(upper image)`,
    ],
    ['a sandbox on NFS', { image: onNfs }, 'image:directory, fuse(- image)'],
    [
      'a FUSE file system below',
      { image: { ...sandbox, rootfs: { directory: '/tree', type: 0x65735546 } } },
      'image:directory, kernel(- image)',
    ],
    [
      'a number of a file system that is given as negative',
      { over: [['/d', { ...folder, type: 0xff534d42 | 0 }]] },
      `${image}, upper:directory-locked, fuse(upper image)`,
    ],
    ['an old kernel', { facts: oldKernel }, `${image}, fuse(- image)`],
    [
      'an old kernel without fuse-overlayfs',
      { facts: { ...oldKernel, fuseOverlayfs: undefined } },
      `${image}, underlay`,
    ],
    [
      'a sandbox on NFS without fuse-overlayfs',
      { image: onNfs, facts: bareHost },
      'image:directory, underlay',
    ],
    [
      'an ext3 of root below fuse-overlayfs',
      { over: [['/o.img', ext3]], facts: root },
      `${image}, upper:ext3-write, fuse(upper image), stay`,
    ],
    [
      'an ext3 of root without programs',
      { over: [['/o.img', ext3]], facts: { ...root, fuse2fs: undefined } },
      `${image}, upper:ext3-write-kernel, kernel(upper image), stay`,
    ],
    ['--underlay', { flags: { underlay: true } }, `${image}, underlay`],
    ['overlays turned off', { config: { overlay: false } }, `${image}, underlay`],
    ['overlays and underlays turned off', { config: { overlay: false, underlay: false } }, `${image}, plain`],
  ])('of %s', (_, asked, expected) => {
    expect(rootOf(asked)).toBe(expected)
  })

  it.each<[string, Case, RegExp]>([
    [
      'two writers',
      {
        over: [
          ['/a', folder],
          ['/b', folder],
        ],
      },
      /only one --overlay can be writable/,
    ],
    [
      'a writer and --writable-tmpfs',
      { over: [['/a', folder]], flags: { 'writable-tmpfs': true } },
      /exclude each other/,
    ],
    ['--writable for a squashfs', { flags: { writable: true } }, /read-only image/],
    [
      '--writable for a file of somebody else',
      { image: { ...withOverlay, writable: false }, flags: { writable: true } },
      /i\.sif cannot be written to/,
    ],
    [
      'an ext3 without fuse2fs',
      { over: [['/o.img:ro', ext3]], facts: { ...laptop, fuse2fs: undefined } },
      /fuse2fs/,
    ],
    [
      'an ext3 without fuse-overlayfs',
      { over: [['/o.img', ext3]], facts: { ...laptop, fuseOverlayfs: undefined } },
      /cannot keep changes: changes go to the ext3/,
    ],
    [
      'an ext3 without /dev/fuse',
      { over: [['/o.img:ro', ext3]], facts: { ...laptop, fuse: false } },
      /\/dev\/fuse cannot be used/,
    ],
    [
      'a squashfs without /dev/fuse',
      { over: [['/o.sqfs', squashfs]], facts: { ...laptop, fuse: false } },
      /\/dev\/fuse cannot be used/,
    ],
    [
      'changes on Lustre without fuse-overlayfs',
      { over: [['/d', { ...folder, type: 0x0bd00bd0 }]], facts: bareHost },
      /cannot keep changes: \/d lies on Lustre/,
    ],
    [
      'changes in memory with an old kernel',
      { flags: { 'writable-tmpfs': true }, facts: { ...bareHost, overlayInUserNamespace: false } },
      /cannot keep changes: this kernel/,
    ],
    [
      'an overlay with --underlay',
      { flags: { underlay: true }, over: [['/d:ro', folder]] },
      /cannot use an overlay: --underlay/,
    ],
    [
      'an overlay where they are turned off',
      { config: { overlay: false }, over: [['/d:ro', folder]] },
      /enable overlay = no/,
    ],
  ])('is refused for %s', (_, asked, sentence) => {
    expect(() => decide(asked)).toThrow(sentence)
  })

  it('tells the curious why it is put together in another way', () => {
    expect(decide({ image: onNfs }).notes).toEqual([
      expect.stringMatching(/fuse-overlayfs: \/tree lies on NFS/),
    ])
    expect(decide({ flags: { underlay: true } }).notes).toEqual([
      expect.stringMatching(/by binds: --underlay/),
    ])
    expect(decide({}).notes).toBeUndefined()
  })

  it('warns of what the kernel does not see in changes of fuse-overlayfs', () => {
    const asked = { over: [['/d', { ...folder, marked: true }]] as Over, facts: bareHost }
    expect(decide(asked).warnings).toEqual([expect.stringMatching(/may appear again/)])
  })

  it('warns of an overlay that holds nothing', () => {
    expect(decide({ over: [['/d:ro']] }).warnings).toEqual([expect.stringMatching(/\/d:ro has no effect/)])
  })

  it('binds an ext3 for writing unless it is not to be', () => {
    const ops = (readonly: boolean) => {
      const request = toRequest('exec', { bind: ['/o.img:/mnt:image-src=/'] }, ['true'], laptop, [])
      const binds = request.binds.map((bind) => ({
        ...bind,
        readonly,
        window: { ...embedded, file: '/o.img' },
      }))
      const options = { openFiles: undefined, debug: false, supervised: false }
      return plan({ ...request, binds }, defaultConfig, sif, laptop, options).spec.ops
    }
    expect(ops(false)).toContainEqual(expect.objectContaining({ op: 'ext3', access: 'write' }))
    expect(ops(false)).toContainEqual(expect.objectContaining({ op: 'layer-bind', readonly: false }))
    expect(ops(true)).toContainEqual(expect.objectContaining({ op: 'ext3', access: 'read' }))
  })
})

it('of a cache shows that its file is in use', () => {
  if (!('file' in sif.rootfs)) return expect.unreachable()
  const cached: Image = { ...sif, rootfs: { ...sif.rootfs, held: true } }
  const layers = decide({ image: cached }).spec.ops.filter(({ op }) => op === 'squashfs')
  expect(layers).toMatchObject([{ held: true }])
  expect(decide({}).spec.ops.filter(({ op }) => op === 'squashfs')).not.toHaveProperty('0.held')
})
