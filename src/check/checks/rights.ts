/** Files that give rights away: set-user-id, capabilities, and what everybody may write to. */

import type { Item } from '../../image/inventory.ts'
import type { Facts } from '../facts.ts'
import { type Check, type Finding, inPost } from '../types.ts'

const SETUID = 0o4000
const SETGID = 0o2000
const STICKY = 0o1000
const OTHERS_WRITE = 0o002

function findSetId({ items }: Facts): Finding[] {
  return items
    .filter(({ type, mode }) => type === 'file' && (mode & (SETUID | SETGID)) !== 0 && (mode & 0o111) !== 0)
    .map(({ path, mode, uid, gid }) => ({
      severity: 'note',
      path,
      text:
        (mode & SETUID) !== 0 ? `setuid of ${nameOfId(uid, 'user')}` : `setgid of ${nameOfId(gid, 'group')}`,
      fix: 'of no effect in a container',
    }))
}

const nameOfId = (id: number, kind: string): string => (id === 0 ? 'root' : `${kind} ${id}`)

const findCapable = ({ items }: Facts): Finding[] =>
  items
    .filter(({ capable }) => capable)
    .map(({ path }) => ({
      severity: 'note',
      path,
      text: 'has file capabilities',
      fix: 'of no effect in a container',
    }))

/** Links have no permissions of their own, and devices are the host's in a container. */
const isOpen = ({ type, mode }: Item): boolean =>
  (mode & OTHERS_WRITE) !== 0 && (type === 'file' || (type === 'directory' && (mode & STICKY) === 0))

const findOpen = ({ items }: Facts): Finding[] =>
  items.filter(isOpen).map(({ path, type }) =>
    type === 'file'
      ? {
          severity: 'warning',
          path,
          text: 'everybody may write to it',
          fix: inPost(`chmod o-w ${path}`),
        }
      : {
          severity: 'warning',
          path,
          text: 'everybody may replace what is in it (no sticky bit)',
          fix: inPost(/^\/(var\/)?tmp$/.test(path) ? `chmod 1777 ${path}` : `chmod o-w ${path}`),
        },
  )

export const rights: readonly Check[] = [
  { name: 'setuid', tags: ['security'], summary: 'setuid and setgid programs', find: findSetId },
  { name: 'capabilities', tags: ['security'], summary: 'programs with file capabilities', find: findCapable },
  {
    name: 'world-writable',
    tags: ['security'],
    summary: 'files, and directories without sticky bit, that everybody may write to',
    find: findOpen,
  },
]
