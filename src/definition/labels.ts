/** `%labels` and the file behind $SINGULARITY_LABELS: a key and the rest of the line. */

/**
 * Labels in the order of the text; later ones with the same key count. The first blank divides key and value, the value
 * is the rest of the line as it is (quotes and `#` too). Empty lines and lines that begin with `#` say nothing.
 */
export function parseLabels(text: string): [key: string, value: string][] {
  const labels: [string, string][] = []
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const end = trimmed.search(/\s/)
    labels.push(end < 0 ? [trimmed, ''] : [trimmed.slice(0, end), trimmed.slice(end).trim()])
  }
  return labels
}
