/**
 * The site's configuration: every directive with its type and default, and the text of a file into values
 * (pure).
 */

import { SingError, shown } from '../core/errors.ts'

export type Switch = 'yes' | 'no'

export type Config = {
  /** `SOURCE[:DESTINATION]`, bound into every container. */
  readonly bindPaths: readonly string[]
  readonly mount: {
    readonly proc: Switch
    readonly sys: Switch
    readonly dev: Switch | 'minimal'
    readonly devpts: Switch
    readonly home: Switch
    readonly tmp: Switch
    readonly hostfs: Switch
  }
  /** Write the caller into the container's passwd and group file, and hand in the host's resolv.conf. */
  readonly passwd: boolean
  readonly group: boolean
  readonly resolvConf: boolean
  /** Users may bind paths of their own. */
  readonly userBinds: boolean
  readonly overlay: boolean
  /**
   * Bytes that a container may keep in memory (scratch, contained home, --writable-tmpfs); 0: half of the
   * memory.
   */
  readonly sessionSize: number
  /** Kinds of images that may be started. */
  readonly images: {
    readonly sif: boolean
    readonly squashfs: boolean
    readonly directory: boolean
  }
  readonly userNamespaces: boolean
}

const MEBIBYTE = 1024 * 1024

export const defaultConfig: Config = Object.freeze({
  bindPaths: Object.freeze(['/etc/localtime', '/etc/hosts']),
  mount: Object.freeze({
    proc: 'yes',
    sys: 'yes',
    dev: 'yes',
    devpts: 'yes',
    home: 'yes',
    tmp: 'yes',
    hostfs: 'no',
  }),
  passwd: true,
  group: true,
  resolvConf: true,
  userBinds: true,
  overlay: true,
  sessionSize: 0,
  images: Object.freeze({ sif: true, squashfs: true, directory: true }),
  userNamespaces: true,
} as const)

type Line = { readonly number: number; readonly value: string }
type Directives = ReadonlyMap<string, readonly Line[]>

/**
 * `name = value` lines by name. Comments begin a line with `#`; anything else is no directive and has no
 * effect.
 */
function readDirectives(text: string): Directives {
  const found = new Map<string, Line[]>()
  text.split('\n').forEach((line, index) => {
    const match = /^\s*([a-z][a-z _-]*?)\s*=\s*(.*?)\s*$/i.exec(line)
    if (!match?.[1]) return
    const name = match[1].toLowerCase().replace(/\s+/g, ' ')
    found.set(name, [...(found.get(name) ?? []), { number: index + 1, value: match[2] ?? '' }])
  })
  return found
}

/** Answers for the directives of one file; the last line of a name counts. */
function reader(directives: Directives, file: string) {
  const last = (name: string) => directives.get(name)?.findLast(({ value }) => value !== '')
  const refuse = (name: string, { number, value }: Line, expected: string) =>
    new SingError('USAGE', `${shown(file)}:${number}: ${name} = ${shown(value)}: expected ${expected}`, {
      status: 255,
    })
  function choice<T extends string>(name: string, choices: readonly T[], otherwise: T): T {
    const line = last(name)
    if (!line) return otherwise
    const chosen = choices.find((word) => word === line.value.toLowerCase())
    if (!chosen) throw refuse(name, line, choices.join(' or '))
    return chosen
  }
  const bool = (name: string, otherwise: boolean): boolean =>
    choice(name, ['yes', 'no'], otherwise ? 'yes' : 'no') === 'yes'
  function mebibytes(name: string, otherwise: number): number {
    const line = last(name)
    if (!line) return otherwise
    const bytes = Number(line.value) * MEBIBYTE
    if (!/^\d+$/.test(line.value) || !Number.isSafeInteger(bytes)) throw refuse(name, line, 'a number of MiB')
    return bytes
  }
  const words = (name: string, otherwise: readonly string[]): readonly string[] =>
    directives.has(name)
      ? Object.freeze((directives.get(name) ?? []).map(({ value }) => value).filter(Boolean))
      : otherwise
  return { choice, bool, mebibytes, words }
}

/**
 * The text of a `singularity.conf` or `apptainer.conf`. Directives that it leaves out have their default;
 * those that only a privileged runtime could obey are passed over.
 * @throws SingError naming file and line for a value that the directive cannot have
 */
export function parseConfig(text: string, file: string): Config {
  const { choice, bool, mebibytes, words } = reader(readDirectives(text), file)
  const initial = defaultConfig
  const yesNo = ['yes', 'no'] as const
  const mount = (name: 'proc' | 'sys' | 'devpts' | 'home' | 'tmp' | 'hostfs') =>
    choice(`mount ${name}`, yesNo, initial.mount[name])
  return Object.freeze({
    bindPaths: words('bind path', initial.bindPaths),
    mount: Object.freeze({
      proc: mount('proc'),
      sys: mount('sys'),
      dev: choice('mount dev', [...yesNo, 'minimal'], initial.mount.dev),
      devpts: mount('devpts'),
      home: mount('home'),
      tmp: mount('tmp'),
      hostfs: mount('hostfs'),
    }),
    passwd: bool('config passwd', initial.passwd),
    group: bool('config group', initial.group),
    resolvConf: bool('config resolv_conf', initial.resolvConf),
    userBinds: bool('user bind control', initial.userBinds),
    // `try` and `driver` are ways to get an overlay; whether there can be one is the machine's to say.
    overlay: choice('enable overlay', [...yesNo, 'try', 'driver'], 'yes') !== 'no',
    sessionSize: mebibytes('sessiondir max size', initial.sessionSize),
    images: Object.freeze({
      sif: bool('allow container sif', initial.images.sif),
      squashfs: bool('allow container squashfs', initial.images.squashfs),
      directory: bool('allow container dir', initial.images.directory),
    }),
    userNamespaces: bool('allow user ns', initial.userNamespaces),
  })
}
