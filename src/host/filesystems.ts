/** Where file systems are mounted on this machine. proc_pid_mountinfo(5) */

import { readFileSync } from 'node:fs'

/** Blanks and backslashes in paths are written as octal numbers. */
const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** Mount points, each once. */
export function readFileSystems(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'latin1').split('\n').filter(Boolean)
  const points = lines.map((line) => unescaped(line.split(' ')[4] ?? '/'))
  return [...new Set(points.map((point) => Buffer.from(point, 'latin1').toString()))]
}
