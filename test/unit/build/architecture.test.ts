import { describe, expect, it } from 'vitest'
import { elfArchitecture } from '../../../src/build/architecture.ts'

function elf(width: number, order: number, machine: number): Uint8Array {
  const bytes = new Uint8Array(20)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, width, order])
  bytes.set(order === 2 ? [machine >> 8, machine & 255] : [machine & 255, machine >> 8], 18)
  return bytes
}

describe('the architecture of a program', () => {
  it.each([
    [2, 1, 62, 'amd64'],
    [1, 1, 3, '386'],
    [2, 1, 183, 'arm64'],
    [1, 1, 40, 'arm'],
    [2, 1, 21, 'ppc64le'],
    [2, 2, 21, 'ppc64'],
    [2, 2, 22, 's390x'],
    [2, 1, 243, 'riscv64'],
    [1, 1, 8, 'mipsle'],
    [2, 2, 8, 'mips64'],
    [2, 1, 258, 'loong64'],
    [2, 1, 9999, undefined],
  ])('width %i, order %i, machine %i is %s', (width, order, machine, name) => {
    expect(elfArchitecture(elf(width, order, machine))).toBe(name)
  })

  it('is unknown for a script and for a file that is cut off', () => {
    expect(elfArchitecture(Buffer.from('#!/bin/sh\necho hello there\n'))).toBeUndefined()
    expect(elfArchitecture(elf(2, 1, 62).subarray(0, 19))).toBeUndefined()
  })
})
