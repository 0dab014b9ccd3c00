/** Reads the configuration of a call: the files of the site, of the user and of the project, in this order. */

import type { Flag } from '../cli/options.ts'
import { shown } from '../core/errors.ts'
import type { Place, Reading } from './document.ts'
import {
  confFiles,
  currentDirectory,
  findConfFile,
  findFile,
  findProjectFile,
  homeOf,
  readText,
  readTrusted,
  siteFile,
  systemConfigFile,
  userFile,
} from './files.ts'
import { defaultSettings, type Layer, type Looked, mergeLayers, type Settings } from './layers.ts'
import { readConf, type Scope } from './schema.ts'

export { systemConfigFile } from './files.ts'
export type { Settings } from './layers.ts'
export type { Config } from './schema.ts'
export { defaultConfig } from './schema.ts'

export type Where = {
  /** The file of --config, instead of those of the site. */
  readonly configFile: string | undefined
  /** No files at all. */
  readonly builtIn?: boolean
  readonly environment: Readonly<Record<string, string>>
  /** Flags that a file may give values to. */
  readonly flags: readonly Flag[]
}

type Found = { readonly layer?: Layer; readonly looked: Looked }

/** What a file of the peers comes with and nobody has chosen: 64 MiB, too little for anything. */
const untouchedSessionSize = 64 * 1024 * 1024

function readConfLayer(file: string): Found {
  const { settings, launch, unknown } = readConf(readText(file), file)
  const isPeers = file !== systemConfigFile && confFiles.includes(file)
  const chosen = settings.filter(
    ({ key, value }) => !(isPeers && key === 'session-size' && value === untouchedSessionSize),
  )
  const reading: Reading = {
    settings: chosen,
    launch: launch.map(({ flag, line }) => ({ flag, value: true, line })),
    profiles: [],
    profile: undefined,
  }
  const notes = unknown.map(({ name, line }) => `line ${line}: nobody knows the directive ${shown(name)}`)
  return { layer: { file, scope: 'site', reading }, looked: { file, scope: 'site', state: 'read', notes } }
}

async function readYamlLayer(text: string, place: Place): Promise<Found> {
  const { parseYaml } = await import('./yaml.ts')
  const { readDocument } = await import('./document.ts')
  const { file, scope } = place
  const reading = readDocument(parseYaml(text, file), place)
  return { layer: { file, scope, reading }, looked: { file, scope, state: 'read', notes: [] } }
}

/** A file that somebody else could have written is not believed. */
async function readOwnLayer(place: Place): Promise<Found> {
  const { file, scope } = place
  const read = readTrusted(file, { links: scope !== 'project' })
  if ('text' in read) return readYamlLayer(read.text, place)
  return { looked: { file, scope, state: 'ignored', notes: [read.distrusted] } }
}

const isYaml = (path: string): boolean => /\.ya?ml$/i.test(path)

async function readSite({ configFile, flags, environment }: Where): Promise<(Found | undefined)[]> {
  const place = (file: string): Place => ({ file, scope: 'site', home: homeOf(environment), flags })
  const read = (file: string) =>
    isYaml(file) ? readYamlLayer(readText(file), place(file)) : readConfLayer(file)
  if (configFile !== undefined) return [await read(configFile)]
  const found = [findConfFile(), findFile(siteFile)]
  return Promise.all(found.map((file) => (file === undefined ? undefined : read(file))))
}

/** What is told of a file: what was found, or that it is not there. */
function told(found: Found | undefined, file: string | undefined, scope: Scope): Looked[] {
  if (found) return [found.looked]
  return file === undefined ? [] : [{ file, scope, state: 'absent', notes: [] }]
}

const warning = ({ file, notes }: Looked): string =>
  `${shown(file)} is ignored: ${notes.join(', ')} (only a file of your own or of root that nobody else can write counts)`

/**
 * The configuration that holds here. Without any file it is the built-in one, and no parser is loaded.
 * @throws SingError when a file cannot be read, and for a bad key or value, with file and line
 */
export async function loadSettings(where: Where): Promise<Settings> {
  if (where.builtIn) return defaultSettings
  const { environment, flags } = where
  const home = homeOf(environment)
  const cwd = currentDirectory()
  const own = userFile(environment)
  const project = cwd === undefined ? undefined : findProjectFile(cwd, home)
  const [conf, site] = await readSite(where)
  const read = async (file: string | undefined, scope: Scope): Promise<Found | undefined> =>
    file === undefined ? undefined : readOwnLayer({ file, scope, home, flags })
  const user = await read(findFile(own), 'user')
  const work = await read(project, 'project')
  const files = [
    ...told(conf, undefined, 'site'),
    ...told(site, where.configFile === undefined ? siteFile : undefined, 'site'),
    ...told(user, own, 'user'),
    ...told(work, undefined, 'project'),
  ]
  const layers = [conf, site, user, work].flatMap((found) => found?.layer ?? [])
  const warnings = files.filter(({ state }) => state === 'ignored').map(warning)
  const merged = layers.length > 0 ? mergeLayers(layers) : defaultSettings
  return { ...merged, files, warnings }
}
