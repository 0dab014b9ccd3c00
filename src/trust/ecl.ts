/** Lists of who has to have signed the images of a directory: read from the tree of an `ecl.toml`, and decided by (pure). */

import { isCleanPath, type Mode, type Rule, readFingerprint, readMode } from '../config/signers.ts'
import { SingError, shown } from '../core/errors.ts'

/** The rules of one file; an image has to satisfy one of each file that has some. */
export type ExecutionList = {
  readonly file: string
  readonly rules: readonly Rule[]
  /** Signatures of the format before Singularity 3.6, on the root file system alone, count. */
  readonly legacy: boolean
}

/** The signatures of an image, as far as they count. */
export type Signed = {
  /** For each part that has to be signed: the fingerprints of whose signatures of all of it hold. */
  readonly parts: readonly ReadonlySet<string>[]
  /** The fingerprints that signatures name, whether they hold or not. */
  readonly named: ReadonlySet<string>
}

const most = 1000

const refuse = (file: string, sentence: string): SingError =>
  new SingError('POLICY', `${shown(file)}: ${sentence}`, {
    hint: 'Nothing is started before the administrator has mended the file',
  })

type Table = Readonly<Record<string, unknown>>

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** A typing error must not switch a rule off. */
function requireKeys(file: string, where: string, table: Table, known: readonly string[]): void {
  const stranger = Object.keys(table).find((key) => !known.includes(key))
  if (stranger === undefined) return
  throw refuse(file, `${where}unknown key ${shown(stranger)}; known are ${known.join(', ')}`)
}

function flagOf(file: string, table: Table, key: string): boolean {
  const value = table[key] ?? false
  if (typeof value === 'boolean') return value
  throw refuse(file, `${key}: expected true or false`)
}

function textOf(file: string, where: string, table: Table, key: string): string {
  const value = table[key] ?? ''
  if (typeof value === 'string') return value
  throw refuse(file, `${where}${key}: expected a text`)
}

function fingerprintsOf(file: string, where: string, { keyfp = [] }: Table): readonly string[] {
  const expected = `${where}keyfp: expected fingerprints of 40 hexadecimal digits`
  if (!Array.isArray(keyfp) || keyfp.length > most) throw refuse(file, expected)
  return keyfp.map((value: unknown) => {
    const found = typeof value === 'string' ? readFingerprint(value) : undefined
    if (found === undefined) throw refuse(file, `${expected}, got ${shown(String(value))}`)
    return found
  })
}

function modeOf(file: string, where: string, group: Table): Mode {
  const text = textOf(file, where, group, 'mode')
  const mode = readMode(text)
  if (mode !== undefined) return mode
  throw refuse(
    file,
    `${where}mode: expected whitelist, whitestrict or blacklist, got ${shown(JSON.stringify(text))}`,
  )
}

function readGroup(file: string, group: unknown, index: number): Rule {
  if (!isTable(group)) throw refuse(file, 'execgroup: expected tables, [[execgroup]]')
  const name = typeof group.tagname === 'string' && group.tagname !== '' ? group.tagname : String(index + 1)
  const where = `execgroup ${shown(name)}: `
  requireKeys(file, where, group, ['tagname', 'mode', 'dirpath', 'keyfp'])
  textOf(file, where, group, 'tagname')
  const directory = textOf(file, where, group, 'dirpath')
  if (directory !== '' && !isCleanPath(directory)) {
    throw refuse(file, `${where}dirpath: expected an absolute path without . and .., got ${shown(directory)}`)
  }
  return {
    mode: modeOf(file, where, group),
    directory: directory === '' ? undefined : directory,
    below: false,
    fingerprints: fingerprintsOf(file, where, group),
  }
}

/** @throws SingError POLICY for a directory that two rules are about */
export function requireOneEach(file: string, rules: readonly Rule[]): void {
  const twice = rules.find((rule, index) =>
    rules.slice(0, index).some(({ directory }) => directory === rule.directory),
  )
  if (!twice) return
  const place = twice.directory === undefined ? 'all other directories' : shown(twice.directory)
  throw refuse(file, `two rules are about ${place}`)
}

/**
 * The list that the tree of an `ecl.toml` holds; undefined when it is not activated.
 * @throws SingError POLICY for anything in an activated list that has no meaning
 */
export function readExecutionList(tree: unknown, file: string): ExecutionList | undefined {
  if (!isTable(tree)) throw refuse(file, 'expected keys and values')
  requireKeys(file, '', tree, ['activated', 'legacyinsecure', 'execgroup'])
  if (!flagOf(file, tree, 'activated')) return undefined
  const groups = tree.execgroup ?? []
  if (!Array.isArray(groups) || groups.length > most) throw refuse(file, 'execgroup: expected [[execgroup]]')
  const rules = groups.map((group, index) => readGroup(file, group, index))
  requireOneEach(file, rules)
  return { file, rules, legacy: flagOf(file, tree, 'legacyinsecure') }
}

const isIn = (place: string, { directory, below }: Rule): boolean =>
  directory !== undefined &&
  (place === directory || (below && place.startsWith(directory === '/' ? '/' : `${directory}/`)))

/** The rule for images that lie in the directory `place`: the nearest one, or the one for all others. */
export function ruleFor(place: string, { rules }: Pick<ExecutionList, 'rules'>): Rule | undefined {
  const [nearest] = rules
    .filter((rule) => isIn(place, rule))
    .sort((one, other) => (other.directory ?? '').length - (one.directory ?? '').length)
  return nearest ?? rules.find(({ directory }) => directory === undefined)
}

const named = (fingerprints: readonly string[]): string => fingerprints.map(shown).join(', ')

/** Whose signatures satisfy a rule, in words. */
export function signersText({ mode, fingerprints }: Rule): string {
  const all = named(fingerprints)
  if (mode === 'blacklist') return `somebody whose key is known, and not by ${all}`
  if (all === '') return 'somebody whose key is known'
  return mode === 'whitelist' ? `one of ${all}` : `all of ${all}`
}

/** Why the signatures of an image do not satisfy a rule; undefined when they do. */
export function objection(
  { mode, fingerprints }: Rule,
  { parts, named: claimed }: Signed,
): string | undefined {
  const hasSigned = (fingerprint: string) =>
    parts.length > 0 && parts.every((signers) => signers.has(fingerprint))
  switch (mode) {
    case 'whitelist':
      if (fingerprints.some(hasSigned)) return undefined
      return `it is not signed by any of ${named(fingerprints)}`
    case 'whitestrict': {
      const missing = fingerprints.filter((fingerprint) => !hasSigned(fingerprint))
      return missing.length === 0 ? undefined : `it is not signed by ${named(missing)}`
    }
    case 'blacklist': {
      const found = fingerprints.filter((fingerprint) => claimed.has(fingerprint))
      return found.length === 0 ? undefined : `it is signed by ${named(found)}`
    }
  }
}
