/** Root file systems that pacman makes on the host (`Bootstrap: arch`). */

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { readIfThere } from '../../host/look.ts'
import { runSection } from '../../runtime/section.ts'
import { download } from '../../store/http.ts'
import { existsInside, makeDirectoryInside, removeInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { addressOf, nameOfArchitecture, packageCache, packageNames } from './packages.ts'
import { findTool, runTool } from './tool.ts'

/** A minimal system, unpacked and as an image, in bytes. */
const least = { unpacked: 500 * 1024 * 1024, packed: 150 * 1024 * 1024 }

/** Where pacman has its packages inside the tree meanwhile. */
const kept = '/var/cache/pacman/pkg'

/** Lines of a program that has failed. */
const mostLines = 5

const largestConfiguration = 1024 * 1024
const hostConfiguration = '/etc/pacman.conf'

/** Where its things lie is said on the command line, and it downloads as the user that it is. */
const ownKeys = ['rootdir', 'dbpath', 'cachedir', 'logfile', 'downloaduser']

/** A configuration without what this build decides itself; undefined when it names no repository. */
export function pacmanConfiguration(text: string): string | undefined {
  const lines = text.split('\n')
  const sections = lines.flatMap((line) => /^\s*\[([^\]]+)\]/.exec(line)?.[1] ?? [])
  if (!sections.some((section) => section !== 'options')) return undefined
  const keyOf = (line: string): string => (line.split('=')[0] ?? '').trim().toLowerCase()
  return lines.filter((line) => !ownKeys.includes(keyOf(line))).join('\n')
}

function readLocal(address: string): string {
  const path = fileURLToPath(address)
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SingError('IO', `cannot read ConfURL ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** `ConfURL`, or the configuration of a host that uses pacman itself. */
async function configurationOf(stage: Stage, tools: BuildTools): Promise<string> {
  const address = addressOf(stage, 'confurl', '', tools.definitionName)
  const read = async (from: string): Promise<string> =>
    from.startsWith('file:')
      ? readLocal(from)
      : (await download(from, { limit: largestConfiguration, ...tools })).toString()
  const text = address === undefined ? readIfThere(hostConfiguration) : await read(address)
  const configuration = pacmanConfiguration(text)
  if (configuration !== undefined) return configuration
  const origin = address === undefined ? `${hostConfiguration} of this machine` : shown(address)
  throw new SingError('DEFINITION', `${origin} names no repository of packages`, {
    hint: 'Give the address or path of a pacman.conf that does: ConfURL: https://HOST/pacman.conf',
  })
}

/** Make the keys that the new system checks its packages with, where it has the tool and the keys of the distribution. */
async function prepareKeys(root: string, tools: BuildTools): Promise<void> {
  const { facts, report, debug, signal } = tools
  const hasKeys = existsInside(root, '/usr/share/pacman/keyrings/archlinux.gpg')
  if (!hasKeys || !existsInside(root, '/usr/bin/pacman-key')) return
  report({ kind: 'info', text: 'Preparing the keys of the packages' })
  for (const name of ['/dev', '/proc', '/sys', '/tmp']) makeDirectoryInside(root, name)
  const last: string[] = []
  const onLine = (line: string): void => {
    last.push(shown(line))
    if (last.length > mostLines) last.shift()
  }
  const status = await runSection(
    {
      root,
      program: ['/bin/sh', '-ec', 'pacman-key --init; pacman-key --populate archlinux'],
      environment: { PATH: '/usr/bin', HOME: '/root', LC_ALL: 'C' },
      writable: true,
      memoryUpper: false,
      binds: [],
      mounts: [],
      devices: [],
      umask: 0o022,
    },
    { facts, report, debug, signal, onLine },
  )
  if (signal.aborted) throw signal.reason
  if (status === 0) return
  throw new SingError('HOST_TOOL', `pacman-key failed with status ${status}`, {
    hint: last.join('\n'),
  })
}

/** @throws SingError for a header that names no packages, or no address */
export function checkArch(stage: Stage, name: string): void {
  addressOf(stage, 'confurl', '', name)
  packageNames(stage.header.include)
}

/** Make an Arch Linux with the host's pacman. */
export async function fetchArch(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const { environment, scratch, request, report } = tools
  const where = '"pacman-package-manager" (Debian, Ubuntu) or "pacman" (Fedora, Arch, SUSE)'
  const program = findTool(['pacman'], where, environment)
  const wanted = packageNames(stage.header.include)
  const packages = wanted.length > 0 ? wanted : ['base']
  const configuration = join(scratch.path, 'pacman.conf')
  writeFileSync(configuration, await configurationOf(stage, tools))
  requireRoom(dirname(scratch.path), dirname(request.target), least)
  for (const path of ['/var/lib/pacman', kept, '/var/log']) makeDirectoryInside(root, path)
  const cache = packageCache('pacman', tools)
  report({ kind: 'info', text: `Installing ${shown(packages.join(' '))} with pacman` })
  await runTool(
    {
      name: 'pacman',
      program: [
        ...[
          program,
          `--root=${root}`,
          `--config=${configuration}`,
          `--dbpath=${join(root, 'var/lib/pacman')}`,
        ],
        ...[`--cachedir=${cache ?? join(root, kept)}`, `--logfile=${join(root, 'var/log/pacman.log')}`],
        ...(request.architecture === undefined
          ? []
          : [`--arch=${nameOfArchitecture('arch', request.architecture)}`]),
        ...['--noconfirm', '--noprogressbar', '-Sy', '--', ...packages],
      ],
      root,
      proc: true,
    },
    tools,
  )
  removeInside(root, kept)
  makeDirectoryInside(root, kept)
  await prepareKeys(root, tools)
}
