/**
 * What was found out once about files of this machine and takes long to find out again, such as the digest of an image. A file
 * of lines `KEY VALUE`, both digests in hexadecimal digits: the key names the file and everything that tells that it changed. Who
 * adds a line appends it; lines that do not fit are passed over, and when there are many the older half goes.
 */

import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const name = 'facts'
const largest = 1024 * 1024

const keyOf = (parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex')

function readLines(path: string): string[] {
  try {
    // Nobody of us makes it longer: a file that is was made by somebody else.
    if (statSync(path).size > 2 * largest) return []
    return readFileSync(path, 'latin1').split('\n')
  } catch {
    return []
  }
}

export class Facts {
  readonly #path: string
  #known: Map<string, string> | undefined

  constructor(root: string) {
    this.#path = join(root, name)
  }

  /** What was noted under these words; undefined for nothing. */
  recall(...parts: readonly string[]): string | undefined {
    this.#known ??= new Map(
      readLines(this.#path).flatMap((line) => {
        const [, key = '', value = ''] = /^([0-9a-f]{64}) ([0-9a-f]{64})$/.exec(line) ?? []
        return key === '' ? [] : [[key, value] as const]
      }),
    )
    return this.#known.get(keyOf(parts))
  }

  /** Note a digest under these words. What cannot be written is found out again next time. */
  note(value: string, ...parts: readonly string[]): void {
    const key = keyOf(parts)
    this.#known?.set(key, value)
    try {
      appendFileSync(this.#path, `${key} ${value}\n`, { mode: 0o600 })
      if (statSync(this.#path).size > largest) this.#shorten()
    } catch {
      // Then nobody remembers.
    }
  }

  #shorten(): void {
    const lines = readLines(this.#path)
    const draft = `${this.#path}.${process.pid}`
    writeFileSync(draft, lines.slice(lines.length >> 1).join('\n'), { mode: 0o600 })
    renameSync(draft, this.#path)
  }
}
