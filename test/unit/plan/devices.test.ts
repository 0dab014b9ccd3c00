/** What devices become in a container, decided from values alone. */

import { describe, expect, it } from 'vitest'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { CdiEdits, CdiFacts, CdiHook, CdiMount } from '../../../src/host/cdi.ts'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { GpuFacts } from '../../../src/host/gpu.ts'
import type { Image } from '../../../src/image/open.ts'
import {
  type DeviceFacts,
  type DevicePlace,
  type DeviceRequest,
  noDevices,
  planDevices,
} from '../../../src/plan/devices.ts'
import { plan } from '../../../src/plan/plan.ts'
import { toRequest } from '../../../src/plan/request.ts'
import type { Op } from '../../../src/plan/spec.ts'

const place: DevicePlace = {
  missing: 'create',
  ownDev: false,
  imageName: 'a.sif',
  environment: {},
  groups: [1001],
  isRoot: false,
}
const nv: GpuFacts = {
  vendor: 'nv',
  libraries: [
    { name: 'libcuda.so.1', path: '/lib/libcuda.so.550', glibc: [2, 34] },
    { name: 'libcuda.so', path: '/lib/libcuda.so.550', glibc: [2, 34] },
    { name: 'libGL.so.1', path: '/lib/libGL.so.1.7.0', glibc: [2, 14] },
  ],
  programs: [{ name: 'nvidia-smi', path: '/opt/nvidia/nvidia-smi' }],
  files: ['/usr/share/nvidia/nvoptix.bin'],
  devices: ['/dev/nvidia0', '/dev/nvidiactl'],
  sockets: ['/var/run/nvidia-persistenced/socket'],
}
const facts = (more: Partial<DeviceFacts> = {}): DeviceFacts => ({ gpus: [], libraries: [], ...more })
const decide = (
  more: Partial<DeviceFacts>,
  at: Partial<DevicePlace> = {},
  request: Partial<DeviceRequest> = {},
) => planDevices({ ...noDevices, ...request }, facts(more), { ...place, ...at })
/** Operations in a few words. */
const brief = (ops: readonly Op[]): string[] =>
  ops.map((op) => {
    switch (op.op) {
      case 'bind':
        return `${op.from} ${op.at} ${op.missing}${op.readonly ? ' ro' : ''}${op.trusted ? ' device' : ''}`
      case 'symlink':
        return `${op.at} -> ${op.to}`
      default:
        return `${op.op} ${'at' in op ? op.at : ''}`
    }
  })

describe('a driver', () => {
  it('brings libraries under all of their names, programs, files and sockets', () => {
    const { ops, warnings, hasLibraries } = decide({ gpus: [nv] })
    expect(warnings).toEqual([])
    expect(hasLibraries).toBe(true)
    expect(brief(ops)).toEqual([
      'tmpfs /.singularity.d/libs',
      '/lib/libcuda.so.550 /.singularity.d/libs/libcuda.so.550 create ro',
      '/lib/libGL.so.1.7.0 /.singularity.d/libs/libGL.so.1.7.0 create ro',
      '/.singularity.d/libs/libcuda.so.1 -> libcuda.so.550',
      '/.singularity.d/libs/libcuda.so -> libcuda.so.550',
      '/.singularity.d/libs/libGL.so.1 -> libGL.so.1.7.0',
      '/opt/nvidia/nvidia-smi /usr/bin/nvidia-smi create ro',
      '/usr/share/nvidia/nvoptix.bin /usr/share/nvidia/nvoptix.bin create ro',
      '/var/run/nvidia-persistenced/socket /var/run/nvidia-persistenced/socket create',
    ])
  })

  it("brings its nodes where /dev is not the host's", () => {
    expect(brief(decide({ gpus: [nv] }, { ownDev: true }).ops).slice(-2)).toEqual([
      '/dev/nvidia0 /dev/nvidia0 create device',
      '/dev/nvidiactl /dev/nvidiactl create device',
    ])
  })

  it('leaves libraries of any vendor to an image that has them, and never its own', () => {
    const image = { libc: undefined, present: ['libGL.so.1', 'libcuda.so.1'], cudaCompat: undefined }
    const names = brief(decide({ gpus: [nv], image }).ops).join('\n')
    expect(names).not.toContain('libGL')
    expect(names).toContain('libcuda.so.1')
  })

  it('makes nothing in an image that cannot take it, but the directory of libraries', () => {
    const at = (missing: 'skip' | 'fail') =>
      decide({ gpus: [nv] }, { missing }).ops.filter((op) => 'missing' in op && !op.at.includes('/libs/'))
    expect(at('fail').map((op) => 'missing' in op && op.missing)).toEqual(['create', 'skip', 'skip', 'skip'])
    expect(at('skip').map((op) => 'missing' in op && op.missing)).toEqual(['fail', 'skip', 'skip', 'skip'])
  })

  it('that is not there is told of, and brings nothing', () => {
    const bare: GpuFacts = { ...nv, libraries: [], programs: [], files: [], devices: [], sockets: [] }
    expect(decide({ gpus: [bare] })).toMatchObject({
      ops: [],
      hasLibraries: false,
      warnings: [expect.stringContaining('--nv: could not find any nv files on this host')],
    })
    const onlyNeutral = { ...bare, libraries: nv.libraries.slice(2) }
    expect(decide({ gpus: [onlyNeutral] })).toMatchObject({
      ops: [],
      warnings: [expect.stringContaining('--nv')],
    })
    const rocm = { ...bare, vendor: 'rocm' as const, devices: ['/dev/kfd'] }
    expect(decide({ gpus: [rocm] }, { ownDev: true })).toMatchObject({ warnings: [] })
  })
})

describe('the C library of the image', () => {
  const warnings = (libc: NonNullable<DeviceFacts['image']>['libc']) =>
    decide({ gpus: [nv], image: { libc, present: [], cudaCompat: undefined } }).warnings

  it('is compared with what the libraries need', () => {
    expect(warnings({ kind: 'glibc', version: [2, 34] })).toEqual([])
    expect(warnings({ kind: 'glibc', version: [2, 31] })).toEqual([
      'libcuda.so.1 (and 1 more) of this host needs glibc 2.34, a.sif has 2.31: programs that load it will fail; use an image with glibc 2.34 or newer',
    ])
    expect(warnings({ kind: 'glibc', version: [2, 9] })[0]).toContain('(and 2 more)')
  })

  it('that is musl cannot load any', () => {
    expect(warnings({ kind: 'musl' })).toEqual([expect.stringMatching(/a\.sif has musl.*libcuda\.so\.1/)])
  })

  it('that nobody knows is no matter', () => {
    expect(warnings(undefined)).toEqual([])
  })
})

describe('Gaudi accelerators', () => {
  const hpu = [
    '/dev/accel/accel0',
    '/dev/accel/accel_controlD0',
    '/dev/accel/accel1',
    '/dev/infiniband/uverbs0',
  ]
  const nodes = (environment: Record<string, string>) =>
    decide({ hpu }, { ownDev: true, environment }).ops.map((op) => 'at' in op && op.at)

  it('are all there, or those of HABANA_VISIBLE_DEVICES', () => {
    expect(nodes({})).toEqual(hpu)
    expect(nodes({ HABANA_VISIBLE_DEVICES: 'all' })).toEqual(hpu)
    expect(nodes({ HABANA_VISIBLE_DEVICES: '1' })).toEqual(['/dev/accel/accel1', '/dev/infiniband/uverbs0'])
    expect(decide({ hpu }).ops).toEqual([])
  })

  it('that are not there are told of', () => {
    expect(decide({ hpu: [] }).warnings).toEqual([
      expect.stringContaining('--intel-hpu: this host has no such'),
    ])
    expect(() => nodes({ HABANA_VISIBLE_DEVICES: 'first' })).toThrow('HABANA_VISIBLE_DEVICES is "first"')
  })
})

const nothing: CdiEdits = { environment: [], nodes: [], mounts: [], hooks: [], groups: [], privileged: [] }
type Devices = Record<string, Partial<CdiEdits>>
const spec = (devices: Devices, more: { file?: string; level?: number; edits?: Partial<CdiEdits> } = {}) => ({
  file: more.file ?? '/etc/cdi/v.yaml',
  level: more.level ?? 0,
  kind: 'v.com/gpu',
  edits: { ...nothing, ...more.edits },
  devices: Object.entries(devices).map(([name, edits]) => ({ name, edits: { ...nothing, ...edits } })),
})
const cdi = (...specs: CdiFacts['specs']): CdiFacts => ({
  directories: ['/etc/cdi', '/run/cdi'],
  specs,
  broken: [],
})
const ask = (
  names: string[],
  registry: CdiFacts,
  at: Partial<DevicePlace> = {},
  more: Partial<DeviceFacts> = {},
) => decide({ cdi: registry, ...more }, at, { names })
const node = (path: string, hostPath = path, present = true) => ({ nodes: [{ path, hostPath, present }] })
const mount = (hostPath: string, containerPath = hostPath, soname?: string): CdiMount => ({
  hostPath,
  containerPath,
  readonly: true,
  recursive: false,
  directory: false,
  soname,
})
const hook = (...args: string[]): CdiHook => ({
  name: 'createContainer',
  path: '/usr/bin/nvidia-cdi-hook',
  args,
})

describe('a CDI device', () => {
  const two = cdi(spec({ 0: node('/dev/v0'), 1: node('/dev/v1') }, { edits: node('/dev/vctl') }))

  it("brings its nodes, and those of its file once, where /dev is not the host's", () => {
    const own = { ownDev: true }
    expect(brief(ask(['v.com/gpu=1'], two, own).ops)).toEqual([
      '/dev/vctl /dev/vctl create device',
      '/dev/v1 /dev/v1 create device',
    ])
    expect(ask(['v.com/gpu=0', 'v.com/gpu=1', 'v.com/gpu=0'], two, own).ops).toHaveLength(3)
    expect(ask(['v.com/gpu=0'], two).ops).toEqual([])
  })

  it('is taken from the last directory that has it', () => {
    const later = spec({ 0: node('/dev/later') }, { level: 1, file: '/run/cdi/v.json' })
    const earlier = spec({ 0: node('/dev/earlier') })
    for (const specs of [
      [earlier, later],
      [later, earlier],
    ]) {
      const { ops } = ask(['v.com/gpu=0'], cdi(...specs), { ownDev: true })
      expect(brief(ops)).toEqual(['/dev/later /dev/later create device'])
    }
  })

  it('is refused when two files of a directory have it', () => {
    const twice = cdi(spec({ 0: {} }), spec({ 0: {} }, { file: '/etc/cdi/w.yaml' }))
    expect(() => ask(['v.com/gpu=0'], twice)).toThrow(/twice, in \/etc\/cdi\/v\.yaml and \/etc\/cdi\/w\.yaml/)
  })

  it.each([
    ['v.com/gpu=9', two, /no CDI file describes/, /Known: v\.com\/gpu=0, v\.com\/gpu=1/],
    ['v.com/gpu=9', cdi(), /no CDI file describes/, /Nothing in \/etc\/cdi, \/run\/cdi/],
    [
      'v.com/gpu=0',
      { ...cdi(), broken: [{ file: '/etc/cdi/x.json', reason: 'why' }] },
      /no CDI file/,
      /x\.json cannot be read: why/,
    ],
    ['gpu0', two, /expected VENDOR\/CLASS=NAME/, /nvidia\.com\/gpu=0/],
  ])('%s that is unknown is refused with what there is', (word, registry, message, hint) => {
    let error: { message: string; hint: string; status: number } | undefined
    try {
      ask([word], registry)
    } catch (cause) {
      error = cause as NonNullable<typeof error>
    }
    expect(error?.message).toMatch(message)
    expect(error?.hint).toMatch(hint)
    expect(error?.status).toBe(255)
  })

  it('is refused where the host lacks its node', () => {
    const gone = cdi(spec({ 0: node('/dev/v0', '/dev/v0', false) }))
    expect(() => ask(['v.com/gpu=0'], gone)).toThrow('this host has no /dev/v0')
  })

  it("can have another name only in a /dev of the container's own", () => {
    const other = cdi(spec({ 0: node('/dev/v0', '/dev/other') }))
    expect(brief(ask(['v.com/gpu=0'], other, { ownDev: true }).ops)).toEqual([
      '/dev/other /dev/v0 create device',
    ])
    expect(() => ask(['v.com/gpu=0'], other)).toThrow('/dev/other cannot become /dev/v0')
    const outside = cdi(spec({ 0: node('/opt/v0', '/dev/other') }))
    expect(brief(ask(['v.com/gpu=0'], outside).ops)).toEqual(['/dev/other /opt/v0 create device'])
  })

  it('brings mounts and variables', () => {
    const registry = cdi(
      spec(
        { 0: { environment: [['LD_LIBRARY_PATH', '/opt/v:$odd']] } },
        { edits: { mounts: [mount('/usr/bin/vtool')], environment: [['V', '1']] } },
      ),
    )
    const decided = ask(['v.com/gpu=0'], registry)
    expect(brief(decided.ops)).toEqual(['/usr/bin/vtool /usr/bin/vtool create ro'])
    expect(decided.environment).toEqual([['V', '1']])
    expect(decided.libraryPath.append).toEqual(['/opt/v'])
    expect(brief(ask(['v.com/gpu=0'], registry, { missing: 'skip' }).ops)[0]).toContain(' fail ')
  })

  it('tells what needs privilege', () => {
    const registry = cdi(spec({ 0: { groups: [44, 1001], privileged: ['intelRdt'] } }))
    expect(ask(['v.com/gpu=0'], registry).warnings).toEqual([
      '--device v.com/gpu=0: it belongs to the group 44, of which you are no member',
      '--device v.com/gpu=0: intelRdt needs privilege and is left out',
    ])
    const broken = { ...registry, broken: [{ file: '/etc/cdi/x.json', reason: 'why' }] }
    expect(ask(['v.com/gpu=0'], broken).warnings[0]).toBe(
      '/etc/cdi/x.json is no CDI file that can be used: why',
    )
  })
})

describe('a hook of a CDI file', () => {
  const library = mount('/lib/libcuda.so.550', '/usr/lib/libcuda.so.550', 'libcuda.so.1')
  const withHooks = (hooks: CdiHook[], mounts: CdiMount[] = [library]) =>
    cdi(spec({ 0: {} }, { edits: { mounts, hooks } }))

  it('is refused by name, with the device', () => {
    const unknown = { name: 'createContainer', path: '/usr/bin/vendor-hook', args: ['vendor-hook', 'run'] }
    expect(() => ask(['v.com/gpu=0'], withHooks([unknown]))).toThrow(
      '--device v.com/gpu=0: it wants the hook createContainer /usr/bin/vendor-hook run, and programs of the host are not run for containers',
    )
    expect(() => ask(['v.com/gpu=0'], withHooks([hook('nvidia-cdi-hook', 'new-job')]))).toThrow('new-job')
  })

  it('that tells the loader of libraries is done by links to them', () => {
    const hooks = [hook('nvidia-cdi-hook', 'update-ldcache', '--folder', '/usr/lib')]
    const decided = ask(['v.com/gpu=0'], withHooks(hooks))
    expect(decided.hasLibraries).toBe(true)
    expect(decided.libraryPath.append).toEqual([])
    expect(brief(decided.ops)).toEqual([
      'tmpfs /.singularity.d/libs',
      '/.singularity.d/libs/libcuda.so.550 -> /usr/lib/libcuda.so.550',
      '/.singularity.d/libs/libcuda.so.1 -> /usr/lib/libcuda.so.550',
      '/lib/libcuda.so.550 /usr/lib/libcuda.so.550 create ro',
    ])
  })

  it('that tells the loader of a mounted directory extends its path', () => {
    const hooks = [hook('hook', 'update-ldcache', '--folder=/opt/v/lib', '--folder', '/opt/w')]
    const directory = { ...mount('/opt/v'), directory: true }
    expect(ask(['v.com/gpu=0'], withHooks(hooks, [directory])).libraryPath.append).toEqual(['/opt/v/lib'])
  })

  it('that makes links to what is mounted mounts it there too', () => {
    const links = [
      hook(
        'nvidia-cdi-hook',
        'create-symlinks',
        '--link',
        '../libcuda.so.1::/usr/lib/vdpau/libvdpau.so.1',
        '--link=libcuda.so.1::/usr/lib/libcuda.so',
        '--link=libcuda.so::/usr/lib/libfirst.so',
        '--link=nowhere::/opt/x/link',
        '--link=bad',
      ),
      hook('nvidia-cdi-hook', 'update-ldcache'),
    ]
    const lines = brief(ask(['v.com/gpu=0'], withHooks(links)).ops)
    expect(lines).toEqual(
      expect.arrayContaining([
        '/.singularity.d/libs/libcuda.so -> /usr/lib/libcuda.so.550',
        '/lib/libcuda.so.550 /usr/lib/vdpau/libvdpau.so.1 create ro',
        '/lib/libcuda.so.550 /usr/lib/libcuda.so create ro',
        '/lib/libcuda.so.550 /usr/lib/libfirst.so create ro',
        'mkdir /opt/x',
        '/opt/x/link -> nowhere',
      ]),
    )
    expect(ask(['v.com/gpu=0'], withHooks(links), { missing: 'skip' }).warnings).toEqual([
      '--device: the link /opt/x/link cannot be made in this image',
    ])
  })

  it('may make links that lead in a circle', () => {
    const links = [hook('hook', 'create-symlinks', '--link=b::/x/a', '--link=a::/x/b')]
    expect(brief(ask(['v.com/gpu=0'], withHooks(links)).ops)).toContain('/x/a -> b')
  })

  it('prefers libraries of the image for older drivers where they are newer', () => {
    const hooks = [hook('nvidia-cdi-hook', 'enable-cuda-compat', '--host-driver-version=535.104.05')]
    const prepend = (cudaCompat: string | undefined) =>
      ask(['v.com/gpu=0'], withHooks(hooks), {}, { image: { libc: undefined, present: [], cudaCompat } })
        .libraryPath.prepend
    expect(prepend('550.54')).toEqual(['/usr/local/cuda/compat'])
    expect(prepend('535.200.01')).toEqual([])
    expect(prepend(undefined)).toEqual([])
  })

  it('that needs nothing here is left out', () => {
    const hooks = [
      hook('nvidia-cdi-hook', 'disable-device-node-modification'),
      hook('nvidia-ctk', 'hook', 'chmod'),
    ]
    expect(brief(ask(['v.com/gpu=0'], withHooks(hooks)).ops)).toHaveLength(1)
  })
})

describe('a launch with devices', () => {
  const image: Image = {
    path: '/data/a.sif',
    name: 'a.sif',
    kind: 'sif',
    rootfs: { file: '/data/a.sif', offset: 4096, size: 4096 },
    arch: 'amd64',
    writable: false,
    bashEnvironment: false,
  }
  const host: HostFacts = {
    uid: 1001,
    gid: 1001,
    groups: [],
    user: { name: 'ada', gecos: '', home: '/home/ada', shell: '/bin/sh' },
    groupNames: [],
    cwd: '/data',
    isRoot: false,
    inUserNamespace: false,
    idsMapped: 4294967295,
    userNamespaces: { allowed: true },
    overlayInUserNamespace: true,
    fuse: true,
    loop: true,
    subids: undefined,
    environment: { V: 'host' },
  }
  const launch = (flags: Parameters<typeof toRequest>[1], devices: Partial<DeviceFacts>) => {
    const machine: HostFacts = { ...host, devices: facts(devices) }
    return plan(toRequest('exec', flags, ['true'], machine, []), defaultConfig, image, machine, {
      openFiles: undefined,
      debug: false,
      supervised: false,
    })
  }

  it('shows nodes in a /dev of its own, below the binds of the user', () => {
    const places = launch({ contain: true, nv: true, bind: ['/x:/dev/nvidia0'] }, { gpus: [nv] })
      .spec.ops.filter((op) => op.op === 'bind')
      .map(({ from, at }) => `${from} ${at}`)
    expect(places.indexOf('/dev/null /dev/null')).toBeLessThan(places.indexOf('/dev/nvidia0 /dev/nvidia0'))
    expect(places.indexOf('/dev/nvidia0 /dev/nvidia0')).toBeLessThan(places.indexOf('/x /dev/nvidia0'))
    const shared = launch({ nv: true }, { gpus: [nv] }).spec.ops
    expect(shared.some((op) => 'at' in op && op.at === '/dev/nvidia0')).toBe(false)
    expect(launch({ nv: true, 'no-mount': ['dev'] }, { gpus: [nv] }).spec.ops).toContainEqual(
      expect.objectContaining({ at: '/dev/nvidia0' }),
    )
  })

  it('has the variables of devices unless the user sets others', () => {
    const registry = cdi(spec({ 0: { environment: [['V', '$(device)']] } }))
    const variables = (flags: Parameters<typeof toRequest>[1]) =>
      launch({ ...flags, device: ['v.com/gpu=0'] }, { cdi: registry }).spec.process.environment
    expect(variables({})).toMatchObject({ V: '$(device)', _sing_q_V: '\\$(device)' })
    expect(variables({ env: ['V=mine'] })).toMatchObject({ V: 'mine' })
    const forged = cdi(spec({ 0: { environment: [['PATH', '/x']] } }))
    expect(launch({ device: ['v.com/gpu=0'] }, { cdi: forged }).warnings).toEqual([
      'the variable PATH of a device is not set: use --env',
    ])
  })

  it('tells the loader of the libraries, also without a shell', () => {
    const path = (gpus: GpuFacts[]) => launch({ nv: true }, { gpus }).spec.process.environment.LD_LIBRARY_PATH
    expect(path([nv])).toBe('/.singularity.d/libs')
    expect(path([])).toBeUndefined()
  })
})

describe('the flags of devices', () => {
  const parse = (flags: Parameters<typeof toRequest>[1]) =>
    toRequest('exec', flags, ['true'], { cwd: '/home/ada', environment: {} } as HostFacts, []).devices

  it('are taken back by their opposites', () => {
    expect(parse({ nv: true, rocm: true }).vendors).toEqual(['nv', 'rocm'])
    expect(parse({ nv: true, 'no-nv': true, rocm: true, 'no-rocm': false }).vendors).toEqual(['rocm'])
    expect(parse({})).toEqual(noDevices)
  })

  it('name places where the caller is', () => {
    expect(
      parse({ containlibs: ['libx.so,/lib/y.so'], 'cdi-dirs': ['cdi'], device: ['a/b=c', 'a/b=d'] }),
    ).toEqual({
      ...noDevices,
      libraries: ['/home/ada/libx.so', '/lib/y.so'],
      cdiDirectories: ['/home/ada/cdi'],
      names: ['a/b=c', 'a/b=d'],
    })
  })
})
