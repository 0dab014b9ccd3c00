import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { signatureExtra } from '../../../src/sif/details.ts'
import { addObject } from '../../../src/sif/edit.ts'
import { dataTypes, type SifLink } from '../../../src/sif/format.ts'
import { sealOpenPgp } from '../../../src/trust/openpgp-envelope.ts'
import { descriptorAt, edit, pgp, signImage, smallImage, told, verify } from './images.ts'

const [definition, root] = [Buffer.from('bootstrap: scratch\n'), Buffer.from('hsqs and more')]
const names = ['', 'sha256', 'sha384', 'sha512']

type Old = { readonly link: SifLink; readonly data: Buffer; readonly hash?: number; readonly text?: string }

/** Sign as Singularity did before 3.6: a hash of data alone. */
async function signOld(path: string, { link, data, hash = 2, text }: Old): Promise<void> {
  const digest = createHash(names[hash] ?? 'sha256')
    .update(data)
    .digest('hex')
  const extra = signatureExtra(hash, Buffer.from(pgp.rsa.getFingerprint(), 'hex'))
  const sealed = await sealOpenPgp(text ?? `SIFHASH:\n${digest}`, pgp.rsa)
  await addObject(path, { dataType: dataTypes.signature, group: 0, extra, link, data: sealed })
}

const toObject = (id: number): SifLink => ({ kind: 'object', id })
const toGroup: SifLink = { kind: 'group', id: 1 }

describe('an old signature', () => {
  it.each([1, 2, 3])('of the root file system holds, with hash %d', async (hash) => {
    const path = await smallImage()
    await signOld(path, { link: toObject(2), data: root, hash })
    const verdict = await verify(path, { legacy: true })
    expect(told(verdict)).toEqual({ objects: [[2]], problem: undefined })
    expect(verdict.uncovered).toEqual([
      'object 1 (Def.FILE): no signature that holds is about it',
      'all of header and descriptors: names, types, sizes, groups and links',
    ])
  })

  it('is not looked at unless somebody asks', async () => {
    const path = await smallImage()
    await signOld(path, { link: toObject(2), data: root })
    expect((await verify(path)).problem).toMatchObject({
      message: 'group 1 is not signed',
      hint: expect.stringContaining('--legacy-insecure'),
    })
  })

  it('of a group is about all that is in it', async () => {
    const path = await smallImage()
    await signOld(path, { link: toGroup, data: Buffer.concat([definition, root]) })
    const tasks = [{ kind: 'group', id: 1 }] as const
    expect(told(await verify(path, { legacy: true, tasks }))).toEqual({
      objects: [[1, 2]],
      problem: undefined,
    })
    expect(told(await verify(path, { legacy: true })).problem).toBe('object 2 is not signed')
    await edit(path, (bytes) => void bytes.write('X', Number(bytes.readBigInt64LE(descriptorAt(0) + 17))))
    expect(told(await verify(path, { legacy: true, tasks })).problem).toBe(
      'one of the objects 1, 2 was changed after it was signed',
    )
    const none = await verify(path, { legacy: true, tasks: [{ kind: 'group', id: 7 }] })
    expect(none.problem?.message).toBe('there is no group 7')
  })

  it('of every object is asked for with --all', async () => {
    const path = await smallImage()
    await signOld(path, { link: toObject(2), data: root })
    expect(told(await verify(path, { legacy: true, all: true })).problem).toBe('object 1 is not signed')
    await signOld(path, { link: toObject(1), data: definition })
    expect(told(await verify(path, { legacy: true, all: true }))).toEqual({
      objects: [[1], [2]],
      problem: undefined,
    })
  })

  it('of other bytes does not hold', async () => {
    const path = await smallImage()
    await signOld(path, { link: toObject(2), data: definition })
    const { signatures, problem } = await verify(path, { legacy: true })
    expect(problem?.message).toBe('object 2 was changed after it was signed')
    expect(signatures[0]?.objects).toEqual([{ id: 2, isIntact: false }])
  })

  it.each([
    ['with another hash algorithm', { hash: 5 }, 'its hash algorithm is not supported (number 5)'],
    ['with another text', { text: 'SIFHASH:\nxyz' }, 'it is no old signature'],
    ['with the text of today', { text: '{"version":1}' }, 'it is no old signature'],
  ])('%s does not hold', async (_, change, reason) => {
    const path = await smallImage()
    await signOld(path, { link: toObject(2), data: root, ...change })
    expect(told(await verify(path, { legacy: true })).problem).toBe(`signature 3 does not hold: ${reason}`)
  })

  it('is passed over beside one of today', async () => {
    const path = await smallImage()
    await signOld(path, { link: toGroup, data: Buffer.from('something else') })
    await signImage(path)
    expect(told(await verify(path))).toEqual({ objects: [[1, 2]], problem: undefined })
  })
})
