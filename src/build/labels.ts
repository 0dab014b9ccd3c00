/** Labels of an image that is built: those of its base, what a build says by itself, those of the definition. */

import { shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { parseLabels } from '../definition/labels.ts'
import type { Stage } from '../definition/types.ts'
import {
  automaticLabels,
  type BaseImage,
  baseLabels,
  isAboutBuild,
  labelSchema,
  labelsFile,
  labelsText,
  parseLabelsFile,
} from '../image/labels.ts'
import { existsInside, readInside, writeInside } from './inside.ts'

/** Bytes of a labels file that are read. */
const largest = 16 * 1024 * 1024

/** Labels of a file in the image; a file that is no object of JSON is given up with a warning. */
export function readLabels(root: string, path: string, report: Report): Map<string, string> {
  const labels = parseLabelsFile(readInside(root, path, largest) ?? '')
  if (labels) return labels
  report({
    kind: 'warning',
    text: `The labels of the base (${path}) cannot be read and are lost: they are no JSON`,
  })
  return new Map()
}

export function writeLabels(root: string, path: string, labels: ReadonlyMap<string, string>): void {
  writeInside(root, path, labelsText(labels), 0o644)
}

export type LabelOptions = {
  readonly force: boolean
  readonly version: string
  readonly time: Date
  readonly arch: string
  /** The image of OCI that the stage began with. */
  readonly image?: BaseImage | undefined
  /** What %post wrote; it replaces what the base says. */
  readonly extra: readonly (readonly [string, string])[]
  readonly report: Report
}

function labelsOfBuild(root: string, stage: Stage, options: LabelOptions): [string, string][] {
  const help = '/.singularity.d/runscript.help'
  const usage: [string, string][] = [
    [`${labelSchema}.usage`, help],
    [`${labelSchema}.usage.singularity.runscript.help`, help],
  ]
  const about = [...automaticLabels(options, stage.header), ...baseLabels(options.image)]
  return [...about, ...(existsInside(root, help) ? usage : [])]
}

/**
 * Write the labels of the image: those of the base, those about this build, those that %post collected, those of %labels.
 * A label of the base or of %post stays when %labels has the same one, unless forced, and a warning tells so.
 */
export function writeImageLabels(root: string, stage: Stage, options: LabelOptions): void {
  const base = [...readLabels(root, labelsFile, options.report)].filter(([key]) => !isAboutBuild(key))
  const labels = new Map(base)
  const automatic = labelsOfBuild(root, stage, options)
  for (const [key, value] of automatic) labels.set(key, value)
  const kept = new Set(base.map(([key]) => key))
  for (const [key] of automatic) kept.delete(key)
  for (const [key, value] of options.extra) {
    labels.set(key, value)
    kept.add(key)
  }
  for (const [key, value] of parseLabels(stage.sections.labels?.text ?? '')) {
    if (options.force || !kept.has(key) || labels.get(key) === value) labels.set(key, value)
    else {
      const owner = options.extra.some(([name]) => name === key) ? '%post wrote' : 'The base has'
      const text = `${owner} a label ${shown(key)} (${shown(labels.get(key) ?? '')}), which stays; --force replaces it`
      options.report({ kind: 'warning', text })
    }
  }
  writeLabels(root, labelsFile, labels)
}
