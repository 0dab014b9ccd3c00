/** Which system a tree is (os-release(5)). */

import type { System, Tree } from '../types.ts'
import { line } from './text.ts'

const places = ['/etc/os-release', '/usr/lib/os-release']
const largest = 64 * 1024

/** The value of a shell assignment without its quotes and backslashes. */
function value(text: string, key: string): string | undefined {
  const [, quoted, single, plain] =
    new RegExp(`^${key}=(?:"((?:[^"\\\\\\n]|\\\\.)*)"|'([^'\\n]*)'|([^\\s"']*))[ \\t\\r]*$`, 'm').exec(
      text,
    ) ?? []
  return line(quoted?.replace(/\\(.)/g, '$1') ?? single ?? plain, 256)
}

export function systemOf(tree: Tree): System | undefined {
  const bytes = places.map((path) => tree.read(path, largest)).find((one) => one !== undefined)
  const text = bytes?.toString() ?? ''
  const id = value(text, 'ID')?.toLowerCase()
  if (id === undefined || !/^[a-z0-9._-]+$/.test(id)) return undefined
  return {
    id,
    version: value(text, 'VERSION_ID'),
    name: value(text, 'PRETTY_NAME') ?? value(text, 'NAME') ?? id,
  }
}
