/** What single lines of a definition are: sections' names, comments, and how they look in messages. */

/** Whether a line says nothing: blank, or a comment. */
export function isIdle(line: string): boolean {
  return /^\s*(#|$)/.test(line)
}

/** The name of the section that a line begins, in lower case; undefined for any other line. */
export function sectionName(line: string): string | undefined {
  return /^\s*%(\S*)/.exec(line)?.[1]?.toLowerCase()
}

/** The line trimmed and cut at a `#` that begins a word. */
export function withoutComment(line: string): string {
  const comment = /(^|\s)#/.exec(line)
  return (comment ? line.slice(0, comment.index) : line).trim()
}

/** A piece of the definition short enough for a message. */
export function excerpt(text: string): string {
  const trimmed = text.trim()
  return trimmed.length > 60 ? `${trimmed.slice(0, 60)}...` : trimmed
}
