import { Buffer } from 'node:buffer'
import { readFile, rename, truncate, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { openFile, parseSif } from '../../../src/sif/read.ts'
import type { FindKey, Verdict } from '../../../src/trust/types.ts'
import { verifyOpen } from '../../../src/trust/verify.ts'
import { broken, brokenSamples, fileOf, sample, seeded } from '../sif/samples.ts'
import {
  addSignature,
  descriptorAt,
  edit,
  signedImage,
  signImage,
  smallImage,
  told,
  verify,
} from './images.ts'
import { bare, findKey, people } from './keys.ts'

describe('the work is bounded', () => {
  it('for thousands of signatures', async () => {
    const path = await smallImage({ capacity: 3000 })
    await signImage(path)
    await edit(path, (bytes) => {
      const one = Buffer.from(bytes.subarray(descriptorAt(2), descriptorAt(3)))
      for (let slot = 3; slot < 3000; slot += 1) {
        one.writeUInt32LE(slot + 1, 5)
        one.writeBigInt64LE(BigInt(bytes.length + slot), 17)
        one.writeBigInt64LE(1n, 25)
        one.copy(bytes, descriptorAt(slot))
      }
      return Buffer.concat([bytes, Buffer.alloc(4000)])
    })
    const verdict = await verify(path)
    expect(verdict.problem?.message).toBe('group 1 has 2998 signatures; no more than 256 are looked at')
    expect(verdict.uncovered.filter((sentence) => sentence.startsWith('object '))).toHaveLength(20)
    expect(verdict.uncovered[20]).toBe('2980 more objects')
  })

  it('for many signatures by one key, which is looked for once', async () => {
    const path = await smallImage({ capacity: 30 })
    for (let count = 0; count < 20; count += 1) await signImage(path)
    const asked: string[] = []
    const find: FindKey = async (id) => {
      asked.push(id)
      return await findKey(id)
    }
    expect(told(await verify(path, { material: { kind: 'openpgp', find } })).objects).toHaveLength(20)
    expect(asked).toEqual(['08CD639E798292F7'])
  })

  it('for an object that many signatures are about, which is read once', async () => {
    const path = await smallImage({ capacity: 30 })
    for (let count = 0; count < 5; count += 1) await signImage(path)
    const begun: string[] = []
    await verify(path, { report: (event) => void (event.kind === 'started' && begun.push(event.task)) })
    expect(begun).toEqual(['object 1', 'object 2'])
  })

  it('for a giant signature', async () => {
    const path = await smallImage()
    await addSignature(path, Buffer.alloc(9 * 1024 * 1024, 0x7b))
    expect(told(await verify(path)).problem).toBe(
      'signature 3 does not hold: it has 9437184 bytes, more than any signature needs',
    )
  })

  it('for thousands of groups that are signed by nobody known', async () => {
    const path = await smallImage({ capacity: 60_000 })
    await signImage(path)
    await edit(path, (bytes) => {
      const one = Buffer.from(bytes.subarray(descriptorAt(2), descriptorAt(3)))
      for (let slot = 3; slot < 60_000; slot += 1) {
        const group = (10 + Math.floor((slot - 3) / 2) + 0xf0000000) >>> 0
        const isSignature = slot % 2 === 0
        one.writeUInt32LE(isSignature ? 0x4005 : 0x4007, 0)
        one.writeUInt32LE(slot + 1, 5)
        one.writeUInt32LE(isSignature ? 0 : group, 9)
        one.writeUInt32LE(isSignature ? group : 0, 13)
        one.writeBigInt64LE(0n, 25)
        one.copy(bytes, descriptorAt(slot))
      }
      return bytes
    })
    expect((await verify(path, { every: true })).problem?.message).toBe(
      'the image has 30000 groups of objects; no more than 256 are looked at',
    )
  })

  it('for signatures that are giants together', async () => {
    const path = await smallImage({ capacity: 30 })
    for (let count = 0; count < 10; count += 1) await addSignature(path, Buffer.alloc(1))
    const [first, size] = [(await readFile(path)).length, 7 * 1024 * 1024]
    await edit(path, (bytes) => {
      for (let count = 0; count < 10; count += 1) {
        bytes.writeBigInt64LE(BigInt(first + count * size), descriptorAt(2 + count) + 17)
        bytes.writeBigInt64LE(BigInt(size), descriptorAt(2 + count) + 25)
      }
      return bytes
    })
    await truncate(path, first + 10 * size)
    expect(told(await verify(path)).problem).toBe(
      'group 1 has signatures of 73400320 bytes; no more than 67108864 are read',
    )
  })

  const giants: [what: string, data: Buffer][] = [
    ['JSON of a million brackets', Buffer.alloc(1_000_000, '[')],
    ['JSON of a million keys', Buffer.from(`{"payloadType":"x",${'"a":1,'.repeat(1_000_000)}"b":1}`)],
    [
      'a text of a million lines',
      Buffer.from(`-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${'a\n'.repeat(1_000_000)}`),
    ],
    ['wrong UTF-8', Buffer.concat([Buffer.from('{"payloadType":"'), Buffer.alloc(1000, 0xff)])],
    ['nothing', Buffer.alloc(0)],
  ]
  it.each(giants)('for %s', async (_, data) => {
    const path = await smallImage()
    await addSignature(path, data)
    for (const material of [people, bare('ed25519')])
      expect(told(await verify(path, { material })).problem).toMatch(/^signature 3 does not hold: /)
  })
})

describe('a file', () => {
  it('that is cut off anywhere is refused', async () => {
    const path = await signedImage()
    const whole = await readFile(path)
    const lengths = [0, 1, 127, 128, 4095, 4096, 4097, 4096 + 585 * 12 - 1, 4096 + 585 * 12, whole.length - 1]
    for (const length of lengths) {
      await writeFile(path, whole.subarray(0, length))
      const verdict = await verify(path).catch((cause: unknown) => ({ problem: cause as Verdict['problem'] }))
      expect(verdict.problem?.code, `cut at ${length}`).toBe('SIF_FORMAT')
    }
  })

  it('that is written to meanwhile is refused', async () => {
    const path = await signedImage()
    const find: FindKey = async (id) => {
      // As it was before in size and content: what was written between two reads is not known afterwards.
      await writeFile(path, await readFile(path))
      await utimes(path, 1, 1)
      return await findKey(id)
    }
    const { problem } = await verify(path, { material: { kind: 'openpgp', find } })
    expect(problem?.message).toMatch(/was changed while it was verified$/)
  })

  it('that becomes shorter meanwhile is refused', async () => {
    const path = await signedImage()
    const find: FindKey = async (id) => {
      await truncate(path, 4096 + 12 * 585)
      return await findKey(id)
    }
    const { problem } = await verify(path, { material: { kind: 'openpgp', find } })
    expect(problem?.message).toMatch(/has become shorter while it was read$/)
  })

  it('that another one takes the name of is verified all the same: it is open', async () => {
    const [good, bad] = [await signedImage(), await smallImage()]
    await using file = await openFile(good, 'r')
    const sif = parseSif(file.fd, good)
    await writeFile(`${good}.new`, await readFile(bad))
    await rename(`${good}.new`, good)
    expect((await verifyOpen({ fd: file.fd, sif }, { material: people })).problem).toBeUndefined()
    expect((await verify(good)).problem?.message).toBe('group 1 is not signed')
  })

  it('is no longer read when the user gives up', async () => {
    const path = await signedImage()
    await expect(verify(path, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
  })
})

describe('a damaged image', async () => {
  it.each(await brokenSamples())('is refused with a sentence: $name', async (change) => {
    const path = await fileOf(broken(await sample('tiny'), change))
    const problem = await verify(path).then(
      (verdict) => verdict.problem,
      (cause: unknown) => cause,
    )
    expect(problem).toBeInstanceOf(SingError)
    expect(['SIF_FORMAT', 'SIF_OBJECT', 'SIGNATURE']).toContain((problem as SingError).code)
  })

  it('of a thousand kinds is refused, or holds as it was signed', async () => {
    const path = await signedImage(2)
    const whole = await readFile(path)
    const expected = told(await verify(path)).objects.flat()
    const random = seeded(7)
    for (let round = 0; round < 1000; round += 1) {
      const bytes = Buffer.from(whole)
      for (let edits = 1 + random() * 4; edits > 0; edits -= 1) {
        const at = Math.floor(random() < 0.3 ? random() * 128 : 4096 + random() * (whole.length - 4096))
        bytes[at] = Math.floor(random() * 256)
      }
      await writeFile(path, random() < 0.2 ? bytes.subarray(0, random() * bytes.length) : bytes)
      const verdict = await verify(path).catch((cause: unknown) => {
        expect(cause).toBeInstanceOf(SingError)
      })
      if (verdict && !verdict.problem) expect(told(verdict).objects.flat()).toHaveLength(expected.length)
    }
  })
})
