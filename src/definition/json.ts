/**
 * Definitions in JSON (`build --json`): one stage, or an array of stages, each of this shape, every part optional but the
 * header:
 *
 *     { "header": { "bootstrap": "docker", "from": "alpine", "stage": "one" },
 *       "imageData": { "labels": { "key": "value" },
 *                      "imageScripts": { "help", "environment", "runScript", "startScript", "test" } },
 *       "buildData": { "files": [ { "args": "from one", "files": [ { "source": "/a", "destination": "/b" } ] } ],
 *                      "buildScripts": { "pre", "setup", "post", "test" } },
 *       "customData": { "apprun foo": "text of a section" },
 *       "appOrder": [ "foo" ] }
 *
 * A script is `{ "args": "-c /bin/bash", "script": "text" }`. Nothing is filled in for `{{ }}`.
 */

import { shownKey } from './agents.ts'
import { assembleStages, type ParseOptions, refuseUnused } from './parse.ts'
import { cleanText, type SectionText, type StageText } from './scan.ts'
import { newValues } from './template.ts'
import { type Definition, mistake } from './types.ts'

type Fields = Readonly<Record<string, unknown>>

/** Checks and reads values of the JSON text; `path` names them in messages. */
type Reader = {
  readonly fields: (value: unknown, path: string, known: readonly string[]) => Fields
  readonly list: (value: unknown, path: string) => readonly unknown[]
  /** A string; on one line unless `lines`. */
  readonly text: (value: unknown, path: string, lines?: 'lines') => string
}

function newReader({ name, warn }: ParseOptions): Reader {
  const refuse = (path: string, expected: string) => mistake(name, 0, `${path}: expected ${expected}`)
  return {
    fields(value, path, known) {
      if (value === undefined || value === null) return {}
      if (typeof value !== 'object' || Array.isArray(value)) throw refuse(path, 'an object')
      const unknown = known.length > 0 && Object.keys(value).find((key) => !known.includes(key))
      if (unknown) warn?.(`${name}: ${path}.${unknown} means nothing here and is left out`)
      return value as Fields
    },
    list(value, path) {
      if (value === undefined || value === null) return []
      if (!Array.isArray(value)) throw refuse(path, 'an array')
      return value
    },
    text(value, path, lines) {
      if (value === undefined || value === null) return ''
      if (typeof value !== 'string') throw refuse(path, 'a string')
      if (value.includes('\0')) throw refuse(path, 'text without NUL')
      if (!lines && /[\r\n]/.test(value)) throw refuse(path, 'text on one line')
      return value.replaceAll('\r\n', '\n')
    },
  }
}

function section(name: string, words: string, text: string): SectionText {
  const given = { name, words: words.split(/\s+/).filter(Boolean), text: text.replace(/([^\n])$/, '$1\n') }
  return { ...given, line: 0, lines: [] }
}

/** The scripts of an object by its keys, which are the sections' names but for their case. */
function readScripts(value: unknown, path: string, keys: readonly string[], read: Reader): SectionText[] {
  const scripts = read.fields(value, path, keys)
  return keys.flatMap((key) => {
    const at = `${path}.${key}`
    const { args, script } = read.fields(scripts[key], at, ['args', 'script'])
    const text = read.text(script, `${at}.script`, 'lines')
    return text === '' ? [] : [section(key.toLowerCase(), read.text(args, `${at}.args`), text)]
  })
}

const quoted = (text: string, escaped: RegExp) => `"${text.replace(escaped, '\\$&')}"`

/** The copies of one block as the lines of a `%files` section; sources stay patterns, destinations are plain. */
function readFiles(value: unknown, path: string, read: Reader): SectionText {
  const { args, files } = read.fields(value, path, ['args', 'files'])
  const lines = read.list(files, `${path}.files`).map((file, index) => {
    const at = `${path}.files[${index}]`
    const { source, destination } = read.fields(file, at, ['source', 'destination'])
    const to = read.text(destination, `${at}.destination`)
    return `${quoted(read.text(source, `${at}.source`), /"/g)} ${to === '' ? '' : quoted(to, /["\\]/g)}\n`
  })
  return section('files', read.text(args, `${path}.args`), lines.join(''))
}

function readLabels(value: unknown, path: string, read: Reader): SectionText[] {
  const labels = Object.entries(read.fields(value, path, []))
  if (labels.length === 0) return []
  const lines = labels.map(
    ([key, label]) => `${key.replace(/\s/g, '_')} ${read.text(label, `${path}.${key}`)}\n`,
  )
  return [section('labels', '', lines.join(''))]
}

function readApps(stage: Fields, path: string, read: Reader): SectionText[] {
  const order = read.list(stage.appOrder, `${path}.appOrder`)
  const place = ({ words }: SectionText) => {
    const index = order.indexOf(words[0])
    return index < 0 ? order.length : index
  }
  return Object.entries(read.fields(stage.customData, `${path}.customData`, []))
    .map(([title, value]) => {
      const [name = '', ...words] = read.text(title, `${path}.customData`).trim().split(/\s+/)
      return section(
        name.toLowerCase(),
        words.join(' '),
        read.text(value, `${path}.customData.${title}`, 'lines'),
      )
    })
    .sort((a, b) => place(a) - place(b))
}

const stageKeys = ['header', 'imageData', 'buildData', 'customData', 'appOrder', 'raw', 'fullRaw']

function readStage(value: unknown, path: string, read: Reader): StageText {
  const stage = read.fields(value, path, stageKeys)
  const header = Object.entries(read.fields(stage.header, `${path}.header`, [])).map(([key, text]) => {
    return { key: key.toLowerCase(), value: read.text(text, `${path}.header.${key}`).trim(), line: 0 }
  })
  const image = read.fields(stage.imageData, `${path}.imageData`, ['labels', 'imageScripts', 'metadata'])
  const build = read.fields(stage.buildData, `${path}.buildData`, ['files', 'buildScripts'])
  const imageKeys = ['environment', 'runScript', 'startScript', 'test', 'help']
  const kept = readScripts(image.imageScripts, `${path}.imageData.imageScripts`, imageKeys, read)
  const run = readScripts(
    build.buildScripts,
    `${path}.buildData.buildScripts`,
    ['pre', 'setup', 'post', 'test'],
    read,
  )
  const hasTest = kept.some(({ name }) => name === 'test')
  const files = read.list(build.files, `${path}.buildData.files`)
  const sections = [
    ...run.filter(({ name }) => name !== 'test' || !hasTest),
    ...files.map((block, index) => readFiles(block, `${path}.buildData.files[${index}]`, read)),
    ...kept,
    ...readLabels(image.labels, `${path}.imageData.labels`, read),
    ...readApps(stage, path, read),
  ]
  return { header, sections, line: 0 }
}

/** The stage as a definition file says it. */
function render({ header, sections }: StageText): string {
  const first = header.filter(({ key }) => key === 'bootstrap')
  const keys = [...first, ...header.filter(({ key }) => key !== 'bootstrap')]
  const lines = keys.map(({ key, value }) => `${shownKey(key)}: ${value}\n`)
  const parts = sections.map(({ name, words, text }) => `\n%${[name, ...words].join(' ')}\n${text}`)
  return `${lines.join('')}${parts.join('')}`
}

/**
 * Parse a definition in JSON; its text is the definition file that says the same.
 * Throws DEFINITION naming the value that is wrong.
 */
export function parseJsonDefinition(text: string, options: ParseOptions): Definition {
  const read = newReader(options)
  let value: unknown
  try {
    value = JSON.parse(cleanText(text, options.name))
  } catch (cause) {
    throw mistake(options.name, 0, `this is no JSON: ${(cause as Error).message}`)
  }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length === 0) throw mistake(options.name, 0, 'there is no stage in the definition')
  const stages = list.map((stage, index) => readStage(stage, `stage ${index + 1}`, read))
  refuseUnused(newValues({ ...options.fileArguments, ...options.arguments }), options)
  return { stages: assembleStages(stages, options), text: stages.map(render).join('\n') }
}
