/** The packages of a root file system, of whatever manager left a list of them. */

import { type Dirent, lstatSync, readdirSync } from 'node:fs'
import { SingError, shown } from '../../core/errors.ts'
import type { Hear } from '../../runtime/output.ts'
import { runSection } from '../../runtime/section.ts'
import { existsInside, readInside, resolveInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { databasePlaces } from '../sources/rpm.ts'
import type { Lock } from './diff.ts'
import {
  apkPackages,
  condaPackage,
  dpkgPackages,
  pacmanPackage,
  pythonPackage,
  rPackage,
  rpmFormat,
  rpmPackages,
} from './formats.ts'

type Found = Map<string, Record<string, string>>
type Package = readonly [name: string, version: string]

const largestList = 256 * 1024 * 1024
const largestFile = 16 * 1024 * 1024
/** Deeper, and in more directories, nobody installs packages. */
const deepest = 12
const mostDirectories = 500_000
const elsewhere = new Set(['/proc', '/sys', '/dev', '/tmp', '/run'])

function add(found: Found, kind: string, packages: readonly Package[]): void {
  if (packages.length === 0) return
  found.set(kind, { ...found.get(kind), ...Object.fromEntries(packages) })
}

function entriesIn(root: string, directory: string): Dirent[] {
  try {
    const place = resolveInside(root, directory)
    return lstatSync(place).isDirectory() ? readdirSync(place, { withFileTypes: true }) : []
  } catch {
    // Whoever may not look does not know.
    return []
  }
}

const directoriesIn = (root: string, directory: string): string[] =>
  entriesIn(root, directory).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))

const filesIn = (root: string, directory: string): string[] =>
  entriesIn(root, directory).flatMap((entry) => (entry.isFile() ? [entry.name] : []))

const read = (root: string, path: string, limit = largestFile): string => readInside(root, path, limit) ?? ''

function systemPackages(root: string, found: Found): void {
  add(found, 'dpkg', dpkgPackages(read(root, '/var/lib/dpkg/status', largestList)))
  for (const name of filesIn(root, '/var/lib/dpkg/status.d'))
    add(found, 'dpkg', dpkgPackages(read(root, `/var/lib/dpkg/status.d/${name}`)))
  for (const path of ['/lib/apk/db/installed', '/usr/lib/apk/db/installed'])
    add(found, 'apk', apkPackages(read(root, path, largestList)))
  for (const name of directoriesIn(root, '/var/lib/pacman/local'))
    add(found, 'pacman', pacmanPackage(read(root, `/var/lib/pacman/local/${name}/desc`)))
}

function pythonPackages(root: string, directory: string): Package[] {
  const lists = [
    ...directoriesIn(root, directory).flatMap((name) => {
      if (name.endsWith('.dist-info')) return [`${name}/METADATA`]
      return name.endsWith('.egg-info') ? [`${name}/PKG-INFO`] : []
    }),
    ...filesIn(root, directory).filter((name) => name.endsWith('.egg-info')),
  ]
  return lists.flatMap((name) => pythonPackage(read(root, `${directory}/${name}`)))
}

const condaPackages = (root: string, directory: string): Package[] =>
  filesIn(root, directory)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => condaPackage(read(root, `${directory}/${name}`)))

const rPackages = (root: string, directory: string): Package[] =>
  directoriesIn(root, directory).flatMap((name) => rPackage(read(root, `${directory}/${name}/DESCRIPTION`)))

/** Directories that hold packages wherever they lie, by their names. */
function placedPackages(root: string, directory: string, name: string, found: Found): void {
  const path = `${directory}/${name}`
  if (name === 'site-packages' || name === 'dist-packages')
    add(found, `python ${path}`, pythonPackages(root, path))
  else if (name === 'conda-meta') add(found, `conda ${directory || '/'}`, condaPackages(root, path))
  else if (/\/R\/(site-)?library$/.test(path)) add(found, `R ${path}`, rPackages(root, path))
}

/** Look through the whole tree, links not followed. */
function walk(root: string, found: Found): void {
  const pending = ['']
  let left = mostDirectories
  for (let directory = pending.pop(); directory !== undefined && left > 0; directory = pending.pop()) {
    left -= 1
    for (const entry of entriesIn(root, directory || '/')) {
      const path = `${directory}/${entry.name}`
      if (!entry.isDirectory() || elsewhere.has(path)) continue
      placedPackages(root, directory, entry.name, found)
      if (path.split('/').length <= deepest) pending.push(path)
    }
  }
}

const rpmSection = {
  environment: { PATH: '/usr/bin:/bin', HOME: '/', LC_ALL: 'C' },
  writable: true,
  memoryUpper: true,
  binds: [],
  mounts: [],
  devices: [],
  umask: 0o022,
} as const

/** Ask the rpm of the image, whose database may be of a kind that no other knows. Nothing of that stays. */
async function askRpm(root: string, tools: BuildTools): Promise<Package[]> {
  const { facts, report, debug, signal } = tools
  const isThere = databasePlaces.some((place) => existsInside(root, place))
  if (!isThere) return []
  if (!existsInside(root, '/usr/bin/rpm')) {
    const text = 'The lock has no packages of RPM: the image has no rpm that could list them'
    report({ kind: 'info', text })
    return []
  }
  const heard = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
  const textOf = (stream: keyof typeof heard): string => Buffer.concat(heard[stream]).toString()
  let left = largestFile
  const hear: Hear = (stream, bytes) => {
    left -= bytes.length
    if (left >= 0) heard[stream].push(bytes)
  }
  const program = ['/usr/bin/rpm', '-qa', '--qf', rpmFormat]
  const status = await runSection({ ...rpmSection, root, program }, { facts, report, debug, signal, hear })
  signal.throwIfAborted()
  if (left < 0) throw new SingError('BUILD', 'the rpm of the image does not end to list its packages')
  if (status === 0) return rpmPackages(textOf('stdout'))
  throw new SingError('BUILD', `the rpm of the image cannot list its packages (status ${status})`, {
    hint: textOf('stderr').trim().slice(-1000).split('\n').map(shown).join('\n'),
  })
}

/** The packages that are installed in a tree. */
export async function packagesIn(root: string, tools: BuildTools): Promise<Lock['packages']> {
  const found: Found = new Map()
  systemPackages(root, found)
  walk(root, found)
  add(found, 'rpm', await askRpm(root, tools))
  return Object.fromEntries(found)
}
