/** `sing sif`: look into SIF files, make and change them. The words and columns are those of the peers. */

import { isatty } from 'node:tty'
import { SingError, shown } from '../../core/errors.ts'
import { formatSize } from '../../core/units.ts'
import { type Change, consequences } from '../../sif/consequences.ts'
import { architectureName, details, typeName, typeWithDetails } from '../../sif/details.ts'
import { addFile, deleteObject, newSif, setPrimary } from '../../sif/edit.ts'
import { noTime, type SifHeader, type SifObject, unknownArchitecture } from '../../sif/format.ts'
import { findObject, readSif, streamObject } from '../../sif/read.ts'
import { toJson } from '../../ui/json.ts'
import { confirm } from '../../ui/prompt.ts'
import type { Call, Command } from '../command.ts'
import type { Flag } from '../options.ts'
import { addFlags, describeAddition } from './sif-add.ts'

const json: Flag = { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON instead of text' }

/** Failures of `sif` end with status 1, as scripts expect; those of images elsewhere with 255. */
function failing(run: Command['run']): Command['run'] {
  return async (call) => {
    try {
      return await run(call)
    } catch (cause) {
      if (!(cause instanceof SingError)) throw cause
      throw new SingError(cause.code, cause.message, { hint: cause.hint, cause, status: 1 })
    }
  }
}

async function list({ args: [path = ''], flags, context }: Call): Promise<number> {
  const { objects } = await readSif(path)
  context.print(flags.json ? toJson(objects.map(objectValues)) : listText(objects))
  return 0
}

function listText(objects: readonly SifObject[]): string {
  const rule = '-'.repeat(78)
  const row = (cells: readonly [string, string, string, string, string]) =>
    [4, 7, 7, 25, 0].map((width, index) => (cells[index] ?? '').padEnd(width)).join(' |')
  const rows = objects.map((object) =>
    row([
      String(object.id),
      object.group === 0 ? 'NONE' : String(object.group),
      object.link.kind === 'group' ? `${String(object.link.id).padEnd(3)} (G)` : linkText(object),
      `${object.offset}-${object.offset + object.size}`,
      shown(typeWithDetails(object)),
    ]),
  )
  const heading = row(['ID', 'GROUP', 'LINK', 'SIF POSITION (start-end)', 'TYPE'])
  return `${[rule, heading, rule, ...rows].join('\n')}\n`
}

function linkText({ link }: SifObject): string {
  if (link.kind === 'none') return 'NONE'
  return link.kind === 'group' ? `${link.id} (G)` : String(link.id)
}

function objectValues(object: SifObject) {
  const { id, group, link, offset, size, created, modified } = object
  return {
    id,
    type: typeName(object.dataType),
    group: group === 0 ? null : group,
    link: link.kind === 'none' ? null : link,
    offset,
    size,
    created: secondsOf(created),
    modified: secondsOf(modified),
    name: object.name === '' ? null : object.name,
    ...Object.fromEntries(details(object).map(([label, value]) => [toKey(label), value])),
  }
}

/** `Filesystem Type` -> `filesystemType` */
function toKey(label: string): string {
  return label.charAt(0).toLowerCase() + label.slice(1).replaceAll(' ', '')
}

async function header({ args: [path = ''], flags, context }: Call): Promise<number> {
  const { header } = await readSif(path)
  context.print(flags.json ? toJson(headerValues(header)) : headerText(header))
  return 0
}

function headerValues({ raw: _, ...header }: SifHeader) {
  const times = { created: secondsOf(header.created), modified: secondsOf(header.modified) }
  return { ...header, arch: architectureName(header.arch), ...times }
}

/** Programs get Unix seconds; an image that keeps no time has none. */
const secondsOf = (time: number) => (time === noTime ? null : time)

function headerText(header: SifHeader): string {
  const arch = architectureName(header.arch)
  return columns(
    [
      ['Launch Script', shown(header.launch.replace(/\n$/, ''))],
      ['Version', header.version],
      ['Primary Architecture', arch === 'unknown' || header.arch === unknownArchitecture ? '' : arch],
      ['ID', header.id],
      ['Created At', timeText(header.created)],
      ['Modified At', timeText(header.modified)],
      ['Descriptors Free', String(header.free)],
      ['Descriptors Total', String(header.total)],
      ['Descriptors Offset', String(header.tableOffset)],
      ['Descriptors Size', formatSize(header.tableSize)],
      ['Data Offset', String(header.dataOffset)],
      ['Data Size', formatSize(header.dataSize)],
    ],
    { indent: '', gap: 1 },
  )
}

/** Lines of `Label: value` with the values below each other; rows without a value are left out. */
function columns(
  rows: readonly (readonly [string, string | undefined])[],
  { indent, gap }: { indent: string; gap: number },
): string {
  const kept = rows.filter(([, value]) => value !== undefined && value !== '')
  const width = Math.max(...kept.map(([label]) => label.length)) + 1 + gap
  return kept.map(([label, value]) => `${indent}${`${label}:`.padEnd(width)}${value}\n`).join('')
}

/** `2026-11-23 06:36:17 +0000 UTC`; undefined for no time; seconds when no calendar reaches it. */
function timeText(seconds: number): string | undefined {
  if (seconds === noTime) return undefined
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return `@${seconds}`
  return date.toISOString().replace(/T(.*)\..*$/, ' $1 +0000 UTC')
}

async function info({ args: [id = '', path = ''], flags, context }: Call): Promise<number> {
  const object = findObject(await readSif(path), toId(id))
  context.print(flags.json ? toJson(objectValues(object)) : infoText(object))
  return 0
}

function infoText(object: SifObject): string {
  return columns(
    [
      ['Data Type', typeName(object.dataType)],
      ['ID', String(object.id)],
      ['Group ID', object.group === 0 ? 'NONE' : String(object.group)],
      ['Linked ID', linkText(object)],
      ['Offset', String(object.offset)],
      ['Size', String(object.size)],
      ['Created At', timeText(object.created)],
      ['Modified At', timeText(object.modified)],
      ['Name', shown(object.name)],
      ...details(object).map(([label, value]) => [label, shown(value)] as const),
    ],
    { indent: '  ', gap: 2 },
  )
}

function toId(text: string): number {
  const id = Number(text)
  if (/^\d+$/.test(text) && id > 0 && id <= 0xffffffff) return id
  throw new SingError('USAGE', `"${shown(text)}" is not the number of an object`, {
    hint: 'Object numbers are in the first column of: sing sif list IMAGE',
  })
}

async function dump({ args: [id = '', path = ''], context }: Call): Promise<number> {
  const sif = await readSif(path)
  for await (const chunk of streamObject(sif, findObject(sif, toId(id)))) context.print(chunk)
  return 0
}

async function create({ args: [path = ''], flags }: Call): Promise<number> {
  await newSif(path, { force: flags.force === true })
  return 0
}

/**
 * Say what becomes of the signatures in an image, and ask whoever sits there; programs go on.
 * @throws SingError INTERRUPTED when the answer is no
 */
async function warnOfConsequences(path: string, change: Change, { flags, context }: Call): Promise<void> {
  const texts = consequences((await readSif(path)).objects, change)
  for (const text of texts) context.report({ kind: 'warning', text: `${shown(path)}: ${text}` })
  if (texts.length === 0 || flags.force === true || !isatty(0)) return
  if (await confirm('Change it all the same?')) return
  throw new SingError('INTERRUPTED', `${shown(path)} is left as it is`)
}

async function add(call: Call): Promise<number> {
  const [path = '', from = ''] = call.args
  const { group = 1, ...description } = describeAddition(call.flags)
  await warnOfConsequences(path, { kind: 'add', dataType: description.dataType, group }, call)
  await addFile(path, from, { ...description, group })
  return 0
}

async function remove(call: Call): Promise<number> {
  const [text = '', path = ''] = call.args
  const id = toId(text)
  await warnOfConsequences(path, { kind: 'delete', id }, call)
  await deleteObject(path, id)
  return 0
}

async function choosePrimary(call: Call): Promise<number> {
  const [text = '', path = ''] = call.args
  const id = toId(text)
  await warnOfConsequences(path, { kind: 'primary', id }, call)
  await setPrimary(path, id)
  return 0
}

const unasked: Flag = {
  name: 'force',
  short: 'F',
  kind: 'boolean',
  help: 'do not ask when signatures in the image would no longer hold',
}

/** The commands below `sif`, by their word. */
export const subcommands: Record<string, Command> = {
  list: {
    usage: 'sif list [options] <image>',
    summary: 'List the objects of an image',
    examples: ['sing sif list image.sif'],
    flags: [json],
    args: [1, 1],
    run: failing(list),
  },
  header: {
    usage: 'sif header [options] <image>',
    summary: 'Show the header of an image',
    examples: ['sing sif header image.sif'],
    flags: [json],
    args: [1, 1],
    run: failing(header),
  },
  info: {
    usage: 'sif info [options] <id> <image>',
    summary: 'Show everything about one object',
    examples: ['sing sif info 1 image.sif'],
    flags: [json],
    args: [2, 2],
    run: failing(info),
  },
  dump: {
    usage: 'sif dump <id> <image>',
    summary: 'Write the bytes of an object to standard output',
    examples: ['sing sif dump 1 image.sif', 'sing sif dump 3 image.sif > root.squashfs'],
    flags: [],
    args: [2, 2],
    run: failing(dump),
  },
  new: {
    usage: 'sif new [options] <image>',
    summary: 'Make an empty image',
    examples: ['sing sif new image.sif'],
    flags: [{ name: 'force', short: 'F', kind: 'boolean', help: 'replace an existing file' }],
    args: [1, 1],
    run: failing(create),
  },
  add: {
    usage: 'sif add --datatype <number> [options] <image> <file>',
    summary: 'Add a file as an object',
    examples: [
      'sing sif add --datatype 1 image.sif recipe.def',
      'sing sif add --datatype 4 --partfs 1 --parttype 2 --partarch 2 image.sif root.squashfs',
    ],
    flags: [...addFlags, unasked],
    args: [2, 2],
    run: failing(add),
  },
  del: {
    usage: 'sif del [options] <id> <image>',
    summary: 'Delete an object',
    description:
      'The descriptor is freed; the bytes stay in the file until another object is written over them.',
    examples: ['sing sif del 4 image.sif'],
    flags: [unasked],
    args: [2, 2],
    run: failing(remove),
  },
  setprim: {
    usage: 'sif setprim [options] <id> <image>',
    summary: 'Choose the partition with the root file system',
    examples: ['sing sif setprim 3 image.sif'],
    flags: [unasked],
    args: [2, 2],
    run: failing(choosePrimary),
  },
}
