/** Packs a directory and prints why it cannot, for tests that must be somebody else: `pack.ts DIRECTORY`. */

import { openSync } from 'node:fs'
import { SingError } from '../../src/core/errors.ts'
import { packDirectory } from '../../src/native/addon.ts'

try {
  await packDirectory(process.argv[2] ?? '', { fd: openSync('/dev/null', 'r+'), offset: 0 })
  console.log('packed')
} catch (error) {
  console.log(error instanceof SingError ? `${error.code} ${error.message}` : error)
}
