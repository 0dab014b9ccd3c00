/** Becoming another program while descriptors of the caller stay open, which only the native addon can do. */

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
  // Not by require, which reads the working directory and its parents first.
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  const { replaceProcess } = module.exports
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return replaceProcess(file, args, variables, descriptors)
}
