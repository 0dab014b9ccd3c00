/** What the machine has for security flags: modules, capabilities, programs, and profiles in files. Read-only. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { arch, release } from 'node:os'
import { resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { isProgram, readIfThere } from './look.ts'

/** Security modules that give processes labels. */
export function securityModules(): string[] {
  return [
    ...(readIfThere('/sys/module/apparmor/parameters/enabled').startsWith('Y') ? ['apparmor'] : []),
    ...(readIfThere('/sys/fs/selinux/enforce') ? ['selinux'] : []),
  ]
}

/** Capabilities of this process, as bits. */
export const heldCapabilities = (): bigint =>
  BigInt(`0x${/^CapPrm:\s*([0-9a-f]+)$/m.exec(readIfThere('/proc/self/status'))?.[1] ?? '0'}`)

/** The name of a user of the machine. */
export const userName = (uid: number): string | undefined =>
  readIfThere('/etc/passwd')
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[2] === String(uid))?.[0]

/** The machine that a seccomp profile is compiled for. */
export const seccompMachine = (): { architecture: 'x86_64' | 'aarch64'; kernel: string } => ({
  architecture: arch() === 'arm64' ? 'aarch64' : 'x86_64',
  kernel: release(),
})

/** A profile of more than this is none. */
const LARGEST_PROFILE = 1 << 20

/** Pipes and sockets must not make a launch wait. */
function readBounded(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    const status = fstatSync(fd)
    if (!status.isFile()) throw new Error('is no file')
    if (status.size > LARGEST_PROFILE) throw new Error('is larger than 1 MiB')
    const bytes = Buffer.alloc(LARGEST_PROFILE)
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, LARGEST_PROFILE, 0))
  } finally {
    closeSync(fd)
  }
}

/** The text of a seccomp profile. @throws SingError IO */
export function readSeccompProfile(path: string): string {
  try {
    return readBounded(path)
  } catch (error) {
    throw new SingError('IO', `--security seccomp:${shown(path)}: ${reasonOf(error)}`, { cause: error })
  }
}

/** The absolute path of a program as a shell would find it; undefined when there is none. */
export function findAsShell(name: string, searchPath: string, cwd: string): string | undefined {
  if (name.includes('/')) return isProgram(resolve(cwd, name)) ? resolve(cwd, name) : undefined
  return searchPath
    .split(':')
    .map((directory) => resolve(cwd, directory, name))
    .find(isProgram)
}
