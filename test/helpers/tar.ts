/** A small writer of tar archives that can say whatever a test wants to say, also what no tool would write. */

export type TarEntry = {
  /** As it shall stand in the archive. */
  readonly path: string
  /** Default: a file. */
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo'
  readonly data?: string | Uint8Array
  /** Target of a symlink or a hardlink. */
  readonly link?: string
  /** Default: 0644, 0755 for directories, 0777 for links. */
  readonly mode?: number
  /** Default: 0. */
  readonly uid?: number
  readonly gid?: number
  /** Seconds since 1970, also with a fraction. Default: 1,000,000,000. */
  readonly time?: number
  readonly device?: readonly [major: number, minor: number]
  readonly xattrs?: Readonly<Record<string, string | Uint8Array>>
  /** More PAX records. */
  readonly pax?: Readonly<Record<string, string>>
}

const letters = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
} as const

const block = 512

/** The archive with these entries, in this order: ustar, with PAX records where that is not enough. */
export function tarOf(entries: Iterable<TarEntry>): Buffer {
  const parts: Uint8Array[] = []
  for (const entry of entries) parts.push(...membersOf(entry))
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

function membersOf(entry: TarEntry): Uint8Array[] {
  const data = Buffer.from(entry.data ?? '')
  const records = paxOf(entry, data.length)
  const pax = Buffer.concat(Object.entries(records).map(([key, value]) => record(key, value)))
  const extension = pax.length > 0 ? [header({ path: 'pax' }, 'x', pax.length), padded(pax)] : []
  return [...extension, header(entry, letters[entry.type ?? 'file'], data.length), padded(data)]
}

/** What does not fit into the fields of ustar. */
function paxOf(entry: TarEntry, size: number): Record<string, string | Buffer> {
  const records: Record<string, string | Buffer> = { ...entry.pax }
  if (isLong(entry.path)) records.path = entry.path
  if (entry.link !== undefined && isLong(entry.link)) records.linkpath = entry.link
  if ((entry.uid ?? 0) > 0o7777777) records.uid = String(entry.uid)
  if ((entry.gid ?? 0) > 0o7777777) records.gid = String(entry.gid)
  if (size > 0o77777777777) records.size = String(size)
  if (!isCount(entry.time ?? 0)) records.mtime = String(entry.time)
  for (const [name, value] of Object.entries(entry.xattrs ?? {}))
    records[`SCHILY.xattr.${name}`] = Buffer.from(value)
  return records
}

const isLong = (name: string): boolean => Buffer.byteLength(name) > 100 || /[^\x20-\x7e]/.test(name)
const isCount = (time: number): boolean => Number.isInteger(time) && time >= 0

/** `LENGTH key=value\n`, where the length counts its own digits. */
function record(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function header(entry: TarEntry, letter: string, size: number): Buffer {
  const field = Buffer.alloc(block)
  const octal = (value: number, at: number, width: number) =>
    field.write(
      Math.max(0, value)
        .toString(8)
        .slice(-(width - 1))
        .padStart(width - 1, '0'),
      at,
    )
  field.write(entry.path, 0, 100)
  octal(entry.mode ?? modeOf(entry), 100, 8)
  octal(entry.uid ?? 0, 108, 8)
  octal(entry.gid ?? 0, 116, 8)
  octal(size, 124, 12)
  octal(Math.floor(entry.time ?? 1_000_000_000), 136, 12)
  field.write(letter, 156)
  field.write(entry.link ?? '', 157, 100)
  field.write('ustar\x0000', 257, 'latin1')
  octal(entry.device?.[0] ?? 0, 329, 8)
  octal(entry.device?.[1] ?? 0, 337, 8)
  field.fill(' ', 148, 156)
  const sum = field.reduce((total, byte) => total + byte, 0)
  field.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return field
}

function modeOf({ type }: TarEntry): number {
  if (type === 'directory') return 0o755
  return type === 'symlink' ? 0o777 : 0o644
}

const padded = (data: Buffer): Buffer =>
  Buffer.concat([data, Buffer.alloc((block - (data.length % block)) % block)])
