/** What programs write, as lines that may be shown: bytes of any kind, progress bars and control sequences included. */

/** Longer lines are cut into several. */
const longest = 64 * 1024

/** The rest of a line behind its last carriage return, which is where the next text goes on. */
function lastRun(text: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === '\r') end -= 1
  return text.slice(end === 0 ? 0 : text.lastIndexOf('\r', end - 1) + 1)
}

/** Bytes become lines, without their line feeds. What is not UTF-8 becomes U+FFFD. */
export class LineReader {
  readonly #onLine: (line: string) => void
  readonly #decoder = new TextDecoder()
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  /** The beginning of a line that is not whole yet. */
  get rest(): string {
    return this.#rest
  }

  push(bytes: Uint8Array): void {
    this.#add(this.#decoder.decode(bytes, { stream: true }))
  }

  /** Nothing comes any more: what is there is the last line. */
  end(): void {
    this.#add(this.#decoder.decode())
    if (this.#rest !== '') this.#onLine(this.#rest)
    this.#rest = ''
  }

  #add(text: string): void {
    const lines = (this.#rest + text).split('\n')
    // A progress bar writes over its line again and again.
    let rest = lastRun(lines.pop() ?? '')
    for (const line of lines) this.#onLine(line)
    for (; rest.length > longest; rest = rest.slice(longest)) this.#onLine(rest.slice(0, longest))
    this.#rest = rest
  }
}

/** ECMA-48: control sequences, strings (titles, links), and the short ones. The first group is a colour. */
const sequence =
  /(\u001b\[[\d;:]*m)|\u001b\[[\u0020-\u003f]*[\u0040-\u007e]|\u001b[\]PX^_].*?(?:\u0007|\u001b\\|$)|\u001b[\u0020-\u002f]*[\u0030-\u007e]?/g

/** Characters that are taken back by backspaces, as spinners do. */
function withoutTakenBack(text: string): string {
  if (!text.includes('\b')) return text
  const left: string[] = []
  for (const character of text) {
    if (character === '\b') left.pop()
    else left.push(character)
  }
  return left.join('')
}

const reset = '\u001b[0m'

/**
 * A line as a terminal may show it within a line: what was written over is gone, and nothing moves the cursor, rings or renames.
 * Colours stay when asked for, and end with the line.
 */
export function settledLine(line: string, colours: boolean): string {
  let coloured = false
  const text = withoutTakenBack(lastRun(line)).replace(sequence, (_, colour: string | undefined) => {
    if (!colour || !colours) return ''
    coloured = true
    return colour.replace('\u001b', '\ue000')
  })
  const settled = text
    .replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, '')
    .replaceAll('\ue000', '\u001b')
  return coloured && !settled.endsWith(reset) ? settled + reset : settled
}
