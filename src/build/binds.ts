/** What %post sees of the host beside its tree: what decides it, as far as that can be told. */

import { isAbsolute, join } from 'node:path'
import { parseBinds, parseMount } from '../plan/binds.ts'
import { lookHash } from './fingerprint.ts'
import type { BuildTools } from './request.ts'

/** Where things are bound, and what they look like; undefined when that is too much to look at. */
function bindsIdentity({ request, facts }: BuildTools): readonly string[] | undefined {
  const binds = [...request.binds.flatMap(parseBinds), ...request.mounts.map(parseMount)]
  const words = binds.flatMap(({ source, destination, readonly }) => {
    const path = isAbsolute(source) ? source : join(facts.cwd ?? '/', source)
    return [destination, String(readonly), lookHash(path)]
  })
  return words.every((word) => word !== undefined) ? words : undefined
}

/** What of the host decides what a section does. */
export function surroundingsIdentity(tools: BuildTools): readonly string[] | undefined {
  const binds = bindsIdentity(tools)
  return binds && [JSON.stringify(tools.gpus), ...binds]
}
