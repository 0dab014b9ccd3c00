/** Temporary folders for tests, owned by the ordinary user and gone after the test file. */

import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll } from 'vitest'
import { give } from './give.ts'

export { give }

const folders: string[] = []

afterAll(() => {
  for (const folder of folders.splice(0)) remove(folder)
})

/** A new empty folder that the user of `sing()` may write to; its whole path is the user's to enter. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
  folders.push(folder)
  chmodSync(folder, 0o755)
  give(folder)
  return folder
}

/** A copy of a file or folder below `folder`, owned by the user of `sing()`. Returns its path. */
export function copyInto(folder: string, from: string, name: string = basename(from)): string {
  const to = join(folder, name)
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  give(to)
  return to
}

function remove(folder: string): void {
  // Images hold folders without any right; their owner has to take the rights back first.
  spawnSync('chmod', ['-R', 'u+rwx', folder], { stdio: 'ignore' })
  rmSync(folder, { recursive: true, force: true })
}
