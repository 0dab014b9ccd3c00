/** Files that a tree has only while something runs in it. */

import { join } from 'node:path'
import { writeInside } from './inside.ts'
import { removeTree } from './tree.ts'

/** Write a file into the top of a tree. Dispose of it when what runs there has ended. @throws SingError BUILD, DISK_FULL */
export function temporaryFile(root: string, path: string, text: string, mode: number): Disposable {
  writeInside(root, path, text, mode)
  return { [Symbol.dispose]: () => removeTree(join(root, path)) }
}
