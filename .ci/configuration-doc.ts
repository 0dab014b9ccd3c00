/**
 * The tables of docs/configuration.md, written from the table of directives; the words around them stay.
 *   node .ci/configuration-doc.ts < docs/configuration.md > docs/configuration.md.new
 */

import { readFileSync } from 'node:fs'
import { allLaunchFlags } from '../src/cli/options.ts'
import { directives, launchTwins, withoutEffect } from '../src/config/schema.ts'

/** A cell of a table: on one line, and with no bar of its own. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``)

function directiveTable(): string[] {
  const rows = [...directives].map(([key, { type, initial, meaning, scope, conf = '' }]) => {
    const standard = type.write(initial).map(code).filter(Boolean).join(', ')
    return `| ${code(key)} | ${cell(type.expected)} | ${standard} | ${cell(meaning)} | ${scope} | ${code(conf)} |`
  })
  return [
    '| key | value | default | meaning | may be set by | in singularity.conf |',
    '|---|---|---|---|---|---|',
    ...rows,
  ]
}

const twinTable = (): string[] => [
  '| in singularity.conf | the same as |',
  '|---|---|',
  ...launchTwins.map(
    ({ conf, flag, when }) => `| \`${conf} = ${when ? 'yes' : 'no'}\` | \`launch: { ${flag}: yes }\` |`,
  ),
]

const uselessTable = (): string[] => [
  '| in singularity.conf | why it has no effect |',
  '|---|---|',
  ...Object.entries(withoutEffect).map(([name, reason]) => `| ${code(name)} | ${cell(reason)} |`),
]

const names = (isWanted: (flag: (typeof allLaunchFlags)[number]) => boolean | undefined): string[] => [
  `${allLaunchFlags
    .filter(isWanted)
    .map(({ name }) => code(name))
    .join(', ')}.`,
]

const tables: Readonly<Record<string, () => string[]>> = {
  directives: directiveTable,
  twins: twinTable,
  useless: uselessTable,
  personal: () => names(({ personal, once }) => personal && !once),
}

/** The page with its tables as they have to be. A table stands between `<!-- table NAME -->` and `<!-- end -->`. */
export function configurationPage(page: string): string {
  return page.replace(
    /(<!-- table (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (whole, begin, name: string, end) => {
      const table = tables[name]
      return table ? `${begin}\n${table().join('\n')}\n\n${end}` : whole
    },
  )
}

if (import.meta.main) process.stdout.write(configurationPage(readFileSync(0, 'utf8')))
