/** The database of rpm, wherever the host's own one lies: in the new system it must be where that looks for it. */

import {
  closeSync,
  constants,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { readIfThere } from '../../host/look.ts'
import { makeDirectoryInside, readInside, resolveInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'

/** Where distributions have it: Fedora since 36, RHEL since 10 and SUSE in the second place. */
export const databasePlaces = ['/var/lib/rpm', '/usr/lib/sysimage/rpm'] as const

const largestMacros = 1024 * 1024

/** Files of macros that matter, in the order in which they are read: the last definition counts. */
const macroFiles = [
  '/usr/lib/rpm/macros',
  '/usr/lib/rpm/redhat/macros',
  '/usr/lib/rpm/suse_macros',
  '/etc/rpm/macros',
]

const known: Readonly<Record<string, string>> = { _var: '/var', _usr: '/usr', _prefix: '/usr' }

/** The value of a macro that a text defines last, with the usual macros in it replaced; undefined without a definition. */
export function macroOf(text: string, name: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => /^%(\w+)\s+(.*\S)\s*$/.exec(line) ?? [])
  const values = new Map<string, string>()
  for (let at = 0; at < lines.length; at += 3) values.set(lines[at + 1] ?? '', lines[at + 2] ?? '')
  return values
    .get(name)
    ?.replace(/%(?:\{(\w+)\}|(\w+))/g, (whole, braced, bare) => known[braced ?? bare] ?? whole)
}

/** Where the system in a tree looks for its database; undefined when it has no rpm, or an unusual one. */
export function databasePlaceOf(root: string): string | undefined {
  const text = macroFiles.map((file) => readInside(root, file, largestMacros) ?? '').join('\n')
  return databasePlaces.find((place) => place === macroOf(text, '_dbpath'))
}

/**
 * A home for programs that use rpm: with the caller's macros, and with the database in a place inside the tree. (On Debian it
 * would be the home directory's.) Returns its path.
 */
export function makeRpmHome(place: string, tools: BuildTools): string {
  const home = mkdtempSync(join(tools.scratch.path, 'rpm-'))
  const own = readIfThere(join(tools.environment.HOME ?? '/', '.rpmmacros'))
  writeFileSync(join(home, '.rpmmacros'), `${own}\n%_dbpath ${place}\n`)
  return home
}

/** Bytes 18 and 19 of an SQLite file: with a log for writers (2), which readers need to write to as well, or without (1). */
const journalAt = 18

/**
 * Close a database that has a log for writers with nothing in it (SQLite file format, 1.3.3): readers of an image cannot write
 * to the files beside it, and these differ each time. The next writer has its log again.
 */
function closeLog(directory: string): void {
  const sizeOf = (name: string): number | undefined => {
    const stats = lstatSync(join(directory, name), { throwIfNoEntry: false })
    return stats?.isFile() ? stats.size : undefined
  }
  if (sizeOf('rpmdb.sqlite-wal') !== 0 || !sizeOf('rpmdb.sqlite')) return
  const fd = openSync(join(directory, 'rpmdb.sqlite'), constants.O_RDWR | constants.O_NOFOLLOW)
  try {
    writeSync(fd, Uint8Array.of(1, 1), 0, 2, journalAt)
  } finally {
    closeSync(fd)
  }
  for (const name of ['rpmdb.sqlite-wal', 'rpmdb.sqlite-shm']) rmSync(join(directory, name), { force: true })
}

/** Bring the database to where the new system looks for it. */
export function settleDatabase(root: string, used: string): void {
  const wanted = databasePlaceOf(root) ?? used
  const from = resolveInside(root, used)
  const to = resolveInside(root, wanted)
  closeLog(from)
  if (from === to || !lstatSync(from, { throwIfNoEntry: false })?.isDirectory()) return
  makeDirectoryInside(root, wanted)
  for (const name of readdirSync(from)) renameSync(join(from, name), join(to, name))
  rmdirSync(from)
}
