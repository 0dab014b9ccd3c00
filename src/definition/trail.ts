/**
 * Which line of a script runs, told from what it writes. A shell with -x writes each command before it runs it, words
 * expanded: the line that it resembles most, the next one among equals, is where it stands. An interpreter that complains
 * names the line itself.
 *
 * Nothing is put into the script for this. PS4 with $LINENO would be exact, but the dash of Debian has no LINENO, and what PS4 adds
 * would turn up in every file that a script sends its traces to.
 */

/** A command, with the line at which it begins when it goes over several. */
type Command = { readonly line: number; readonly words: ReadonlySet<string> }

/** Of commands that share a word, as many are compared. */
const mostCompared = 256
/** Words of a command by which others are looked up. */
const mostKeys = 4
/** How alike a trace and a line must be, from 0 to 1.5. */
const leastAlike = 0.3

function wordsOf(text: string): string[] {
  return text.match(/[^\s;|&(){}<>"'`$=\\+]+/g) ?? []
}

/** A line that the next one belongs to; the programs of a pipeline are traced in any order. */
const goesOn = /\\$|(^|[^|])\|\s*$/

/** The lines of a script, those that belong together as one. */
function readCommands(text: string): Command[] {
  const commands: Command[] = []
  let begun: { line: number; words: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    begun ??= { line: index + 1, words: [] }
    begun.words.push(...wordsOf(line))
    if (goesOn.test(line)) continue
    commands.push({ line: begun.line, words: new Set(begun.words) })
    begun = undefined
  }
  return commands
}

function count<T>(values: Iterable<T>, test: (value: T) => boolean): number {
  let found = 0
  for (const value of values) if (test(value)) found += 1
  return found
}

/** How much of the line is in the trace and of the trace in the line; and whether the program is the same. */
function likeness(traced: readonly string[], { words }: Command): number {
  const seen = new Set(traced)
  const ofTrace = count(seen, (word) => words.has(word)) / seen.size
  const ofLine = count(words, (word) => seen.has(word)) / words.size
  return (ofTrace + ofLine) / 2 + (words.has(traced[0] as string) ? 0.5 : 0)
}

export class Trail {
  readonly #commands: readonly Command[]
  readonly #byWord = new Map<string, number[]>()
  readonly #complaint: RegExp
  #at = 0
  #line: number | undefined

  /** @param path the script's name as its interpreter says it */
  constructor(text: string, path: string) {
    this.#commands = readCommands(text)
    for (const [index, { words }] of this.#commands.entries()) {
      for (const word of words) {
        const known = this.#byWord.get(word)
        if (known) known.push(index)
        else this.#byWord.set(word, [index])
      }
    }
    const name = path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    // dash: `NAME: 3: `, bash and busybox: `NAME: line 3: `, Python: `File "NAME", line 3`, Perl: `at NAME line 3`, others: `NAME:3`
    this.#complaint = new RegExp(`${name}(?:", line |,? line |: line |: ?)(\\d{1,9})\\b`)
  }

  /** The line of the script that began last, from 1; undefined when nothing told. */
  get line(): number | undefined {
    return this.#line
  }

  /** The next line that the script wrote. */
  push(text: string): void {
    const named = this.#complaint.exec(text)
    if (named) this.#line = Number(named[1])
    // The dash of two processes of a pipeline writes one into the other.
    const trace = /^(?:\++ )+(.*)$/.exec(text)?.[1]
    if (trace !== undefined) this.#follow(trace)
  }

  #follow(trace: string): void {
    // From here on the shell tells nothing.
    if (/^set \+[a-wyz]*x/.test(trace)) {
      this.#line = undefined
      return
    }
    const traced = wordsOf(trace)
    let best: number | undefined
    let most = leastAlike
    for (const index of this.#candidates(traced)) {
      const alike = likeness(traced, this.#commands[index] as Command)
      if (alike <= most) continue
      best = index
      most = alike
    }
    if (best === undefined) return
    this.#at = best
    this.#line = this.#commands[best]?.line
  }

  /** Commands that share a word with the trace: from where we are to the end, then from the beginning. */
  #candidates(traced: readonly string[]): number[] {
    const found = new Set<number>()
    for (const word of new Set(traced.slice(0, mostKeys))) {
      const known = this.#byWord.get(word) ?? []
      const next = known.findIndex((index) => index >= this.#at)
      const behind = next < 0 ? [] : known.slice(next, next + mostCompared)
      for (const index of [...behind, ...known.slice(0, mostCompared - behind.length)]) found.add(index)
    }
    const distance = (index: number) => (index >= this.#at ? index - this.#at : this.#commands.length + index)
    return [...found].sort((one, other) => distance(one) - distance(other))
  }
}
