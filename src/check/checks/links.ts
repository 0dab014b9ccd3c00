/** Symbolic links that lead nowhere. */

import type { Facts } from '../facts.ts'
import type { Check, Finding, Severity } from '../types.ts'

/** Where a link is of no use to programs. */
const quiet =
  /^\/(usr\/(local\/)?share\/(doc|man|info|locale|gtk-doc)|usr\/src|usr\/lib\/modules|lib\/modules)\//
/** Packages leave such links on purpose: what they lead to comes with another package, or at run time. */
const expected = /^\/(etc\/(mtab|localtime|resolv\.conf|hosts|systemd\/|rc\d\.d\/)|usr\/lib\/systemd\/)/

function severityOf(path: string, facts: Facts): Severity {
  const directory = path.slice(0, path.lastIndexOf('/')) || '/'
  return facts.programDirectories.includes(directory) && !quiet.test(path) ? 'warning' : 'note'
}

function find(facts: Facts): Finding[] {
  return facts.items.flatMap(({ path, type, target = '' }) => {
    if (type !== 'symlink' || expected.test(path)) return []
    const resolved = facts.resolve(path)
    if (resolved.kind !== 'missing') return []
    const missing = resolved.path === path ? 'itself' : resolved.path
    const leads = `leads to ${target}`
    const text =
      missing === target || missing === 'itself'
        ? `${leads}, which is not there`
        : `${leads}: ${missing} is not there`
    return [
      { severity: severityOf(path, facts), path, text, fix: 'remove the link, or install what it leads to' },
    ]
  })
}

export const links: readonly Check[] = [
  { name: 'broken-links', tags: ['links'], summary: 'symbolic links that lead nowhere in the image', find },
]
