/** Changes the words of a launch spec at random, the same way for the same seed. */

/** Numbers below a bound that are the same in every run (mulberry32). */
export function generator(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

type Random = ReturnType<typeof generator>

/** Words at the edges of what a field may be. */
const odd = [
  ...['', '0', '1', '7', '-1', '+1', '0x1', '07777', '17777', '4294967294', '4294967295', '4294967296'],
  ...['2147483647', '2147483648', '9223372036854775807', '9223372036854775808', '99999999999999999999'],
  ...[
    '/',
    '//',
    '/.',
    '/..',
    '/a/../..',
    '/proc/self/fd',
    '/proc/self/root',
    '/dev/null',
    '/dev/fuse',
    '/etc/passwd',
  ],
  ...[
    'x'.repeat(5000),
    `/${'x'.repeat(4094)}`,
    `/${'x'.repeat(4095)}`,
    '/x'.repeat(2047),
    'x'.repeat(200_000),
  ],
  ...[
    '\n',
    '\u001b[2J',
    '\u0085',
    '%s%n',
    ':',
    '=',
    '0=:1=',
    '63=:63',
    '64=',
    '0:1:2',
    'create',
    'skip',
    'fail',
    'end',
  ],
] as const

const pick = <T>(random: Random, all: readonly T[]): T | undefined => all[random(all.length)]

/** Where the records of a spec begin. */
function starts(words: readonly string[]): number[] {
  const found: number[] = []
  for (let at = 0; at < words.length; at += 2 + Number(words[at + 1])) found.push(at)
  return found
}

/** Records lost, doubled, moved or cut off: the words of each stay what they are. */
function changeRecords(words: readonly string[], random: Random): string[] {
  const at = starts(words)
  const records = at.map((start, index) => words.slice(start, at[index + 1]))
  const one = random(records.length)
  const other = random(records.length)
  switch (random(4)) {
    case 0:
      return records.toSpliced(one, 1).flat()
    case 1:
      return records.toSpliced(other, 0, records[one] ?? []).flat()
    case 2:
      return records
        .with(one, records[other] ?? [])
        .with(other, records[one] ?? [])
        .flat()
    default:
      return words.slice(0, random(words.length))
  }
}

/** A field gets another value, and the spec stays one that can be read up to it. */
function changeField(words: readonly string[], random: Random): string[] {
  const start = pick(random, starts(words)) ?? 0
  const count = Number(words[start + 1])
  if (count === 0) return [...words]
  const at = start + 2 + random(count)
  const old = words[at] ?? ''
  const values = [pick(random, odd), pick(random, words), old + old, old.slice(0, random(old.length + 1))]
  return words.toSpliced(at, 1, pick(random, values) ?? '')
}

/** A record gets or loses a field, and says so. */
function changeCount(words: readonly string[], random: Random): string[] {
  const start = pick(random, starts(words)) ?? 0
  const count = Number(words[start + 1])
  const at = start + 2 + random(count + 1)
  const more = count === 0 || random(2) === 0
  const changed = more ? words.toSpliced(at, 0, pick(random, odd) ?? '') : words.toSpliced(start + 2, 1)
  return changed.with(start + 1, String(count + (more ? 1 : -1)))
}

/** Any word lost, doubled, swapped with another, or with another letter: names and counts as well. */
function changeWord(words: readonly string[], random: Random): string[] {
  const at = random(words.length)
  const other = random(words.length)
  switch (random(5)) {
    case 0:
      return words.toSpliced(at, 1)
    case 1:
      return words.toSpliced(at, 0, words[other] ?? '')
    case 2:
      return words.with(at, words[other] ?? '').with(other, words[at] ?? '')
    case 3:
      return words.with(at, pick(random, odd) ?? '')
    default:
      return words.with(at, (words[at] ?? '').slice(0, -1) + String.fromCharCode(33 + random(90)))
  }
}

/** One change, or two, of which the first leaves a spec that has records. */
export function mutate(words: readonly string[], random: Random): string[] {
  const first = random(3) === 0 ? changeField(words, random) : words
  const kinds = [changeField, changeField, changeField, changeCount, changeRecords, changeWord]
  return (pick(random, kinds) ?? changeWord)(first, random)
}
