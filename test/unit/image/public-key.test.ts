/** Which PEM files images can be encrypted for. */

import { generateKeyPairSync } from 'node:crypto'
import { expect, it } from 'vitest'
import { readPublicKey } from '../../../src/image/public-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
const spki = { type: 'spki', format: 'pem' } as const
const locked = { cipher: 'aes-256-cbc', passphrase: 'x' } as const

/** Of a signer of code, with an RSA key of 2048 bits. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIDMTCCAhmgAwIBAgIUGnQNP+hGg0UlRA/3904t7k7rjGkwDQYJKoZIhvcNAQEL
BQAwFzEVMBMGA1UEAwwMU2luZyBUZXN0IENBMCAXDTI2MTEyMzA2NDUzMVoYDzIx
MjYxMDMwMDY0NTMxWjAbMRkwFwYDVQQDDBBTaW5nIENvZGUgU2lnbmVyMIIBIjAN
BgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAw2gi7JiSE50LdADRoSTVKmizbBGe
T1s+PtbCVoqwjjxvQnRcVsj7dlu1h0P0zN4dCiH21R5YdXJv/mWRoJcizaP5lJZa
K1HXp4Gah8bu0u7Y+KoVagW9NTDOamo3su6X9RMNrB46rZYbxKuWRAWmR5GQd28W
r2eIvaKAAZjA+WZy+cUW4Oacv1pQDaYegbAtz6EI0XRdu0jHz7CHRxuE9QsJA6tI
CWGXrnnsN49xUsf0tQ0ciot59ofzUCEg2TUkphhk0/fyVctHGeqgk4An74GOcOF0
3OIGMHRB2Nj1ShaLzmfeT+0BZUX3H2tPio+3/xKtNoMnoAOR0IjIpoV87QIDAQAB
o28wbTAJBgNVHRMEAjAAMAsGA1UdDwQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcD
AzAdBgNVHQ4EFgQULxbhHdCuCziitStSKAhYFNFkLaEwHwYDVR0jBBgwFoAUxwaA
8xGcYvG0DK8o01WjoRNHrHYwDQYJKoZIhvcNAQELBQADggEBAGx9vO2N/GCpLCaN
laBmVZknZr0QeWc9plVMoLnlE0z4swA18g9EKGs9mjdpWo9/X1dLdeXoZbFuOl1t
LNvFhTwYlD+96KhdCkXc5/MlV7HumXl2mQEFK/Naj5cgA8tY+M4MCrrui/u2PEYb
08R36Xhls3GFh8CX7VimULzpwFESCeXSLrze872A7Uc1gS0mtMW6BnnBIa1TJrzR
IQrgiWyyqUI2XE0ZVXDvkvcikaE7oHsQsJ1FHWbl34JjugHRvFeS/SLRBembhmLm
p/X8anJ7rCOHDkeoHXPBOsCc/vLsfXjfTI/NrgxOFW4bsKmX9YEZkYOmLcnAPsvT
0agvMFk=
-----END CERTIFICATE-----
`

const read = (pem: string | Buffer) => readPublicKey(String(pem), 'public.pem')

it.each([
  ['PKCS#1, as the peers want it', rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })],
  ['SPKI', rsa.publicKey.export(spki)],
  ['a private key in PKCS#1', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })],
  ['a private key in PKCS#8', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' })],
])('reads a key in %s', (_, pem) => {
  expect(read(pem).export(spki)).toBe(rsa.publicKey.export(spki))
})

it('reads the key of a certificate', () => {
  expect(read(certificate).asymmetricKeyDetails?.modulusLength).toBe(2048)
})

it.each([
  ['nothing', '', 'no public key can be read'],
  ['something else', 'hello', 'no public key can be read'],
  ['a damaged key', rsa.publicKey.export(spki).toString().replace('MII', 'MIX'), 'no public key can be read'],
  [
    'a private key that is locked',
    rsa.privateKey.export({ type: 'pkcs8', format: 'pem', ...locked }),
    'no public key can be read',
  ],
  ['a short key', other.export(spki), 'its 1024 bits protect nothing'],
  [
    'an elliptic curve',
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export(spki),
    'it is a key of ec',
  ],
  ['Ed25519', generateKeyPairSync('ed25519').publicKey.export(spki), 'it is a key of ed25519'],
])('refuses %s', (_, pem, reason) => {
  expect(() => read(pem)).toThrow(`cannot encrypt for public.pem: ${reason}`)
})
