/**
 * Following a path through the links of a tree as a process does whose root is the tree's: `..` and absolute links end at the
 * root. Whoever has the tree is asked for each step, and may take time to answer.
 */

export type Node =
  | { readonly kind: 'directory' | 'other' }
  | { readonly kind: 'link'; readonly target: string }

/** What is at a path, in the words of those who list files. */
export function nodeOf({
  type,
  target,
}: {
  readonly type: string
  readonly target?: string | undefined
}): Node {
  if (type === 'symlink') return { kind: 'link', target: target ?? '' }
  return { kind: type === 'directory' ? 'directory' : 'other' }
}

export type Followed = {
  /** Without links. What does not exist is taken by name. */
  readonly path: string
  readonly state: 'there' | 'missing' | 'through a file' | 'too many links'
  /** Where it stopped being there; the path itself when it did not. */
  readonly at: string
}

/** As many as the kernel follows (path_resolution(7)). */
const mostLinks = 40

const components = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.')
const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** Yields each path to be looked at, which has no links before its last component, and wants what is there. */
export function* following(
  path: string,
  last: 'follow' | 'keep' = 'follow',
): Generator<string, Followed, Node | undefined> {
  const left = components(path).reverse()
  let here = ''
  let missing: string | undefined
  let links = 0
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (name === '..') {
      here = parentOf(here)
      continue
    }
    const next = `${here}/${name}`
    const node: Node | undefined = yield next
    if (node?.kind === 'link' && (left.length > 0 || last === 'follow')) {
      links += 1
      if (links > mostLinks) return { path: next, state: 'too many links', at: next }
      if (node.target.startsWith('/')) here = ''
      left.push(...components(node.target).reverse())
      continue
    }
    if (node && node.kind !== 'directory' && left.length > 0)
      return { path: next, state: 'through a file', at: next }
    if (!node) missing ??= next
    here = next
  }
  const found = here || '/'
  return { path: found, state: missing === undefined ? 'there' : 'missing', at: missing ?? found }
}

/** `following` for who knows the tree at once. */
export function follow(
  path: string,
  look: (path: string) => Node | undefined,
  last: 'follow' | 'keep' = 'follow',
): Followed {
  const steps = following(path, last)
  let step = steps.next()
  while (!step.done) step = steps.next(look(step.value))
  return step.value
}
