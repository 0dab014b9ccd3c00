/** Root file systems that debootstrap makes on the host (`Bootstrap: debootstrap`). */

import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import { mistake, type Stage } from '../../definition/types.ts'
import { programsIn } from '../../host/look.ts'
import { shownAddress } from '../../store/http.ts'
import { readInside, removeInside, resolveInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { addressOf, nameOfArchitecture, packageCache, packageNames, releaseOf } from './packages.ts'
import { findTool, runTool, searchPath } from './tool.ts'

/** A minimal Debian with the packages it comes from, and as an image, in bytes. */
const least = { unpacked: 300 * 1024 * 1024, packed: 50 * 1024 * 1024 }

/** Packages that a container has no use for although their priority would bring them in. */
const excluded = ['openssl', 'udev', 'debconf-i18n', 'e2fsprogs']

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
function mirrorOf(stage: Stage, release: string, { definitionName, environment }: BuildTools): string {
  const given = addressOf(stage, 'mirrorurl', release, definitionName)
  if (given) return given
  const mirrors = aptMirrors(searchPath(environment))
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

function removePackages(root: string): void {
  const archives = '/var/cache/apt/archives'
  const directory = resolveInside(root, archives)
  if (!lstatSync(directory, { throwIfNoEntry: false })?.isDirectory()) return
  for (const name of readdirSync(directory))
    if (name.endsWith('.deb')) removeInside(root, `${archives}/${name}`)
}

const largestLog = 64 * 1024 * 1024

/** The end of the log that debootstrap keeps in the tree, which is about to be removed. */
function logTail(root: string): string[] {
  try {
    const text = readInside(root, '/debootstrap/debootstrap.log', largestLog) ?? ''
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
  architecture: string | undefined,
): string[] {
  const include = packageNames(stage.header.include)
  return [
    '--variant=minbase',
    ...(architecture === undefined ? [] : [`--arch=${nameOfArchitecture('debian', architecture)}`]),
    `--exclude=${excluded.filter((name) => !include.includes(name)).join(',')}`,
    ...(include.length > 0 ? [`--include=${include.join(',')}`] : []),
    ...(cache ? [`--cache-dir=${cache}`] : []),
    release,
    root,
    mirror,
  ]
}

const scripts = '/usr/share/debootstrap/scripts'

/** Releases differ in how they are made: debootstrap has a script for each that it knows. */
function requireRelease(stage: Stage, name: string): string {
  const release = releaseOf(stage, 'bookworm')
  if (!existsSync(scripts) || existsSync(join(scripts, release))) return release
  throw mistake(
    name,
    stage.headerLines.osversion ?? 0,
    `debootstrap of this machine knows no release "${release}"`,
    'OSVersion is a name such as bookworm or noble. For a newer release install a newer debootstrap',
  )
}

/** It goes on when it cannot check what it downloads; whoever gets the image should know. */
function unchecked(line: string): string | undefined {
  const [, keyring] = /^W: Cannot check Release signature; keyring file not available (\S+)/.exec(line) ?? []
  if (!keyring) return undefined
  return `Signatures of the packages are not checked: ${shown(keyring)} is missing. Install the package that has it, such as debian-archive-keyring or ubuntu-keyring`
}

/** Where the packages come from, for people. */
export function debootstrapMirror(stage: Stage, tools: BuildTools): string {
  return shownAddress(mirrorOf(stage, releaseOf(stage, 'bookworm'), tools))
}

/** @throws SingError for a header that names no release, packages or mirror */
export function checkDebootstrap(stage: Stage, name: string): void {
  addressOf(stage, 'mirrorurl', releaseOf(stage, 'bookworm'), name)
  packageNames(stage.header.include)
}

/** Make a minimal Debian or Ubuntu with the host's debootstrap. */
export async function fetchDebootstrap(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const { environment, report, scratch, request } = tools
  const packages = '"debootstrap" (Debian, Ubuntu, Fedora, Arch, SUSE)'
  const program = findTool(['debootstrap'], packages, environment)
  const release = requireRelease(stage, tools.definitionName)
  const mirror = mirrorOf(stage, release, tools)
  requireRoom(dirname(scratch.path), dirname(request.target), least)
  report({ kind: 'info', text: `Installing ${release} from ${shownAddress(mirror)}` })
  const cache = packageCache('debootstrap', tools)
  await runTool(
    {
      name: 'debootstrap',
      program: [program, ...debootstrapArguments(stage, release, root, mirror, cache, request.architecture)],
      root,
      // Inside an lxc container debootstrap does not insist on making device nodes itself.
      environment: { container: 'lxc' },
      hear(line) {
        const text = unchecked(line)
        if (text) report({ kind: 'warning', text })
      },
      explain: () => logTail(root),
    },
    tools,
  )
  removePackages(root)
}
