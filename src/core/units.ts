/** Sizes as people write them, both directions. Binary units: `64M` is 64 MiB, as in Singularity. */

const powers: Record<string, number> = { '': 0, k: 1, m: 2, g: 3, t: 4 }

/**
 * Parse a size such as `512`, `64M`, `1.5GiB` into bytes.
 * Returns undefined when the text is no size or not a safe integer of bytes.
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  if (!match) return undefined
  const bytes = Math.round(Number(match[1]) * 1024 ** (powers[(match[2] ?? '').toLowerCase()] ?? 0))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Bytes in binary units, rounded to integers: `27 KiB`, `1 MiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : Math.round(value)} ${units[unit]}`
}
