/**
 * Changes one key in the text of a YAML file and leaves the rest, comments and order, as it is (pure). Only whole
 * lines change; the caller reads the result again and compares, so that no layout can be misunderstood unseen.
 */

import type { Entry, Node } from './document.ts'

export type Path = readonly string[]
type MapNode = Node & { kind: 'map' }

export const word = (text: string): Node => ({ kind: 'word', line: 0, text, empty: false })
export const wordList = (words: readonly string[]): Node => ({
  kind: 'list',
  line: 0,
  flow: true,
  items: words.map(word),
})

/** Words that mean what they say without quotes, also within brackets. */
const plainWord = /^[A-Za-z0-9_./][A-Za-z0-9_./=@%+-]*(:[A-Za-z0-9_./=@%+-]+)*$/

/** A double-quoted word of YAML may be one of JSON. */
const rendered = (text: string): string =>
  plainWord.test(text) && text !== 'null' ? text : JSON.stringify(text)

function render(node: Node): string {
  switch (node.kind) {
    case 'word':
      return node.empty ? '' : rendered(node.text)
    case 'list':
      return `[${node.items.map(render).join(', ')}]`
    case 'map':
      return `{ ${node.entries.map(({ key, value }) => `${rendered(key)}: ${render(value)}`).join(', ')} }`
  }
}

const emptyMap: MapNode = { kind: 'map', line: 0, flow: true, entries: [] }

const isMap = (node: Node | undefined): node is MapNode => node?.kind === 'map'

/** The tree with the key set, or without it; a map that has become empty goes too. */
export function changed(root: Node | undefined, [key = '', ...rest]: Path, value: Node | undefined): Node {
  const { entries, ...map } = isMap(root) ? root : emptyMap
  const entry = entries.find((known) => known.key === key)
  const inner = rest.length > 0 ? changed(entry?.value, rest, value) : value
  const isGone = inner === undefined || (isMap(inner) && inner.entries.length === 0)
  if (isGone) return { ...map, entries: entries.filter((known) => known !== entry) }
  const next: Entry = { key, line: 0, value: inner }
  if (!entry) return { ...map, entries: [...entries, next] }
  return { ...map, entries: entries.map((known) => (known === entry ? next : known)) }
}

/** What a tree says, without its lines; empty maps and missing ones are the same. */
export function meaning(node: Node | undefined): unknown {
  if (node === undefined) return null
  switch (node.kind) {
    case 'word':
      return node.empty ? null : node.text
    case 'list':
      return node.items.map(meaning)
    case 'map':
      return node.entries.length === 0
        ? null
        : Object.fromEntries(node.entries.map(({ key, value }) => [key, meaning(value)]))
  }
}

/** Lines of an entry: from its own to the last one that is not blank or a comment before `end`. */
type Span = { readonly first: number; readonly end: number }

const isIdle = (line: string | undefined): boolean => line !== undefined && /^\s*(#.*)?$/.test(line)

function spanOf(lines: readonly string[], { entries }: MapNode, index: number, mapEnd: number): Span {
  const first = (entries[index]?.line ?? 1) - 1
  let end = index + 1 < entries.length ? (entries[index + 1]?.line ?? 1) - 1 : mapEnd
  while (end > first + 1 && isIdle(lines[end - 1])) end -= 1
  return { first, end }
}

const blanksBefore = (line = ''): string => /^ */.exec(line)?.[0] ?? ''

const spliced = (lines: readonly string[], { first, end }: Span, put: readonly string[]): string[] => [
  ...lines.slice(0, first),
  ...put,
  ...lines.slice(end),
]

/** The comment at the end of a line that holds a whole entry. */
function commentOf(lines: readonly string[], { first, end }: Span): string {
  return end === first + 1 ? (/\s+#[^"']*$/.exec(lines[first] ?? '')?.[0] ?? '') : ''
}

/** The lines of a key that was not there before, its parents as lines of their own. */
function newLines(indent: string, [key = '', ...rest]: Path, value: Node): string[] {
  if (rest.length === 0) return [`${indent}${rendered(key)}: ${render(value)}`]
  return [`${indent}${rendered(key)}:`, ...newLines(`${indent}  `, rest, value)]
}

function setInMap(lines: readonly string[], map: MapNode, mapEnd: number, path: Path, value: Node): string[] {
  const [key = '', ...rest] = path
  const indent = blanksBefore(lines[(map.entries[0]?.line ?? 1) - 1])
  const index = map.entries.findIndex((entry) => entry.key === key)
  const entry = map.entries[index]
  if (!entry) {
    const { end } = spanOf(lines, map, map.entries.length - 1, mapEnd)
    return spliced(lines, { first: end, end }, newLines(indent, path, value))
  }
  const span = spanOf(lines, map, index, mapEnd)
  const inner = entry.value
  if (rest.length > 0 && isMap(inner) && !inner.flow) return setInMap(lines, inner, span.end, rest, value)
  const isNothing = inner.kind === 'word' && inner.empty
  const put =
    rest.length > 0 && isNothing
      ? [lines[span.first] ?? '', ...newLines(`${indent}  `, rest, value)]
      : [
          `${indent}${rendered(key)}: ${render(rest.length > 0 ? changed(inner, rest, value) : value)}${commentOf(lines, span)}`,
        ]
  return spliced(lines, span, put)
}

function unsetInMap(lines: readonly string[], map: MapNode, mapEnd: number, path: Path): string[] {
  const [key = '', ...rest] = path
  const index = map.entries.findIndex((entry) => entry.key === key)
  const entry = map.entries[index]
  if (!entry) return [...lines]
  const span = spanOf(lines, map, index, mapEnd)
  const inner = entry.value
  const left = rest.length > 0 && isMap(inner) ? changed(inner, rest, undefined) : undefined
  if (!isMap(left) || left.entries.length === 0) return spliced(lines, span, [])
  if (isMap(inner) && !inner.flow) return unsetInMap(lines, inner, span.end, rest)
  const indent = blanksBefore(lines[span.first])
  return spliced(lines, span, [`${indent}${rendered(key)}: ${render(left)}${commentOf(lines, span)}`])
}

function toLines(text: string): string[] {
  const lines = text.split('\n')
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

/** The text of a file whose tree is `root`, with the key set, or without it where there is no value. */
export function editText(text: string, root: Node | undefined, path: Path, value: Node | undefined): string {
  const lines = toLines(text)
  const put = (changedLines: readonly string[]) => changedLines.map((line) => `${line}\n`).join('')
  if (!isMap(root) || root.entries.length === 0)
    return value === undefined ? text : put([...lines, ...newLines('', path, value)])
  return put(
    value === undefined
      ? unsetInMap(lines, root, lines.length, path)
      : setInMap(lines, root, lines.length, path, value),
  )
}
