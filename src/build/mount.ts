/** What the file system of a directory lets a build do there, told by the kernel's table of mounts. */

import { readFileSync, realpathSync } from 'node:fs'

export type Mount = {
  /** Programs in it cannot be started. */
  readonly isNoexec: boolean
  /** Another machine keeps it, which knows nothing of the ids of a user namespace. */
  readonly isRemote: boolean
}

const remoteTypes = /^(nfs|lustre$|gpfs$|beegfs|cifs$|smb|afs$|panfs$|ceph$|9p$|fuse\.sshfs$)/

/** Blanks and backslashes are octal escapes in the table (proc_pid_mountinfo(5)). */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

function isBelow(path: string, point: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`)
}

/**
 * The mount that holds `path`, an absolute path without links, in a text like /proc/self/mountinfo. Of several in one place
 * the last one counts.
 */
export function findMount(path: string, table: string): Mount | undefined {
  let found: { point: string; mount: Mount } | undefined
  for (const line of table.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const fields = before.split(' ')
    const point = unescaped(fields[4] ?? '')
    if (!point.startsWith('/') || !isBelow(path, point) || point.length < (found?.point.length ?? 0)) continue
    const isNoexec = (fields[5] ?? '').split(',').includes('noexec')
    found = { point, mount: { isNoexec, isRemote: remoteTypes.test(after.split(' ')[0] ?? '') } }
  }
  return found?.mount
}

/** The mount that holds a directory of this machine; nothing is known of it when /proc does not tell. */
export function mountOf(directory: string): Mount {
  try {
    const path = Buffer.from(realpathSync(directory)).toString('latin1')
    const table = readFileSync('/proc/self/mountinfo', 'latin1')
    return findMount(path, table) ?? { isNoexec: false, isRemote: false }
  } catch {
    return { isNoexec: false, isRemote: false }
  }
}
