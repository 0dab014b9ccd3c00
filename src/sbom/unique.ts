/** Names that are each given once. */

export class Unique {
  readonly #taken = new Set<string>()
  readonly #counts = new Map<string, number>()

  /** The name itself, or with the next number behind it. */
  of(name: string, between = '-'): string {
    let count = this.#counts.get(name) ?? 1
    let free = count === 1 ? name : `${name}${between}${count}`
    while (this.#taken.has(free)) free = `${name}${between}${++count}`
    this.#taken.add(free)
    this.#counts.set(name, count + 1)
    return free
  }
}
