/** Labels as text: how `labels.json` looks, and what a new image says about itself. Pure. */

import { Buffer } from 'node:buffer'

export const labelsFile = '/.singularity.d/labels.json'

export const labelSchema = 'org.label-schema'
export const headerPrefix = `${labelSchema}.usage.singularity.deffile.`

/** The labels of a `labels.json`; values that are no texts become JSON. Undefined when it is no object of JSON. */
export function parseLabelsFile(text: string): Map<string, string> | undefined {
  if (text.trim() === '') return new Map()
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const labels = Object.entries(value)
    return new Map(
      labels.map(([key, label]) => [key, typeof label === 'string' ? label : JSON.stringify(label)]),
    )
  } catch {
    return undefined
  }
}

/** Labels sorted by the bytes of their keys, indented with tabs, without a line end. */
export function labelsText(labels: ReadonlyMap<string, string>): string {
  const sorted = [...labels].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const lines = sorted.map(([key, value]) => `\t${JSON.stringify(key)}: ${JSON.stringify(value)}`)
  return lines.length > 0 ? `{\n${lines.join(',\n')}\n}` : '{}'
}

/** A moment as labels tell it: `Monday_23_November_2026_6:48:15_UTC`. */
export function labelDate(time: Date): string {
  const part = (options: Intl.DateTimeFormatOptions) =>
    time.toLocaleString('en-US', { ...options, timeZone: 'UTC' })
  const day = [part({ weekday: 'long' }), time.getUTCDate(), part({ month: 'long' }), time.getUTCFullYear()]
  const clock = [time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()]
  return `${day.join('_')}_${clock.join(':')}_UTC`
}

export type Making = { readonly version: string; readonly time: Date; readonly arch: string }

/** What an image says about how it was made; `header` are the keys of its definition. */
export function automaticLabels(
  { version, time, arch }: Making,
  header: Readonly<Record<string, string>>,
): [string, string][] {
  return [
    [`${labelSchema}.schema-version`, '1.0'],
    [`${labelSchema}.build-date`, labelDate(time)],
    [`${labelSchema}.build-arch`, arch],
    [`${labelSchema}.usage.singularity.version`, version],
    ...Object.entries(header).map(([key, value]): [string, string] => [`${headerPrefix}${key}`, value]),
  ]
}

/** An image of OCI that others are built on. */
export type BaseImage = {
  /** Its reference in full. */
  readonly name: string
  /** Of its manifest. */
  readonly digest: string
}

const basePrefix = 'org.opencontainers.image.base.'

/** What the annotations of OCI say about the base of an image. */
export function baseLabels(image: BaseImage | undefined): [string, string][] {
  if (!image) return []
  return [
    [`${basePrefix}name`, image.name],
    [`${basePrefix}digest`, image.digest],
  ]
}

/** Labels that tell of the base of what is now a base itself. */
export const isAboutBase = (key: string): boolean =>
  [`${basePrefix}name`, `${basePrefix}digest`].includes(key)

/** Labels by which a build describes itself are about that build only, so those of a base go. */
export function isAboutBuild(key: string): boolean {
  return (
    key.startsWith(headerPrefix) || /^org\.label-schema\.usage\.(singularity|apptainer)\.version$/.test(key)
  )
}
