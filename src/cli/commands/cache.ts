/** `sing cache ...`: what is in the image cache, and its removal. */

import { isatty } from 'node:tty'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { formatSize } from '../../core/units.ts'
import { settingsOf } from '../../store/cache.ts'
import { chooseEntries, readTypes } from '../../store/choose.ts'
import { type CacheEntry, readContents, removeEntry } from '../../store/contents.ts'
import { cacheRoot, type EntryType, entryTypes } from '../../store/place.ts'
import { distrust } from '../../store/trusted.ts'
import { toJson } from '../../ui/json.ts'
import { confirm, isYes, pipedAnswer } from '../../ui/prompt.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call, Command } from '../command.ts'
import type { Flag } from '../options.ts'

const types: Flag = {
  name: 'type',
  short: 'T',
  kind: 'list',
  split: 'commas',
  placeholder: 'types',
  help: `only these: ${entryTypes.join(', ')} (default: all)`,
}
const json: Flag = { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON' }

/** A cache and what of it somebody asks for. */
type Look = { readonly root: string; readonly entries: readonly CacheEntry[] }

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : [])

function requireRoot({ context }: Call): string {
  const root = cacheRoot(context.environment)
  if (root !== undefined) return root
  throw new SingError('IO', 'there is no place for a cache: you have no home directory', {
    hint: 'Name one in SINGULARITY_CACHEDIR',
  })
}

/** The cache of the caller, then those that are only read. */
async function look(call: Call): Promise<{ own: Look; sites: Look[]; limit: number }> {
  const chosen = readTypes(words(call.flags.type))
  const { environment, settings } = call.context
  const { fronts, limit } = settingsOf({ environment, config: (await settings()).config })
  const at = (root: string): Look => ({ root, entries: readContents(root, chosen) })
  return { own: at(requireRoot(call)), sites: fronts.map(at), limit }
}

const total = (entries: readonly CacheEntry[]): number => entries.reduce((sum, { size }) => sum + size, 0)
const ofType = (entries: readonly CacheEntry[], type: EntryType): CacheEntry[] =>
  entries.filter((entry) => entry.type === type)

/** The sentences of the peers. */
function summary(entries: readonly CacheEntry[]): string {
  const blobs = ofType(entries, 'blob')
  const packages = ofType(entries, 'packages')
  const steps = ofType(entries, 'build')
  const images = entries.filter(({ type }) => !['blob', 'build', 'packages'].includes(type))
  const part = (found: readonly CacheEntry[], what: string): string =>
    `${found.length} ${what} using ${formatSize(total(found))}`
  const some = (found: readonly CacheEntry[], what: string): string =>
    found.length > 0 ? `, ${part(found, what)}` : ''
  const others = some(steps, 'build step(s)') + some(packages, 'package file(s)')
  const more = others === '' ? '' : `${others},`
  return (
    `There are ${part(images, 'container file(s)')}${more} and ${part(blobs, 'oci blob file(s)')} of space\n` +
    `Total space used: ${formatSize(total(entries))}\n`
  )
}

const time = (used: number): string => new Date(used).toISOString().slice(0, 19).replace('T', ' ')

function table(entries: readonly CacheEntry[]): string {
  const rows = [...entries]
    .sort((one, other) => other.used - one.used)
    .map(({ id, name, used, size, type, isPartial }) => [
      name || id,
      time(used),
      formatSize(size),
      isPartial ? `${type} (partial)` : type,
    ])
  return toColumns([['NAME', 'LAST USED (UTC)', 'SIZE', 'TYPE'], ...rows])
}

const valuesOf = ({ root, entries }: Look) => ({
  directory: root,
  size: total(entries),
  entries: entries.map(({ type, id, name, size, used, isPartial }) => ({
    type,
    id,
    name,
    size,
    used: new Date(used).toISOString(),
    partial: isPartial,
  })),
})

const print = ({ context }: Call, value: unknown): void => context.print(toJson(value))

const ofSite = (root: string): string => `\nCache of the site, which is only read: ${shown(root)}\n`

async function list(call: Call): Promise<number> {
  const { flags, context } = call
  const { own, sites } = await look(call)
  if (flags.json === true) {
    print(call, { ...valuesOf(own), sites: sites.map(valuesOf) })
    return 0
  }
  const text = ({ entries }: Look): string =>
    (flags.verbose === true ? `${table(entries)}\n` : '') + summary(entries)
  context.print(text(own) + sites.map((site) => ofSite(site.root) + text(site)).join(''))
  return 0
}

const sizesOf = ({ root, entries }: Look) => ({
  directory: root,
  size: total(entries),
  types: Object.fromEntries(entryTypes.map((type) => [type, total(ofType(entries, type))])),
})

function usage({ root, entries }: Look): string {
  const rows = entryTypes
    .map((type) => ofType(entries, type))
    .filter((found) => found.length > 0)
    .map((found) => [formatSize(total(found)), found[0]?.type ?? '', `${found.length}`])
  return toColumns([...rows, [formatSize(total(entries)), shown(root), `${entries.length}`]])
}

async function diskUsage(call: Call): Promise<number> {
  const { own, sites, limit } = await look(call)
  const isLimited = Number.isFinite(limit)
  if (call.flags.json === true) {
    print(call, { ...sizesOf(own), limit: isLimited ? limit : null, sites: sites.map(sizesOf) })
    return 0
  }
  const bound = isLimited ? `At most ${formatSize(limit)} are kept (cache.size)\n` : ''
  call.context.print(usage(own) + bound + sites.map((site) => ofSite(site.root) + usage(site)).join(''))
  return 0
}

function daysOf({ flags }: Call): number | undefined {
  const { days } = flags
  if (typeof days !== 'number' || days >= 0) return days as number | undefined
  throw new SingError('USAGE', `--days ${days}: expected a number of days`)
}

async function requireConsent(what: string): Promise<void> {
  const piped = isatty(0) ? undefined : pipedAnswer()
  if (!isatty(0) && piped === undefined) {
    throw new SingError('USAGE', `nothing is removed: nobody is there to agree to it`, {
      hint: 'Give --force to remove without a question, or --dry-run to see what would go',
      status: 255,
    })
  }
  if (piped === undefined ? await confirm(`Remove ${what} from the cache?`) : isYes(piped)) return
  throw new SingError('INTERRUPTED', 'nothing is removed')
}

const counted = (entries: readonly CacheEntry[]): string =>
  `${entries.length === 1 ? '1 entry' : `${entries.length} entries`}, ${formatSize(total(entries))}`

/** Remove the entries. Returns those that are in use. */
function remove(entries: readonly CacheEntry[], root: string): CacheEntry[] {
  try {
    return entries.filter((entry) => !removeEntry(entry))
  } catch (cause) {
    throw new SingError('IO', `cannot remove anything from ${shown(root)}: ${reasonOf(cause)}`, { cause })
  }
}

/** Links that somebody else put there would lead us to other people's files. */
function requireTrusted(root: string): void {
  const danger = distrust(root)
  if (danger === undefined) return
  throw new SingError('IO', `nothing is removed: the cache ${shown(root)} ${danger}`, {
    hint: 'Whose it is can clean it, or remove the directory',
  })
}

async function clean(call: Call): Promise<number> {
  const { flags, context } = call
  const root = requireRoot(call)
  requireTrusted(root)
  const choice = { days: daysOf(call), names: words(flags.name) }
  const entries = chooseEntries(readContents(root, readTypes(words(flags.type))), choice, Date.now())
  if (flags['dry-run'] === true) {
    context.print(`${entries.length > 0 ? `${table(entries)}\n` : ''}Would remove ${counted(entries)}\n`)
    return 0
  }
  if (entries.length > 0 && flags.force !== true) await requireConsent(counted(entries))
  const kept = remove(entries, root)
  const removed = entries.filter((entry) => !kept.includes(entry))
  context.report({ kind: 'info', text: `Removed ${counted(removed)} from ${shown(root)}` })
  if (kept.length > 0) context.report({ kind: 'warning', text: `Kept ${counted(kept)}: in use` })
  return 0
}

const toggle = (name: string, help: string, short: string): Flag => ({ name, kind: 'boolean', help, short })

export const subcommands: Readonly<Record<string, Command>> = {
  clean: {
    usage: 'cache clean [options]',
    summary: 'Remove what is in the image cache',
    description: 'What a process makes or uses stays. Images elsewhere are not touched.',
    examples: [
      'sing cache clean',
      'sing cache clean --days 30 --force',
      'sing cache clean --type blob --dry-run',
    ],
    flags: [
      types,
      {
        name: 'days',
        short: 'D',
        kind: 'number',
        placeholder: 'number',
        help: 'only what was not used for so many days',
      },
      {
        name: 'name',
        short: 'N',
        kind: 'list',
        placeholder: 'names',
        help: 'only these, as the list names them',
      },
      toggle('dry-run', 'show what would go', 'n'),
      toggle('force', 'do not ask', 'f'),
    ],
    args: [0, 0],
    run: clean,
  },
  du: {
    usage: 'cache du [options]',
    summary: 'Show what the image cache takes, by type',
    examples: ['sing cache du', 'sing cache du --json'],
    flags: [types, json],
    args: [0, 0],
    run: diskUsage,
  },
  list: {
    usage: 'cache list [options]',
    summary: 'Show what is in the image cache',
    examples: ['sing cache list', 'sing cache list --verbose --type oci-tmp,net', 'sing cache list --json'],
    flags: [
      types,
      toggle('verbose', 'each entry', 'v'),
      { ...toggle('all', 'no effect: all types are shown unless --type names some', 'a'), hidden: true },
      { ...toggle('summary', 'no effect: without --verbose there is a summary alone', 's'), hidden: true },
      json,
    ],
    args: [0, 0],
    run: list,
  },
}
