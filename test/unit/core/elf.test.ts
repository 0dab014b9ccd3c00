import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { compareLibc, highestGlibc, parseElf } from '../../../src/core/elf.ts'
import { hasProgram } from '../../helpers/can.ts'
import { makeLibc, makeLibrary } from '../../helpers/libraries.ts'

const folder = mkdtempSync(join(tmpdir(), 'sing-elf-'))
afterAll(() => rmSync(folder, { recursive: true }))

const parse = (bytes: Buffer) => parseElf((offset, length) => bytes.subarray(offset, offset + length))

describe.skipIf(!hasProgram('gcc'))('a shared library', () => {
  const file = (): Buffer => {
    const libc = makeLibc(folder, '2.99')
    const names = { soname: 'libcuda.so.1', symbol: 'cuInit' }
    return readFileSync(makeLibrary(folder, 'libcuda.so.550', { ...names, libc }))
  }

  it('tells its name, its machine and what it needs', () => {
    const own = parse(readFileSync(process.execPath))
    expect(parse(file())).toEqual({
      bits: own?.bits,
      littleEndian: own?.littleEndian,
      machine: own?.machine,
      soname: 'libcuda.so.1',
      needs: ['GLIBC_2.99'],
      defines: [],
    })
  })

  it('tells the versions that it defines', () => {
    const { defines = [] } = parse(readFileSync(makeLibc(folder, '2.31'))) ?? {}
    expect(defines).toEqual(['libc.so.6', 'GLIBC_2.2.5', 'GLIBC_2.31'])
  })

  it('may be damaged anywhere without harm', () => {
    const bytes = file()
    for (let length = 0; length < bytes.length; length += 97) parse(bytes.subarray(0, length))
    let seed = 7
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed % below
    }
    for (let round = 0; round < 20_000; round += 1) {
      const damaged = Buffer.from(bytes)
      for (let change = random(4); change >= 0; change -= 1) {
        damaged[random(round % 2 ? 2048 : bytes.length)] = random(256)
      }
      const elf = parse(damaged)
      expect((elf?.needs.length ?? 0) + (elf?.defines.length ?? 0)).toBeLessThan(10_000)
    }
  })

  it('may have a chain of versions that leads nowhere', () => {
    const bytes = file()
    // Every word of the first page in turn: offsets, counts and distances are among them.
    for (let offset = 16; offset + 4 <= Math.min(bytes.length, 4096); offset += 4) {
      for (const value of [0xffffffff, 0x7fffffff, 1]) {
        const damaged = Buffer.from(bytes)
        damaged.writeUInt32LE(value, offset)
        parse(damaged)
      }
    }
    expect(parse(bytes)?.soname).toBe('libcuda.so.1')
  })
})

describe('a file that is no library', () => {
  it.each([
    '',
    '\x7fELF',
    '#!/bin/sh\nexit 0\n# longer than a header',
    '\x7fELF\x09\x01aaaaaaaaaaaaaaaaaaaa',
  ])('is none: %j', (text) => {
    expect(parse(Buffer.from(text, 'latin1'))).toBeUndefined()
  })
})

describe('a version of glibc', () => {
  it.each([
    [
      ['GLIBC_2.2.5', 'GLIBC_2.34', 'GLIBC_2.4'],
      [2, 34],
    ],
    [
      ['GLIBC_2.9', 'GLIBC_2.10'],
      [2, 10],
    ],
    [
      ['GLIBC_2.31', 'GLIBC_ABI_DT_RELR'],
      [2, 36],
    ],
    [['GLIBC_PRIVATE', 'GLIBCXX_3.4', 'GLIBC_9999.1'], undefined],
    [[], undefined],
  ])('is the highest of %j', (names, expected) => {
    expect(highestGlibc(names)).toEqual(expected)
  })

  it('is compared by numbers', () => {
    expect(compareLibc([2, 9], [2, 10])).toBeLessThan(0)
    expect(compareLibc([3, 0], [2, 40])).toBeGreaterThan(0)
    expect(compareLibc([2, 36], [2, 36])).toBe(0)
  })
})
