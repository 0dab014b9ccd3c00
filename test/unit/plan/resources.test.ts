/** Limits out of a file: the tables of an OCI runtime specification, and what is refused of them. */

import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { readResources } from '../../../src/plan/resources.ts'

const read = (text: string) => readResources('limits.toml', parse(text, { integersAsBigInt: true }))

describe('a file of limits', () => {
  it('has the tables of an OCI specification', () => {
    const text = `
      [cpu]
      shares = 512
      quota = 50000
      period = 100000
      cpus = "0-1"
      mems = "0"
      realtimeRuntime = 0
      [memory]
      limit = 1073741824
      reservation = 536870912
      swap = 2147483648
      swappiness = 5
      disableOOMKiller = true
      [pids]
      limit = 100
      [blockIO]
      weight = 100
      [[blockIO.weightDevice]]
      major = 8
      minor = 0
      weight = 20
      [[blockIO.throttleReadBpsDevice]]
      major = 8
      minor = 0
      rate = 1000
      [[blockIO.throttleWriteIOPSDevice]]
      major = 8
      minor = 1
      rate = 10
      [[hugepageLimits]]
      pageSize = "2MB"
      limit = 9223372036854771712
      [[devices]]
      access = "rwm"
      allow = true
      [unified]
      "memory.high" = "900000000"`
    expect(read(text)).toEqual({
      shares: 512,
      quota: 50_000,
      period: 100_000,
      cpus: '0-1',
      nodes: '0',
      memory: 1_073_741_824,
      reservation: 536_870_912,
      swap: 2_147_483_648,
      swappiness: 5,
      keepOnOom: true,
      processes: 100,
      weight: 100,
      deviceWeights: [{ major: 8, minor: 0, weight: 20 }],
      throttles: [
        { major: 8, minor: 0, kind: 'rbps', rate: 1000 },
        { major: 8, minor: 1, kind: 'wiops', rate: 10 },
      ],
      hugepages: [{ size: '2MB', limit: -1 }],
      unified: { 'memory.high': '900000000' },
    })
  })

  it('may write keys in other ways, and list those that say nothing', () => {
    expect(
      read('[memory]\ndisable_oom_killer = false\nkernel = 0\nlimit = 0\n[block_io]\nleaf_weight = 0'),
    ).toEqual({})
    expect(
      read('[cpu]\nquotas = 7000\n[network]\n[[hugepage_limits]]\npage_size = "1GB"\nlimit = 5'),
    ).toEqual({
      quota: 7000,
      hugepages: [{ size: '1GB', limit: 5 }],
    })
    expect(read('')).toEqual({})
  })

  const refused: [text: string, sentence: RegExp][] = [
    ['memory = 5', /limits\.toml: memory: expected a table/],
    ['[memory]\nlimits = 5', /memory\.limits: no limit has this name/],
    ['[memory]\nlimit = "5G"', /memory\.limit: expected a whole number from -1/],
    ['[memory]\nlimit = 1.5', /memory\.limit: expected a whole number/],
    ['[memory]\nlimit = -2', /memory\.limit/],
    ['[memory]\nswappiness = 101', /from 0 to 100/],
    ['[memory]\ndisableOOMKiller = 1', /expected true or false/],
    ['[memory]\nkernel = 5', /memory\.kernel: kernels have no limit/],
    ['[cpu]\ncpus = "all"', /cpu\.cpus: expected numbers and ranges/],
    ['[cpu]\nrealtimePeriod = 5', /real-time scheduling/],
    ['[blockIO]\nweightDevice = 5', /expected a list of tables/],
    ['[[blockIO.weightDevice]]\nmajor = 8\nweight = 20', /weightDevice\.minor: expected a whole number/],
    ['[blockIO]\nleafWeight = 5', /leaf weights/],
    ['[[hugepageLimits]]\npageSize = "big"\nlimit = 5', /expected a size such as "2MB"/],
    ['[[devices]]\nallow = false', /devices cannot be taken away/],
    ['[network]\nclassID = 5', /classes and priorities/],
    ['[rdma.one]\nhcaHandles = 5', /rdma: it has no key of its own/],
    ['[unified]\n"cgroup.kill" = "1"', /expected the name of a limit/],
    ['[unified]\n"../memory.max" = "1"', /expected the name of a limit/],
    ['[unified]\n"memory.max" = 5', /expected a line of text/],
    ['[unified]\n"memory.max" = "5\\n6"', /expected a line of text/],
    ['[__proto__]\nx = 1', /no limit has this name/],
    ['[constructor]\nx = 1', /no limit has this name/],
  ]
  it.each(refused)('is refused: %j', (text, sentence) => {
    expect(() => read(text)).toThrow(sentence)
  })
})
