/** Small ELF files that say what a test wants of their machine, loader and libraries, and hold no code. */

export type ElfWords = {
  readonly machine?: number
  readonly bits?: 32 | 64
  readonly loader?: string
  readonly needs?: readonly string[]
  readonly runpath?: string
}

const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_INTERP = 3
const DT_NEEDED = 1
const DT_STRTAB = 5
const DT_RUNPATH = 29

/** elf(5): the header, three segments, the dynamic section, strings. Addresses are offsets. */
export function elfWith({ machine = 62, bits = 64, loader, needs = [], runpath }: ElfWords = {}): Buffer {
  const wide = bits === 64
  const word = wide ? 8 : 4
  const [headerSize, segmentSize] = wide ? [64, 56] : [52, 32]
  const texts = [loader ?? '', runpath ?? '', ...needs]
  const offsets = texts.map(
    (_, index) => 1 + Buffer.byteLength(texts.slice(0, index).join('\0') + (index ? '\0' : '')),
  )
  const strings = Buffer.concat([Buffer.from(`\0${texts.join('\0')}\0`), Buffer.alloc(512)])
  const dynamicAt = headerSize + 3 * segmentSize
  const tags: [number, number][] = [
    ...needs.map((_, index): [number, number] => [DT_NEEDED, offsets[index + 2] ?? 0]),
    ...(runpath === undefined ? [] : [[DT_RUNPATH, offsets[1] ?? 0] as [number, number]]),
  ]
  const stringsAt = dynamicAt + (tags.length + 2) * 2 * word
  tags.push([DT_STRTAB, stringsAt], [0, 0])
  const file = Buffer.concat([Buffer.alloc(stringsAt), strings])
  const native = (value: number, at: number): void => {
    if (wide) file.writeBigUInt64LE(BigInt(value), at)
    else file.writeUInt32LE(value, at)
  }
  file.write('\x7fELF', 'latin1')
  file[4] = wide ? 2 : 1
  file[5] = 1
  file.writeUInt16LE(machine, 18)
  native(headerSize, wide ? 32 : 28)
  file.writeUInt16LE(segmentSize, wide ? 54 : 42)
  file.writeUInt16LE(loader === undefined ? 2 : 3, wide ? 56 : 44)
  const segments: [number, number, number][] = [
    [PT_LOAD, 0, file.length],
    [PT_DYNAMIC, dynamicAt, tags.length * 2 * word],
    [PT_INTERP, stringsAt + (offsets[0] ?? 0), (loader ?? '').length + 1],
  ]
  for (const [index, [type, offset, size]] of segments.entries()) {
    const at = headerSize + index * segmentSize
    file.writeUInt32LE(type, at)
    native(offset, at + (wide ? 8 : 4))
    native(offset, at + (wide ? 16 : 8))
    native(size, at + (wide ? 32 : 16))
  }
  for (const [index, [tag, value]] of tags.entries()) {
    native(tag, dynamicAt + index * 2 * word)
    native(value, dynamicAt + (index * 2 + 1) * word)
  }
  return file
}
