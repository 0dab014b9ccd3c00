/** Limits of resources: words into values, values into what each version of cgroups and systemd call them. */

import { describe, expect, it } from 'vitest'
import {
  beyondSystemd,
  checkLimits,
  type Limits,
  parseFlags,
  type Setting,
  settingsV1,
  settingsV2,
  systemdProperties,
  toIoWeight,
  toWeight,
} from '../../../src/plan/limits.ts'

type Flags = Parameters<typeof parseFlags>[0]
const MEBIBYTE = 1024 * 1024

describe('the flags', () => {
  const cases: [flags: Flags, limits: Limits][] = [
    [{}, {}],
    [{ memory: '100M' }, { memory: 100 * MEBIBYTE }],
    [
      { memory: '1.5g', 'memory-swap': '-1' },
      { memory: 1536 * MEBIBYTE, swap: -1 },
    ],
    [{ 'memory-reservation': '4096' }, { reservation: 4096 }],
    [{ cpus: '1.5' }, { quota: 150_000 }],
    [{ cpus: '.5' }, { quota: 50_000 }],
    [{ 'cpu-shares': 512 }, { shares: 512 }],
    [
      { 'cpuset-cpus': '0-3,7', 'cpuset-mems': '0' },
      { cpus: '0-3,7', nodes: '0' },
    ],
    [{ 'pids-limit': 7 }, { processes: 7 }],
    [{ 'pids-limit': 0 }, {}],
    [{ 'pids-limit': -1 }, { processes: -1 }],
    [{ 'blkio-weight': 500 }, { weight: 500 }],
    [{ 'blkio-weight-device': ['/dev/sda:200'] }, { deviceWeights: [{ major: 8, minor: 0, weight: 200 }] }],
    [{ 'oom-kill-disable': true }, { keepOnOom: true }],
    [{ 'oom-kill-disable': false, memory: '' }, {}],
  ]
  it.each(cases)('%o', (flags, limits) => {
    expect(parseFlags(flags, { '/dev/sda': { major: 8, minor: 0 } })).toEqual(limits)
  })

  const refused: [flags: Flags, sentence: RegExp][] = [
    [{ memory: 'lots' }, /--memory lots: not a size/],
    [{ memory: '-2' }, /not a size/],
    [{ memory: '0' }, /not a size/],
    [{ 'memory-swap': '1X' }, /--memory-swap 1X/],
    [{ cpus: '0' }, /at least 0\.01/],
    [{ cpus: '1e9' }, /--cpus 1e9/],
    [{ cpus: '-1' }, /--cpus -1/],
    [{ 'cpu-shares': 1 }, /from 2 to 262144/],
    [{ 'pids-limit': -2 }, /--pids-limit -2/],
    [{ 'blkio-weight': 5 }, /from 10 to 1000/],
    [{ 'cpuset-cpus': '1-' }, /not a list of numbers/],
    [{ 'cpuset-mems': 'all' }, /not a list of numbers/],
    [{ 'blkio-weight-device': ['sda:100'] }, /expected DEVICE:WEIGHT/],
    [{ 'blkio-weight-device': ['/dev/sda:5'] }, /expected DEVICE:WEIGHT/],
    [{ 'blkio-weight-device': ['/dev/none:100'] }, /\/dev\/none: there is no such block device/],
  ]
  it.each(refused)('%o are refused', (flags, sentence) => {
    expect(() => parseFlags(flags, {})).toThrow(sentence)
  })

  it.each([
    [{ swap: 5 }, /needs one of memory/],
    [{ swap: 5, memory: -1 }, /needs one of memory/],
    [{ swap: 5, memory: 6 }, /--memory-swap is lower than --memory/],
    [{ reservation: 7, memory: 6 }, /--memory-reservation is higher than --memory/],
  ])('%o contradict each other', (limits, sentence) => {
    expect(() => checkLimits(limits)).toThrow(sentence)
  })
})

/** `file=value`, and `file=value|file=value` where the second is for want of the first. */
const shown = (settings: readonly Setting[]): string[] =>
  settings.map(({ files }) => files.map(({ name, value }) => `${name}=${value}`).join('|'))
const properties = (limits: Limits): string[] =>
  systemdProperties(limits).map(({ controller, property }) => `${controller}: ${property}`)

describe('limits become', () => {
  const device = { major: 8, minor: 16 }
  const cases: [limits: Limits, old: string[], unified: string[], systemd: string[]][] = [
    [{ memory: 100 }, ['memory.limit_in_bytes=100'], ['memory.max=100'], ['memory: MemoryMax=100']],
    [{ memory: -1 }, ['memory.limit_in_bytes=-1'], ['memory.max=max'], ['memory: MemoryMax=infinity']],
    [
      { memory: 100, swap: 150 },
      ['memory.limit_in_bytes=100', 'memory.memsw.limit_in_bytes=150'],
      ['memory.max=100', 'memory.swap.max=50'],
      ['memory: MemoryMax=100', 'memory: MemorySwapMax=50'],
    ],
    [
      { memory: 100, swap: -1 },
      ['memory.limit_in_bytes=100', 'memory.memsw.limit_in_bytes=-1'],
      ['memory.max=100', 'memory.swap.max=max'],
      ['memory: MemoryMax=100', 'memory: MemorySwapMax=infinity'],
    ],
    [{ reservation: 9 }, ['memory.soft_limit_in_bytes=9'], ['memory.low=9'], ['memory: MemoryLow=9']],
    [{ shares: 1024 }, ['cpu.shares=1024'], ['cpu.weight=39'], ['cpu: CPUWeight=39']],
    [{ quota: 150_000 }, ['cpu.cfs_quota_us=150000'], ['cpu.max=150000 100000'], ['cpu: CPUQuota=150%']],
    [
      { quota: 5000, period: 10_000 },
      ['cpu.cfs_period_us=10000', 'cpu.cfs_quota_us=5000'],
      ['cpu.max=5000 10000'],
      ['cpu: CPUQuota=50%', 'cpu: CPUQuotaPeriodSec=10000us'],
    ],
    [{ quota: -1 }, ['cpu.cfs_quota_us=-1'], ['cpu.max=max 100000'], ['cpu: CPUQuota=']],
    [
      { cpus: '0-1', nodes: '0' },
      ['cpuset.cpus=0-1', 'cpuset.mems=0'],
      ['cpuset.cpus=0-1', 'cpuset.mems=0'],
      ['cpuset: AllowedCPUs=0-1', 'cpuset: AllowedMemoryNodes=0'],
    ],
    [{ processes: 5 }, ['pids.max=5'], ['pids.max=5'], ['pids: TasksMax=5']],
    [{ processes: -1 }, ['pids.max=max'], ['pids.max=max'], ['pids: TasksMax=infinity']],
    [
      { weight: 500 },
      ['blkio.weight=500|blkio.bfq.weight=500'],
      ['io.bfq.weight=500|io.weight=default 4950'],
      ['io: IOWeight=4950'],
    ],
    [
      { deviceWeights: [{ ...device, weight: 10 }] },
      ['blkio.weight_device=8:16 10|blkio.bfq.weight_device=8:16 10'],
      ['io.bfq.weight=8:16 10|io.weight=8:16 1'],
      ['io: IODeviceWeight=/dev/block/8:16 1'],
    ],
    [
      { throttles: [{ ...device, kind: 'wiops', rate: 7 }] },
      ['blkio.throttle.write_iops_device=8:16 7'],
      ['io.max=8:16 wiops=7'],
      ['io: IOWriteIOPSMax=/dev/block/8:16 7'],
    ],
  ]
  it.each(cases)('files and properties: %o', (limits, old, unified, systemd) => {
    expect(shown(settingsV1(limits))).toEqual(old)
    expect(shown(settingsV2(limits))).toEqual(unified)
    expect(properties(limits)).toEqual(systemd)
  })

  it('files that only one of them has', () => {
    expect(shown(settingsV1({ keepOnOom: true, swappiness: 10 }))).toEqual([
      'memory.swappiness=10',
      'memory.oom_control=1',
    ])
    expect(() => settingsV2({ keepOnOom: true })).toThrow(/--oom-kill-disable needs cgroup v1/)
    expect(() => systemdProperties({ swappiness: 10 })).toThrow(/swappiness needs cgroup v1/)
    const hugepages = [{ size: '2MB', limit: -1 }]
    expect(shown(settingsV1({ hugepages }))).toEqual(['hugetlb.2MB.limit_in_bytes=-1'])
    expect(shown(settingsV2({ hugepages }))).toEqual(['hugetlb.2MB.max=max'])
    expect(beyondSystemd({ hugepages })).toBe('systemd cannot limit huge pages')
    const unified = { 'memory.high': '5', 'pids.max': 'max' }
    expect(shown(settingsV2({ unified }))).toEqual(['memory.high=5', 'pids.max=max'])
    expect(properties({ unified })).toEqual(['memory: MemoryHigh=5', 'pids: TasksMax=infinity'])
    expect(() => settingsV1({ unified })).toThrow(/\[unified\] of the limits needs cgroup v2/)
    expect(beyondSystemd({ unified })).toBeUndefined()
    expect(beyondSystemd({ unified: { 'io.latency': 'x' } })).toBe('systemd has no name for io.latency')
  })

  it('weights as runc maps them', () => {
    expect([2, 1024, 262_144].map(toWeight)).toEqual([1, 39, 10_000])
    expect([10, 500, 1000].map(toIoWeight)).toEqual([1, 4950, 10_000])
  })
})
