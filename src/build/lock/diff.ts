/** What a build resolved, as a value, and in what two of them differ. */

/** Versions of packages by their names. */
export type Versions = Readonly<Record<string, string>>

export type Lock = {
  /** Of the image, in Go's words. */
  readonly architecture: string
  /** Where stages began: a reference and its digest, a file and its, a distribution and its mirror. */
  readonly bases: Versions
  /** Digests of what %files copied from the host, by the words of the definition. */
  readonly files: Versions
  /** By kind, and by place where an image may have several: `dpkg`, `python /opt/venv/lib/python3.12/site-packages`. */
  readonly packages: Readonly<Record<string, Versions>>
}

/** One line for each thing, by what people call it. */
function lines({ architecture, bases, files, packages }: Lock): Map<string, string> {
  const named = (kind: string, values: Versions): [string, string][] =>
    Object.entries(values).map(([name, value]) => [`${kind} ${name}`, value])
  return new Map([
    ['architecture', architecture],
    ...named('base', bases),
    ...named('file', files),
    ...Object.entries(packages).flatMap(([kind, versions]) => named(kind, versions)),
  ])
}

const byName = ([one]: readonly [string, string], [other]: readonly [string, string]): number =>
  one < other ? -1 : 1

/** In what `found` differs from what is `locked`: a line for each difference, in the order of kinds and names. */
export function differences(locked: Lock, found: Lock): string[] {
  const [before, after] = [lines(locked), lines(found)]
  const all = new Map([...before, ...after])
  return [...all].sort(byName).flatMap(([name]) => {
    const [old, now] = [before.get(name), after.get(name)]
    if (old === now) return []
    if (old === undefined) return [`added: ${name} ${now}`]
    return now === undefined ? [`removed: ${name} ${old}`] : [`changed: ${name} ${old} -> ${now}`]
  })
}
