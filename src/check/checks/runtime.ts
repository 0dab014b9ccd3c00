/** What a container expects of an image: a shell, accounts, certificates, its locale, and a C library that is not too old. */

import { highestGlibc, type LibcVersion, parseElf } from '../../core/elf.ts'
import type { Item } from '../../image/inventory.ts'
import type { Facts } from '../facts.ts'
import { type Check, type Finding, inPost } from '../types.ts'

function findShell(facts: Facts): Finding[] {
  const resolved = facts.resolve('/bin/sh')
  if (resolved.kind === 'there' && resolved.item.type === 'file' && (resolved.item.mode & 0o111) !== 0)
    return []
  const text = resolved.kind === 'there' ? 'not a program' : 'not there'
  const fix = 'without a shell, run, shell and the scripts of the image have none; exec works'
  return [{ severity: 'warning', path: '/bin/sh', text, fix }]
}

const findAccounts = (facts: Facts): Finding[] =>
  ['/etc/passwd', '/etc/group']
    .filter((path) => facts.resolve(path).kind !== 'there')
    .map((path) => ({
      severity: 'note',
      path,
      text: 'not there, so that programs do not know the name of who runs them',
      fix: inPost(`touch ${path}`),
    }))

/** Where distributions keep the certificates that programs trust. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
]

function findCertificates(facts: Facts): Finding[] {
  if (bundles.some((path) => (facts.file(path)?.size ?? 0) > 0)) return []
  const text = 'no certificates of authorities, so that https fails'
  return [
    {
      severity: 'note',
      path: '/etc/ssl/certs',
      text,
      fix: 'install ca-certificates if the image talks to servers',
    },
  ]
}

/** As glibc compares them: `en_US.UTF-8` is `en_US.utf8`. */
const normal = (locale: string): string => {
  const [, language = locale, codeset, modifier = ''] = /^([^.@]*)(?:\.([^@]*))?(@.*)?$/.exec(locale) ?? []
  const plain = codeset?.toLowerCase().replace(/[^a-z0-9]/g, '')
  return `${language}${plain ? `.${plain}` : ''}${modifier}`
}

/** Names are near the beginning of an archive, behind tables of a fixed size. */
const archiveLimit = 4 * 1024 * 1024

function hasLocale(locale: string, facts: Facts): boolean {
  const wanted = normal(locale)
  const names = facts.in('/usr/lib/locale').map(({ path }) => normal(path.slice('/usr/lib/locale/'.length)))
  if (names.includes(wanted)) return true
  const archive = facts.file('/usr/lib/locale/locale-archive')
  return archive !== undefined && facts.head(archive, archiveLimit).includes(`\0${wanted}\0`)
}

const isBuiltIn = (locale: string, version: LibcVersion): boolean =>
  /^(C|POSIX)$/.test(locale) || (normal(locale) === 'C.utf8' && version[0] === 2 && version[1] >= 35)

/** musl takes every locale for UTF-8, and needs no files. */
function findLocale(facts: Facts): Finding[] {
  const version = glibcOf(facts)
  if (!version) return []
  const set = ['LC_ALL', 'LANG', 'LC_CTYPE'].flatMap((name) => {
    const value = facts.variables.get(name)
    return value ? [{ name, value }] : []
  })
  const wanted = set.length > 0 ? set : [{ name: 'LANG', value: 'C.UTF-8' }]
  return wanted
    .filter(({ value }) => !isBuiltIn(value, version) && !hasLocale(value, facts))
    .map(({ name, value }) => ({
      severity: set.length > 0 ? 'warning' : 'note',
      path: '/usr/lib/locale',
      text:
        set.length > 0
          ? `%environment sets ${name}=${value}, a locale that is not there`
          : `no locale ${value}`,
      fix:
        set.length > 0
          ? localeFix(value)
          : 'install the locales of the distribution if texts are not plain ASCII',
    }))
}

function localeFix(value: string): string {
  const [, language = value, charset = 'UTF-8'] = /^([^.@]*)(?:\.([^@]*))?/.exec(value) ?? []
  return `${inPost(`localedef -i ${language} -f ${charset} ${value}`)}, or set C.UTF-8`
}

const libcLimit = 64 * 1024 * 1024
const places = ['/lib/*-linux-gnu*', '/usr/lib/*-linux-gnu*', '/lib64', '/usr/lib64', '/lib', '/usr/lib']

const known = new WeakMap<Facts, { readonly version: LibcVersion | undefined }>()

function glibcOf(facts: Facts): LibcVersion | undefined {
  const { version } = known.get(facts) ?? { version: readGlibc(facts) }
  known.set(facts, { version })
  return version
}

function libcOf(facts: Facts): Item | undefined {
  for (const place of places.flatMap((pattern) => facts.matching(pattern))) {
    const item = facts.file(`${place.path}/libc.so.6`)
    if (item) return item
  }
  return undefined
}

function readGlibc(facts: Facts): LibcVersion | undefined {
  const item = libcOf(facts)
  if (!item || item.size > libcLimit) return undefined
  const bytes = facts.head(item, item.size)
  return highestGlibc(parseElf((offset, length) => bytes.subarray(offset, offset + length))?.defines ?? [])
}

/** Current drivers are built for distributions of 2018 and later (glibc 2.28), and so are most programs that are fetched. */
const oldest = 28

function findGlibc(facts: Facts): Finding[] {
  const version = glibcOf(facts)
  if (!version || version[0] > 2 || version[1] >= oldest) return []
  return [
    {
      severity: 'note',
      path: libcOf(facts)?.path ?? '/lib',
      text: `glibc ${version.join('.')}: libraries that --nv and --rocm bring in from a newer host may not work`,
      fix: 'use a newer base if the image is for GPUs',
    },
  ]
}

export const runtime: readonly Check[] = [
  { name: 'shell', tags: ['runtime'], summary: '/bin/sh, which runscripts need', find: findShell },
  { name: 'accounts', tags: ['runtime'], summary: '/etc/passwd and /etc/group', find: findAccounts },
  {
    name: 'certificates',
    tags: ['runtime'],
    summary: 'certificates of authorities, for https',
    find: findCertificates,
  },
  {
    name: 'locale',
    tags: ['runtime'],
    summary: 'the locale that %environment names, or C.UTF-8',
    find: findLocale,
  },
  {
    name: 'glibc',
    tags: ['runtime'],
    summary: 'a C library too old for drivers of the host',
    find: findGlibc,
  },
]
