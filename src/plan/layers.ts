/** What the root file system is made of, as operations: directories, and file systems in files. */

import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Directory, Window } from '../image/open.ts'
import type { Identity } from './identity.ts'
import type { Op } from './spec.ts'

export type Machine = { readonly identity: Identity; readonly facts: HostFacts }

/** File systems in files are mounted by the kernel for the real root alone, where it has loop devices. */
export const kernelMounts = ({ identity, facts }: Machine): boolean =>
  facts.isRoot && !facts.inUserNamespace && !identity.namespace && facts.loop

export function squashfsLayer(layer: string, window: Window, { identity, facts }: Machine): Op {
  const { file, offset, size, held, key } = window
  const isEncrypted = key !== undefined
  const mount = facts.isRoot && !facts.inUserNamespace && !isEncrypted ? 'kernel' : 'fuse'
  const more = { ...(held && { held }), ...(isEncrypted && { key }) }
  return { op: 'squashfs', layer, file, offset, size, mount, owner: identity.owner, ...more }
}

function requireExt3({ file }: Window, machine: Machine): void {
  const { facts } = machine
  if (kernelMounts(machine)) return
  if (!facts.fuse) throw noFuse(file)
  if (facts.fuse2fs) return
  throw new SingError(
    'HOST_TOOL',
    `cannot mount ${file}: for an ext3 the program fuse2fs is needed, and it is missing`,
    {
      hint: 'Install the package fuse2fs (Fedora: e2fsprogs-fuse2fs), or use a directory or squashfs in its place',
    },
  )
}

export function ext3Layer(layer: string, window: Window, access: 'read' | 'write', machine: Machine): Op {
  requireExt3(window, machine)
  const { identity, facts } = machine
  const { file, offset, size } = window
  return {
    op: 'ext3',
    layer,
    file,
    offset,
    size,
    access,
    owner: identity.owner,
    kernel: kernelMounts(machine),
    program: facts.fuse ? facts.fuse2fs : undefined,
  }
}

function noFuse(file: string): SingError {
  return new SingError('UNSUPPORTED', `cannot mount ${file}: /dev/fuse cannot be used`, {
    hint: 'Ask the administrator for access to /dev/fuse (mode 0666)',
  })
}

/** A file system in a file beside the image, which is not unpacked where it cannot be mounted. */
export function volumeLayer(layer: string, window: Window, access: 'read' | 'write', machine: Machine): Op {
  if (window.filesystem === 'ext3') return ext3Layer(layer, window, access, machine)
  const { facts } = machine
  if (!facts.fuse && !kernelMounts(machine)) throw noFuse(window.file)
  return squashfsLayer(layer, window, machine)
}

export function imageLayer(rootfs: Window | Directory, access: 'read' | 'write', machine: Machine): Op {
  if ('directory' in rootfs) return { op: 'directory', layer: 'image', from: rootfs.directory }
  if (rootfs.filesystem === 'ext3') return ext3Layer('image', rootfs, access, machine)
  return squashfsLayer('image', rootfs, machine)
}
