/** Where keys lie: the ring that is ours, those of the peers, and those of the site. */

import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { SingError, shown } from '../core/errors.ts'

type Environment = Readonly<Record<string, string>>

/** Who made a place. `own` is written; those of the peers are read, and changed only by who names them. */
export type Owner = 'own' | 'apptainer' | 'singularity' | 'site'

/** A directory with a ring of public keys, and with one of private keys when it is somebody's own. */
export type KeyPlace = {
  readonly owner: Owner
  readonly directory: string
  readonly public: string
  readonly secret: string | undefined
}

export type KeyPlaces = {
  readonly own: KeyPlace
  /** Rings of the peers in the home directory. */
  readonly others: readonly KeyPlace[]
  /** Rings of the site, ours first. */
  readonly global: readonly KeyPlace[]
}

export type RingKind = 'public' | 'secret'

/** Variables that name the directory, the strongest first. */
const directoryVariables = [
  'SING_KEYSDIR',
  'APPTAINER_KEYSDIR',
  'SINGULARITY_KEYSDIR',
  'SING_SYPGPDIR',
  'APPTAINER_SYPGPDIR',
  'SINGULARITY_SYPGPDIR',
] as const

/** A directory with the two files that the peers have, too. */
export const keyDirectory = (directory: string, owner: Owner = 'own'): KeyPlace => ({
  owner,
  directory,
  public: join(directory, 'pgp-public'),
  secret: join(directory, 'pgp-secret'),
})

export const globalPlace = (directory: string, owner: Owner): KeyPlace => ({
  owner,
  directory,
  public: join(directory, 'global-pgp-public'),
  secret: undefined,
})

const globalPlaces: readonly KeyPlace[] = [
  globalPlace('/etc/sing', 'site'),
  globalPlace('/etc/apptainer', 'apptainer'),
  globalPlace('/etc/singularity', 'singularity'),
]

const absolute = (path: string | undefined): string | undefined => (path?.startsWith('/') ? path : undefined)

function homeOf({ HOME }: Environment): string | undefined {
  return absolute(HOME || userInfo().homedir)
}

function ownDirectory(environment: Environment, home: string | undefined): string {
  // Paths in these variables are absolute, or to be ignored (XDG base directory specification).
  const data = absolute(environment.XDG_DATA_HOME) ?? (home && join(home, '.local', 'share'))
  if (data !== undefined) return join(data, 'sing', 'keys')
  throw new SingError('KEY', 'there is no place for keys: you have no home directory', {
    hint: 'Name one in SING_KEYSDIR, or with --keysdir',
  })
}

/** Keys of the peers; their own variables move them. */
function peerPlaces(environment: Environment, home: string | undefined): KeyPlace[] {
  const apptainer = absolute(environment.APPTAINER_CONFIGDIR) ?? (home && join(home, '.apptainer'))
  const singularity = absolute(environment.SINGULARITY_CONFIGDIR) ?? (home && join(home, '.singularity'))
  return [
    ...(apptainer ? [keyDirectory(join(apptainer, 'keys'), 'apptainer')] : []),
    ...(singularity ? [keyDirectory(join(singularity, 'sypgp'), 'singularity')] : []),
  ]
}

/**
 * Where keys lie for who has this environment. `named` is the value of --keysdir, which is stronger than the variables; a
 * directory that was named is the only one, besides those of the site.
 * @throws SingError KEY without a home directory
 */
export function keyPlaces(environment: Environment, named?: string): KeyPlaces {
  const variable = directoryVariables.find((name) => environment[name])
  const directory = named || (variable && environment[variable])
  if (directory) return { own: keyDirectory(resolve(directory)), others: [], global: globalPlaces }
  const home = homeOf(environment)
  const own = keyDirectory(ownDirectory(environment, home))
  return { own, others: peerPlaces(environment, home), global: globalPlaces }
}

/** All places that may have keys of a kind: the user's own first, for numbers and names of keys. */
export const placesWith = ({ own, others }: KeyPlaces): readonly KeyPlace[] => [own, ...others]

/** What a place is called in a message. */
export const nameOf = ({ owner, directory }: KeyPlace): string =>
  owner === 'site' ? `the ring of the site in ${shown(directory)}` : shown(directory)
