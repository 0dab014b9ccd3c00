/** The architecture of a root file system, told by its programs. */

import { closeSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { hostArchitecture } from '../image/architecture.ts'
import { resolveInside } from './inside.ts'

/** ELF machine numbers (elf.h) and the names that images use; where one number means two, by byte order. */
const machines: Readonly<Record<number, { little?: string; big?: string }>> = {
  3: { little: '386' },
  8: { little: 'mipsle', big: 'mips' },
  20: { big: 'ppc' },
  21: { little: 'ppc64le', big: 'ppc64' },
  22: { big: 's390x' },
  40: { little: 'arm' },
  62: { little: 'amd64' },
  183: { little: 'arm64' },
  243: { little: 'riscv64' },
  258: { little: 'loong64' },
}

const programDirectories = ['bin', 'usr/bin', 'sbin', 'usr/sbin', 'usr/local/bin']

/** The architecture that the first 20 bytes of an ELF program name; undefined for anything else. */
export function elfArchitecture(bytes: Uint8Array): string | undefined {
  const [one, two, three, four, width = 0, order] = bytes
  if (bytes.length < 20 || one !== 0x7f || two !== 0x45 || three !== 0x4c || four !== 0x46) return undefined
  const [low = 0, high = 0] = order === 2 ? [bytes[19], bytes[18]] : [bytes[18], bytes[19]]
  const machine = machines[low + high * 256]
  const name = order === 2 ? machine?.big : machine?.little
  // The 64-bit ABIs of MIPS share the number of the 32-bit ones.
  return name?.startsWith('mips') && width === 2 ? name.replace('mips', 'mips64') : name
}

function architectureOf(file: string): string | undefined {
  if (!lstatSync(file, { throwIfNoEntry: false })?.isFile()) return undefined
  try {
    const fd = openSync(file, 'r')
    try {
      const bytes = Buffer.alloc(20)
      return elfArchitecture(bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)))
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return []
  }
}

/** The architecture of /bin/sh, else of the first program in the usual places, else the one that was asked for or the machine's. */
export function rootfsArchitecture(root: string, asked: string = hostArchitecture()): string {
  const shell = architectureOf(resolveInside(root, '/bin/sh'))
  if (shell) return shell
  for (const directory of programDirectories) {
    for (const name of namesIn(resolveInside(root, directory))) {
      const found = architectureOf(resolveInside(root, join(directory, name)))
      if (found) return found
    }
  }
  return asked
}
