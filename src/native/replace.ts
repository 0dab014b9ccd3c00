/** Becoming another program while descriptors of the caller stay open, which only the native addon can do. */

import { createRequire } from 'node:module'
import { addonPath } from './paths.ts'

type Addon = {
  replaceProcess: (
    file: string,
    args: readonly string[],
    environment: readonly string[],
    descriptors: readonly number[],
  ) => number
}

/** Replace this process. Returns only on failure, with the errno. `descriptors` stay open besides 0 to 2. */
export function replaceKeeping(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  descriptors: readonly number[],
): number {
  const { replaceProcess } = createRequire(import.meta.url)(addonPath()) as Addon
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return replaceProcess(file, args, variables, descriptors)
}
