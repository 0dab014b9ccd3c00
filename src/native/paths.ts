/** Where the native parts and the engine of this installation are: beside each other, wherever the whole was unpacked. */

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SingError } from '../core/errors.ts'

/** A compiled engine reads its modules from a file system inside itself; its companions lie beside the program. */
const isCompiled = import.meta.url.includes('/$bunfs/')

/** The folder of the companions; `src/native` and `dist/lib/native` are at different depths below the root. */
function nativeFolder(): string {
  if (isCompiled) return dirname(process.execPath)
  const here = dirname(fileURLToPath(import.meta.url))
  const isSource = import.meta.url.endsWith('.ts')
  return join(here, isSource ? '../..' : '../../..', 'build', 'Release')
}

function nativePath(name: string): string {
  const path = join(nativeFolder(), name)
  if (existsSync(path)) return path
  throw new SingError('INTERNAL', `cannot find ${name}: no such file in ${dirname(path)}`, {
    hint: isCompiled
      ? 'The installation is incomplete: unpack it again, as a whole'
      : 'Build it: npm run build',
  })
}

/**
 * Absolute path of a native program.
 * @throws SingError INTERNAL when it was not built or not installed
 */
export function programPath(name: 'sing-starter' | 'sing-squashfs'): string {
  return nativePath(name)
}

/** Absolute path of the native addon. @throws SingError INTERNAL when it was not built or not installed */
export function addonPath(): string {
  return nativePath('sing.node')
}

/** The command that runs this engine again, to be followed by arguments: a program, and on Node the main module. */
export function enginePath(): string[] {
  if (isCompiled) return [process.execPath]
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const main = fileURLToPath(new URL(`../main.${extension}`, import.meta.url))
  // Behind `--` Node takes no option of ours for its own.
  return [process.execPath, '--disable-warning=ExperimentalWarning', '--', main]
}
