/** The definition of an image that is not built from a definition file: where it came from, as two header lines. */

import type { Definition } from './types.ts'

/** The text that such an image keeps: `bootstrap: KIND`, `from: SOURCE` and an empty line. */
export function defaultDefinition(kind: string, from: string): string {
  return `bootstrap: ${kind}\nfrom: ${from.replace(/[\r\n]/g, ' ')}\n\n`
}

/** The same as a definition of one stage without sections. No agent table is asked: `kind` may be any word. */
export function defaultStage(kind: string, from: string): Definition {
  const stage = {
    header: { bootstrap: kind, from },
    headerLines: { bootstrap: 1, from: 2 },
    sections: {},
    files: [],
    apps: [],
    line: 1,
  }
  return { stages: [stage], text: defaultDefinition(kind, from) }
}
