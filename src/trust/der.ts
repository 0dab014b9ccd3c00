/** DER, the bytes of certificates and of answers about them (X.690): strictly read, in its one form; and written. */

import { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectId: 0x06,
  enumerated: 0x0a,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** The tag of an element that is named by its number within another; `constructed` when it holds elements. */
export const contextTag = (number: number, constructed = true): number => (constructed ? 0xa0 : 0x80) | number

export type Element = {
  readonly tag: number
  /** What it holds. */
  readonly content: Buffer
  /** All of it, with tag and length. */
  readonly raw: Buffer
}

const damaged = (): SingError => new SingError('KEY', 'it is damaged: its DER cannot be read')

/** Elements one after the other, up to the end of the bytes. @throws SingError KEY for anything else */
export function readElements(bytes: Uint8Array): Element[] {
  const rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Element[] = []
  for (let at = 0; at < rest.length; ) {
    const element = readAt(rest, at)
    elements.push(element)
    at += element.raw.length
  }
  return elements
}

function readAt(bytes: Buffer, at: number): Element {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  // No format here has tags of several bytes.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw damaged()
  const more = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || more > 4 || at + 2 + more > bytes.length) throw damaged()
  const length = more === 0 ? first : bytes.readUIntBE(at + 2, more)
  const isShortest = more === 0 || (length >= 0x80 && length >= 2 ** (8 * (more - 1)))
  const start = at + 2 + more
  if (!isShortest || start + length > bytes.length) throw damaged()
  return { tag, content: bytes.subarray(start, start + length), raw: bytes.subarray(at, start + length) }
}

/** The one element that the bytes are. */
export function readElement(bytes: Uint8Array, tag?: number): Element {
  const [element, ...more] = readElements(bytes)
  if (!element || more.length > 0 || (tag !== undefined && element.tag !== tag)) throw damaged()
  return element
}

/** Takes elements in the order that a format has them. */
export class Fields {
  readonly #elements: readonly Element[]
  #next = 0

  constructor({ content }: Pick<Element, 'content'>) {
    this.#elements = readElements(content)
  }

  /** The next element, which must have the tag. */
  take(tag?: number): Element {
    const element = this.#elements[this.#next]
    if (!element || (tag !== undefined && element.tag !== tag)) throw damaged()
    this.#next += 1
    return element
  }

  /** The next element, if it has the tag. */
  takeIf(tag: number): Element | undefined {
    return this.#elements[this.#next]?.tag === tag ? this.take(tag) : undefined
  }

  /** All that was not taken. */
  rest(): readonly Element[] {
    return this.#elements.slice(this.#next)
  }
}

/** `1.3.6.1…` */
export function readObjectId({ tag, content }: Element): string {
  if (tag !== tags.objectId || content.length === 0 || (content.at(-1) ?? 0) >= 0x80) throw damaged()
  const numbers: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (value > Number.MAX_SAFE_INTEGER / 128) throw damaged()
    if (byte < 0x80) {
      numbers.push(value)
      value = 0
    }
  }
  const [first = 0, ...others] = numbers
  const top = Math.min(2, Math.floor(first / 40))
  return [top, first - 40 * top, ...others].join('.')
}

/** A small number that is not negative. */
export function readSmallNumber({ content }: Element): number {
  if (content.length === 0 || content.length > 4 || (content[0] ?? 0) >= 0x80) throw damaged()
  return content.readUIntBE(0, content.length)
}

export function readBoolean({ tag, content }: Element): boolean {
  if (tag !== tags.boolean || content.length !== 1) throw damaged()
  return content[0] !== 0
}

/** The bytes of a string of bits that has whole bytes only. */
export function readBits({ tag, content }: Element): Buffer {
  if (tag !== tags.bitString || content.length === 0 || content[0] !== 0) throw damaged()
  return content.subarray(1)
}

/** `20261127153000Z`, in milliseconds. */
export function readTime({ tag, content }: Element): number {
  const digits = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(content.toString('latin1'))
  if (tag !== tags.generalizedTime || !digits) throw damaged()
  const [, year, month, day, hour, minute, second] = digits
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

/** An element with its tag and length. */
export function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content)
  if (bytes.length < 0x80) return Buffer.concat([Buffer.of(tag, bytes.length), bytes])
  const size = bytes.length < 0x100 ? 1 : bytes.length < 0x10000 ? 2 : 3
  const length = Buffer.alloc(size)
  length.writeUIntBE(bytes.length, 0, size)
  return Buffer.concat([Buffer.of(tag, 0x80 | size), length, bytes])
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => element(tags.sequence, ...content)

export function objectId(dotted: string): Buffer {
  const [top = 0, second = 0, ...others] = dotted.split('.').map(Number)
  const bytes = [top * 40 + second, ...others].flatMap((number) => {
    const parts = [number & 0x7f]
    for (let rest = number >>> 7; rest > 0; rest >>>= 7) parts.unshift(0x80 | (rest & 0x7f))
    return parts
  })
  return element(tags.objectId, Buffer.from(bytes))
}
