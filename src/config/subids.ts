/** Changes the ranges of one user in the text of /etc/subuid or /etc/subgid (pure). A range behind `!` is disabled. */

export type User = { readonly name: string; readonly uid: number }

type Range = { readonly owner: string; readonly start: number; readonly count: number }

/** As many ids as an image needs; the highest range first, far from those that are given out from below. */
const rangeSize = 65536
const highest = 4294836224

function toLines(text: string): string[] {
  return text.split('\n').filter((line, index, lines) => line !== '' || index < lines.length - 1)
}

const toText = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

function parseRange(line: string): Range | undefined {
  const [owner = '', start, count, ...more] = line.replace(/^!/, '').split(':')
  const range = { owner, start: Number(start), count: Number(count) }
  return more.length === 0 && owner !== '' && Number.isSafeInteger(range.start + range.count)
    ? range
    : undefined
}

const isOf = (line: string, { name, uid }: User): boolean => {
  const owner = parseRange(line)?.owner
  return owner === name || owner === String(uid)
}

/** Whether the user has a range, disabled or not. */
export const hasRange = (text: string, user: User): boolean => toLines(text).some((line) => isOf(line, user))

/** The highest range that none of the texts gives out; undefined when there is none left. */
export function freeRange(texts: readonly string[]): number | undefined {
  const taken = texts.flatMap((text) => toLines(text).flatMap((line) => parseRange(line) ?? []))
  for (let start = highest; start >= rangeSize; start -= rangeSize) {
    const isTaken = taken.some(
      (range) => range.start < start + rangeSize && start < range.start + range.count,
    )
    if (!isTaken) return start
  }
  return undefined
}

/** The text with a range for the user, unless there is one. */
export function addRange(text: string, user: User, start: number): string {
  return hasRange(text, user) ? text : toText([...toLines(text), `${user.uid}:${start}:${rangeSize}`])
}

const changeLines = (text: string, user: User, change: (line: string) => string | undefined): string =>
  toText(toLines(text).flatMap((line) => (isOf(line, user) ? (change(line) ?? []) : line)))

export const removeRange = (text: string, user: User): string => changeLines(text, user, () => undefined)

export const disableRange = (text: string, user: User): string =>
  changeLines(text, user, (line) => (line.startsWith('!') ? line : `!${line}`))

export const enableRange = (text: string, user: User): string =>
  changeLines(text, user, (line) => line.replace(/^!/, ''))
