/**
 * What an image says about itself: labels, definition, scripts, help, apps. A SIF carries it as a JSON object
 * (`inspect-metadata.json`), other images have it in files; both give the same attributes.
 */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import { dataTypes } from '../sif/format.ts'
import { readObject, readSif, type Sif } from '../sif/read.ts'
import { metadataName, openImage, type Unlock } from './open.ts'
import { type Contents, directoryContents, openContents } from './reader.ts'

/** The order of the keys is their order in JSON. Texts have no newlines at their end. */
export type AppAttributes = {
  /** Path of the script -> its text. */
  environment?: Record<string, string>
  labels?: Record<string, string>
  runscript?: string
  startscript?: string
  test?: string
  helpfile?: string
}

export type Attributes = {
  apps?: Record<string, AppAttributes>
  environment?: Record<string, string>
  labels?: Record<string, string>
  runscript?: string
  test?: string
  helpfile?: string
  deffile?: string
  startscript?: string
}

/** Bytes of texts and names, all together. */
const textLimit = 16 * 1024 * 1024

/**
 * The attributes of the image at `path`. A SIF's JSON object is enough, so that encrypted and foreign images can be
 * inspected; without a sound one its files are read.
 * Throws what `openImage` throws.
 */
export async function metadata(path: string, report: Report = silent, unlock?: Unlock): Promise<Attributes> {
  const image = await storedMetadata(path, report)
  if (image) return image
  const opened = await openImage(path, { anyArchitecture: true, unlock })
  await using contents = await openContents(opened)
  const attributes = await attributesOf(contents)
  if (opened.kind !== 'oci-sif') return attributes
  const [{ configuredAttributes }, { openOciSif }] = await Promise.all([
    import('./oci-attributes.ts'),
    import('./oci-sif.ts'),
  ])
  return configuredAttributes(attributes, (await openOciSif(path)).config)
}

async function storedMetadata(path: string, report: Report): Promise<Attributes | undefined> {
  const sif = await readSif(path).catch((error) => {
    if (error instanceof SingError) return undefined
    throw error
  })
  const object = sif?.objects.find(
    (one) => one.dataType === dataTypes.genericJson && one.name === metadataName,
  )
  if (!sif || !object) return undefined
  try {
    return parseAttributes(JSON.parse((await readObject(sif, object, textLimit)).toString()))
  } catch {
    report({ kind: 'warning', text: unreadable(sif) })
    return undefined
  }
}

const unreadable = ({ path }: Sif) =>
  `the metadata in ${shown(path)} cannot be read; looking into its files instead`

/** Known attributes of parsed JSON, whatever its shape is. */
function parseAttributes(json: unknown): Attributes {
  const attributes = field(field(json, 'data'), 'attributes')
  const apps = entries(field(attributes, 'apps')).map(
    ([name, app]) => [name, parseParts(app, appParts)] as const,
  )
  return {
    ...(apps.length > 0 ? { apps: Object.fromEntries(apps) } : {}),
    ...parseParts(attributes, imageParts),
  }
}

/** What attributes are read from. */
type Readable = Pick<Contents, 'read' | 'list'>

type Part = keyof AppAttributes | keyof Attributes
const appParts: readonly Part[] = ['environment', 'labels', 'runscript', 'startscript', 'test', 'helpfile']
const imageParts: readonly Part[] = [
  'environment',
  'labels',
  'runscript',
  'test',
  'helpfile',
  'deffile',
  'startscript',
]

function parseParts(json: unknown, parts: readonly Part[]): Record<string, string | Record<string, string>> {
  const found: Record<string, string | Record<string, string>> = {}
  for (const part of parts) {
    const value = field(json, part)
    if (typeof value === 'string' && value !== '') found[part] = value
    const texts = entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    if (texts.length > 0) found[part] = Object.fromEntries(texts)
  }
  return found
}

function field(value: unknown, key: string): unknown {
  return entries(value).find(([name]) => name === key)?.[1]
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}

/** The attributes of a root file system in a directory: a sandbox, or an image being built. */
export async function readAttributes(directory: string): Promise<Attributes> {
  return await attributesOf(directoryContents(directory))
}

/** The same contents, as long as they are not too much: apps and links to one file can be as many as an image has names. */
class Bounded implements Readable {
  readonly #contents: Contents
  #left = textLimit

  constructor(contents: Contents) {
    this.#contents = contents
  }

  #take(bytes: number): void {
    this.#left -= bytes
    if (this.#left >= 0) return
    const most = `more than ${textLimit} bytes`
    throw new SingError('IMAGE_FORMAT', `the image says ${most} about itself: its scripts, labels and apps`)
  }

  async read(path: string, limit: number): Promise<Buffer | undefined> {
    const bytes = await this.#contents.read(path, limit)
    this.#take(bytes?.length ?? 0)
    return bytes
  }

  async list(path: string): Promise<string[] | undefined> {
    const names = await this.#contents.list(path)
    for (const name of names ?? []) this.#take(name.length)
    return names
  }
}

/** The attributes that the files of an image give. Throws IMAGE_FORMAT when a labels file is no JSON, or they are too long. */
export async function attributesOf(image: Contents): Promise<Attributes> {
  const contents = new Bounded(image)
  const base = '/.singularity.d'
  const apps = await readApps(contents)
  return {
    ...(apps.length > 0 ? { apps: Object.fromEntries(apps) } : {}),
    ...(await readScripts(contents, `${base}/env`)),
    ...(await readLabels(contents, `${base}/labels.json`)),
    ...(await readTexts(contents, base, {
      runscript: 'runscript',
      test: 'test',
      helpfile: 'runscript.help',
      deffile: 'Singularity',
      startscript: 'startscript',
    })),
  }
}

async function readApps(contents: Readable): Promise<[string, AppAttributes][]> {
  const apps: [string, AppAttributes][] = []
  for (const name of sorted((await contents.list('/scif/apps')) ?? [])) {
    const base = `/scif/apps/${name}/scif`
    if ((await contents.list(base)) === undefined) continue
    apps.push([
      name,
      {
        ...(await readScripts(contents, `${base}/env`)),
        ...(await readLabels(contents, `${base}/labels.json`)),
        ...(await readTexts(contents, base, {
          runscript: 'runscript',
          startscript: 'startscript',
          test: 'test',
          helpfile: 'runscript.help',
        })),
      },
    ])
  }
  return apps
}

/** The scripts that come from a definition or an OCI image; those of the runtime itself say nothing. */
async function readScripts(contents: Readable, directory: string): Promise<Pick<Attributes, 'environment'>> {
  const environment: Record<string, string> = {}
  for (const name of sorted((await contents.list(directory)) ?? [])) {
    if (!/^(10-docker.*|9.*-environment)\.sh$/.test(name)) continue
    const text = await readText(contents, `${directory}/${name}`)
    if (text !== '') environment[`${directory}/${name}`] = text
  }
  return Object.keys(environment).length > 0 ? { environment } : {}
}

async function readLabels(contents: Readable, path: string): Promise<Pick<Attributes, 'labels'>> {
  const text = await readText(contents, path)
  if (text === '') return {}
  const labels = new Map<string, string>()
  try {
    for (const [key, value] of entries(JSON.parse(text))) {
      labels.set(key, typeof value === 'string' ? value : JSON.stringify(value))
    }
  } catch (cause) {
    // Also what is nested so deeply that it cannot be written down again.
    throw new SingError('IMAGE_FORMAT', `the labels of the image (${shown(path)}) are no JSON`, { cause })
  }
  const keys = sorted([...labels.keys()])
  return keys.length > 0
    ? { labels: Object.fromEntries(keys.map((key) => [key, labels.get(key) ?? ''])) }
    : {}
}

async function readTexts(contents: Readable, base: string, names: Readonly<Record<string, string>>) {
  const texts: Record<string, string> = {}
  for (const [key, name] of Object.entries(names)) {
    const text = await readText(contents, `${base}/${name}`)
    if (text !== '') texts[key] = text
  }
  return texts
}

async function readText(contents: Readable, path: string): Promise<string> {
  const bytes = await contents.read(path, textLimit)
  return (bytes?.toString() ?? '').replace(/\n+$/, '')
}

/** In the order of their bytes, as everybody else sorts. */
export function sorted(names: readonly string[]): string[] {
  return names.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
}

/** The JSON document of attributes: compact for images, with `indent` for people. No newline at the end. */
export function inspectJson(attributes: Attributes, indent?: string): string {
  const json = JSON.stringify({ data: { attributes }, type: 'container' }, null, indent)
  // As other writers do: safe inside HTML and JavaScript, and the same bytes.
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
