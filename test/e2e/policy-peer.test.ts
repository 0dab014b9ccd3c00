/** Execution control lists: what Apptainer starts by them, `sing` starts. */

import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PrivateKey } from 'openpgp'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { besidePeer } from '../helpers/peer.ts'
import { fingerprintOf, makeRing, newKey, signWith } from '../helpers/signing.ts'
import { commandLine, environment, program, projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const names = ['ann', 'bob', 'eve'] as const
const keys = new Map<string, PrivateKey>()
const images = { unsigned: [], ann: ['ann'], both: ['ann', 'bob'], eve: ['eve'], annAndEve: ['ann', 'eve'] }
type ImageName = keyof typeof images
/** The keys of ann and bob are in the ring of the site; that of eve is not. */
let site: string
let folder: string

const print = (name: string): string => {
  const key = keys.get(name)
  return key ? fingerprintOf(key) : ''
}

beforeAll(async () => {
  for (const name of names) keys.set(name, await newKey(name))
  folder = temporaryFolder()
  for (const [name, signers] of Object.entries(images)) {
    const path = join(folder, `${name}.sif`)
    copyFileSync(join(projectRoot, 'fixtures/images/everything.sif'), path)
    for (const signer of signers) await signWith(path, keys.get(signer) as PrivateKey)
    give(path)
  }
  site = join(temporaryFolder(), 'apptainer')
  makeRing(
    site,
    ['ann', 'bob'].map((name) => keys.get(name) as PrivateKey),
    'global-pgp-public',
  )
})

/** Status 0 is a start; everything else is a refusal. */
async function startsAtPeer(image: string): Promise<boolean> {
  const mounts = ['ecl.toml', 'global-pgp-public'].map(
    (name) => `mount --bind ${site}/${name} /etc/apptainer/${name}`,
  )
  const script = [...mounts, `exec runuser -u singtest -- apptainer exec ${image} true`].join(' && ')
  const { status } = await besidePeer(['sh', '-c', script], {
    root: true,
    folders: [folder, join(site, '..')],
  })
  return status === 0
}

async function startsHere(image: string): Promise<boolean> {
  const inner = commandLine([program, 'exec', image, 'true']).join(' ')
  const script = `mount -t overlay none -o lowerdir=${join(site, '..')}:/etc /etc && exec ${inner}`
  const { status } = await run(['unshare', '--mount', 'sh', '-c', script], { as: 'self', env: environment() })
  return status === 0
}

type Group = { readonly mode: string; readonly by: readonly string[]; readonly directory?: string }

function writeList(groups: readonly Group[]): void {
  const texts = groups.map(
    ({ mode, by, directory = folder }) =>
      `[[execgroup]]\n  mode = "${mode}"\n  dirpath = "${directory}"\n  keyfp = [${by.map((name) => `"${print(name)}"`).join(', ')}]\n`,
  )
  writeFileSync(join(site, 'ecl.toml'), `activated = true\n${texts.join('')}`)
}

const lists: readonly (readonly [string, readonly Group[]])[] = [
  ['one of two', [{ mode: 'whitelist', by: ['ann', 'eve'] }]],
  ['another one', [{ mode: 'whitelist', by: ['bob'] }]],
  ['nobody', [{ mode: 'whitelist', by: [] }]],
  ['both of two', [{ mode: 'whitestrict', by: ['ann', 'bob'] }]],
  ['all of none', [{ mode: 'whitestrict', by: [] }]],
  ['none of one', [{ mode: 'blacklist', by: ['bob'] }]],
  ['another directory', [{ mode: 'whitelist', by: ['ann'], directory: '/usr' }]],
  [
    'the others',
    [
      { mode: 'whitelist', by: ['bob'], directory: '/usr' },
      { mode: 'whitelist', by: ['ann'], directory: '' },
    ],
  ],
]

/** Where we are stricter: a signature by somebody unknown admits nothing, whatever a list forbids (docs/policy.md). */
const stricter: readonly string[] = ['all of none eve', 'none of one eve']

const cases = lists.flatMap(([title, groups]) =>
  (Object.keys(images) as ImageName[]).map((image) => ({ title, groups, image })),
)

describe.skipIf(!can('peer', 'root', 'userns', 'fuse', 'overlay'))('an image by the list', () => {
  it.each(cases)('$title: $image', async ({ title, groups, image }) => {
    writeList(groups)
    const path = join(folder, `${image}.sif`)
    const [there, here] = [await startsAtPeer(path), await startsHere(path)]
    expect({ here, there }).toEqual({ here: there && !stricter.includes(`${title} ${image}`), there })
  })
})
