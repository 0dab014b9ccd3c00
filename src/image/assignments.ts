/**
 * Variables that an environment script sets to plain values: what other runtimes can be told, who do not run the script. What a
 * shell would have to work out is passed over. Pure.
 */

export type Variables = Map<string, string>

const assignment = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/
/** `NAME=value; export NAME` */
const exported = /(?<![ \t])[ \t]*;[ \t]*export[ \t]+[A-Za-z_][A-Za-z0-9_]*[ \t]*$/
/** What an OCI image becomes: the value holds when the caller has set none. */
const defaulted = /^\[ -n "\$\{([A-Za-z_][A-Za-z0-9_]*):-\}" \] \|\| \1=(.*); export \1$/

const opening = /^[ \t]*(?:if|for|while|until|case|select)\b|\{[ \t]*$|^[ \t]*\([ \t]*$/
const closing = /^[ \t]*(?:fi|done|esac|\}|\))(?:[ \t;&|]|$)/
/** Such a line goes on with the next one: a quote is open, or it ends with a backslash or is followed by a text. */
const unfinished = (line: string): boolean =>
  /\\$|<<|["']/.test(line.replace(/\\.|"(?:[^"\\]|\\.)*"|'[^']*'/g, ''))

/** Add what a script sets, in its order; values may name variables that are known by then. */
export function addAssignments(variables: Variables, script: string): void {
  let depth = 0
  for (const line of script.split('\n')) {
    if (closing.test(line)) depth = Math.max(0, depth - 1)
    else if (opening.test(line)) depth += /\b(?:fi|done|esac)[ \t]*$/.test(line) ? 0 : 1
    else if (depth === 0) addLine(variables, line)
    // What follows is no longer what it looks like.
    if (!/^[ \t]*#/.test(line) && unfinished(line)) return
  }
}

function addLine(variables: Variables, line: string): void {
  const [, name, word] = defaulted.exec(line) ?? assignment.exec(line) ?? []
  if (name === undefined || word === undefined) return
  const value = valueOfWord(word.replace(exported, ''), variables)
  if (value !== undefined) variables.set(name, value)
  // A value that is not known is not the one before either; but a part of the way to programs is better than none.
  else if (name !== 'PATH') variables.delete(name)
}

const single = /^'([^']*)'/
const double = /^"((?:[^"\\`]|\\.)*)"/
const bare = /^(?:[A-Za-z0-9_./:@%+,=~-]|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$[A-Za-z_][A-Za-z0-9_]*)+/

/** The value of a shell word: parts in quotes or without. Undefined when it is more than that. */
function valueOfWord(word: string, variables: Variables): string | undefined {
  let rest = word.replace(/(?<![ \t])[ \t]+(?:#.*)?$/, '')
  let value = ''
  while (rest !== '') {
    const [whole, text] = single.exec(rest) ?? []
    const part = whole === undefined ? partOf(rest, variables) : { whole, value: text ?? '' }
    if (part === undefined || (value === '' && part.value.startsWith('~'))) return undefined
    value += part.value
    rest = rest.slice(part.whole.length)
  }
  return value
}

function partOf(rest: string, variables: Variables): { whole: string; value: string } | undefined {
  const quoted = double.exec(rest)
  const found = quoted ?? bare.exec(rest)
  if (!found) return undefined
  const value = substituted(found[1] ?? found[0], variables)
  return value === undefined ? undefined : { whole: found[0], value }
}

/** `$NAME` and `${NAME}` by their values. Undefined when one is unknown, or something else begins with a dollar sign. */
function substituted(text: string, variables: Variables): string | undefined {
  let isKnown = true
  const value = text.replace(
    /\\([\\"$`])|\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))|\$/g,
    (_, escaped?: string, braced?: string, plain?: string) => {
      if (escaped !== undefined) return escaped
      const known = variables.get(braced ?? plain ?? '')
      isKnown &&= known !== undefined
      return known ?? ''
    },
  )
  return isKnown ? value : undefined
}
