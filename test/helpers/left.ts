/** What containers leave behind, looked for where it would be. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * Processes that have to do with a folder of one test: with a file of it open, as working directory or on the command line.
 * Those that have ended and wait for somebody to reap them do not count.
 */
export function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d/.test(name) && Number(name) !== process.pid && isAbout(name, folder))
    .map((pid) => `${pid} ${commandLineOf(pid)}`)
}

function isAbout(pid: string, folder: string): boolean {
  const files = look(() => readdirSync(`/proc/${pid}/fd`), []).map((name) => `fd/${name}`)
  const paths = ['cwd', 'exe', ...files].map((name) => look(() => readlinkSync(`/proc/${pid}/${name}`), ''))
  const isInside = (path: string) => path === folder || path.startsWith(`${folder}/`)
  return paths.some(isInside) || commandLineOf(pid).includes(folder)
}

const commandLineOf = (pid: string): string =>
  look(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '').replaceAll('\0', ' ')

/** Mounts of the machine that show anything of the folder. */
export function mountsOf(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder))
}

/** A process may end while it is looked at, and others may not be looked at. */
function look<T>(at: () => T, otherwise: T): T {
  try {
    return at()
  } catch {
    return otherwise
  }
}
