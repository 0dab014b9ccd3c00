/** Trees of files that a test writes down. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { give } from './give.ts'

/** Write files below `root`, which belongs to the user of `sing()` afterwards; `-> target` is a link. */
export function writeTree(root: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (typeof content === 'string' && content.startsWith('-> '))
      symlinkSync(content.slice(3), join(root, path))
    else writeFileSync(join(root, path), content)
  }
  give(root)
  return root
}
