/** What package managers, shells and programs leave behind while an image is made. */

import { formatSize } from '../../core/units.ts'
import type { Item } from '../../image/inventory.ts'
import { type Facts, nameOf } from '../facts.ts'
import { type Check, type Finding, inPost, type Tag } from '../types.ts'

type Row = {
  readonly name: string
  readonly tags?: readonly Tag[]
  readonly summary: string
  /** Files, or directories with what is in them; a star stands for any name. */
  readonly places: readonly string[]
  /** Files that have to be there, or are no leftovers. */
  readonly except?: RegExp
  readonly what: string
  /** The command that makes it go, and what would not have made it. */
  readonly fix: (path: string) => string
}

const homes = (path: string): string[] => [`/root/${path}`, `/home/*/${path}`]
const remove = (path: string): string => inPost(`rm -rf ${path}`)
const empty = (path: string): string => inPost(`rm -rf ${path}/*`)

const rows: readonly Row[] = [
  {
    name: 'apt-lists',
    summary: 'package lists of apt-get update',
    places: ['/var/lib/apt/lists'],
    except: /\/lock$/,
    what: 'package lists of apt',
    fix: empty,
  },
  {
    name: 'apt-archives',
    summary: 'packages that apt has downloaded, and its caches',
    places: ['/var/cache/apt'],
    except: /\/lock$/,
    what: 'packages and caches of apt',
    fix: () => inPost('apt-get clean'),
  },
  {
    name: 'dnf-cache',
    summary: 'caches of dnf and yum',
    places: ['/var/cache/dnf', '/var/cache/yum', '/var/cache/libdnf5'],
    what: 'cache of dnf',
    fix: (path) => inPost(path.endsWith('yum') ? 'yum clean all' : 'dnf clean all'),
  },
  {
    name: 'apk-cache',
    summary: 'cache of apk',
    places: ['/var/cache/apk', '/etc/apk/cache'],
    what: 'cache of apk',
    fix: (path) => `${inPost(`rm -rf ${path}/*`)} (or: apk add --no-cache)`,
  },
  {
    name: 'zypper-cache',
    summary: 'cache of zypper',
    places: ['/var/cache/zypp'],
    what: 'cache of zypper',
    fix: () => inPost('zypper clean --all'),
  },
  {
    name: 'pacman-cache',
    summary: 'packages that pacman has downloaded',
    places: ['/var/cache/pacman/pkg', '/var/lib/pacman/sync'],
    what: 'packages of pacman',
    fix: empty,
  },
  {
    name: 'pip-cache',
    summary: 'cache of pip',
    places: homes('.cache/pip'),
    what: 'cache of pip',
    fix: (path) => `${remove(path)} (or: pip install --no-cache-dir)`,
  },
  {
    name: 'npm-cache',
    summary: 'caches of npm and yarn',
    places: [...homes('.npm/_cacache'), ...homes('.cache/yarn'), '/usr/local/share/.cache/yarn'],
    what: 'cache of packages for Node',
    fix: (path) =>
      path.endsWith('_cacache') ? inPost('npm cache clean --force') : inPost('yarn cache clean'),
  },
  {
    name: 'build-caches',
    summary: 'caches of cargo, go, maven, gradle, R and other tools that build',
    places: [
      ...homes('.cargo/registry'),
      ...homes('.cache/go-build'),
      ...homes('go/pkg/mod/cache'),
      ...homes('.m2/repository'),
      ...homes('.gradle/caches'),
      ...homes('.cache/ccache'),
      ...homes('.ccache'),
      ...homes('.cache/uv'),
      ...homes('.cache/pypoetry'),
      ...homes('.spack/cache'),
    ],
    what: 'cache of a tool that builds',
    fix: remove,
  },
  {
    name: 'history',
    tags: ['clean', 'security'],
    summary: 'histories of shells and other programs, which may hold what was typed',
    places: [
      ...homes('.*_history'),
      ...homes('.lesshst'),
      ...homes('.viminfo'),
      ...homes('.wget-hsts'),
      ...homes('.recently-used'),
    ],
    what: 'history of what was typed or visited',
    fix: (path) => inPost(`rm -f ${path}`),
  },
  {
    name: 'temporary-files',
    summary: 'files in /tmp and /var/tmp, which a container does not even see',
    places: ['/tmp/*', '/var/tmp/*'],
    what: 'temporary',
    fix: remove,
  },
  {
    name: 'logs',
    summary: 'logs that were written while the image was made',
    places: ['/var/log'],
    what: 'logs',
    fix: () => inPost('find /var/log -type f -delete'),
  },
]

/** Less than this is said, and hardly worth the line in %post. */
const worthwhile = 1024 * 1024

/** What would be gone without these: a file with names elsewhere too would stay. */
export function weigh(items: Iterable<Item>): { bytes: number; files: number } {
  const names = new Map<string, number>()
  let [bytes, files] = [0, 0]
  for (const { type, size, links, layer, inode } of items) {
    if (type !== 'file') continue
    files += 1
    const key = `${layer}:${inode}`
    const seen = (names.get(key) ?? 0) + 1
    names.set(key, seen)
    if (seen === links) bytes += size
  }
  return { bytes, files }
}

/** A finding about files that take room; undefined without any. */
export function roomFinding(
  path: string,
  items: Iterable<Item>,
  what: string,
  fix: string,
): Finding | undefined {
  const { bytes, files } = weigh(items)
  if (files === 0 || bytes === 0) return undefined
  const text = `${what}: ${formatSize(bytes)}${files === 1 ? '' : ` in ${files} files`}`
  return { severity: bytes >= worthwhile ? 'warning' : 'note', path, text, fix, bytes, files }
}

function find(row: Row, facts: Facts): Finding[] {
  return row.places
    .flatMap((place) => facts.matching(place))
    .flatMap((item) => {
      const all = item.type === 'directory' ? [...facts.below(item.path)] : [item]
      const items = all.filter(({ path }) => !row.except?.test(path))
      return roomFinding(item.path, items, row.what, row.fix(item.path)) ?? []
    })
}

/** Directories of an installation of conda; its packages are linked into environments where that is possible. */
function findConda(facts: Facts): Finding[] {
  return facts.items
    .filter((item) => item.type === 'directory' && nameOf(item) === 'pkgs')
    .filter(({ path }) => facts.find(`${path.slice(0, -'/pkgs'.length)}/conda-meta`)?.type === 'directory')
    .flatMap(({ path }) => {
      const fix = inPost('conda clean --all --yes')
      return roomFinding(path, facts.below(path), 'packages of conda', fix) ?? []
    })
}

export const leftovers: readonly Check[] = [
  ...rows.map((row) => ({
    name: row.name,
    tags: row.tags ?? (['clean', 'size'] as const),
    summary: row.summary,
    find: (facts: Facts) => find(row, facts),
  })),
  {
    name: 'conda-packages',
    tags: ['clean', 'size'],
    summary: 'packages that conda has downloaded and unpacked',
    find: findConda,
  },
]
