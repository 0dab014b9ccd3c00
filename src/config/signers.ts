/** Who has to have signed the images of a directory, as words: `whitelist /srv/images FINGERPRINT...` (pure). */

const modes = ['whitelist', 'whitestrict', 'blacklist'] as const

/** One of the keys, all of them, or none of them. */
export type Mode = (typeof modes)[number]

/** What holds for the images of a directory. */
export type Rule = {
  readonly mode: Mode
  /** Absolute; undefined: the images that no other rule is about. */
  readonly directory: string | undefined
  /** Whether images in directories below are meant too. */
  readonly below: boolean
  /** Of primary keys, in upper case. */
  readonly fingerprints: readonly string[]
}

const fingerprint = /^(0x)?[0-9a-f]{40}$/i

/** A fingerprint as it is written here, in upper case; undefined for any other text. */
export function readFingerprint(text: string): string | undefined {
  return fingerprint.test(text) ? text.replace(/^0x/i, '').toUpperCase() : undefined
}

export function readMode(text: string): Mode | undefined {
  return modes.find((mode) => mode === text)
}

/** An absolute path without anything to resolve. */
export function isCleanPath(path: string): boolean {
  return path === '/' || /^(\/(?!\.{1,2}(\/|$))[^/\0]+)+$/.test(path)
}

/** A mode, perhaps a directory, and fingerprints; undefined when it is none of that. */
export function readRule(text: string): Rule | undefined {
  const [first = '', ...rest] = text.trim().split(/\s+/)
  const mode = readMode(first)
  const place = rest[0] !== undefined && readFingerprint(rest[0]) === undefined ? rest[0] : undefined
  const fingerprints = rest.slice(place === undefined ? 0 : 1).map(readFingerprint)
  if (mode === undefined || fingerprints.length === 0) return undefined
  if (place !== undefined && !isCleanPath(place)) return undefined
  if (!fingerprints.every((found) => found !== undefined)) return undefined
  return { mode, directory: place, below: true, fingerprints }
}

export function ruleText({ mode, directory, fingerprints }: Rule): string {
  return [mode, ...(directory === undefined ? [] : [directory]), ...fingerprints].join(' ')
}
