/** Labels of an image: what its files say, what a build says by itself, and how the file looks. */

import type { Report } from '../core/events.ts'
import { parseLabels } from '../definition/labels.ts'
import type { Stage } from '../definition/types.ts'
import { existsInside, readInside, writeInside } from './inside.ts'

/** Bytes of a labels file that are read. */
const largest = 16 * 1024 * 1024

export const labelsFile = '/.singularity.d/labels.json'

const schema = 'org.label-schema'
const headerPrefix = `${schema}.usage.singularity.deffile.`

/** Labels of a file in the image; a file that is no object of JSON is given up with a warning. */
export function readLabels(root: string, path: string, report: Report): Map<string, string> {
  const text = readInside(root, path, largest)
  if (text === undefined || text.trim() === '') return new Map()
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no object')
    return new Map(
      Object.entries(value).map(([key, label]) => [
        key,
        typeof label === 'string' ? label : JSON.stringify(label),
      ]),
    )
  } catch {
    report({
      kind: 'warning',
      text: `The labels of the base (${path}) cannot be read and are lost: they are no JSON`,
    })
    return new Map()
  }
}

/** Write labels sorted by the bytes of their keys, indented with tabs, without a line end. */
export function writeLabels(root: string, path: string, labels: ReadonlyMap<string, string>): void {
  const sorted = [...labels].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const lines = sorted.map(([key, value]) => `\t${JSON.stringify(key)}: ${JSON.stringify(value)}`)
  writeInside(root, path, lines.length > 0 ? `{\n${lines.join(',\n')}\n}` : '{}', 0o644)
}

/** A moment as labels tell it: `Monday_23_November_2026_6:48:15_UTC`. */
export function labelDate(time: Date): string {
  const part = (options: Intl.DateTimeFormatOptions) =>
    time.toLocaleString('en-US', { ...options, timeZone: 'UTC' })
  const day = [part({ weekday: 'long' }), time.getUTCDate(), part({ month: 'long' }), time.getUTCFullYear()]
  const clock = [time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()]
  return `${day.join('_')}_${clock.join(':')}_UTC`
}

export type LabelOptions = {
  readonly force: boolean
  readonly version: string
  readonly time: Date
  readonly arch: string
  /** What %post wrote; it replaces. */
  readonly extra: readonly (readonly [string, string])[]
  readonly report: Report
}

function automaticLabels(
  root: string,
  stage: Stage,
  { version, time, arch }: LabelOptions,
): [string, string][] {
  const help = '/.singularity.d/runscript.help'
  const usage: [string, string][] = [
    [`${schema}.usage`, help],
    [`${schema}.usage.singularity.runscript.help`, help],
  ]
  return [
    [`${schema}.schema-version`, '1.0'],
    [`${schema}.build-date`, labelDate(time)],
    [`${schema}.build-arch`, arch],
    [`${schema}.usage.singularity.version`, version],
    ...Object.entries(stage.header).map(([key, value]): [string, string] => [`${headerPrefix}${key}`, value]),
    ...(existsInside(root, help) ? usage : []),
  ]
}

/** Labels by which a build describes itself are about that build only, so those of the base go. */
function isAboutBuild(key: string): boolean {
  return (
    key.startsWith(headerPrefix) || /^org\.label-schema\.usage\.(singularity|apptainer)\.version$/.test(key)
  )
}

/**
 * Write the labels of the image: those of the base, those about this build, those of %labels, those that %post collected.
 * A label of the base stays when %labels has the same one, unless forced, and a warning tells so.
 */
export function writeImageLabels(root: string, stage: Stage, options: LabelOptions): void {
  const base = [...readLabels(root, labelsFile, options.report)].filter(([key]) => !isAboutBuild(key))
  const labels = new Map(base)
  const automatic = automaticLabels(root, stage, options)
  for (const [key, value] of automatic) labels.set(key, value)
  const kept = new Set(base.map(([key]) => key))
  for (const [key] of automatic) kept.delete(key)
  for (const [key, value] of parseLabels(stage.sections.labels?.text ?? '')) {
    if (options.force || !kept.has(key) || labels.get(key) === value) labels.set(key, value)
    else {
      const text = `The base has a label ${key} (${labels.get(key)}), which stays; --force replaces it`
      options.report({ kind: 'warning', text })
    }
  }
  for (const [key, value] of options.extra) labels.set(key, value)
  writeLabels(root, labelsFile, labels)
}
