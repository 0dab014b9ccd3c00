/** Headers of rpm, and databases with them, as no tool of this machine makes them. */

/** A header with tags and their texts or numbers. */
export function headerOf(tags: Readonly<Record<number, string | readonly number[]>>): Buffer {
  const entries: Buffer[] = []
  let data = Buffer.alloc(0)
  for (const [tag, value] of Object.entries(tags)) {
    const isText = typeof value === 'string'
    if (!isText) data = Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)])
    const entry = Buffer.alloc(16)
    entry.writeUInt32BE(Number(tag), 0)
    entry.writeUInt32BE(isText ? 6 : 4, 4)
    entry.writeUInt32BE(data.length, 8)
    entry.writeUInt32BE(isText ? 1 : value.length, 12)
    entries.push(entry)
    const numbers = isText
      ? []
      : value.map((number) => Buffer.of(number >>> 24, number >>> 16, number >>> 8, number))
    data = Buffer.concat([data, ...(isText ? [Buffer.from(`${value}\0`)] : numbers)])
  }
  const head = Buffer.alloc(8)
  head.writeUInt32BE(entries.length, 0)
  head.writeUInt32BE(data.length, 4)
  return Buffer.concat([head, ...entries, data])
}

/** A `Packages.db` with headers, the last slots being free. */
export function ndbOf(headers: readonly Buffer[]): Buffer {
  const slots = Buffer.alloc(4096)
  slots.write('RpmP', 0)
  slots.writeUInt32LE(1, 12)
  for (let slot = 32; slot < 4096; slot += 16) slots.write('Slot', slot)
  let end = 4096
  const blobs = headers.map((header, index) => {
    const blob = Buffer.alloc(Math.ceil((16 + header.length + 12) / 16) * 16)
    blob.write('BlbS', 0)
    blob.writeUInt32LE(index + 1, 4)
    blob.writeUInt32LE(header.length, 12)
    header.copy(blob, 16)
    blob.write('BlbE', blob.length - 4)
    slots.writeUInt32LE(index + 1, 32 + 16 * index + 4)
    slots.writeUInt32LE(end / 16, 32 + 16 * index + 8)
    slots.writeUInt32LE(blob.length / 16, 32 + 16 * index + 12)
    end += blob.length
    return blob
  })
  return Buffer.concat([slots, ...blobs])
}
