/** What tools of distributions write about the moment in which they ran: left out of an image that is to be the same again. */

import { lstatSync, readdirSync } from 'node:fs'
import { existsInside, readInside, removeInside, resolveInside, writeInside } from '../inside.ts'
import type { BuildRequest } from '../request.ts'

const largest = 16 * 1024 * 1024

/** Logs, histories, caches and random names. Nothing needs them: what is written there later begins anew. */
const momentary = [
  ...['/var/log/pacman.log', '/var/log/zypp', '/var/log/dpkg.log', '/var/log/bootstrap.log'],
  ...['/var/log/alternatives.log', '/var/log/apt/history.log', '/var/log/apt/term.log'],
  ...['/var/lib/dnf/history.sqlite', '/var/lib/dnf/history.sqlite-shm', '/var/lib/dnf/history.sqlite-wal'],
  ...['/var/lib/zypp/AnonymousUniqueId', '/var/cache/ldconfig/aux-cache'],
]

/** pacman notes when it installed each package. */
function setInstallDates(root: string, time: number): void {
  const local = '/var/lib/pacman/local'
  if (!existsInside(root, local)) return
  for (const name of readdirSync(resolveInside(root, local))) {
    const path = `${local}/${name}/desc`
    if (!lstatSync(resolveInside(root, `${local}/${name}`)).isDirectory()) continue
    const text = readInside(root, path, largest)
    if (text !== undefined)
      writeInside(root, path, text.replace(/^(%INSTALLDATE%\n)\d+$/m, `$1${time}`), 0o644)
  }
}

/** Take the moment of the build out of a tree that a tool has just made. */
export function forgetMoment(root: string, { reproducible, time = 0 }: BuildRequest): void {
  if (!reproducible) return
  for (const path of momentary) removeInside(root, path)
  setInstallDates(root, time)
}
