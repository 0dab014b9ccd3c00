/** Root file systems of RPM distributions that dnf makes on the host (`Bootstrap: yum`, `dnf`). */

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { mistake, type Stage } from '../../definition/types.ts'
import { download, shownAddress } from '../../store/http.ts'
import { removeInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { addressOf, nameOfArchitecture, packageCache, packageNames, releaseOf } from './packages.ts'
import { databasePlaces, makeRpmHome, settleDatabase } from './rpm.ts'
import { findTool, runTool } from './tool.ts'

/** A minimal distribution, unpacked and as an image, in bytes. */
const least = { unpacked: 150 * 1024 * 1024, packed: 50 * 1024 * 1024 }

/** What makes a distribution, whatever else is asked for; the peers' choice. */
const always = ['/etc/redhat-release', 'coreutils']

/** Where dnf has its packages and logs inside the tree meanwhile. */
const place = '/var/cache/sing-dnf'

const largestKey = 1024 * 1024

type Repository = { readonly id: string; readonly address: string }

/** The whole configuration: nothing of the host's repositories and plugins counts. */
export function dnfConfiguration(repositories: readonly Repository[], key: string | undefined): string {
  const check = key === undefined ? ['gpgcheck=0'] : ['gpgcheck=1', `gpgkey=file://${key}`]
  const main = [
    '[main]',
    `cachedir=${place}/cache`,
    `logdir=${place}/log`,
    ...['keepcache=1', 'plugins=0', 'reposdir=/dev/null', 'varsdir=/dev/null', 'obsoletes=1', 'deltarpm=0'],
    ...check,
  ]
  const parts = repositories.map(({ id, address }) => [
    `[${id}]`,
    `name=${id}`,
    `baseurl=${address}`,
    'enabled=1',
    ...check,
  ])
  return [main, ...parts].map((lines) => `${lines.join('\n')}\n`).join('\n')
}

/** `Setopt`: one or several `name=value`; a value may have blanks. */
export function setOptions({ header, headerLines }: Stage, name: string): string[] {
  const text = header.setopt?.trim() ?? ''
  if (text === '') return []
  const words = text.split(/\s+(?=[\w.*-]+=)/)
  if (!words.every((word) => /^[\w.*-]+=/.test(word)))
    throw mistake(name, headerLines.setopt ?? 0, `Setopt: expected NAME=VALUE, got "${text}"`)
  return words.map((word) => `--setopt=${word}`)
}

async function readKey(address: string, tools: BuildTools): Promise<Buffer> {
  if (address.startsWith('https://')) return await download(address, { limit: largestKey, ...tools })
  if (!/^(file:\/\/)?\//.test(address)) {
    throw new SingError(
      'DEFINITION',
      `GPG=${shown(address)}: the key of the packages must come by https://`,
      {
        hint: 'GPG is an address https://..., or the path of a file',
      },
    )
  }
  try {
    return readFileSync(address.startsWith('/') ? address : fileURLToPath(address))
  } catch (cause) {
    throw new SingError('IO', `cannot read the key GPG=${shown(address)}: ${reasonOf(cause)}`, { cause })
  }
}

/** The file with the key that packages are checked with, which the variable GPG names; undefined without. */
async function keyFile(tools: BuildTools): Promise<string | undefined> {
  const address = tools.environment.GPG?.trim()
  if (!address) return undefined
  const path = join(tools.scratch.path, 'packages.key')
  writeFileSync(path, await readKey(address, tools))
  return path
}

function repositoriesOf(stage: Stage, release: string, name: string): Repository[] {
  const keys = [
    ['base', 'mirrorurl'],
    ['updates', 'updateurl'],
  ] as const
  return keys.flatMap(([id, key]) => {
    const address = addressOf(stage, key, release, name)
    return address === undefined ? [] : [{ id, address }]
  })
}

/** @throws SingError for a header that names no packages or repositories */
export function checkDnf(stage: Stage, name: string): void {
  repositoriesOf(stage, releaseOf(stage, '9'), name)
  setOptions(stage, name)
  packageNames(stage.header.include)
}

/** Make a minimal Fedora, RHEL or the like with the host's dnf. */
export async function fetchDnf(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  const { environment, definitionName: name, scratch, request, report } = tools
  const program = findTool(['dnf', 'yum'], '"dnf" (Debian, Ubuntu, Fedora, Arch, SUSE)', environment)
  const release = releaseOf(stage, '9')
  const repositories = repositoriesOf(stage, release, name)
  const options = setOptions(stage, name)
  const packages = [...always, ...packageNames(stage.header.include), ...packageNames(environment.INCLUDE)]
  requireRoom(dirname(scratch.path), dirname(request.target), least)
  const configuration = join(scratch.path, 'dnf.conf')
  writeFileSync(configuration, dnfConfiguration(repositories, await keyFile(tools)))
  const cache = packageCache('dnf', tools)
  const [database] = databasePlaces
  const home = makeRpmHome(database, tools)
  report({ kind: 'info', text: `Installing packages from ${shownAddress(repositories[0]?.address ?? '')}` })
  await runTool(
    {
      name: 'dnf',
      program: [
        ...[program, '-c', configuration, `--installroot=${root}`, '-y'],
        ...(release === '' ? [] : [`--releasever=${release}`]),
        ...(request.architecture === undefined
          ? []
          : [`--forcearch=${nameOfArchitecture('rpm', request.architecture)}`]),
        ...options,
        ...['install', ...packages],
      ],
      root,
      environment: { HOME: home },
      lent: cache === undefined ? [] : [{ from: cache, at: join(root, place, 'cache') }],
    },
    tools,
  )
  removeInside(root, place)
  settleDatabase(root, database)
}
