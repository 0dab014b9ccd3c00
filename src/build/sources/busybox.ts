/** A root file system around one static busybox (`Bootstrap: busybox`). */

import { readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { runSection } from '../../runtime/section.ts'
import { download } from '../../store/http.ts'
import type { BuildTools } from '../request.ts'

/** Real ones have one or two mebibytes. */
const limit = 64 * 1024 * 1024

/** Hard links, as busybox's own installer makes them; for one that was built without it, by hand. */
const install = `/bin/busybox --install /bin 2>/dev/null && exit
cd /bin && for name in $(/bin/busybox --list); do [ -e "$name" ] || /bin/busybox ln busybox "$name" || exit; done`

const files: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
  'etc/hosts': '127.0.0.1 localhost\n',
}

function readLocal(address: string): Buffer {
  const path = address.startsWith('file://') ? fileURLToPath(address) : resolve(address)
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new Error('not a file')
    if (stats.size > limit) throw new Error('larger than any busybox')
    return readFileSync(path)
  } catch (cause) {
    throw new SingError('IO', `cannot read ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** The program itself, from a web server or from this machine. */
async function readBusybox(address: string, tools: BuildTools): Promise<Buffer> {
  const isWeb = /^https?:\/\//i.test(address)
  if (isWeb) tools.report({ kind: 'info', text: `Downloading ${shown(address)}` })
  const program = isWeb ? await download(address, { limit, ...tools }) : readLocal(address)
  if (program.subarray(0, 4).toString('latin1') !== '\x7fELF') {
    throw new SingError('BUILD', `${shown(address)} is no busybox: it is not an ELF program`)
  }
  return program
}

/** Put busybox and a link for each of its applets into the root file system. */
export async function fetchBusybox(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const { facts, report, signal, debug } = tools
  const address = stage.header.mirrorurl ?? ''
  const program = await readBusybox(address, tools)
  for (const name of ['bin', 'etc', 'dev', 'proc', 'sys', 'tmp', 'root', 'var', 'var/tmp']) {
    await mkdir(join(root, name), { mode: 0o755 })
  }
  for (const name of ['tmp', 'var/tmp']) await chmod(join(root, name), 0o1777)
  await writeFile(join(root, 'bin/busybox'), program, { mode: 0o755 })
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text, { mode: 0o644 })
  const status = await runSection(
    {
      root,
      program: ['/bin/busybox', 'sh', '-c', install],
      environment: { PATH: '/bin' },
      writable: true,
      memoryUpper: false,
      binds: [],
      mounts: [],
      devices: [],
      umask: 0o022,
    },
    { facts, report, debug, signal },
  )
  if (signal.aborted) throw signal.reason
  if (status === 0) return
  throw new SingError(
    'BUILD',
    `the busybox from ${shown(address)} cannot install its applets (status ${status})`,
    {
      hint: 'It must be a static program for this machine',
    },
  )
}
