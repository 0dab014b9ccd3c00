/** Devices of CDI: which of them the user names, and what their files ask for, as operations. */

import { posix } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import type { CdiEdits, CdiFacts, CdiHook, CdiMount, CdiSpec } from '../host/cdi.ts'

const { basename, dirname } = posix

/** A device, and the edits that its file makes for it. */
export type Chosen = {
  /** As the user wrote it. */
  readonly word: string
  readonly spec: CdiSpec
  readonly edits: CdiEdits
}

function refuse(word: string, reason: string, hint?: string): SingError {
  return new SingError('UNSUPPORTED', `--device ${shown(word)}: ${reason}`, { hint })
}

function knownDevices({ directories, specs, broken }: CdiFacts): string {
  const names = new Set(specs.flatMap(({ kind, devices }) => devices.map(({ name }) => `${kind}=${name}`)))
  const files = broken.map(({ file, reason }) => `${file} cannot be read: ${reason}`)
  const known = names.size > 0 ? `Known: ${[...names].join(', ')}` : `Nothing in ${directories.join(', ')}`
  return [known, ...files].join('\n')
}

function chooseDevice(word: string, facts: CdiFacts): Chosen {
  const [, kind, name] = /^([^/=]+\/[^/=]+)=([^=]+)$/.exec(word) ?? []
  if (kind === undefined) throw refuse(word, 'expected VENDOR/CLASS=NAME', 'For example nvidia.com/gpu=0')
  const found = facts.specs.flatMap((spec) =>
    spec.devices
      .filter((device) => spec.kind === kind && device.name === name)
      .map(({ edits }) => ({ word, spec, edits })),
  )
  const level = Math.max(...found.map(({ spec }) => spec.level))
  const [chosen, other] = found.filter(({ spec }) => spec.level === level)
  if (!chosen) throw refuse(word, 'no CDI file describes this device', knownDevices(facts))
  if (other) {
    const files = [...new Set([chosen.spec.file, other.spec.file])].join(' and ')
    throw refuse(
      word,
      `it is described twice, in ${files}`,
      'Remove one, or put yours into a --cdi-dirs behind',
    )
  }
  return chosen
}

/**
 * The devices that the user names. A file in a later directory beats one in an earlier.
 * @throws SingError for a device that no file describes, or two of one directory
 */
export function chooseDevices(words: readonly string[], facts: CdiFacts): Chosen[] {
  return [...new Set(words)].map((word) => chooseDevice(word, facts))
}

/** Everything that the devices ask for: what belongs to a whole file comes once, and before its devices. */
export function allEdits(chosen: readonly Chosen[]): { word: string; edits: CdiEdits }[] {
  const files = new Set<CdiSpec>()
  return chosen.flatMap(({ word, spec, edits }) => {
    const first = !files.has(spec)
    files.add(spec)
    return first
      ? [
          { word, edits: spec.edits },
          { word, edits },
        ]
      : [{ word, edits }]
  })
}

/** What hooks would do that can be done without running them. */
export type Performed = {
  readonly links: readonly { readonly at: string; readonly to: string }[]
  /** The loader shall find the libraries that are mounted. */
  readonly cache: boolean
  /** Directories that the loader shall search. */
  readonly folders: readonly string[]
  /** Version of the driver, when newer libraries in the image may take the place of its own. */
  readonly compat: string | undefined
}

/** Values of `--name value` and `--name=value`. */
function valuesOf(args: readonly string[], name: string): string[] {
  return args.flatMap((word, index) => {
    if (word.startsWith(`--${name}=`)) return [word.slice(name.length + 3)]
    return word === `--${name}` ? [args[index + 1] ?? ''] : []
  })
}

function readLinks(args: readonly string[]): Performed['links'] {
  return valuesOf(args, 'link').flatMap((word) => {
    const [to = '', at = '', ...more] = word.split('::')
    return to && at.startsWith('/') && more.length === 0 ? [{ to, at }] : []
  })
}

const nothing: Performed = { links: [], cache: false, folders: [], compat: undefined }

/** The known jobs of NVIDIA's hook program, by their name on its command line. */
const jobs: Readonly<Record<string, (args: readonly string[]) => Performed>> = {
  'create-symlinks': (args) => ({ ...nothing, links: readLinks(args) }),
  'update-ldcache': (args) => ({ ...nothing, cache: true, folders: valuesOf(args, 'folder') }),
  'create-soname-symlinks': (args) => ({ ...nothing, cache: true, folders: valuesOf(args, 'folder') }),
  'enable-cuda-compat': (args) => ({ ...nothing, compat: valuesOf(args, 'host-driver-version')[0] }),
  // Keeps programs from making device nodes, which nobody can in a user namespace.
  'disable-device-node-modification': () => nothing,
  // Directories of our own can be entered by everybody.
  chmod: () => nothing,
}

const hookPrograms = new Set(['nvidia-ctk', 'nvidia-cdi-hook'])

function performHook(word: string, { name, path, args }: CdiHook): Performed {
  const known = hookPrograms.has(basename(path))
  const job = known ? args.find((argument) => Object.hasOwn(jobs, argument)) : undefined
  const perform = job === undefined ? undefined : jobs[job]
  if (perform) return perform(args)
  throw refuse(
    word,
    `it wants the hook ${shown(`${name} ${[path, ...args.slice(1)].join(' ')}`)}, and programs of the host are not run for containers`,
    'Put a copy of its CDI file without the hook into a directory and name that by --cdi-dirs',
  )
}

/** Directories that can stand in a search path, and in the words of a shell. */
export function plainPaths(paths: readonly string[]): string[] {
  return [...new Set(paths)].filter((path) => /^\/[^:"$`\\]*$/.test(path))
}

/** What the hooks of all edits come to. @throws SingError naming a hook that cannot be done without */
export function performHooks(edits: readonly { word: string; edits: CdiEdits }[]): Performed {
  const all = edits.flatMap(({ word, edits: { hooks } }) => hooks.map((hook) => performHook(word, hook)))
  return {
    links: all.flatMap(({ links }) => links),
    cache: all.some(({ cache }) => cache),
    folders: plainPaths(all.flatMap(({ folders }) => folders)),
    compat: all.findLast(({ compat }) => compat !== undefined)?.compat,
  }
}

/** The mounted file that a link leads to, directly, by the name of a library, or over other links; undefined for none. */
export function mountBehind(
  link: { readonly at: string; readonly to: string },
  links: Performed['links'],
  mounts: readonly CdiMount[],
): CdiMount | undefined {
  let { at, to } = link
  for (let steps = links.length; steps >= 0; steps -= 1) {
    const path = posix.resolve(dirname(at), to)
    const mount = mounts.find(
      ({ containerPath, soname }) =>
        path === containerPath || (soname !== undefined && path === `${dirname(containerPath)}/${soname}`),
    )
    if (mount) return mount
    const next = links.find((other) => other.at === path)
    if (!next) return undefined
    ;({ at, to } = next)
  }
  return undefined
}
