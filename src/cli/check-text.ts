/** What a check of an image found, as lines for people and as JSON for programs. */

import type { Checked } from '../check/check.ts'
import { countsOf, type Told } from '../check/report.ts'
import type { Sizes } from '../check/sizes.ts'
import { shown } from '../core/errors.ts'
import { formatSize } from '../core/units.ts'
import { toJson } from '../ui/json.ts'
import { toColumns } from '../ui/table.ts'

/** Of one check; who wants all of them says so. */
const usual = 10

const placeOf = ({ path, line }: Told): string => shown(path) + (line === undefined ? '' : `:${line}`)

/** A finding on one line: where, what, and what to do. */
export function findingLine(finding: Told): string {
  const { text, fix } = finding
  return `${placeOf(finding)}: ${shown(text)}${fix === undefined ? '' : `; ${shown(fix)}`}`
}

const lineOf = (finding: Told): string =>
  `${`${finding.severity.toUpperCase()}:`.padEnd(9)}${findingLine(finding)}\n`

/** One line for each finding, and one for those of the same check that are left out. */
function linesOf(findings: readonly Told[], most: number): string {
  const counts = new Map<string, number>()
  const lines = findings.flatMap((finding) => {
    const key = `${finding.severity} ${finding.name}`
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count <= most ? [lineOf(finding)] : []
  })
  const more = [...counts]
    .filter(([, count]) => count > most)
    .map(([key, count]) => `${count - most} more of ${key.split(' ')[1]}`)
  const told = more.length > 0 ? [`         ${more.join(', ')}: all of them with --all\n`] : []
  return [...lines, ...told].join('')
}

const filesOf = (count: number): string => (count === 1 ? '1 file' : `${count} files`)

const tableOf = (rows: readonly (readonly string[])[]): string =>
  rows.length < 2 ? '' : `\n${toColumns(rows)}`

const sizesText = ({ directories, largest }: Sizes): string =>
  tableOf([
    ['LARGEST DIRECTORIES', 'SIZE', 'FILES'],
    ...directories.map(({ path, bytes, files }) => [path, formatSize(bytes), String(files)]),
  ]) + tableOf([['LARGEST FILES', 'SIZE'], ...largest.map(({ path, bytes }) => [path, formatSize(bytes)])])

/** The findings, where the room goes, and what it comes to. */
export function checkText({ findings, sizes }: Checked, name: string, all: boolean): string {
  const lines = linesOf(findings, all ? Number.POSITIVE_INFINITY : usual)
  const total = sizes ? `, ${formatSize(sizes.bytes)} in ${filesOf(sizes.files)}` : ''
  return `${lines}${sizes ? sizesText(sizes) : ''}${lines || sizes ? '\n' : ''}${shown(name)}: ${countsOf(findings)}${total}\n`
}

const countOf = (findings: readonly Told[], severity: string): number =>
  findings.filter((finding) => finding.severity === severity).length

/** The form is documented in docs/check.md: keys are added, never changed. */
export function checkJson({ findings, sizes, path, kind, arch }: Checked, failed: boolean): string {
  const document = {
    image: path,
    kind,
    ...(arch === undefined ? {} : { architecture: arch }),
    failed,
    errors: countOf(findings, 'error'),
    warnings: countOf(findings, 'warning'),
    notes: countOf(findings, 'note'),
    findings: findings.map(({ name, tags, severity, path: place, line, text, fix, bytes, files }) => ({
      check: name,
      tags,
      severity,
      path: place,
      line,
      text,
      fix,
      bytes,
      files,
    })),
    sizes: sizes && {
      bytes: sizes.bytes,
      files: sizes.files,
      directories: sizes.directories,
      largest: sizes.largest.map(({ path: file, bytes }) => ({ path: file, bytes })),
    },
  }
  return toJson(document)
}
