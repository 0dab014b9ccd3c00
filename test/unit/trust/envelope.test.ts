import { generateKeyPairSync, sign } from 'node:crypto'
import { createCleartextMessage, enums, readPrivateKey, readSignature, sign as signText } from 'openpgp'
import { describe, expect, it } from 'vitest'
import { decodeDescriptors, decodeHeader } from '../../../src/sif/format.ts'
import { signaturesOf } from '../../../src/sif/integrity.ts'
import { keyIdOf, messageType, preAuthentication, sealDsse } from '../../../src/trust/dsse.ts'
import { isLegacy, openEnvelope } from '../../../src/trust/envelope.ts'
import type { FindKey, Material } from '../../../src/trust/types.ts'
import { signedSample } from '../sif/signed.ts'
import { bare, findKey, keyFile, people } from './keys.ts'

/** The signature of an image that has one. */
async function envelopeOf(name: string): Promise<Buffer> {
  const bytes = await signedSample(name)
  const header = decodeHeader(bytes)
  const objects = decodeDescriptors(bytes.subarray(header.tableOffset), header, bytes.length)
  const [signature] = signaturesOf(objects, 1)
  return bytes.subarray(signature?.offset, (signature?.offset ?? 0) + (signature?.size ?? 0))
}

const refusal = (reason: string | RegExp) =>
  expect.objectContaining({
    code: 'SIGNATURE',
    message: typeof reason === 'string' ? expect.stringContaining(reason) : expect.stringMatching(reason),
  })

describe('a signature that was made by', () => {
  const good: [file: string, material: Material, signer: object][] = [
    ['tiny-signed.sif', people, { fingerprint: 'F27B0D831C7680EA12A3275608CD639E798292F7' }],
    ['variants/gpg-rsa.sif', people, { name: 'Nopass Tester <nopass@example.org>', origin: 'local' }],
    ['variants/gpg-rsa-sha512.sif', people, { kind: 'openpgp' }],
    ['variants/gpg-ed25519.sif', people, { name: 'Ed Tester <ed@example.org>' }],
    ['variants/gpg-p256.sif', people, { name: 'P256 Tester <p256@example.org>' }],
    // The envelope holds; the statement in it is judged later.
    ['variants/gpg-version9.sif', people, { kind: 'openpgp' }],
    ['variants/dsse-ecdsa.sif', bare('ecdsa'), { kind: 'pem' }],
    [
      'variants/dsse-ok-pretty.sif',
      bare('ed25519'),
      { keyId: 'SHA256:9J4H6Ejmze+0m4QD6BvtT3mdWDmBM3OL+w71cm114Jk' },
    ],
    ['variants/dsse-ok-nokeyid.sif', bare('ed25519'), { kind: 'pem' }],
    ['variants/dsse-ok-delkeyid.sif', bare('ed25519'), { kind: 'pem' }],
  ]
  it.each(good)('other programs opens: %s', async (file, material, signer) => {
    const opened = await openEnvelope(await envelopeOf(file), material)
    expect(opened.signer).toMatchObject(signer)
    expect(Buffer.from(opened.message).toString()).toMatch(/^\{"version":\d,"header"/)
  })

  const bad: [file: string, material: Material, reason: string][] = [
    ['variants/gpg-revokedkey.sif', people, 'the key 3FE1A9193E71879A was revoked by its owner'],
    ['variants/gpg-rsa.sif', bare('rsa'), 'it is one of OpenPGP, and a key of another kind was given'],
    ['variants/dsse-ecdsa.sif', people, 'it is by a key of a PEM file, and none was given'],
    ['variants/dsse-ecdsa.sif', bare('rsa'), 'it is by another key than the one that was given'],
    ['variants/dsse-ok-nokeyid.sif', bare('rsa'), 'or another key signed it'],
    ['variants/dsse-t-nosigs.sif', bare('ed25519'), 'it has 0 signatures; 1 to 64 are read'],
    ['variants/dsse-t-notjson.sif', bare('ed25519'), 'its format is not known'],
    ['variants/dsse-t-payloadtype.sif', bare('ed25519'), 'its format is not known'],
    ['variants/dsse-x-urlsafe.sif', bare('ed25519'), 'its content is not in base64'],
    ['tampered/t-sig-body.sif', people, 'its text was changed after it was signed'],
    ['tampered/t-sig-fmt.sif', people, 'its format is not known'],
  ]
  it.each(bad)('%s is refused', async (file, material, reason) => {
    await expect(openEnvelope(await envelopeOf(file), material)).rejects.toThrow(refusal(reason))
  })
})

const text = '{"version":1}'

async function clearSigned(change: { hash?: number; text?: string; date?: Date } = {}): Promise<string> {
  const key = await readPrivateKey({ armoredKey: keyFile('openpgp/pgp-private-ed25519.asc') })
  const message = await createCleartextMessage({ text: change.text ?? text })
  const { hash = enums.hash.sha512, date = new Date() } = change
  const config = {
    preferredHashAlgorithm: hash,
    rejectMessageHashAlgorithms: new Set<enums.hash>(),
    rejectHashAlgorithms: new Set<enums.hash>(),
  }
  return await signText({ message, signingKeys: key, date, config })
}

const open = (envelope: string, material: Material = people) => openEnvelope(Buffer.from(envelope), material)

describe('a clear-signed text', () => {
  it('is opened, also with other line ends', async () => {
    const envelope = await clearSigned()
    expect(Buffer.from((await open(envelope)).message).toString()).toBe(text)
    await expect(open(envelope.replaceAll('\r\n', '\n').trimEnd())).resolves.toBeDefined()
  })

  const changes: [what: string, change: (envelope: string) => string][] = [
    ['with words before it', (envelope) => `x\n${envelope}`],
    ['with words behind it', (envelope) => `${envelope}x\n`],
    ['with another behind it', (envelope) => `${envelope}${envelope}`],
    ['with a blank at the end of its text', (envelope) => envelope.replace(text, `${text} `)],
    ['with an empty line in its text', (envelope) => envelope.replace(text, `${text}\n`)],
    ['with an escaped line', (envelope) => envelope.replace(text, `- ${text}`)],
    ['with a sign beyond ASCII', (envelope) => envelope.replace(text, `${text}\u00e4`)],
    ['without a hash', (envelope) => envelope.replace(/Hash.*\n/, '')],
    ['with two hashes', (envelope) => envelope.replace(/(Hash.*\n)/, '$1$1')],
    ['with a header of another kind', (envelope) => envelope.replace('Hash:', 'Comment:')],
    ['without an end', (envelope) => envelope.replace(/-----END[\s\S]*$/, '')],
    ['without a signature', (envelope) => envelope.replace(/-----BEGIN PGP SIGNATURE[\s\S]*$/, '')],
    ['without text', (envelope) => envelope.replace(`${text}\n`, '').replace(`${text}\r\n`, '')],
    ['with words in the armor', (envelope) => envelope.replace('-----END', '<b>\n-----END')],
  ]
  it.each(changes)('%s is refused', async (_, change) => {
    const envelope = (await clearSigned()).replaceAll('\r\n', '\n')
    const changed = change(envelope)
    expect(changed).not.toBe(envelope)
    await expect(open(changed)).rejects.toMatchObject({ code: 'SIGNATURE' })
  })

  it('that was changed is refused, whatever its hash is said to be', async () => {
    const envelope = await clearSigned()
    await expect(open(envelope.replace('"version":1', '"version":2'))).rejects.toThrow(
      refusal('its text was changed after it was signed'),
    )
    await expect(open(envelope.replace('Hash: SHA512', 'Hash: SHA256'))).rejects.toThrow(
      refusal('it is made with another hash algorithm than its text says'),
    )
  })

  it('of tomorrow is refused', async () => {
    const date = new Date(Date.now() + 86_400_000)
    await expect(open(await clearSigned({ date }))).rejects.toThrow(refusal(/future/))
  })

  it('by a key that nobody has is refused, with what to do', async () => {
    const nobody: Material = { kind: 'openpgp', find: async () => undefined }
    await expect(open(await clearSigned(), nobody)).rejects.toMatchObject({
      message: 'the key C1403783358E25F4 is not known',
      hint: expect.stringContaining('sing key pull C1403783358E25F4'),
    })
  })

  it('is not checked with another key, whoever says so', async () => {
    const liar: FindKey = () => findKey('08CD639E798292F7')
    await expect(open(await clearSigned(), { kind: 'openpgp', find: liar })).rejects.toThrow(
      refusal('another key was found for C1403783358E25F4'),
    )
  })

  it('with two signatures is refused', async () => {
    const envelope = (await clearSigned()).replaceAll('\r\n', '\n')
    const armoredSignature = envelope.slice(envelope.indexOf('-----BEGIN PGP SIGNATURE'))
    const { packets } = await readSignature({ armoredSignature })
    const twice = Buffer.concat([packets.write(), packets.write()]).toString('base64')
    const doubled = envelope.replace(/(SIGNATURE-----\n\n)[^-]*/, `$1${twice}\n`)
    await expect(open(doubled)).rejects.toThrow(refusal('is not followed by one signature'))
  })

  it('is an old signature when it says so', async () => {
    const old = await clearSigned({ text: `SIFHASH:\n${'0'.repeat(64)}` })
    expect(isLegacy(Buffer.from(old.replaceAll('\r\n', '\n')))).toBe(true)
    expect(isLegacy(Buffer.from(await clearSigned()))).toBe(false)
    expect(isLegacy(Buffer.from('SIFHASH:\n'))).toBe(false)
  })
})

type Parts = { payload?: unknown; type?: string; signatures?: unknown }

const payload = Buffer.from(text)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const own: Material = { kind: 'pem', key: publicKey }
const signature = sign(null, preAuthentication(messageType, payload), privateKey).toString('base64')
const envelope = ({
  payload: content = payload.toString('base64'),
  type = messageType,
  signatures = [{ sig: signature }],
}: Parts = {}) => JSON.stringify({ payloadType: type, payload: content, signatures })

describe('an envelope of DSSE', () => {
  it('is opened, with more signatures beside ours', async () => {
    await expect(open(envelope(), own)).resolves.toMatchObject({ signer: { kind: 'pem' } })
    const more = [
      { keyid: 'SHA256:x', sig: 'AAAA' },
      null,
      { sig: 5 },
      { keyid: keyIdOf(publicKey), sig: signature },
    ]
    await expect(open(envelope({ signatures: more }), own)).resolves.toBeDefined()
  })

  const refused: [what: string, parts: Parts, reason: string][] = [
    ['with another payload', { payload: 'AAAA' }, 'was changed after it was signed'],
    ['with a payload that is a number', { payload: 7 }, 'its content is not in base64'],
    ['with loose base64', { payload: `${payload.toString('base64')}\n` }, 'its content is not in base64'],
    ['of another type', { type: 'text/plain' }, 'its format is not known'],
    ['with signatures that are no list', { signatures: {} }, 'it has 0 signatures'],
    [
      'with thousands of signatures',
      { signatures: Array(5000).fill({ sig: 'AAAA' }) },
      'it has 5000 signatures',
    ],
    [
      'with the key id of another key',
      { signatures: [{ keyid: 'x', sig: signature }] },
      'it is by another key',
    ],
  ]
  it.each(refused)('%s is refused', async (_, parts, reason) => {
    await expect(open(envelope(parts), own)).rejects.toThrow(refusal(reason))
  })

  it('is opened as it is made', async () => {
    const made = sealDsse(payload, privateKey)
    await expect(openEnvelope(made, own)).resolves.toMatchObject({ message: payload })
  })

  it('in wrong UTF-8, or that is no object, is refused', async () => {
    const broken = Buffer.concat([
      Buffer.from(envelope().slice(0, -1)),
      Buffer.from(',"x":"\xff"}', 'latin1'),
    ])
    for (const bytes of [broken, Buffer.from('{}'), Buffer.from(' null'), Buffer.from('')])
      await expect(openEnvelope(bytes, own)).rejects.toThrow(refusal('its format is not known'))
  })

  it.each([
    ['RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'RSA with 1024 bits'],
    ['secp256k1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey, 'its curve is secp256k1'],
    ['X25519', generateKeyPairSync('x25519').publicKey, 'it is of the kind x25519'],
  ])('is not checked with a key of %s', async (_, key, reason) => {
    await expect(open(envelope(), { kind: 'pem', key })).rejects.toThrow(refusal(reason))
  })

  it.each(['prime256v1', 'secp384r1', 'secp521r1'])('is checked with a key on %s', async (namedCurve) => {
    const pair = generateKeyPairSync('ec', { namedCurve })
    const sig = sign('sha256', preAuthentication(messageType, payload), pair.privateKey).toString('base64')
    const signatures = [{ keyid: keyIdOf(pair.publicKey), sig }]
    await expect(open(envelope({ signatures }), { kind: 'pem', key: pair.publicKey })).resolves.toBeDefined()
  })
})
