import { describe, expect, it } from 'vitest'
import type { Material, Verdict } from '../../../src/trust/types.ts'
import { verifyImage } from '../../../src/trust/verify.ts'
import { fileOf } from '../sif/samples.ts'
import { signedSample, signedSamples } from '../sif/signed.ts'
import { bare, people } from './keys.ts'

const verify = async (name: string, material: Material) =>
  await verifyImage(await fileOf(await signedSample(name)), { material })

const intact = ({ signatures }: Verdict) =>
  signatures.flatMap(({ objects }) => objects.filter(({ isIntact }) => isIntact).map(({ id }) => id))

/** What Apptainer 1.4.5 says of each image: the objects that it calls verified, and whether all is well. */
const peer: Readonly<Record<string, [isGood: boolean, verified: readonly number[]]>> = {
  'tampered/ok-datasize.sif': [true, [1, 2, 3]],
  'tampered/ok-descr-sizepad.sif': [true, [1, 2, 3]],
  'tampered/ok-dfree.sif': [true, [1, 2, 3]],
  'tampered/ok-group-nomask.sif': [true, [1, 2, 3]],
  'tampered/ok-group-renumber.sif': [true, [1, 2, 3]],
  'tampered/ok-id-shift.sif': [true, [11, 12, 13]],
  'tampered/ok-sig-hashtype2.sif': [true, [1, 2, 3]],
  'tampered/ok-trailing.sif': [true, [1, 2, 3]],
  'tampered/t-added-group1.sif': [false, []],
  'tampered/t-added-nogroup.sif': [false, []],
  'tampered/t-data.sif': [false, [1, 2]],
  'tampered/t-deleted.sif': [false, []],
  'tampered/t-descr-ctime.sif': [false, [1, 2]],
  'tampered/t-descr-parttype.sif': [false, [1, 2]],
  'tampered/t-descr-uid.sif': [false, [1, 2]],
  'tampered/t-header-uuid.sif': [false, []],
  'tampered/t-json.sif': [false, [1]],
  'tampered/t-sig-body.sif': [false, []],
  'tampered/t-sig-deleted.sif': [false, []],
  'tampered/t-sig-fmt.sif': [false, []],
  'tampered/t-sig-fp.sif': [false, []],
  'tampered/t-sig-hashtype9.sif': [false, []],
  'tampered/t-sig-link-group2.sif': [false, []],
  'tampered/t-sig-link-obj.sif': [false, []],
  'variants/dsse-ecdsa.sif': [true, [1, 2, 3]],
  'variants/dsse-ok-delkeyid.sif': [true, [1, 2, 3]],
  'variants/dsse-ok-nokeyid.sif': [true, [1, 2, 3]],
  'variants/dsse-ok-pretty.sif': [true, [1, 2, 3]],
  'variants/dsse-t-nosigs.sif': [false, []],
  'variants/dsse-t-notjson.sif': [false, []],
  'variants/dsse-t-payloadtype.sif': [false, []],
  'variants/dsse-x-urlsafe.sif': [false, []],
  'variants/gpg-badjson.sif': [false, []],
  'variants/gpg-ed25519.sif': [true, [1, 2, 3]],
  'variants/gpg-md5dig.sif': [false, []],
  'variants/gpg-p256.sif': [true, [1, 2, 3]],
  'variants/gpg-revokedkey.sif': [false, []],
  'variants/gpg-rsa-sha512.sif': [true, [1, 2, 3]],
  'variants/gpg-rsa.sif': [true, [1, 2, 3]],
  'variants/gpg-version9.sif': [true, [1, 2, 3]],
}

/** Where we say no and Apptainer says yes, and why. `docs/trust.md` has the same list. */
const stricter: Readonly<Record<string, RegExp>> = {
  'variants/gpg-version9.sif': /the signed statement is of version 9; only version 1 is known/,
}

const materialOf = (name: string): Material => {
  const [, kind, algorithm] = /(gpg|dsse)-(ecdsa)?/.exec(name) ?? []
  return kind === 'dsse' ? bare(algorithm ?? 'ed25519') : people
}

describe('the verdict on a recorded image is that of Apptainer', async () => {
  const names = [...(await signedSamples('tampered')), ...(await signedSamples('variants'))]

  it('for every one there is', () => {
    expect(names).toEqual(Object.keys(peer).sort())
  })

  it.each(names.filter((name) => !Object.hasOwn(stricter, name)))('%s', async (name) => {
    const verdict = await verify(name, materialOf(name))
    expect([verdict.problem === undefined, intact(verdict)]).toEqual(peer[name])
    expect(verdict.problem?.code).toBe(verdict.problem && 'SIGNATURE')
  })

  it.each(Object.entries(stricter))('but stricter for %s', async (name, reason) => {
    const verdict = await verify(name, materialOf(name))
    expect(verdict.problem?.message).toMatch(reason)
    expect(intact(verdict)).toEqual([])
  })
})

/** The first sentence about each kind of change. */
const reasons: [name: string, reason: string][] = [
  ['tampered/t-added-group1.sif', 'object 5 is not among the objects that were signed'],
  ['tampered/t-added-nogroup.sif', 'object 5 is in no group, so that no signature can be about it'],
  ['tampered/t-data.sif', 'object 3 was changed after it was signed'],
  ['tampered/t-deleted.sif', 'object 2 was signed, and is not there'],
  ['tampered/t-descr-uid.sif', 'the descriptor of object 3 was changed after it was signed'],
  ['tampered/t-header-uuid.sif', 'the header was changed after it was signed'],
  ['tampered/t-sig-body.sif', 'signature 4 does not hold: its text was changed after it was signed'],
  ['tampered/t-sig-deleted.sif', 'group 1 is not signed'],
  ['tampered/t-sig-link-group2.sif', 'group 1 is not signed'],
  ['tampered/t-sig-link-obj.sif', 'group 1 is not signed'],
  ['tampered/t-sig-fmt.sif', 'signature 4 does not hold: its format is not known'],
  [
    'tampered/t-sig-fp.sif',
    'signature 4 does not hold: its descriptor names another key than the one that signed',
  ],
  [
    'tampered/t-sig-hashtype9.sif',
    'signature 4 does not hold: its descriptor names a hash algorithm that is not known (9)',
  ],
  ['variants/gpg-badjson.sif', 'signature 4 does not hold: the signed statement is not JSON'],
  [
    'variants/gpg-md5dig.sif',
    'signature 4 does not hold: the signed statement has a digest of sha1, which is not accepted',
  ],
  [
    'variants/gpg-revokedkey.sif',
    'signature 4 does not hold: the key 3FE1A9193E71879A was revoked by its owner',
  ],
]

describe('the reason is said', () => {
  it.each(reasons)('of %s', async (name, reason) => {
    expect((await verify(name, people)).problem?.message).toBe(reason)
  })
})

describe('what is not covered is said', () => {
  it.each([
    ['tampered/ok-dfree.sif', /^the counts in the header: it says \d+ objects, there are 4$/],
    ['tampered/ok-trailing.sif', /^7 bytes at the end of the file, behind object 4$/],
    ['tampered/t-data.sif', /^object 3 \(FS\): no signature that holds is about it$/],
  ])('of %s', async (name, sentence) => {
    const { uncovered } = await verify(name, people)
    expect(uncovered).toContainEqual(expect.stringMatching(sentence))
  })

  it('not of an image that is as it was signed', async () => {
    expect((await verify('tiny-signed.sif', people)).uncovered).toEqual([])
  })
})
