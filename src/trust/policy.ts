/** Opens an image that is to be started, if its signatures are what the user and the site ask for. */

import { closeSync, fstatSync, readlinkSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Rule } from '../config/signers.ts'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type Image, openImage, openPath } from '../image/open.ts'
import { requireVersion, versionOf } from '../image/version.ts'
import type { OpenSif } from '../sif/edit.ts'
import { parseSif, readAt } from '../sif/read.ts'
import { objection, ruleFor, signersText } from './ecl.ts'
import { type Evidence, evidenceOf, oldEvidenceOf, toSigned } from './evidence.ts'
import { type List, type ListSources, readLists } from './lists.ts'
import { isNoted, remembered } from './memo.ts'
import { type KeyPlaces, keyPlaces, placesWith } from './places.ts'
import { findInRings } from './ring-keys.ts'
import type { Origin } from './types.ts'
import { verifyOpen } from './verify.ts'

/** What is asked of the signatures of an image. */
export type Demands = ListSources & {
  /** `always` refuses an image whose signatures do not all hold, `warn` says so. */
  readonly verify: 'never' | 'warn' | 'always'
  /** Who asks for it, for people: `--verify`, or a key of the configuration and its place. */
  readonly verifyFrom: string
  /** Whose signatures count. */
  readonly environment: Readonly<Record<string, string>>
  /** What an image of the cache is called. */
  readonly fetched?: string | undefined
  readonly report: Report
  readonly signal: AbortSignal
}

function refuse(path: string, reason: string, hint: string): SingError {
  return new SingError('POLICY', `cannot start ${shown(path)}: ${reason}`, { hint })
}

/** Refuse what does not fulfil what is asked, or say so where that is enough. */
function enforce(path: string, { verify, verifyFrom, report }: Demands, reason: string, hint: string): void {
  if (verify === 'never') return
  if (verify === 'always') throw refuse(path, reason, `${hint}\nSignatures are asked for by ${verifyFrom}`)
  report({ kind: 'warning', text: `${shown(path)} is not verified: ${reason}` })
}

const unsignable = 'it is no SIF, and nothing else can be signed'

function judgeUnsignable(path: string, lists: readonly List[], demands: Demands): void {
  const hint = 'Make a SIF of it and sign that: sing build IMAGE.sif SOURCE; sing sign IMAGE.sif'
  const list = lists.find(({ sifOnly }) => !sifOnly)
  if (list) throw refuse(path, unsignable, `${hint}\nSignatures are asked for by ${list.file}`)
  enforce(path, demands, unsignable, hint)
}

/** What a list says about the image, before it is read. */
function ruleOf(list: List, place: string, path: string): Rule {
  const rule = ruleFor(place, list)
  if (rule) return rule
  throw refuse(
    path,
    `${shown(list.file)} allows no images in ${shown(place)}`,
    'Ask the administrator where images may lie',
  )
}

function judgeByRule(path: string, rule: Rule, list: List, evidence: Evidence): void {
  const reason = evidence.flaw ?? objection(rule, toSigned(evidence))
  if (reason === undefined) return
  throw refuse(
    path,
    reason,
    `${shown(list.file)} asks for signatures by ${signersText(rule)}\nKeys count that are in the ring of the site: sing key list --global`,
  )
}

/** What rings of keys are now. */
function ringState(places: KeyPlaces): string[] {
  return [...placesWith(places), ...places.global].map(({ public: path }) => {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
    return `${path} ${stats ? [stats.dev, stats.ino, stats.size, stats.ctimeNs].join(':') : ''}`
  })
}

/** A list of the site is about keys that the site has: anybody can put others into a ring of their own. */
const origins: readonly Origin[] = ['global']

async function findEvidence(source: OpenSif, legacy: boolean, demands: Demands): Promise<Evidence> {
  const { environment, report, signal } = demands
  const places = keyPlaces(environment)
  const find = async (): Promise<Evidence> => {
    const material = { kind: 'openpgp', find: findInRings(places, report) } as const
    const verdict = await verifyOpen(source, { material, report, signal, legacy, every: true })
    return (legacy ? oldEvidenceOf : evidenceOf)(source.sif.objects, verdict, origins)
  }
  if (!isNoted(source.fd)) return await find()
  const parts = [versionOf(source.fd), ...ringState(places), legacy ? 'legacy' : '']
  const { ctimeMs: changed } = fstatSync(source.fd)
  const session = { uid: process.geteuid?.() ?? 0, environment }
  return await remembered({ parts, changed }, session, find, signal)
}

/** What is made of an image of OCI here nobody can have signed before. */
const unsignedHint =
  'Fetch it as a file, look at it, and sign it: sing pull IMAGE.sif REFERENCE; sing sign IMAGE.sif'

async function judgeSif(
  source: OpenSif,
  path: string,
  lists: readonly List[],
  demands: Demands,
): Promise<void> {
  // Where the open file lies, whatever the path leads to by now.
  const place = dirname(readlinkSync(`/proc/self/fd/${source.fd}`))
  const rules = lists.map((list) => ({ list, rule: ruleOf(list, place, path) }))
  for (const { list, rule } of rules)
    judgeByRule(path, rule, list, await findEvidence(source, list.legacy, demands))
  if (demands.verify === 'never') return
  const { problem, named } = await findEvidence(source, false, demands)
  if (!problem) return
  const isMade = demands.fetched !== undefined && named.length === 0
  const hint = isMade ? unsignedHint : (problem.hint ?? 'To see more: sing verify IMAGE')
  enforce(path, demands, problem.message, hint)
}

async function judge(fd: number, path: string, demands: Demands): Promise<void> {
  const lists = readLists(demands)
  const stats = fstatSync(fd)
  const isSif = stats.isFile() && readAt(fd, 0, 64).toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'
  if (isSif) await judgeSif({ fd, sif: parseSif(fd, path) }, path, lists, demands)
  else if (stats.isFile() || stats.isDirectory()) judgeUnsignable(path, lists, demands)
}

/** Say why not all signatures of a file hold that was fetched under this name, if so. */
export async function warnUnverified(
  path: string,
  name: string,
  options: Pick<Demands, 'environment' | 'report' | 'signal'>,
): Promise<void> {
  const fd = openPath(path)
  try {
    const nothing = { verifyFrom: '', signers: [], signersFrom: '', lists: [] }
    await judge(fd, name, { ...options, ...nothing, verify: 'warn' })
  } finally {
    closeSync(fd)
  }
}

/**
 * The image at `path`, whose signatures are what is asked for; the file is read and opened once, so that what was verified is what is
 * described here. The starter takes the same one, or none.
 * @throws SingError POLICY when it may not be started, and whatever opening an image may end with
 */
export async function openVerified(path: string, demands: Demands): Promise<Image> {
  const fd = openPath(path)
  try {
    const version = versionOf(fd)
    await judge(fd, demands.fetched ?? path, demands)
    const image = await openImage(path, { ext3: true, unlock: 'keep', descriptor: fd })
    if (image.kind === 'sandbox') return image
    requireVersion(fd, version, path)
    return { ...image, version }
  } finally {
    closeSync(fd)
  }
}
