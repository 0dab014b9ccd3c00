/** Root file systems that a distribution's own tool makes on the host (`Bootstrap: debootstrap`). */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, lstatSync, mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { programsIn } from '../../host/look.ts'
import { runOnHost } from '../../runtime/section.ts'
import { cacheRoot, folderOf } from '../../store/place.ts'
import { distrust } from '../../store/trusted.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { removeTree } from '../tree.ts'
import type { Base } from './index.ts'

/** A minimal Debian with the packages it comes from, and as an image, in bytes. */
const least = { unpacked: 300 * 1024 * 1024, packed: 50 * 1024 * 1024 }

/** Packages that a container has no use for although their priority would bring them in. */
const excluded = ['openssl', 'udev', 'debconf-i18n', 'e2fsprogs']

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function searchPath(environment: BuildTools['environment']): string {
  return `${environment.PATH ?? ''}:${systemPath}`
}

/** The mirrors that the machine's own apt uses, with the releases fetched from them. */
function aptMirrors(path: string): { address: string; release: string }[] {
  const [apt] = programsIn('apt-get', path.split(':'))
  if (!apt) return []
  const format = '$(REPO_URI) $(RELEASE)'
  const answer = spawnSync(apt, ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: path, LC_ALL: 'C' },
  })
  return (answer.stdout ?? '').split('\n').flatMap((line) => {
    const [address, release] = line.trim().split(' ')
    return address && release ? [{ address, release }] : []
  })
}

/** `MirrorURL`, or the mirror that the machine itself fetches this release from, or any of its mirrors. */
function mirrorOf(stage: Stage, release: string, path: string): string {
  const given = stage.header.mirrorurl?.replaceAll(/%\{OSVERSION\}/gi, release)
  if (given) return given
  const mirrors = aptMirrors(path)
  const mirror = mirrors.find((candidate) => candidate.release === release) ?? mirrors[0]
  if (mirror) return mirror.address
  throw new SingError(
    'DEFINITION',
    'the definition names no MirrorURL, and apt of this machine knows no mirror',
    {
      hint: `Add a line to its header: MirrorURL: http://MIRROR/debian`,
    },
  )
}

/** Where packages are kept between builds; undefined when nothing is to be kept. */
function packageCache(tools: BuildTools): string | undefined {
  const { environment, request, report } = tools
  if (!request.useCache) return undefined
  const root = cacheRoot(environment)
  if (root === undefined) return undefined
  const directory = join(root, folderOf('build'), 'debootstrap')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    accessSync(directory, constants.W_OK)
    const danger = distrust(root)
    if (danger !== undefined) throw new Error(`it ${danger}`)
    return directory
  } catch (error) {
    report({ kind: 'verbose', text: `Packages are not cached: ${directory}: ${reasonOf(error)}` })
    return undefined
  }
}

/** Device nodes were lent by the host; what remains in their place are empty files. */
function removeDevicePlaces(root: string): void {
  const directory = join(root, 'dev')
  for (const name of readdirSync(directory)) {
    const stats = lstatSync(join(directory, name))
    if (stats.isFile() && stats.size === 0) unlinkSync(join(directory, name))
  }
}

function removePackages(root: string): void {
  const directory = join(root, 'var/cache/apt/archives')
  if (!lstatSync(directory, { throwIfNoEntry: false })?.isDirectory()) return
  for (const name of readdirSync(directory)) if (name.endsWith('.deb')) removeTree(join(directory, name))
}

/** Output of the tool goes to whoever wants details; the last lines explain a failure. */
function listener(tools: BuildTools): { onLine: (line: string) => void; last: string[] } {
  const last: string[] = []
  const onLine = (line: string): void => {
    tools.report({ kind: 'verbose', text: shown(line) })
    last.push(shown(line))
    if (last.length > 5) last.shift()
  }
  return { onLine, last }
}

/** The end of the log that debootstrap keeps in the tree, which is about to be removed. */
function logTail(root: string): string[] {
  try {
    const text = readFileSync(join(root, 'debootstrap/debootstrap.log'), 'utf8')
    return text.trimEnd().split('\n').slice(-5).map(shown)
  } catch {
    return []
  }
}

function debootstrapArguments(
  stage: Stage,
  release: string,
  root: string,
  mirror: string,
  cache: string | undefined,
): string[] {
  const include = (stage.header.include ?? '').split(/[\s,]+/).filter(Boolean)
  return [
    '--variant=minbase',
    `--exclude=${excluded.filter((name) => !include.includes(name)).join(',')}`,
    ...(include.length > 0 ? [`--include=${include.join(',')}`] : []),
    ...(cache ? [`--cache-dir=${cache}`] : []),
    release,
    root,
    mirror,
  ]
}

function requireRelease(stage: Stage): string {
  const release = stage.header.osversion?.trim() ?? ''
  if (/^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(release)) return release
  throw new SingError('DEFINITION', `OSVersion: expected the name of a release, got "${shown(release)}"`, {
    hint: 'For example: OSVersion: bookworm',
  })
}

/** Make a minimal Debian or Ubuntu with the host's debootstrap. */
export async function fetchDebootstrap(stage: Stage, root: string, tools: BuildTools): Promise<Base> {
  const { environment, facts, report, signal, debug } = tools
  const release = requireRelease(stage)
  const path = searchPath(environment)
  const [program] = programsIn('debootstrap', path.split(':'))
  if (!program) {
    throw new SingError('HOST_TOOL', 'debootstrap is not installed on this machine', {
      hint: 'Install the package "debootstrap" (Debian, Ubuntu, Fedora, Arch), or begin with another base',
    })
  }
  const mirror = mirrorOf(stage, release, path)
  requireRoom(dirname(tools.scratch.path), dirname(tools.request.target), least)
  mkdirSync(join(root, 'dev'), { mode: 0o755 })
  const { onLine, last } = listener(tools)
  report({ kind: 'info', text: `Installing ${release} from ${shown(mirror)}` })
  const status = await runOnHost(
    {
      program: [program, ...debootstrapArguments(stage, release, root, mirror, packageCache(tools))],
      // Inside an lxc container debootstrap does not insist on making device nodes itself.
      environment: { ...environment, PATH: path, container: 'lxc', LC_ALL: 'C' },
      cwd: '/',
      devices: root,
    },
    { facts, report, debug, signal, onLine },
  )
  if (signal.aborted) throw signal.reason
  if (status !== 0) {
    const log = logTail(root)
    throw new SingError('HOST_TOOL', `debootstrap failed with status ${status}`, {
      hint: [...last, ...log].join('\n'),
    })
  }
  removeDevicePlaces(root)
  removePackages(root)
  return { attachments: [], time: undefined }
}
