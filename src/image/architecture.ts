/** Whether this machine can run an image of some architecture: its own, a 32-bit relative, or one it emulates. */

import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'

const goNames: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  mipsel: 'mipsle',
  ppc64: endianness() === 'LE' ? 'ppc64le' : 'ppc64',
}

/** 32-bit programs that 64-bit processors of the family run as well. */
const relatives: Readonly<Record<string, string>> = { amd64: '386', arm64: 'arm' }

const emulatorNames: Readonly<Record<string, string>> = {
  '386': 'i386',
  amd64: 'x86_64',
  arm64: 'aarch64',
  mipsle: 'mipsel',
  mips64le: 'mips64el',
  loong64: 'loongarch64',
}

/** The Go name of this machine's architecture. */
export function hostArchitecture(): string {
  return goNames[process.arch] ?? process.arch
}

/** Names of architectures that this machine runs beside its own, the nearest first. */
export function otherArchitectures(): string[] {
  const others = [
    relatives[hostArchitecture()],
    ...Object.keys(emulatorNames),
    'arm',
    'riscv64',
    's390x',
    'ppc64le',
  ]
  return [...new Set(others)].filter(
    (name) => name !== undefined && name !== hostArchitecture() && canRun(name),
  ) as string[]
}

/** True when programs of this architecture (Go name) run here, if need be through binfmt_misc. */
export function canRun(architecture: string): boolean {
  const host = hostArchitecture()
  return architecture === host || architecture === relatives[host] || isEmulated(architecture)
}

/** An enabled handler with the name that qemu's packages register. */
function isEmulated(architecture: string): boolean {
  const handler = `/proc/sys/fs/binfmt_misc/qemu-${emulatorNames[architecture] ?? architecture}`
  try {
    return readFileSync(handler, 'latin1').startsWith('enabled')
  } catch {
    return false
  }
}
