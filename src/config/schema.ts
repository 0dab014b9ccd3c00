/**
 * The configuration as data: every directive with its key, its name in a `singularity.conf`, its type, its
 * default and its meaning; and the values of files into one configuration (pure).
 *
 * A directive is one row of `table`. The key of YAML files is the place of the row, in lower case with hyphens
 * (`images.squashfs`, `bind-paths`); the type `Config` follows by itself.
 */

import { SingError, shown } from '../core/errors.ts'
import { parseSize } from '../core/units.ts'
import { type Rule, readRule, ruleText } from './signers.ts'

/** Who may set a directive at most: the site alone, the user too, or also the file of a project. */
export type Scope = 'site' | 'user' | 'project'

export type Type<V> = {
  /** What a value looks like, for messages and the documentation. */
  readonly expected: string
  /** Several values, each on a line of its own or as a list. */
  readonly list?: boolean
  /** The value of one word, or of all words of a list; undefined when they are none. */
  readonly read: (words: readonly string[]) => V | undefined
  readonly write: (value: V) => readonly string[]
  /** The first word of a list that makes it none. */
  readonly culprit?: (words: readonly string[]) => string | undefined
}

export type Directive<V = unknown> = {
  readonly type: Type<V>
  readonly initial: V
  readonly meaning: string
  readonly scope: Scope
  /** `./` and `~/` at the beginning of a value in a YAML file are places of the host. */
  readonly hostPaths?: boolean
  /** Whether it stays, with its origin, although a later file, of this scope, has the other value. */
  readonly stays?: (value: V, other: V, scope: Scope) => boolean
  /** Its name in a `singularity.conf`, and how values look there where that is not as in YAML. */
  readonly conf?: string
  readonly confType?: Type<V>
}

const MEBIBYTE = 1024 * 1024

const one =
  <V>(read: (word: string) => V | undefined) =>
  (words: readonly string[]): V | undefined => {
    const [word] = words
    return word === undefined || words.length > 1 ? undefined : read(word)
  }

const truths: Readonly<Record<string, boolean>> = {
  yes: true,
  true: true,
  on: true,
  no: false,
  false: false,
  off: false,
}

/** A truth in the spellings of YAML and of configuration files; undefined for any other word. */
export function readTruth(word: string): boolean | undefined {
  const spelled = word.toLowerCase()
  return Object.hasOwn(truths, spelled) ? truths[spelled] : undefined
}

const yesNo: Type<boolean> = {
  expected: 'yes or no',
  read: one(readTruth),
  write: (value) => [value ? 'yes' : 'no'],
}

function choiceType<T extends string>(choices: readonly T[]): Type<T> {
  const spelling = (word: string): string => {
    const truth = readTruth(word)
    return truth === undefined ? word.toLowerCase() : truth ? 'yes' : 'no'
  }
  return {
    expected: choices.join(' or '),
    read: one((word) => choices.find((choice) => choice === spelling(word))),
    write: (value) => [value],
  }
}

/** Without a unit nobody knows whether bytes or the MiB of a `singularity.conf` are meant. */
const sizeType: Type<number> = {
  expected: 'a size with its unit, such as 512M or 2G, or 0',
  read: one((word) => (word === '0' || /[a-z]/i.test(word) ? parseSize(word) : undefined)),
  write: (bytes) => [bytes % MEBIBYTE === 0 && bytes > 0 ? `${bytes / MEBIBYTE}M` : String(bytes)],
}

const mebibytesType: Type<number> = {
  expected: 'a number of MiB',
  read: one((word) => {
    const bytes = Number(word) * MEBIBYTE
    return /^\d+$/.test(word) && Number.isSafeInteger(bytes) ? bytes : undefined
  }),
  write: (bytes) => [String(bytes / MEBIBYTE)],
}

const countType: Type<number> = {
  expected: 'a whole number',
  read: one((word) => (/^\d{1,6}$/.test(word) ? Number(word) : undefined)),
  write: (value) => [String(value)],
}

const wordsType = (expected: string): Type<readonly string[]> => ({
  expected,
  list: true,
  read: (words) => Object.freeze(words.filter(Boolean)),
  write: (value) => value,
})

/** Lists that a `singularity.conf` writes on one line, with commas. */
const commasType = (expected: string): Type<readonly string[]> => ({
  ...wordsType(expected),
  read: (words) =>
    Object.freeze(
      words
        .flatMap((word) => word.split(','))
        .map((word) => word.trim())
        .filter(Boolean),
    ),
})

const rulesType: Type<readonly Rule[]> = {
  expected:
    'rules such as whitelist /srv/images FINGERPRINT (or whitestrict, blacklist; 40 hexadecimal digits)',
  list: true,
  read: (words) => {
    const rules = words.filter(Boolean).map(readRule)
    return rules.every((rule) => rule !== undefined) ? Object.freeze(rules) : undefined
  },
  write: (rules) => rules.map(ruleText),
  culprit: (words) => words.find((word) => word && !readRule(word)),
}

const pathType: Type<string> = {
  expected: 'an absolute path',
  read: one((word) => (word === '' || word.startsWith('/') ? word : undefined)),
  write: (value) => [value],
}

type More = { readonly scope?: Scope }

const toggle = (conf: string, initial: boolean, meaning: string, more: More = {}): Directive<boolean> => ({
  type: yesNo,
  initial,
  meaning,
  scope: 'project',
  conf,
  ...more,
})

/** What the site decides; a user can be advised, not hindered. */
const policy = (conf: string, initial: boolean, meaning: string): Directive<boolean> =>
  toggle(conf, initial, meaning, { scope: 'site' })

const choice = <const T extends string>(
  conf: string,
  choices: readonly T[],
  initial: NoInfer<T>,
  meaning: string,
): Directive<T> => ({ type: choiceType(choices), initial, meaning, scope: 'project', conf })

const list = (
  conf: string,
  expected: string,
  initial: readonly string[],
  meaning: string,
  scope: Scope = 'project',
): Directive<readonly string[]> => ({
  type: wordsType(expected),
  initial: Object.freeze([...initial]),
  meaning,
  scope,
  conf,
})

/** Names or places that the site allows, all of them when there is none. */
const limit = (conf: string, expected: string, meaning: string): Directive<readonly string[]> => ({
  ...list(conf, expected, [], meaning, 'site'),
  confType: commasType(expected),
})

/** A place of the host where programs or files of the site lie: no business of a project. */
const place = (conf: string, meaning: string): Directive<string> => ({
  type: pathType,
  initial: '',
  meaning,
  scope: 'user',
  conf,
})

const switches = ['yes', 'no'] as const

const strictness = ['never', 'warn', 'always'] as const
type Strictness = (typeof strictness)[number]

/** `always` can be said and not be taken back by a later file, and a project can ask only for more. */
const verify: Directive<Strictness> = {
  type: choiceType(strictness),
  initial: 'never',
  meaning: 'verify the signatures of an image before it is started: always, or warn when they do not hold',
  scope: 'project',
  // Also when a later file says the same: it does not become the word of that file, which is easier to take back.
  stays: (value, other, scope) =>
    value === 'always' || (scope === 'project' && strictness.indexOf(other) <= strictness.indexOf(value)),
}

const table = {
  bindPaths: {
    ...list(
      'bind path',
      'paths, SOURCE or SOURCE:DESTINATION',
      ['/etc/localtime', '/etc/hosts'],
      'host paths that are bound into every container; those that this host lacks are passed over',
    ),
    hostPaths: true,
  },
  mount: {
    proc: choice('mount proc', switches, 'yes', '/proc'),
    sys: choice('mount sys', switches, 'yes', '/sys'),
    dev: choice(
      'mount dev',
      [...switches, 'minimal'],
      'yes',
      '/dev: the one of the host, none, or one with null, zero, random, urandom, tty, full, pts and shm alone',
    ),
    devpts: choice('mount devpts', switches, 'yes', 'own pseudo terminals in a minimal /dev'),
    home: choice('mount home', switches, 'yes', 'the home directory'),
    tmp: choice('mount tmp', switches, 'yes', '/tmp and /var/tmp'),
    slave: choice('mount slave', switches, 'yes', 'what the host mounts later appears inside too'),
    hostfs: choice('mount hostfs', switches, 'no', 'all file systems of the host, at their places'),
  },
  passwd: toggle('config passwd', true, "write the caller into the container's /etc/passwd"),
  group: toggle('config group', true, "write the caller's groups into the container's /etc/group"),
  resolvConf: toggle('config resolv_conf', true, "bring in the host's /etc/resolv.conf"),
  userBinds: policy('user bind control', true, 'users may bind paths of their own; no: --bind has no effect'),
  overlay: {
    ...toggle('enable overlay', true, 'use overlays, for mount points that an image lacks and for changes'),
    // `try` and `driver` are ways to get an overlay; whether there can be one is the machine's to say.
    confType: {
      ...choiceType(['yes', 'no', 'try', 'driver']),
      read: one((word) =>
        ['yes', 'no', 'try', 'driver'].includes(word.toLowerCase()) ? word.toLowerCase() !== 'no' : undefined,
      ),
      write: (value: boolean) => [value ? 'yes' : 'no'],
    },
  },
  underlay: toggle(
    'enable underlay',
    true,
    'make mount points that an image lacks by binds where there can be no overlay',
  ),
  sessionSize: {
    type: sizeType,
    confType: mebibytesType,
    initial: 0,
    meaning:
      'what a container may keep in memory (scratch, contained home and /tmp, --writable-tmpfs); 0: half of the memory',
    scope: 'project',
    conf: 'sessiondir max size',
  } as Directive<number>,
  images: {
    sif: policy('allow container sif', true, 'SIF files may be started'),
    squashfs: policy('allow container squashfs', true, 'bare squashfs files may be started'),
    extfs: policy('allow container extfs', true, 'bare ext3 files may be started'),
    encrypted: policy('allow container encrypted', true, 'encrypted images may be started'),
    directory: policy('allow container dir', true, 'sandbox directories may be started'),
    owners: limit(
      'limit container owners',
      'names of users',
      'only image files of these users may be started',
    ),
    groups: limit(
      'limit container groups',
      'names of groups',
      'only image files of these groups may be started',
    ),
    paths: limit(
      'limit container paths',
      'directories',
      'only images below these directories may be started',
    ),
    signers: {
      type: rulesType,
      initial: Object.freeze([]),
      meaning: 'only images with these signatures may be started, by the directory that they lie in or below',
      scope: 'site',
    } as Directive<readonly Rule[]>,
  },
  verify,
  rootCapabilities: {
    ...choice(
      'root default capabilities',
      ['full', 'no'],
      'full',
      'what root has in containers without --keep-privs, --no-privs and --add-caps',
    ),
    scope: 'site',
    // Grants to root in a file of the peers are not read: without them it has none.
    confType: {
      ...choiceType(['full', 'file', 'no']),
      read: one((word) =>
        word === 'full' ? 'full' : ['file', 'no'].includes(word.toLowerCase()) ? 'no' : undefined,
      ),
      write: (value) => [value],
    },
  } as Directive<'full' | 'no'>,
  fusemount: policy('enable fusemount', true, 'users may mount FUSE programs of their own (--fusemount)'),
  systemdCgroups: toggle(
    'systemd cgroups',
    true,
    'ask systemd for the cgroups of --memory, --cpus and the like',
    {
      scope: 'user',
    },
  ),
  cni: {
    configurationPath: place('cni configuration path', 'directory of the networks that --network names'),
    pluginPath: place('cni plugin path', 'directory of the CNI plugins'),
  },
  ldconfigPath: place(
    'ldconfig path',
    'the ldconfig that knows the libraries of the host, for --nv and --rocm',
  ),
  namespaces: {
    user: policy('allow user ns', true, 'user namespaces may be used; no: only root starts containers'),
    pid: policy('allow pid ns', true, '--pid may be used; no: it has no effect'),
    ipc: policy('allow ipc ns', true, '--ipc may be used; no: it has no effect'),
    uts: policy('allow uts ns', true, '--uts may be used; no: it has no effect'),
  },
  build: {
    processors: {
      type: countType,
      initial: 0,
      meaning: 'processors that pack an image; 0: all',
      scope: 'project',
      conf: 'mksquashfs procs',
    } as Directive<number>,
  },
  check: {
    directory: {
      type: pathType,
      initial: '',
      meaning: 'a directory with programs of the site that sing check runs, too',
      scope: 'user',
    } as Directive<string>,
  },
  downloads: {
    parallel: {
      type: countType,
      initial: 4,
      meaning: 'layers of an image that are fetched at the same time',
      scope: 'user',
      conf: 'download concurrency',
    } as Directive<number>,
  },
  cache: {
    size: {
      type: sizeType,
      initial: 20 * 1024 * MEBIBYTE,
      meaning:
        'the most that the image cache keeps; what was not used for the longest time goes first; 0: everything is kept',
      scope: 'user',
    } as Directive<number>,
    site: {
      type: pathType,
      initial: '',
      meaning: 'a cache of the site, filled with SING_CACHEDIR set to this directory; it is only read',
      scope: 'user',
    } as Directive<string>,
  },
}

type Values<T> = T extends Directive<infer V> ? V : { readonly [K in keyof T]: Values<T[K]> }

export type Config = Values<typeof table>

/** Directives that ask for a flag of every launch. */
export const launchTwins = [
  { conf: 'always use nv', flag: 'nv', when: true },
  { conf: 'always use rocm', flag: 'rocm', when: true },
  { conf: 'tmp sandbox', flag: 'no-tmp-sandbox', when: false },
] as const

const setuid = 'there is no setuid program'
const ownPrograms = 'images are read and written without that program'
const unprivileged = 'users have the networks that need no privilege, and root has all'
const wholeDownloads = 'each layer comes in one stream'

/** Directives of the peers that have no effect here, and why. A file with them is taken without a word. */
export const withoutEffect: Readonly<Record<string, string>> = {
  'allow setuid': setuid,
  'allow setuid-mount encrypted': setuid,
  'allow setuid-mount squashfs': setuid,
  'allow setuid-mount extfs': setuid,
  'allow kernel squashfs': setuid,
  'allow kernel extfs': setuid,
  'max loop devices': 'images are served through FUSE; the kernel hands out loop devices to root as needed',
  'shared loop devices': 'images are served through FUSE, without loop devices',
  'use nvidia-container-cli': '--nv brings in drivers by itself',
  'nvidia-container-cli path': '--nv brings in drivers by itself',
  'allow net users': unprivileged,
  'allow net groups': unprivileged,
  'allow net networks': unprivileged,
  'allow netns paths': unprivileged,
  'download part size': wholeDownloads,
  'download buffer size': wholeDownloads,
  'suidbinary path': setuid,
  'root search path': 'programs are looked up in PATH',
  'user search path': 'programs are looked up in PATH',
  'binary path': 'programs are looked up in PATH',
  'memory fs type': 'memory is kept in tmpfs, which has limits and can lie below overlays',
  'mksquashfs mem': 'packing takes little memory',
  'cryptsetup path': ownPrograms,
  'go path': 'there are no plugins to compile',
  'mksquashfs path': ownPrograms,
  'unsquashfs path': ownPrograms,
  'image driver': 'there are no plugins',
  'oci mode': 'there is one way to run an image',
  'sif fuse': 'images are always served through FUSE',
  'apptheus communication socket path': 'nothing is sent to a monitor',
  'apptheus socket path': 'nothing is sent to a monitor',
  'allow monitoring': 'nothing is sent to a monitor',
}

const isDirective = (entry: object): entry is Directive => 'type' in entry && 'meaning' in entry

const hyphens = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function rows(entries: object, prefix: string): [string, Directive][] {
  return Object.entries(entries).flatMap(([name, entry]: [string, object]) => {
    const key = prefix + hyphens(name)
    return isDirective(entry) ? [[key, entry] as [string, Directive]] : rows(entry, `${key}.`)
  })
}

/** All directives by key, in the order of the table. */
export const directives: ReadonlyMap<string, Directive> = new Map(rows(table, ''))

/** Every name that a directive has in a `singularity.conf`, with or without effect. */
export const confNames = (): string[] => [
  ...[...directives.values()].flatMap(({ conf }) => conf ?? []),
  ...launchTwins.map(({ conf }) => conf),
  ...Object.keys(withoutEffect),
]

/** Values by key as one configuration; what they leave out has its default. */
export function toConfig(values: ReadonlyMap<string, unknown>): Config {
  const build = (entries: object, prefix: string): unknown =>
    Object.freeze(
      Object.fromEntries(
        Object.entries(entries).map(([name, entry]: [string, object]) => {
          const key = prefix + hyphens(name)
          if (!isDirective(entry)) return [name, build(entry, `${key}.`)]
          return [name, values.has(key) ? values.get(key) : entry.initial]
        }),
      ),
    )
  return build(table, '') as Config
}

export const defaultConfig: Config = toConfig(new Map())

/** What stands where in a file. */
export type Setting = { readonly key: string; readonly value: unknown; readonly line: number }

export type ConfReading = {
  readonly settings: readonly Setting[]
  /** Flags that every launch has by default. */
  readonly launch: readonly { readonly flag: string; readonly line: number }[]
  readonly ineffective: readonly { readonly name: string; readonly line: number }[]
  readonly unknown: readonly { readonly name: string; readonly line: number }[]
}

type Line = { readonly number: number; readonly value: string }

/** `name = value` lines by name. Comments begin a line with `#`; anything else is no directive and has no effect. */
function readLines(text: string): ReadonlyMap<string, readonly Line[]> {
  const found = new Map<string, Line[]>()
  text.split('\n').forEach((line, index) => {
    const match = /^\s*([a-z][a-z _-]*?)\s*=\s*(.*?)\s*$/i.exec(line)
    if (!match?.[1]) return
    const name = match[1].toLowerCase().replace(/\s+/g, ' ')
    found.set(name, [...(found.get(name) ?? []), { number: index + 1, value: match[2] ?? '' }])
  })
  return found
}

/** The last line of a name counts, all of them for a list; an empty value is none. */
function readDirective(file: string, key: string, directive: Directive, lines: readonly Line[]): Setting[] {
  const { type, confType = type, conf: name = key } = directive
  const said = lines.filter(({ value }) => value !== '')
  const chosen = confType.list ? said : said.slice(-1)
  const last = chosen.at(-1) ?? lines.at(-1)
  if (!last || (chosen.length === 0 && !confType.list)) return []
  const value = confType.read(chosen.map((line) => line.value))
  if (value === undefined) throw badValue(file, name, last, confType.expected)
  return [{ key, value, line: last.number }]
}

function badValue(file: string, name: string, { number, value }: Line, expected: string): SingError {
  return new SingError('USAGE', `${shown(file)}:${number}: ${name} = ${shown(value)}: expected ${expected}`, {
    status: 255,
  })
}

function readTwins(file: string, lines: ReadonlyMap<string, readonly Line[]>): ConfReading['launch'] {
  return launchTwins.flatMap(({ conf, flag, when }) => {
    const line = lines.get(conf)?.findLast(({ value }) => value !== '')
    if (!line) return []
    const truth = yesNo.read([line.value])
    if (truth === undefined) throw badValue(file, conf, line, yesNo.expected)
    return truth === when ? [{ flag, line: line.number }] : []
  })
}

/**
 * The text of a `singularity.conf` or `apptainer.conf`.
 * @throws SingError naming file and line for a value that the directive cannot have
 */
export function readConf(text: string, file: string): ConfReading {
  const lines = readLines(text)
  const byName = new Map([...directives].map(([key, directive]) => [directive.conf, key]))
  const others = [...lines]
    .filter(([name]) => !byName.has(name) && !launchTwins.some(({ conf }) => conf === name))
    .map(([name, found]) => ({ name, line: found.at(-1)?.number ?? 0 }))
  return {
    settings: [...directives].flatMap(([key, directive]) => {
      const found = directive.conf === undefined ? undefined : lines.get(directive.conf)
      return found ? readDirective(file, key, directive, found) : []
    }),
    launch: readTwins(file, lines),
    ineffective: others.filter(({ name }) => Object.hasOwn(withoutEffect, name)),
    unknown: others.filter(({ name }) => !Object.hasOwn(withoutEffect, name)),
  }
}

/** The configuration that the text of one such file makes. @throws SingError as `readConf` does */
export function parseConfig(text: string, file: string): Config {
  return toConfig(new Map(readConf(text, file).settings.map(({ key, value }) => [key, value])))
}
