import { describe, expect, it } from 'vitest'
import { decodeDescriptors, decodeHeader } from '../../../src/sif/format.ts'
import { checkLayout, gapsOf } from '../../../src/sif/layout.ts'
import { sample } from './samples.ts'
import { signedSample } from './signed.ts'

const layoutOf = (bytes: Buffer) => {
  const header = decodeHeader(bytes)
  const objects = decodeDescriptors(bytes.subarray(header.tableOffset), header, bytes.length)
  return { header, objects, fileSize: bytes.length }
}

/** `tiny.sif` with other numbers in the descriptor of its second object. */
async function edited(at: number, value: bigint): Promise<Buffer> {
  const bytes = await sample('tiny')
  bytes.writeBigInt64LE(value, 4096 + 585 + at)
  return bytes
}

describe('the layout of an image', async () => {
  const tiny = layoutOf(await sample('tiny'))
  const [first, second] = tiny.objects

  it.each(['tiny', 'kinds', 'edited', 'golden'] as const)('is sound in %s', async (name) => {
    const layout = layoutOf(await sample(name))
    expect(() => checkLayout(layout)).not.toThrow()
  })

  it.each([
    [
      'overlap the object before',
      17,
      BigInt(first?.offset ?? 0),
      /object 1 and object 2 lie over each other/,
    ],
    ['overlap the header', 17, 100n, /the header and object 2 lie over each other/],
    ['overlap the table', 17, 4096n + 28080n - 1n, /lie over each other/],
    ['begin before the file', 17, -1n, /object 2 is not within the file/],
    ['reach past the end', 25, 1n << 40n, /object 2 is not within the file/],
    ['have a negative size', 25, -5n, /object 2 is not within the file/],
  ] as const)('is refused where an object would %s', async (_, at, value, reason) => {
    const bytes = await edited(at, value)
    expect(() => checkLayout(layoutOf(bytes))).toThrow(
      expect.objectContaining({ code: 'SIF_FORMAT', message: expect.stringMatching(reason) }),
    )
  })

  it('is refused with one number for two objects', async () => {
    const bytes = await sample('tiny')
    bytes.writeUInt32LE(1, 4096 + 585 + 5)
    expect(() => checkLayout(layoutOf(bytes))).toThrow(/two objects have the number 1/)
  })

  it('may have empty objects anywhere', async () => {
    const bytes = await edited(25, 0n)
    bytes.writeBigInt64LE(100n, 4096 + 585 + 17)
    expect(() => checkLayout(layoutOf(bytes))).not.toThrow()
  })

  it('shows the bytes that belong to nothing', async () => {
    expect(gapsOf(tiny)[0]).toEqual({ what: 'behind the header', offset: 128, end: 4096 })
    expect(second).toBeDefined()
    const trailing = layoutOf(await signedSample('tampered/ok-trailing.sif'))
    expect(gapsOf(trailing).at(-1)).toEqual({ what: 'behind object 4', offset: 38184, end: 38191 })
  })
})
