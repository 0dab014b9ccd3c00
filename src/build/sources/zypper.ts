/** Root file systems of SUSE that zypper makes on the host (`Bootstrap: zypper`). */

import { dirname, join } from 'node:path'
import { shownKey } from '../../definition/agents.ts'
import { mistake, type Stage } from '../../definition/types.ts'
import { shownAddress } from '../../store/http.ts'
import { removeInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { addressOf, packageCache, packageNames, releaseOf } from './packages.ts'
import { databasePlaces, makeRpmHome, settleDatabase } from './rpm.ts'
import { findTool, runTool } from './tool.ts'

/** A minimal system, unpacked and as an image, in bytes. */
const least = { unpacked: 150 * 1024 * 1024, packed: 50 * 1024 * 1024 }

/** What makes a SUSE, whatever else is asked for; the peers' choice. */
const always = 'aaa_base'

/** All is installed, but the scripts of some packages failed. */
const scriptsFailed = 107

/** Where zypper has its packages inside the tree meanwhile. */
const kept = '/var/cache/zypp'

/** Keys that register a system with its vendor. */
const registration = ['product', 'user', 'regcode', 'productpgp', 'registerurl', 'modules']

/** @throws SingError for a stage that wants a registered system */
export function refuseRegistration({ header, headerLines }: Stage, name: string): void {
  const key = registration.find((candidate) => header[candidate]?.trim())
  if (key === undefined) return
  throw mistake(
    name,
    headerLines[key] ?? 0,
    `${shownKey(key)}: systems are not registered with SUSE here`,
    'Name repositories that need no registration, such as those of an RMT server: MirrorURL, UpdateURL, OtherURL0, ...',
  )
}

type Repository = { readonly id: string; readonly address: string; readonly refreshes: boolean }

/** The repositories of a header under the names that the image knows them by. */
export function zypperRepositories(stage: Stage, release: string, name: string): Repository[] {
  const others = Array.from({ length: 10 }, (_, index) => [`otherurl${index}`, `repo-${index}`] as const)
  const keys = [['mirrorurl', 'repo'] as const, ['updateurl', 'update'] as const, ...others]
  return keys.flatMap(([key, id]) => {
    const address = addressOf(stage, key, release, name)
    return address === undefined ? [] : [{ id, address, refreshes: id !== 'repo' }]
  })
}

/** Its arguments, one command after the other. */
export function zypperCommands(
  repositories: readonly Repository[],
  release: string,
  packages: readonly string[],
): string[][] {
  const install = ['install', '--auto-agree-with-licenses', '--download-in-advance', always, ...packages]
  return [
    ...repositories.map(({ id, address, refreshes }) => [
      ...['addrepo', '--keep-packages', ...(refreshes ? ['--refresh'] : [])],
      ...[address, id],
    ]),
    ['refresh'],
    [...(release === '' ? [] : [`--releasever=${release}`]), ...install],
    ['modifyrepo', '--no-keep-packages', '--all'],
  ]
}

/** @throws SingError for a header that names no packages or repositories */
export function checkZypper(stage: Stage, name: string): void {
  refuseRegistration(stage, name)
  zypperRepositories(stage, releaseOf(stage, '15.6'), name)
  packageNames(stage.header.include)
}

/** Make a minimal openSUSE with the host's zypper. */
export async function fetchZypper(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const { environment, definitionName: name, scratch, request, report } = tools
  const program = findTool(['zypper'], '"zypper" (Debian, Ubuntu, Fedora, SUSE)', environment)
  const release = releaseOf(stage, '15.6')
  const repositories = zypperRepositories(stage, release, name)
  const packages = [...packageNames(stage.header.include), ...packageNames(environment.INCLUDE)]
  requireRoom(dirname(scratch.path), dirname(request.target), least)
  const database = databasePlaces[1]
  const home = makeRpmHome(database, tools)
  const cache = packageCache('zypper', tools)
  report({ kind: 'info', text: `Installing packages from ${shownAddress(repositories[0]?.address ?? '')}` })
  for (const command of zypperCommands(repositories, release, packages)) {
    const status = await runTool(
      {
        name: `zypper ${command.find((word) => !word.startsWith('-'))}`,
        program: [program, `--root=${root}`, '--non-interactive', '--gpg-auto-import-keys', ...command],
        root,
        environment: { HOME: home },
        lent: cache === undefined ? [] : [{ from: cache, at: join(root, kept, 'packages') }],
        accepted: [scriptsFailed],
      },
      tools,
    )
    if (status !== 0)
      report({ kind: 'warning', text: 'All packages are installed, but scripts of some failed' })
  }
  removeInside(root, kept)
  settleDatabase(root, database)
}
