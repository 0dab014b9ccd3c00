/** Mounts in the mount namespace of this process, which the engines cannot make. */

import { closeSync, constants, openSync } from 'node:fs'
import { getSystemErrorMessage } from 'node:util'
import { addonPath } from './paths.ts'

type Addon = {
  readonly mount: (type: string, at: string, options: string, readOnly: boolean) => number
  readonly unmount: (at: string) => number
  readonly copyAttribute: (name: string, from: string, to: string) => number
}

function addon(): Addon {
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  return module.exports
}

function must(errno: number): void {
  if (errno === 0) return
  const message = getSystemErrorMessage?.(-errno) ?? `errno ${errno}`
  throw Object.assign(new Error(message), { errno: -errno })
}

/** Mount what the holder of an open /dev/fuse serves, read-only. @throws Error with the kernel's reason */
export function mountFuse(at: string, fuse: number): void {
  const options = `fd=${fuse},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`
  must(addon().mount('fuse', at, options, true))
}

export type OverlayDirectories = {
  /** The topmost first; at least one. */
  readonly lowers: readonly string[]
  readonly upper: string
  readonly work: string
}

/**
 * Marks that users may set too, for root as well: what one of them keeps of changes the other can use. With these the kernel follows
 * no redirects and copies no attributes without contents, and refuses to be told so again: a file comes from where its name is
 * (overlayfs.rst, "userxattr"). Known since Linux 5.11, which is also the first that lets users mount overlays.
 */
const overlayOptions = 'userxattr,index=off,xino=off'

/** What mount(2) takes, less its end. */
const longestOptions = 4095

/**
 * Show `lowers`, one above the other, with the changes in `upper`, which takes all new ones. Files have the numbers that they have
 * there. @throws Error with the kernel's reason
 */
export function mountOverlay(at: string, { lowers, upper, work }: OverlayDirectories): void {
  const opened: number[] = []
  // By number: a path may be long, and holds what means something in options.
  const open = (path: string) => {
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
    opened.push(fd)
    return `/proc/self/fd/${fd}`
  }
  try {
    const below = lowers.map(open).join(':')
    const options = `${overlayOptions},lowerdir=${below},upperdir=${open(upper)},workdir=${open(work)}`
    if (options.length > longestOptions) throw new Error(`an overlay of ${lowers.length} layers is too high`)
    must(addon().mount('overlay', at, options, false))
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

/** Take a mount away; who is in it keeps it until they leave. Not being there is no failure. */
export function unmount(at: string): void {
  addon().unmount(at)
}

/** Let a file have the note of its owner (docs/fakeroot.md) that another one has. @throws Error with the kernel's reason */
export function copyOwnerNote(from: string, to: string): void {
  must(addon().copyAttribute('user.sing.stat', from, to))
}
