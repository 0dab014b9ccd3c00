/**
 * Licences in the words of packages become expressions of SPDX (SPDX 2.3, annex D). What the list of SPDX does not know keeps
 * its words: it becomes a reference, and the document says what it stands for.
 */

import { exceptionIds, licenceIds } from './licence-list.ts'
import { Unique } from './unique.ts'

/** Names that Debian, Fedora and others have for licences of the list. */
const others: Readonly<Record<string, string>> = {
  'apache 2.0': 'Apache-2.0',
  'apache license 2.0': 'Apache-2.0',
  'apache license, version 2.0': 'Apache-2.0',
  'apache software license': 'Apache-2.0',
  'apache-2': 'Apache-2.0',
  'artistic 2.0': 'Artistic-2.0',
  artistic: 'Artistic-1.0-Perl',
  'artistic-1': 'Artistic-1.0',
  'asl 2.0': 'Apache-2.0',
  boost: 'BSL-1.0',
  'bsd 3-clause': 'BSD-3-Clause',
  'bsd 2-clause': 'BSD-2-Clause',
  'bsd-2-clauses': 'BSD-2-Clause',
  'bsd-3-clauses': 'BSD-3-Clause',
  cc0: 'CC0-1.0',
  expat: 'MIT',
  'expat license': 'MIT',
  'isc license (iscl)': 'ISC',
  'mit license': 'MIT',
  'mozilla public license 2.0 (mpl 2.0)': 'MPL-2.0',
  'mit/x11': 'MIT',
  mplv2: 'MPL-2.0',
  'mplv1.1': 'MPL-1.1',
  openssl: 'OpenSSL',
  perl: 'Artistic-1.0-Perl OR GPL-1.0-or-later',
  psf: 'PSF-2.0',
  'python software foundation license': 'PSF-2.0',
  unlicense: 'Unlicense',
  zlib: 'Zlib',
  'zlib/libpng': 'Zlib',
}

/** `GPL-2+`, `LGPLv2.1+`, `GPL-3.0` and their kind. */
function gnuLicence(name: string): string | undefined {
  const [, kind = '', version = '', later] =
    /^(a?l?gpl|gfdl)(?:[- ]?v?|[- ]version[- ])(\d(?:\.\d)?)(?:\.0)?(\+|-or-later|-only)?$/i.exec(name) ?? []
  if (kind === '') return undefined
  const full = version.includes('.') ? version : `${version}.0`
  const suffix = later === '+' || later === '-or-later' ? 'or-later' : 'only'
  return licenceIds.get(`${kind}-${full}-${suffix}`.toLowerCase())
}

/** The name that the list has for a licence; undefined when it has none. */
function known(words: string): string | undefined {
  const name = words.toLowerCase()
  const there = gnuLicence(words) ?? licenceIds.get(name) ?? licenceIds.get(`${name}.0`)
  return there ?? (Object.hasOwn(others, name) ? others[name] : undefined)
}

/** `X with Y-exception`: both names must be known. */
function withException(words: string): string | undefined {
  const [, licence = '', exception = ''] = /^(.+?)\s+with\s+(\S+)$/i.exec(words) ?? []
  const [id, addition] = [known(licence), exceptionIds.get(exception.toLowerCase())]
  return id && addition && !id.includes(' ') ? `${id} WITH ${addition}` : undefined
}

type Leaf = (words: string) => string

const token = /\s*([()]|\b(?:and|or)\b(?!-)|&&?|\|\|?)\s*/i
const isOperator = (word: string | undefined): boolean =>
  word !== undefined && /^(and|or|&&?|\|\|?)$/i.test(word)
const operatorOf = (word: string): string => (/^(or|\|\|?)$/i.test(word) ? 'OR' : 'AND')

/** Parentheses and operators as they stand, everything between them by `leaf`; undefined where they make no expression. */
function rewrite(text: string, leaf: Leaf): string | undefined {
  const tokens = text.split(token).filter((part) => part.trim() !== '')
  const out: string[] = []
  let depth = 0
  let wantsOperand = true
  for (const part of tokens) {
    const isOpening = part === '('
    if (wantsOperand !== (isOpening || !(part === ')' || isOperator(part)))) return undefined
    if (isOpening) depth += 1
    else if (part === ')') depth -= 1
    if (depth < 0 || depth > 16) return undefined
    if (isOpening || part === ')') out.push(part)
    else out.push(isOperator(part) ? operatorOf(part) : leaf(part.trim()))
    if (!isOpening && part !== ')') wantsOperand = isOperator(part)
  }
  if (depth !== 0 || wantsOperand) return undefined
  return out.join(' ').replaceAll('( ', '(').replaceAll(' )', ')')
}

export type Licence = {
  /** An expression of SPDX. */
  readonly expression: string
  /** Words that the list does not know; the expression has their references. */
  readonly unknown: readonly string[]
}

/** The expression of what a package says, with names for what is unknown from `refer`. */
export function licenceOf(text: string, refer: (words: string) => string): Licence {
  const whole = known(text) ?? withException(text)
  if (whole) return { expression: whole, unknown: [] }
  const unknown: string[] = []
  const leaf: Leaf = (words) => {
    const id = known(words) ?? withException(words)
    if (id) return id.includes(' OR ') ? `(${id})` : id
    unknown.push(words)
    return refer(words)
  }
  const expression = rewrite(text, leaf)
  return expression === undefined ? { expression: refer(text), unknown: [text] } : { expression, unknown }
}

/** Names for what is unknown, the same for the same words. */
export class References {
  readonly #names = new Map<string, string>()
  readonly #unique = new Unique()

  readonly refer = (words: string): string => {
    const there = this.#names.get(words)
    if (there) return there
    const slug =
      words
        .replace(/[^a-zA-Z0-9.]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 64) || 'unnamed'
    const name = this.#unique.of(`LicenseRef-${slug}`)
    this.#names.set(words, name)
    return name
  }

  get all(): readonly (readonly [words: string, name: string])[] {
    return [...this.#names]
  }
}
