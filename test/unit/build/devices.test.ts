import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { sectionDevices } from '../../../src/build/devices.ts'
import type { BuildTools } from '../../../src/build/request.ts'
import { silent } from '../../../src/core/events.ts'
import type { GpuFacts } from '../../../src/host/gpu.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const gpu: GpuFacts = {
  vendor: 'nv',
  libraries: [],
  programs: [{ name: 'nvidia-smi', path: '/usr/bin/nvidia-smi' }],
  files: ['/opt/driver/profile'],
  devices: ['/dev/nvidia0'],
  sockets: ['/run/driver/socket'],
}

const toolsFor = (gpus: readonly GpuFacts[]) =>
  ({
    gpus,
    facts: { gid: 0, groups: [], isRoot: true },
    environment: {},
    definitionName: 'x.def',
    report: silent,
  }) as unknown as BuildTools

let root = ''
beforeEach(() => {
  root = join(temporaryFolder(), 'root')
  mkdirSync(root)
})

/** What the launch does where a place is missing. */
function makePlace(at: string): void {
  mkdirSync(dirname(join(root, at)), { recursive: true })
  if (!existsSync(join(root, at))) writeFileSync(join(root, at), '')
}

describe('drivers in a section', () => {
  it('are nothing without GPUs', async () => {
    using devices = await sectionDevices(root, toolsFor([]))
    expect(devices.ops).toEqual([])
  })

  it('are told with their places made, and leave none of them behind', async () => {
    mkdirSync(join(root, 'usr'))
    const devices = await sectionDevices(root, toolsFor([gpu]))
    const places = devices.ops.flatMap((op) => ('at' in op && op.op === 'bind' ? [op.at] : []))
    expect(places).toEqual(['/usr/bin/nvidia-smi', '/opt/driver/profile', '/run/driver/socket'])
    expect(devices.ops.map((op) => 'missing' in op && op.missing)).toEqual(['create', 'create', 'create'])
    for (const at of places) makePlace(at)
    devices[Symbol.dispose]()
    expect(readdirSync(root, { recursive: true })).toEqual(['usr'])
  })

  it('leave what the image has, and what a script puts there', async () => {
    makePlace('/usr/bin/nvidia-smi')
    const devices = await sectionDevices(root, toolsFor([gpu]))
    makePlace('/opt/driver/profile')
    makePlace('/run/driver/socket')
    writeFileSync(join(root, 'opt/driver/profile'), 'of the image')
    writeFileSync(join(root, 'run/driver/other'), '')
    devices[Symbol.dispose]()
    const left = readdirSync(root, { recursive: true }).map(String).sort()
    expect(left).toEqual(
      ['opt', 'opt/driver', 'opt/driver/profile', 'run', 'run/driver', 'run/driver/other'].concat([
        'usr',
        'usr/bin',
        'usr/bin/nvidia-smi',
      ]),
    )
  })

  it('remove nothing where a link leads out', async () => {
    const outside = join(dirname(root), 'outside')
    mkdirSync(outside)
    symlinkSync(outside, join(root, 'run'))
    const devices = await sectionDevices(root, toolsFor([gpu]))
    mkdirSync(join(outside, 'driver'))
    writeFileSync(join(outside, 'driver/socket'), '')
    devices[Symbol.dispose]()
    expect(existsSync(join(outside, 'driver/socket'))).toBe(true)
  })
})
