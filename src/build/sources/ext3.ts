/** The files of an ext3: no library of ours reads it, so fuse2fs shows it to a copying program in namespaces that end with that. */

import { basename } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import type { Window } from '../../image/open.ts'
import { runOnHost } from '../../runtime/section.ts'
import { windowDigest } from '../digest.ts'
import type { BuildTools } from '../request.ts'
import type { Step } from '../steps.ts'

// Without default_permissions fuse2fs is the one who checks, and with fakeroot it lets everything pass. It ends with 0 also
// when it could not mount anything.
const script = `
"$1" "$2" "$3" -o "ro,norecovery,fakeroot,default_permissions,offset=$4" || exit
[ "$(stat -c %d "$3")" != "$(stat -c %d "$3/..")" ] || exit 1
exec cp -R --no-dereference --preserve="$6" "$3/." "$5/"
`

/** Lines of the programs that are shown when they fail. */
const mostLines = 5

/** What fills an empty directory with the files of an ext3. */
export function copyingExt3(image: Window, tools: BuildTools): Step {
  return {
    title: `localimage ${shown(basename(image.file))}`,
    line: 0,
    identity: async () => [
      'ext3',
      await windowDigest(image, { facts: tools.results?.facts, signal: tools.signal }),
    ],
    run: (root) => copyExt3(image, root, tools),
  }
}

/** @throws SingError HOST_TOOL, IO */
async function copyExt3({ file, offset }: Window, root: string, tools: BuildTools): Promise<void> {
  const { facts, report, debug, signal, scratch, environment } = tools
  if (!facts.fuse2fs || !facts.fuse) {
    const missing = facts.fuse ? 'the program fuse2fs' : '/dev/fuse'
    throw new SingError('HOST_TOOL', `cannot read the ext3 in ${shown(file)}: ${missing} is missing`, {
      hint: 'Install the package fuse2fs (Fedora: e2fsprogs-fuse2fs), or begin with a SIF, a squashfs or a directory',
    })
  }
  const at = scratch.directory('ext3')
  // With a single id there are no other owners.
  const kept = ['mode', 'timestamps', 'links', 'xattr', ...(facts.idsMapped === 1 ? [] : ['ownership'])]
  const words = [facts.fuse2fs, file, at, String(offset), root, kept.join(',')]
  const lines: string[] = []
  const status = await runOnHost(
    {
      program: ['/bin/sh', '-c', script, 'sh', ...words],
      environment: { PATH: environment.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
      cwd: '/',
      devices: undefined,
    },
    { facts, report, debug, signal, onLine: (line) => lines.push(line) },
  )
  if (signal.aborted) throw signal.reason
  if (status === 0) return
  throw new SingError(
    'IO',
    `cannot read the ext3 in ${shown(file)}: fuse2fs or cp failed with status ${status}`,
    {
      hint: lines.slice(-mostLines).map(shown).join('\n') || undefined,
    },
  )
}
