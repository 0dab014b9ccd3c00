/** One instruction: from its line to what it says. Nothing is expanded, as that needs what stands before it. */

import { excerpt } from '../lines.ts'
import { suggestion } from '../suggest.ts'
import { takeFlags } from './flags.ts'
import { announced, type Line } from './lines.ts'
import { type Act, type Command, type Flag, type Instruction, type Pair, type Place, wrong } from './types.ts'
import { jsonWords, plainWords, splitWords } from './words.ts'

type Given = {
  readonly keyword: string
  readonly rest: string
  readonly flags: Flag[]
  readonly line: Line
  readonly place: Place
}
type Read = (given: Given) => Act

const readers: Readonly<Record<string, Read>> = {
  ARG: (given) => ({ kind: 'arg', values: readArguments(given) }),
  ENV: (given) => ({ kind: 'env', values: readPairs(given) }),
  LABEL: (given) => ({ kind: 'label', values: readPairs(given) }),
  RUN: ({ rest, flags, line, place }) => ({
    kind: 'run',
    command: readCommand('RUN', rest, place),
    flags,
    texts: line.heredocs,
  }),
  COPY: (given) => ({ kind: 'copy', ...readTransfer(given) }),
  ADD: (given) => ({ kind: 'add', ...readTransfer(given) }),
  WORKDIR: ({ rest }) => ({ kind: 'workdir', text: rest }),
  USER: ({ rest }) => ({ kind: 'user', text: rest }),
  STOPSIGNAL: ({ rest }) => ({ kind: 'stopsignal', text: rest }),
  MAINTAINER: ({ rest }) => ({ kind: 'maintainer', text: rest }),
  CMD: ({ rest, place }) => ({ kind: 'cmd', command: readCommand('CMD', rest, place) }),
  ENTRYPOINT: ({ rest, place }) => ({ kind: 'entrypoint', command: readCommand('ENTRYPOINT', rest, place) }),
  SHELL: ({ rest, place }) => {
    const words = jsonWords(rest)
    if (!words || words === 'wrong' || words.length === 0)
      throw wrong(
        place,
        'SHELL takes a list in the notation of JSON',
        'for example: SHELL ["/bin/bash", "-c"]',
      )
    return { kind: 'shell', words }
  },
  EXPOSE: ({ rest }) => ({ kind: 'expose', words: plainWords(rest) }),
  VOLUME: ({ rest, place }) => ({ kind: 'volume', words: listOf('VOLUME', rest, place) }),
  ONBUILD: readTrigger,
  HEALTHCHECK: readHealth,
}

/** Every word that an instruction can begin with. */
export const keywords: readonly string[] = ['FROM', ...Object.keys(readers)]
/** Nothing may stand behind these. */
const mayBeEmpty: readonly string[] = ['CMD', 'ENTRYPOINT']

/** The keyword of a line in capitals, and what stands behind it. */
export function keywordOf(line: Line, place: Place): { keyword: string; rest: string } {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line.text) ?? []
  const keyword = word.toUpperCase()
  if (!keywords.includes(keyword)) {
    const hint = suggestion(word, keywords, (near) => near.toUpperCase())
    throw wrong(place, `unknown instruction ${excerpt(word)}`, hint)
  }
  if (rest.trim() === '' && !mayBeEmpty.includes(keyword))
    throw wrong(place, `${keyword} needs something behind it`)
  return { keyword, rest: rest.trim() }
}

/** What the line of any instruction but FROM says. @throws SingError DEFINITION */
export function readInstruction(line: Line, place: Place): Instruction {
  const { keyword, rest: all } = keywordOf(line, place)
  const { flags, rest } = takeFlags(keyword, all, place)
  if (rest === '' && !mayBeEmpty.includes(keyword)) throw wrong(place, `${keyword} needs something behind it`)
  const read = readers[keyword]
  if (!read) throw wrong(place, `${keyword} cannot stand here`)
  return { ...read({ keyword, rest, flags, line, place }), line: place.line, title: line.text }
}

function listOf(keyword: string, text: string, place: Place): string[] {
  const words = jsonWords(text)
  if (words === 'wrong') throw wrong(place, `${keyword}: a list in the notation of JSON holds only texts`)
  return words ?? plainWords(text)
}

function readCommand(keyword: string, text: string, place: Place): Command {
  const words = jsonWords(text)
  if (words === 'wrong') throw wrong(place, `${keyword}: a list in the notation of JSON holds only texts`)
  if (words?.length === 0 && keyword === 'RUN') throw wrong(place, 'RUN [] names no program')
  return words ? { form: 'exec', words } : { form: 'shell', text }
}

const splitPair = (word: string): [string, string | undefined] => {
  const equals = word.indexOf('=')
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)]
}

/** `NAME=value NAME=value`, or of old `NAME the rest of the line`. */
function readPairs({ keyword, rest, place }: Given): Pair[] {
  const words = splitWords(rest, place.escaper)
  if (!words[0]?.includes('=')) {
    const [, name = '', value = ''] = /^(\S+)\s+(.*)$/s.exec(rest) ?? []
    if (name === '')
      throw wrong(place, `${keyword} ${excerpt(rest)} has no value`, `write ${keyword} NAME=value`)
    return [[name, value]]
  }
  return words.map((word): Pair => {
    const [name, value] = splitPair(word)
    if (name === '') throw wrong(place, `${keyword} ${excerpt(word)} has no name`)
    if (value === undefined)
      throw wrong(
        place,
        `${keyword}: expected NAME=value, got ${excerpt(word)}`,
        'a value with blanks needs quotes',
      )
    return [name, value]
  })
}

function readArguments({ rest, place }: Given): [string, string | undefined][] {
  return splitWords(rest, place.escaper).map((word) => {
    const pair = splitPair(word)
    if (pair[0] === '') throw wrong(place, `ARG ${excerpt(word)} has no name`)
    return pair
  })
}

function readTransfer({
  keyword,
  rest,
  flags,
  line,
  place,
}: Given): Omit<Extract<Act, { kind: 'copy' }>, 'kind'> {
  const words = listOf(keyword, rest, place)
  const destination = words.at(-1)
  if (words.length < 2 || destination === undefined)
    throw wrong(
      place,
      `${keyword} needs a source and a destination`,
      `for example: ${keyword} app /usr/local/bin/`,
    )
  const isText = (word: string): boolean => line.heredocs.length > 0 && announced(word) !== undefined
  const sources = words.slice(0, -1)
  if (line.heredocs.length > 0 && isText(destination)) throw wrong(place, `${keyword} needs a destination`)
  if (line.heredocs.length > 0 && flags.some(({ name }) => name === 'from'))
    throw wrong(place, `${keyword} --from cannot take a text of the Dockerfile`)
  return { flags, sources: sources.filter((word) => !isText(word)), texts: line.heredocs, destination }
}

/** What may not be kept for later. */
const untriggered = ['FROM', 'MAINTAINER', 'ONBUILD']

function readTrigger({ rest, line, place }: Given): Act {
  const trigger = { ...line, text: rest }
  const { keyword } = keywordOf(trigger, place)
  if (untriggered.includes(keyword)) throw wrong(place, `ONBUILD ${keyword} is not allowed`)
  readInstruction(trigger, place)
  const texts = line.heredocs.map(({ text, name }) => `\n${text}${name}`)
  return { kind: 'onbuild', text: rest + texts.join('') }
}

function readHealth({ rest, flags, place }: Given): Act {
  const [, word = '', command = ''] = /^(\S+)\s*(.*)$/s.exec(rest) ?? []
  switch (word.toUpperCase()) {
    case 'NONE':
      if (command !== '') throw wrong(place, 'nothing stands behind HEALTHCHECK NONE')
      return { kind: 'healthcheck', health: { kind: 'none' } }
    case 'CMD':
      if (command === '') throw wrong(place, 'HEALTHCHECK CMD needs a command')
      return {
        kind: 'healthcheck',
        health: { kind: 'command', command: readCommand('HEALTHCHECK CMD', command, place), flags },
      }
  }
  throw wrong(place, `HEALTHCHECK ${excerpt(word)}: expected CMD or NONE`)
}
