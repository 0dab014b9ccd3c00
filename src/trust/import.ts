/** Takes keys into a ring: new ones are added, known ones brought up to date, revocations applied. */

import { readSignature, revokeKey } from 'openpgp'
import { SingError, shown } from '../core/errors.ts'
import { type KeyBlock, sameBytes } from './blocks.ts'
import { loadPublic } from './keys.ts'
import { blockOf, mergeKeys, refreshPrivate } from './merge.ts'
import type { Offer } from './offer.ts'
import { packetsOf, tags } from './packets.ts'
import { type KeyPlace, nameOf, type RingKind } from './places.ts'
import { type ChangeOptions, changeRings, type Rings } from './ring-files.ts'

/** What became of a key in a ring. */
export type Imported = {
  readonly fingerprint: string
  readonly ring: RingKind
  readonly what: 'added' | 'updated' | 'revoked' | 'known'
}

/** Rings while keys come in. */
type Draft = { public: KeyBlock[]; secret: KeyBlock[]; readonly done: Imported[] }

const status = 2

const find = (keys: readonly KeyBlock[], { fingerprint }: KeyBlock): number =>
  keys.findIndex((key) => key.fingerprint === fingerprint)

function put(draft: Draft, ring: RingKind, block: KeyBlock, index: number, what: Imported['what']): void {
  draft[ring] = index < 0 ? [...draft[ring], block] : draft[ring].with(index, block)
  draft.done.push({ fingerprint: block.fingerprint ?? '', ring, what })
}

async function addPublic(draft: Draft, block: KeyBlock): Promise<void> {
  const index = find(draft.public, block)
  const old = draft.public[index]
  if (!old) return put(draft, 'public', block, index, 'added')
  const merged = await mergeKeys(old, block)
  put(draft, 'public', merged, index, merged === old ? 'known' : 'updated')
}

/** The parts of a private key that are secret, as they are kept. */
const secretsOf = ({ bytes }: KeyBlock): Uint8Array[] =>
  (packetsOf(bytes) ?? [])
    .filter(({ tag }) => tag === tags.secretKey || tag === tags.secretSubkey)
    .map(({ body }) => body)

const sameSecrets = (one: KeyBlock, other: KeyBlock): boolean =>
  sameBytes(Buffer.concat(secretsOf(one)), Buffer.concat(secretsOf(other)))

function addSecret(draft: Draft, block: KeyBlock, place: KeyPlace): void {
  const index = find(draft.secret, block)
  const old = draft.secret[index]
  if (old && !sameSecrets(old, block)) {
    const sentence = `the private key ${block.fingerprint} is in ${nameOf(place)} already, with other secret parts or another passphrase`
    const hint = `To replace it: sing key remove --secret ${block.fingerprint}, and import it again`
    throw new SingError('KEY', sentence, { hint, status })
  }
  put(draft, 'secret', old ?? block, index, old ? 'known' : 'added')
}

async function addKey(draft: Draft, block: KeyBlock, place: KeyPlace): Promise<void> {
  if (!block.isSecret) return addPublic(draft, block)
  if (place.secret === undefined)
    throw new SingError(
      'KEY',
      `the private key ${block.fingerprint} is not for ${nameOf(place)}: everybody reads that`,
      {
        hint: 'Export the public key and import that',
        status,
      },
    )
  addSecret(draft, block, place)
  await addPublic(draft, blockOf(await loadPublic(block)))
}

async function revoke(block: KeyBlock, revocationCertificate: string): Promise<KeyBlock> {
  try {
    const key = await loadPublic(block)
    const { publicKey } = await revokeKey({ key, revocationCertificate, format: 'object' })
    return await mergeKeys(block, blockOf(publicKey))
  } catch (cause) {
    throw new SingError('KEY', `the revocation of the key ${block.fingerprint} is not valid`, {
      cause,
      status,
    })
  }
}

async function issuerOf(certificate: string): Promise<string> {
  const { packets } = await readSignature({
    armoredSignature: certificate.replaceAll('PUBLIC KEY BLOCK', 'SIGNATURE'),
  })
  return (packets[0]?.issuerKeyID.toHex() ?? '').toUpperCase()
}

/** Take a public key back; one that only another ring has comes here for it. */
async function applyRevocation(
  draft: Draft,
  certificate: string,
  elsewhere: readonly KeyBlock[],
): Promise<void> {
  const id = await issuerOf(certificate)
  const isMeant = (key: KeyBlock): boolean => key.ids[0] === id
  const known = draft.public.findIndex(isMeant)
  const key = draft.public[known] ?? elsewhere.find(isMeant)
  if (!key)
    throw new SingError('KEY', `the key ${shown(id)} that is to be revoked is in no ring`, {
      hint: `Fetch it first: sing key pull ${shown(id)}`,
      status,
    })
  const revoked = await revoke(key, certificate)
  put(draft, 'public', revoked, known, revoked === draft.public[known] ? 'known' : 'revoked')
}

/** Private keys learn what is new of their public halves, so that nobody signs with a key that was revoked. */
async function refreshSecrets(draft: Draft): Promise<void> {
  for (const { fingerprint, ring, what } of [...draft.done]) {
    const index = draft.secret.findIndex((key) => key.fingerprint === fingerprint)
    const [old, known] = [draft.secret[index], draft.public.find((key) => key.fingerprint === fingerprint)]
    if (ring !== 'public' || !old || !known) continue
    const fresh = await refreshPrivate(old, known)
    if (fresh === old) continue
    draft.secret = draft.secret.with(index, fresh)
    const told = draft.done.findIndex((entry) => entry.ring === 'secret' && entry.fingerprint === fingerprint)
    const news: Imported = { fingerprint, ring: 'secret', what: what === 'revoked' ? what : 'updated' }
    if (told < 0) draft.done.push(news)
    else if (draft.done[told]?.what === 'known') draft.done[told] = news
  }
}

async function take(
  offer: Offer,
  rings: Rings,
  place: KeyPlace,
  elsewhere: readonly KeyBlock[],
): Promise<Draft> {
  const draft: Draft = { public: [...rings.public.keys], secret: [...rings.secret.keys], done: [] }
  for (const block of offer.keys) await addKey(draft, block, place)
  for (const certificate of offer.revocations) await applyRevocation(draft, certificate, elsewhere)
  await refreshSecrets(draft)
  return draft
}

const isNews = (ring: RingKind, done: readonly Imported[]): boolean =>
  done.some((entry) => entry.ring === ring && entry.what !== 'known')

export type ImportOptions = ChangeOptions & {
  /** Keys of rings that are only read: a revocation may be of one of them. */
  readonly elsewhere?: readonly KeyBlock[]
}

/**
 * Take everything that was offered into the rings of a place, or nothing.
 * @throws SingError KEY when a key cannot be taken
 */
export async function takeKeys(
  offer: Offer,
  place: KeyPlace,
  options: ImportOptions,
): Promise<readonly Imported[]> {
  return await changeRings(place, options, async (rings) => {
    const draft = await take(offer, rings, place, options.elsewhere ?? [])
    return {
      public: isNews('public', draft.done) ? draft.public : undefined,
      secret: isNews('secret', draft.done) ? draft.secret : undefined,
      result: draft.done,
    }
  })
}

/**
 * The same for who expects something new.
 * @throws SingError KEY when a key cannot be taken, and when there is nothing new
 */
export async function importKeys(
  offer: Offer,
  place: KeyPlace,
  options: ImportOptions,
): Promise<readonly Imported[]> {
  const done = await takeKeys(offer, place, options)
  if (isNews('public', done) || isNews('secret', done)) return done
  const names = [...new Set(done.map(({ fingerprint }) => fingerprint))]
  const what = names.length === 1 ? `the key ${names[0]} is` : `all ${names.length} keys are`
  throw new SingError('KEY', `${what} in ${nameOf(place)} already, and the file has no news of it`, {
    status,
  })
}
