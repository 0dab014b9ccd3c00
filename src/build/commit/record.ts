/** What an image says about the changes that were committed to it: a line of its definition for each time, labels for the last. Pure. */

export type Commit = {
  /** The image below, as it was named. */
  readonly base: string
  /** What lay over it, as it was named. */
  readonly overlays: readonly string[]
  readonly message: string | undefined
  readonly time: Date
}

const oneLine = (text: string): string => text.replace(/[\r\n\t]+/g, ' ').trim()
const dateOf = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')

/** Lines that say so begin like this; they stand before the first section, where every reader of definitions takes comments. */
const mark = '# committed '

function lineOf({ base, overlays, message, time }: Commit): string {
  const over = overlays.length > 0 ? ` with ${overlays.map(oneLine).join(', ')}` : ''
  return `${mark}${dateOf(time)}: ${oneLine(base)}${over}${message ? `: ${oneLine(message)}` : ''}\n`
}

/** The definition of an image, and that it is no longer all. */
export function recordedDefinition(text: string, commit: Commit): string {
  const lines = text.split('\n')
  const end = lines.findIndex((line) => !line.startsWith(mark))
  const before = lines.slice(0, end).map((line) => `${line}\n`)
  return [...before, lineOf(commit), lines.slice(end).join('\n')].join('')
}

const prefix = 'org.label-schema.usage.sing.commit'

/** The labels of an image with those of the commit, and then those that were asked for. */
export function recordedLabels(
  labels: ReadonlyMap<string, string>,
  { base, message, time }: Commit,
  asked: readonly (readonly [string, string])[],
): Map<string, string> {
  const recorded = new Map([...labels].filter(([key]) => !key.startsWith(prefix)))
  recorded.set(`${prefix}.base`, base)
  recorded.set(`${prefix}.date`, dateOf(time))
  if (message) recorded.set(`${prefix}.message`, message)
  for (const [key, value] of asked) recorded.set(key, value)
  return recorded
}
