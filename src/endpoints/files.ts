/** The files named `remote.yaml`: where they lie, reading them, and changing ours. */

import { mkdirSync } from 'node:fs'
import { posix } from 'node:path'
import { findFile, homeOf, readTrusted, siteFile, userFile } from '../config/files.ts'
import { writeConfig } from '../config/write.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { releaseLock, waitForLock } from '../store/lock.ts'
import { builtInDocument, emptyDocument, type RemoteDocument, readDocument } from './document.ts'
import { documentText } from './document-text.ts'
import { combine, type Known, type Source } from './known.ts'

type Environment = Readonly<Record<string, string>>

const fileName = 'remote.yaml'

/** The site's own file. */
export const siteRemoteFile = posix.join(posix.dirname(siteFile), fileName)
const peerSiteFiles = ['/etc/apptainer/remote.yaml', '/etc/singularity/remote.yaml']

export type Place = {
  readonly environment: Environment
  /** Another file instead of the user's. */
  readonly file?: string | undefined
  readonly report: Report
}

/** The user's own file. @throws SingError for who has no home */
export function ownRemoteFile({ environment, file }: Omit<Place, 'report'>): string {
  const settings = userFile(environment)
  const own = file ?? (settings && posix.join(posix.dirname(settings), fileName))
  if (own !== undefined) return own
  throw new SingError('ENDPOINT', 'there is no place for a file of endpoints: the variable HOME is not set', {
    hint: 'Name a file: --config FILE',
  })
}

/** Files of the peers in the user's home. */
function peerFiles(environment: Environment): string[] {
  const home = homeOf(environment)
  const folder = (variable: string, name: string) =>
    environment[variable]?.startsWith('/') ? environment[variable] : home && posix.join(home, name)
  return [
    folder('APPTAINER_CONFIGDIR', '.apptainer'),
    folder('SINGULARITY_CONFIGDIR', '.singularity'),
  ].flatMap((path) => (path === undefined ? [] : posix.join(path, fileName)))
}

async function readFile(path: string, report: Report): Promise<RemoteDocument | undefined> {
  if (findFile(path) === undefined) return undefined
  const found = readTrusted(path, { links: true })
  if ('distrusted' in found) {
    report({ kind: 'warning', text: `${shown(path)} is not used: ${found.distrusted}` })
    return undefined
  }
  const { parseYaml } = await import('../config/yaml.ts')
  return readDocument(parseYaml(found.text, path), path)
}

async function sourcesOf(
  paths: readonly string[],
  own: string | undefined,
  report: Report,
): Promise<Source[]> {
  const sources: Source[] = []
  for (const file of paths) {
    const document = await readFile(file, report)
    if (document) sources.push({ file, isOurs: file === own, document })
  }
  return sources
}

async function siteSources(report: Report): Promise<Source[]> {
  const found = await sourcesOf([siteRemoteFile, ...peerSiteFiles], siteRemoteFile, report)
  const builtIn: Source = { file: 'the built-in configuration', isOurs: true, document: builtInDocument }
  return found.some(({ document }) => document.endpoints.length > 0) ? found : [...found, builtIn]
}

/**
 * All endpoints and logins that are known here.
 * @throws SingError naming file and line for what is not understood
 */
export async function readKnown(place: Place): Promise<Known> {
  const { environment, file, report } = place
  const home = userFile(environment)
  const own = file === undefined && home === undefined ? undefined : ownRemoteFile(place)
  const others = file === undefined ? peerFiles(environment) : []
  const user = await sourcesOf([...(own === undefined ? [] : [own]), ...others], own, report)
  const known = combine(await siteSources(report), user)
  for (const text of known.warnings) report({ kind: 'warning', text })
  return known
}

/** The endpoints of the site alone. */
export const readSite = async (report: Report): Promise<Known> => combine(await siteSources(report), [])

type Writable = {
  readonly path: string
  readonly options: Parameters<typeof writeConfig>[2]
  /** What it says when it is not there. */
  readonly initial: () => RemoteDocument
}

const cannotWrite = (path: string, cause: unknown): SingError =>
  new SingError('IO', `cannot write ${shown(path)}: ${reasonOf(cause)}`, { cause })

async function lockFile(path: string, folderMode: number, signal: AbortSignal): Promise<AsyncDisposable> {
  try {
    mkdirSync(posix.dirname(path), { recursive: true, mode: folderMode })
    const lock = await waitForLock(`${path}.lock`, { signal })
    return { [Symbol.asyncDispose]: async () => lock && (await releaseLock(lock, `${path}.lock`)) }
  } catch (cause) {
    signal.throwIfAborted()
    throw cannotWrite(path, cause)
  }
}

type Edit = (document: RemoteDocument) => RemoteDocument

/** Change one of our files, one after the other where several want to. Nothing in it may be lost, so it must be understood. */
async function change({ path, options, initial }: Writable, signal: AbortSignal, edit: Edit): Promise<void> {
  await using _ = await lockFile(path, options.folderMode, signal)
  const document = await readFile(path, (event) => {
    if (event.kind === 'warning') throw new SingError('ENDPOINT', event.text)
  })
  writeConfig(path, documentText(edit(document ?? initial())), options)
}

/** Change the user's file. */
export async function changeOwn(
  place: Omit<Place, 'report'>,
  signal: AbortSignal,
  edit: Edit,
): Promise<void> {
  const path = ownRemoteFile(place)
  const options = { mode: 0o600, folderMode: 0o700, isSecret: true }
  await change({ path, options, initial: () => emptyDocument }, signal, edit)
}

/**
 * Change the site's file. Where there was none at all, what is built in stays.
 * @throws SingError IO for who may not
 */
export async function changeSite(signal: AbortSignal, edit: Edit): Promise<void> {
  const initial = () => (peerSiteFiles.some((path) => findFile(path)) ? emptyDocument : builtInDocument)
  await change({ path: siteRemoteFile, options: { mode: 0o644, folderMode: 0o755 }, initial }, signal, edit)
}
