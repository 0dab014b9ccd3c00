/** Encrypted images of SIF: what has to be known to open one, and who is asked to. */

import { SingError, shown } from '../core/errors.ts'
import { dataTypes, type SifObject } from '../sif/format.ts'
import { objectWindow, readAt, type Sif } from '../sif/read.ts'
import type { OpenOptions } from './open.ts'
import type { PemKey } from './sealed-passphrase.ts'

/** What the user has to open it. */
export type Secret =
  | {
      readonly kind: 'passphrase'
      readonly passphrase: string
      /** Of the environment that has it, if it was not typed. */
      readonly variable?: string | undefined
    }
  | ({ readonly kind: 'pem' } & PemKey)

/** An encrypted image as it lies in its file. */
export type Locked = {
  readonly path: string
  readonly offset: number
  readonly size: number
  /** The passphrase, sealed for the owner of a private key: text of the object that holds it. */
  readonly sealed?: Buffer | undefined
}

/** What the flags and variables are called, where somebody has to give one. */
export const howToUnlock = ({ sealed }: Pick<Locked, 'sealed'>): string =>
  sealed
    ? 'It was encrypted for the owner of a private key: --pem-path KEY.pem or SINGULARITY_ENCRYPTION_PEM_PATH'
    : 'Give the passphrase: --passphrase asks for it, or set SINGULARITY_ENCRYPTION_PASSPHRASE'

/** More than that holds no passphrase that anybody made. */
const sealedLimit = 64 * 1024

export type Locks = { readonly sealed: boolean; readonly key: number | undefined }

/**
 * The key of an encrypted partition.
 * @throws SingError ENCRYPTION without a way to get one
 */
export async function openLocked(
  fd: number,
  sif: Sif,
  partition: SifObject,
  unlock: OpenOptions['unlock'],
): Promise<Locks> {
  const locked = describe(fd, sif, partition)
  const sealed = locked.sealed !== undefined
  if (unlock === 'keep') return { sealed, key: undefined }
  if (unlock) return { sealed, key: await unlock(locked) }
  throw new SingError('ENCRYPTION', `cannot open ${shown(sif.path)}: it is encrypted`, {
    hint: howToUnlock(locked),
  })
}

function describe(fd: number, sif: Sif, partition: SifObject): Locked {
  const { offset, size } = objectWindow(sif, partition)
  const [message, ...more] = sif.objects.filter(
    ({ dataType, link }) =>
      dataType === dataTypes.cryptoMessage && link.kind === 'object' && link.id === partition.id,
  )
  if (!message) return { path: sif.path, offset, size }
  if (more.length > 0 || message.size > sealedLimit)
    throw new SingError('ENCRYPTION', `cannot open ${shown(sif.path)}: it has no single sealed passphrase`)
  const place = objectWindow(sif, message)
  return { path: sif.path, offset, size, sealed: readAt(fd, place.offset, place.size) }
}
