/** Where an image comes from, against what the site allows. Loaded only where the site has such limits. */

import { realpathSync, statSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { SingError, shown } from '../core/errors.ts'
import { findAccount, findGroup } from '../host/user.ts'

function refuse(path: string, whose: string, names: readonly string[], directive: string): never {
  throw new SingError(
    'UNSUPPORTED',
    `cannot start ${shown(path)}: the site's configuration allows only images ${whose} ${names.map(shown).join(', ')}`,
    { hint: `Ask the administrator for: ${directive} = ...` },
  )
}

function realFolder(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)

/** @throws SingError for an image of other owners, groups or directories than the site allows */
export function requireOrigin(path: string, { images: { owners, groups, paths } }: Config): void {
  const { uid, gid } = statSync(path)
  if (owners.length > 0 && !owners.some((name) => findAccount(name)?.id === uid))
    refuse(path, 'of the users', owners, 'limit container owners')
  if (groups.length > 0 && !groups.some((name) => findGroup(name)?.id === gid))
    refuse(path, 'of the groups', groups, 'limit container groups')
  const real = realpathSync(path)
  if (paths.length > 0 && !paths.some((folder) => isBelow(real, realFolder(folder))))
    refuse(path, 'below', paths, 'limit container paths')
}
