/** `sing verify` beside the peer, on the same signed and tampered images with the same keys. */

import { chmodSync, cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { besidePeer } from '../helpers/peer.ts'
import { projectRoot, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { signedSample, signedSamples } from '../unit/sif/signed.ts'

const folder = temporaryFolder()
const keys = join(projectRoot, 'fixtures/keys')
const fileOf = (name: string) => join(folder, name.replaceAll('/', '-'))

/** What both are given: bare keys for signatures by such. */
function argumentsFor(name: string): string[] {
  const [, algorithm] = /dsse-(ecdsa)?/.exec(name) ?? []
  return name.includes('dsse-')
    ? ['--key', join(folder, `${algorithm ?? 'ed25519'}-public.pem`)]
    : ['--local']
}

/** Each word of a line for a shell. */
const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(' ')

/** The peer, once for all images: it starts in a root of its own. */
async function peerAnswers(names: readonly string[], flags: readonly string[]): Promise<string[]> {
  const lines = names.map(
    (name) =>
      `apptainer verify ${quoted([...flags, ...argumentsFor(name), fileOf(name)])} 2>/dev/null; echo "rc=$?"; printf '\\000'`,
  )
  const script = [
    'export APPTAINER_KEYSDIR=/tmp/verify-keys',
    ...['pgp-private-nopass', 'pgp-public-ed25519', 'pgp-public-p256', 'pgp-public-revoked'].map(
      (key) => `apptainer key import ${folder}/${key}.asc >/dev/null 2>&1`,
    ),
    ...lines,
  ]
  const { stdout } = await besidePeer(['sh', '-c', script.join('\n')], {
    folders: [folder],
    timeout: 300_000,
  })
  return stdout.split('\0').slice(0, -1)
}

async function ourAnswer(name: string, flags: readonly string[]): Promise<string> {
  const args = ['verify', ...flags, ...argumentsFor(name), fileOf(name)]
  const { status, stdout } = await sing(args, { env: { SING_KEYSDIR: join(folder, 'ring') } })
  return `${stdout}rc=${status}\n`
}

/** We say no, and why: see `docs/trust.md`. */
const stricter = ['variants/gpg-version9.sif']

/** The peer refuses these, too, but counts no signature where it cannot tell the format. */
const unreadable = [
  'tampered/t-sig-fmt.sif',
  'variants/dsse-t-notjson.sif',
  'variants/dsse-t-payloadtype.sif',
]

describe.skipIf(!can('peer', 'root'))('the verdict and its words are those of the peer', () => {
  let names: string[] = []

  beforeAll(async () => {
    names = [...(await signedSamples('tampered')), ...(await signedSamples('variants')), 'tiny-signed.sif']
    names = names.filter((name) => ![...stricter, ...unreadable].includes(name))
    for (const name of names) writeFileSync(fileOf(name), await signedSample(name))
    cpSync(join(keys, 'openpgp'), folder, { recursive: true })
    cpSync(join(keys, 'pem'), folder, { recursive: true })
    chmodSync(folder, 0o755)
    give(folder)
    for (const key of ['pgp-private-nopass', 'pgp-public-ed25519', 'pgp-public-p256', 'pgp-public-revoked'])
      await sing(['key', 'import', join(folder, `${key}.asc`)], {
        env: { SING_KEYSDIR: join(folder, 'ring') },
      })
  })

  it('as JSON, but for what we add', { timeout: 300_000 }, async () => {
    const theirs = await peerAnswers(names, ['--json'])
    expect(theirs).toHaveLength(names.length)
    for (const [index, name] of names.entries())
      expect(plain(await ourAnswer(name, ['--json'])), name).toEqual(plain(theirs[index] ?? ''))
  })

  it('as text, up to the reason', { timeout: 300_000 }, async () => {
    const theirs = await peerAnswers(names, [])
    for (const [index, name] of names.entries())
      expect(withoutReason(await ourAnswer(name, [])), name).toEqual(withoutReason(theirs[index] ?? ''))
  })
})

/** Text and status without the keys that are ours alone. */
function plain(answer: string): unknown {
  const [json = '', status] = answer.split('rc=')
  const { Signatures, SignerKeys } = JSON.parse(json)
  const signers = SignerKeys?.map(
    ({ Signer: { KeyID: _, Certificate: __, ...signer } }: { Signer: Record<string, unknown> }) => signer,
  )
  return { Signatures, signers, status }
}

/** Signers of signatures that do not hold are named by the peer alone: who that is, is not certain. */
const withoutReason = (answer: string): string =>
  answer
    .replace(/^Error encountered during signature verification: .*\n/m, '')
    .replace(/^(\[LOCAL\].*\n){2}(?=\n)/m, '')
