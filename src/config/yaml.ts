/**
 * YAML text as a tree of words that knows its lines. Loaded only where such a file exists: the parser costs more than
 * the rest of a start.
 */

import {
  COLLECTION_STYLE,
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  YAMLException,
} from 'js-yaml'
import { SingError, shown } from '../core/errors.ts'
import type { Entry, Node } from './document.ts'

const depthLimit = 16

function yamlError(file: string, line: number, reason: string, hint?: string): SingError {
  return new SingError('USAGE', `${shown(file)}:${line}: ${reason}`, { status: 255, hint })
}

/** The line of an offset, the first being 1. */
function lineCounter(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

function readEvents(text: string, file: string): Event[] {
  try {
    return parseEvents(text, { maxDepth: depthLimit })
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    throw yamlError(file, (error.mark?.line ?? 0) + 1, `no YAML: ${error.reason}`)
  }
}

const isFlow = ({ style }: { readonly style: unknown }): boolean => style === COLLECTION_STYLE.FLOW

/** Puts the nodes of one document together from the events of the parser. */
class Builder {
  readonly #text: string
  readonly #file: string
  readonly #events: readonly Event[]
  readonly #lineOf: (offset: number) => number
  #next = 0
  /** Where the last thing stood: a value that is left out stands where its key does. */
  #line = 1

  constructor(text: string, file: string) {
    this.#text = text
    this.#file = file
    this.#events = readEvents(text, file)
    this.#lineOf = lineCounter(text)
  }

  document(): Node | undefined {
    if (this.#events.length === 0) return undefined
    this.#take()
    const root = this.#node()
    this.#take()
    if (this.#next < this.#events.length)
      throw yamlError(this.#file, this.#line, 'more than one document (---)')
    return root
  }

  #take(): Event {
    const event = this.#events[this.#next]
    if (!event) throw yamlError(this.#file, this.#line, 'no YAML: it ends too early')
    this.#next += 1
    if ('valueStart' in event && event.valueStart >= 0) this.#line = this.#lineOf(event.valueStart)
    if ('start' in event && event.start >= 0) this.#line = this.#lineOf(event.start)
    return event
  }

  #node(): Node {
    const event = this.#take()
    const line = this.#line
    if (event.type === EVENT_ID.ALIAS || ('anchorStart' in event && event.anchorStart >= 0))
      throw yamlError(this.#file, line, 'anchors and aliases (&name, *name) are not understood here')
    if ('tagStart' in event && event.tagStart >= 0)
      throw yamlError(this.#file, line, 'tags (!name) are not understood here')
    switch (event.type) {
      case EVENT_ID.SCALAR: {
        const text = getScalarValue(this.#text, event)
        const plain = event.style === SCALAR_STYLE.PLAIN
        return { kind: 'word', line, text, empty: plain && ['', '~', 'null'].includes(text) }
      }
      case EVENT_ID.SEQUENCE:
        return { kind: 'list', line, flow: isFlow(event), items: this.#all(() => this.#node()) }
      case EVENT_ID.MAPPING:
        return { kind: 'map', line, flow: isFlow(event), entries: this.#all(() => this.#entry()) }
      default:
        throw yamlError(this.#file, line, 'no YAML: it ends too early')
    }
  }

  #all<T>(read: () => T): T[] {
    const found: T[] = []
    while (this.#events[this.#next]?.type !== EVENT_ID.POP) found.push(read())
    this.#take()
    return found
  }

  #entry(): Entry {
    const key = this.#node()
    if (key.kind !== 'word') throw yamlError(this.#file, key.line, 'a key must be a word')
    return { key: key.text, line: key.line, value: this.#node() }
  }
}

/**
 * The tree of a file; undefined when it says nothing.
 * @throws SingError naming file and line
 */
export function parseYaml(text: string, file: string): Node | undefined {
  return new Builder(text, file).document()
}
