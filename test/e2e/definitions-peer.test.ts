/** Definitions as people write them, built by us and by Apptainer. SING_RECORD=1 writes what definitions.test.ts expects. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import {
  buildWords,
  canMakeBase,
  copyWorkplace,
  debianDefinitions,
  definitions,
  expectedFile,
  makeDebian,
  makeWorkplace,
} from '../helpers/definitions.ts'
import {
  behaviourLines,
  comparable,
  fileLines,
  filesOf,
  refusedByPeer,
  refusedWithOneId,
} from '../helpers/definitions-compared.ts'
import type { Tree } from '../helpers/image-tree.ts'
import { besidePeer } from '../helpers/peer.ts'
import { type Outcome, sing } from '../helpers/sing.ts'

/** Root of a container may lack a power that Apptainer asks for; as root of a namespace with all ids it has them all. */
const allPowers = ['unshare', '--user', '--map-users=0:0:65536', '--map-groups=0:0:65536']

const ways = [
  { ids: 'subordinate ids', as: 'user', ours: [], before: [] },
  {
    ids: 'a single id',
    as: 'user',
    ours: ['--ignore-subuid'],
    before: [],
  },
  { ids: 'all ids, for root', as: 'self', ours: [], before: allPowers },
] as const

/** Minutes: packages of Debian come over the network. */
const timeout = 1_800_000

describe.skipIf(!can('peer', 'root', 'userns', 'fuse', 'subuid'))(
  'definitions of real style, beside Apptainer',
  () => {
    let folder = ''
    let base: Tree = new Map()
    beforeAll(async () => {
      folder = await makeWorkplace()
      base = await filesOf(join(folder, 'bases/base.sif'))
    })

    describe.each(ways)('with $ids', (way) => {
      const { as, ours: flags } = way
      // Apptainer makes all files root's then.
      const hasOwners = way.ids !== 'a single id'
      const places = { ours: '', theirs: '' }
      beforeAll(async () => {
        places.ours = as === 'self' ? await copyWorkplace(folder, '0:0') : folder
        places.theirs = await copyWorkplace(folder, as === 'self' ? '0:0' : await peerOwner())
      })

      const buildByPeer = (name: string): Promise<Outcome> => {
        // fakeroot(1) needs a libc in the image.
        const how = debianDefinitions.includes(name) ? [] : ['--ignore-fakeroot-command']
        const words = buildWords(name, ['--disable-cache', ...flags, ...(hasOwners ? [] : how)])
        const cwd = places.theirs
        return besidePeer([...way.before, 'apptainer', ...words], {
          cwd,
          root: as === 'self',
          env: { HOME: cwd },
          timeout,
        })
      }

      const linesOf = async (name: string, place: string, owners: boolean): Promise<string[]> => {
        const image = join(place, `${name}.sif`)
        const does = await behaviourLines(image, place, (args) => sing(args, { cwd: place, as }))
        return [...(await fileLines(image, base, owners)), ...does]
      }

      const record = (name: string, lines: readonly string[]): void => {
        if (process.env.SING_RECORD && way.ids === 'subordinate ids')
          writeFileSync(expectedFile(name), `${lines.join('\n')}\n`)
      }

      const compare = async (name: string, owners: boolean): Promise<void> => {
        const built = await sing(buildWords(name, flags), { cwd: places.ours, as, timeout })
        expect(built.status, built.stderr).toBe(0)
        const theirs = await buildByPeer(name)
        expect(theirs.status, theirs.stderr).toBe(0)
        const lines = await linesOf(name, places.ours, owners)
        expect(comparable(name, lines)).toEqual(comparable(name, await linesOf(name, places.theirs, owners)))
        if (!debianDefinitions.includes(name)) record(name, lines)
      }

      const isRefused = (name: string): boolean =>
        name in refusedByPeer || (way.ids === 'a single id' && refusedWithOneId.includes(name))
      const possible = definitions.filter(canMakeBase)

      it.each(possible.filter((name) => !isRefused(name)))('%s is the same', { timeout }, (name) =>
        compare(name, hasOwners),
      )

      const buildAlone = async (name: string): Promise<void> => {
        const built = await sing(buildWords(name, flags), { cwd: places.ours, as, timeout })
        expect(built.status, built.stderr).toBe(0)
        expect((await buildByPeer(name)).status).toBe(255)
        if (name in refusedByPeer) record(name, await linesOf(name, places.ours, true))
      }

      it.each(possible.filter(isRefused))('%s is built by us alone', { timeout }, buildAlone)

      // With one id Apptainer cannot unpack a Debian: files of it have other owners.
      it.skipIf(!can('debootstrap')).each(debianDefinitions)(
        hasOwners ? '%s on Debian is the same' : '%s on Debian is built by us alone',
        { timeout },
        async (name) => {
          await makeDebian(folder, [places.ours, places.theirs])
          await (hasOwners ? compare(name, true) : buildAlone(name))
        },
      )
    })
  },
)

async function peerOwner(): Promise<string> {
  const { stdout } = await besidePeer(['sh', '-c', 'echo "$(id -u):$(id -g)"'])
  return stdout.trim()
}
