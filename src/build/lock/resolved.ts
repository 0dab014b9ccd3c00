/** What a build asks others for while it runs: noted for a lock, and compared with one as soon as it is known. */

import { SingError, shown } from '../../core/errors.ts'
import type { Lock } from './diff.ts'

/** What a name stands for just now; computed only where somebody wants to know. */
type Answer = () => string | Promise<string>

export class Resolved {
  readonly bases: Record<string, string> = {}
  readonly #locked: Lock['bases'] | undefined
  readonly #isWanted: boolean

  /** Of nothing, notes that nobody reads. */
  constructor(wanted?: { readonly locked: Lock['bases'] | undefined }) {
    this.#isWanted = wanted !== undefined
    this.#locked = wanted?.locked
  }

  /** Note what a base is. @throws SingError BUILD when the lock says something else: nothing needs to be built then */
  async note(name: string, answer: Answer): Promise<void> {
    if (!this.#isWanted) return
    const found = await answer()
    this.bases[name] = found
    const locked = this.#locked?.[name]
    if (this.#locked === undefined || locked === found) return
    throw differs([
      locked === undefined ? `added: base ${name} ${found}` : `changed: base ${name} ${locked} -> ${found}`,
    ])
  }
}

/** The failure of a build that is not the locked one. */
export function differs(lines: readonly string[]): SingError {
  const count = lines.length === 1 ? 'in one thing' : `in ${lines.length} things`
  return new SingError('BUILD', `--locked: what would be built differs from the lock ${count}`, {
    hint: [...lines.map(shown), 'If that is as it should be, lock it anew: sing build --lock'].join('\n'),
  })
}
