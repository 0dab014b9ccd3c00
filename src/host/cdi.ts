/**
 * Reads and checks files of the Container Device Interface: what a vendor says has to appear in a container that uses its
 * device (github.com/cncf-tags/container-device-interface, SPEC.md).
 */

import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs'
import { errnoOf, reasonOf, shown } from '../core/errors.ts'
import { readElf } from './gpu.ts'

export type CdiNode = {
  readonly path: string
  readonly hostPath: string
  /** The host has it. */
  readonly present: boolean
}

export type CdiMount = {
  readonly hostPath: string
  readonly containerPath: string
  readonly readonly: boolean
  readonly recursive: boolean
  readonly directory: boolean
  /** The name by which programs ask for it, when it is a library. */
  readonly soname: string | undefined
}

export type CdiHook = { readonly name: string; readonly path: string; readonly args: readonly string[] }

export type CdiEdits = {
  readonly environment: readonly (readonly [name: string, value: string])[]
  readonly nodes: readonly CdiNode[]
  readonly mounts: readonly CdiMount[]
  readonly hooks: readonly CdiHook[]
  readonly groups: readonly number[]
  /** Edits that need privilege, by their name in the file. */
  readonly privileged: readonly string[]
}

export type CdiSpec = {
  readonly file: string
  /** Place of its directory in the list; a later directory is stronger. */
  readonly level: number
  /** `vendor.com/class`. */
  readonly kind: string
  /** What any device of the file needs. */
  readonly edits: CdiEdits
  readonly devices: readonly { readonly name: string; readonly edits: CdiEdits }[]
}

export type CdiFacts = {
  readonly directories: readonly string[]
  readonly specs: readonly CdiSpec[]
  /** Files that could not be understood, and why. */
  readonly broken: readonly { readonly file: string; readonly reason: string }[]
}

export const cdiDirectories = ['/etc/cdi', '/var/run/cdi'] as const

const fileLimit = 4 * 1024 * 1024
const mostFiles = 1000
/** Values of one file; aliases of YAML could make a small file endless. */
const mostValues = 500_000

class Broken extends Error {}

/** Values of a parsed file, each checked where it is taken out. */
class Checked {
  private left = mostValues

  private count(): void {
    this.left -= 1
    if (this.left < 0) throw new Broken('it has too many values')
  }

  fields(value: unknown, where: string): Readonly<Record<string, unknown>> {
    this.count()
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>
    throw new Broken(`${where}: expected a mapping`)
  }

  list<T>(value: unknown, where: string, read: (entry: unknown, where: string) => T): T[] {
    this.count()
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw new Broken(`${where}: expected a list`)
    return value.map((entry, index) => read(entry, `${where}[${index}]`))
  }

  /** A number is taken for its digits: YAML has no other way to read an unquoted name such as 0. */
  text(value: unknown, where: string, pattern = /^[^\0]+$/, expected = 'a text'): string {
    this.count()
    const text = typeof value === 'number' ? String(value) : value
    if (typeof text === 'string' && pattern.test(text)) return text
    throw new Broken(`${where}: expected ${expected}`)
  }

  path(value: unknown, where: string): string {
    return this.text(value, where, /^\/[^\0]*$/, 'an absolute path')
  }
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function readNode(checked: Checked, value: unknown, where: string): CdiNode {
  const fields = checked.fields(value, where)
  const path = checked.path(fields.path, `${where}.path`)
  const hostPath = fields.hostPath ? checked.path(fields.hostPath, `${where}.hostPath`) : path
  if (fields.type !== undefined && fields.type !== '')
    checked.text(fields.type, `${where}.type`, /^[bcup]$/, 'b, c, u or p')
  if (fields.permissions !== undefined && fields.permissions !== '')
    checked.text(fields.permissions, `${where}.permissions`, /^[rwm]+$/, 'letters of rwm')
  return { path, hostPath, present: look(hostPath) !== undefined }
}

const knownOptions =
  /^(r?bind|ro|rw|r?(private|slave|shared)|(no)?(suid|dev|exec)|(no|rel|strict)?atime|nodiratime|defaults)$/

function readMount(checked: Checked, value: unknown, where: string): CdiMount {
  const fields = checked.fields(value, where)
  const hostPath = checked.path(fields.hostPath, `${where}.hostPath`)
  const containerPath = checked.path(fields.containerPath, `${where}.containerPath`)
  if (fields.type) checked.text(fields.type, `${where}.type`, /^(bind|none)$/, 'bind, the only type')
  const options = checked.list(fields.options, `${where}.options`, (option, at) =>
    checked.text(option, at, knownOptions, 'an option of bind mounts'),
  )
  const stats = look(hostPath)
  const isLibrary = stats?.isFile() && /\.so(\.|$)/.test(containerPath)
  return {
    hostPath,
    containerPath,
    readonly: options.includes('ro'),
    recursive: options.includes('rbind') || !options.includes('bind'),
    directory: stats?.isDirectory() ?? false,
    soname: isLibrary ? readElf(hostPath)?.soname : undefined,
  }
}

function readHook(checked: Checked, value: unknown, where: string): CdiHook {
  const fields = checked.fields(value, where)
  return {
    name: checked.text(fields.hookName, `${where}.hookName`),
    path: checked.path(fields.path, `${where}.path`),
    args: checked.list(fields.args, `${where}.args`, (word, at) => checked.text(word, at, /^[^\0]*$/)),
  }
}

function readVariable(checked: Checked, value: unknown, where: string): [string, string] {
  const text = checked.text(value, where, /^[A-Za-z_][A-Za-z0-9_]*=[^\0]*$/, 'NAME=value')
  const at = text.indexOf('=')
  return [text.slice(0, at), text.slice(at + 1)]
}

function readEdits(checked: Checked, value: unknown, where: string): CdiEdits {
  const fields = checked.fields(value ?? {}, where)
  const list = <T>(name: string, read: (checked: Checked, value: unknown, where: string) => T): T[] =>
    checked.list(fields[name], `${where}.${name}`, (entry, at) => read(checked, entry, at))
  const privileged = ['intelRdt', 'netDevices'].filter((name) => {
    const edit = fields[name]
    return edit !== undefined && edit !== null && !(Array.isArray(edit) && edit.length === 0)
  })
  return {
    environment: list('env', readVariable),
    nodes: list('deviceNodes', readNode),
    mounts: list('mounts', readMount),
    hooks: list('hooks', readHook),
    groups: list('additionalGids', (_, gid, at) => Number(checked.text(gid, at, /^\d+$/, 'a number'))),
    privileged,
  }
}

const kindPattern = /^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?\/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$/
const namePattern = /^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/

/** Check a parsed file. @throws Broken */
function checkSpec(value: unknown, file: string, level: number): CdiSpec {
  const checked = new Checked()
  const fields = checked.fields(value, 'the file')
  checked.text(fields.cdiVersion, 'cdiVersion', /^v?[01]\.\d+\.\d+$/, 'a version such as 1.0.0')
  const kind = checked.text(fields.kind, 'kind', kindPattern, 'vendor/class')
  return {
    file,
    level,
    kind,
    edits: readEdits(checked, fields.containerEdits, 'containerEdits'),
    devices: checked.list(fields.devices, 'devices', (entry, where) => {
      const device = checked.fields(entry, where)
      return {
        name: checked.text(device.name, `${where}.name`, namePattern, 'a name'),
        edits: readEdits(checked, device.containerEdits, `${where}.containerEdits`),
      }
    }),
  }
}

async function parse(file: string): Promise<unknown> {
  const stats = statSync(file)
  if (!stats.isFile()) throw new Broken('it is no file')
  if (stats.size > fileLimit) throw new Broken('it is larger than 4 MiB')
  const text = readFileSync(file, 'utf8')
  if (file.endsWith('.json')) return JSON.parse(text)
  const { load } = await import('js-yaml')
  return load(text, { maxDepth: 32 })
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(json|yaml)$/.test(name))
      .sort()
      .slice(0, mostFiles)
      .map((name) => `${directory}/${name}`)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return []
    throw error
  }
}

/** Read all files of these directories; one that cannot be understood hides no other. */
export async function readCdi(directories: readonly string[]): Promise<CdiFacts> {
  const specs: CdiSpec[] = []
  const broken: { file: string; reason: string }[] = []
  for (const [level, directory] of directories.entries()) {
    for (const file of filesIn(directory)) {
      try {
        specs.push(checkSpec(await parse(file), file, level))
      } catch (error) {
        const [reason = ''] = reasonOf(error).split('\n')
        broken.push({ file, reason: shown(reason) })
      }
    }
  }
  return { directories, specs, broken }
}
