/** What crosses from the host's environment into the container, and what the runtime sets there. */

import type { Image } from '../image/open.ts'
import { type DeviceEnvironment, libraryDirectory } from './devices.ts'
import type { Identity } from './identity.ts'
import { isConfigured, ociVariables } from './oci.ts'
import type { LaunchRequest } from './request.ts'

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/
const ownPrefix = /^(APPTAINER|SINGULARITY|SING)_|^(APPTAINER|SINGULARITY|SING)ENV_|^_sing_/
/** Set by the runtime or by the shell itself. */
const reserved = new Set([
  'HOME',
  'PATH',
  'LD_LIBRARY_PATH',
  'PWD',
  'OLDPWD',
  'IFS',
  'OPTIND',
  'PPID',
  'UID',
  'EUID',
  'GID',
  'SHELLOPTS',
  'BASHOPTS',
  '_',
])
const alwaysPassed = new Set(
  ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']
    .flatMap((name) => [name, name.toUpperCase()])
    .concat('TERM'),
)

/** A variable that the user sets, on top of what the image says. */
export type Injected = {
  readonly name: string
  readonly value: string
  /** The value as the inside of a double-quoted shell word. */
  readonly quoted: string
}

export type Environment = {
  /** The variables that the payload's process starts with. */
  readonly variables: Readonly<Record<string, string>>
  /** Those of them that an image's own value beats. */
  readonly host: readonly string[]
  readonly injected: readonly Injected[]
  /**
   * The variables of an image are among those, as no script will say them again. `_sing_o_NAME` is the image's value of those
   * that the user sets too, and may name.
   */
  readonly ofImage?: { readonly shadowed: readonly string[] }
  /** What was asked for the search path, as shell words. */
  readonly path: { readonly prepend: string; readonly append: string; readonly replace: string }
  /** The same for the search path of libraries. */
  readonly libraryPath: { readonly prepend: string; readonly append: string }
  /** Sentences for the person: requests that have no effect. */
  readonly warnings: readonly string[]
}

/**
 * The text between double quotes of a shell word that evaluates to the value with its `$` expansions: double quotes are
 * literal, backslash escapes stay what they are.
 */
export function doubleQuoted(value: string): string {
  const escaped = value.replace(/\\[\s\S]|"|\\$/g, (match) =>
    match === '"' ? '\\"' : match === '\\' ? '\\\\' : match,
  )
  return escaped
}

function hostVariables(
  request: LaunchRequest,
  environment: Readonly<Record<string, string>>,
): [string, string][] {
  return Object.entries(environment).filter(
    ([name]) =>
      identifier.test(name) &&
      !reserved.has(name) &&
      !ownPrefix.test(name) &&
      !request.withheld.has(name) &&
      (!request.cleanEnvironment || alwaysPassed.has(name)),
  )
}

/** SINGULARITYENV_X and APPTAINERENV_X, the latter stronger, then --env-file and --env. */
function assignments(
  request: LaunchRequest,
  environment: Readonly<Record<string, string>>,
): Map<string, string> {
  const values = new Map<string, string>()
  for (const prefix of ['SINGULARITYENV_', 'APPTAINERENV_', 'SINGENV_']) {
    for (const [name, value] of Object.entries(environment)) {
      if (name.startsWith(prefix)) values.set(name.slice(prefix.length), value)
    }
  }
  for (const [name, value] of request.assignments) values.set(name, value)
  return values
}

/** Variables of the runtime itself, in both spellings. */
function runtimeVariables(
  request: LaunchRequest,
  image: { path: string; name: string },
): Record<string, string> {
  const binds = request.binds
    .filter(({ nested }) => nested)
    .map(({ destination }) => destination)
    .join(',')
  const both = {
    CONTAINER: image.path,
    NAME: image.name,
    BIND: binds,
    ENVIRONMENT: '/.singularity.d/env/91-environment.sh',
  }
  const variables: Record<string, string> = {
    APPTAINER_COMMAND: request.verb,
    APPTAINER_APPNAME: request.app,
  }
  for (const [name, value] of Object.entries(both)) {
    variables[`SINGULARITY_${name}`] = value
    variables[`APPTAINER_${name}`] = value
  }
  if (request.instance !== undefined) {
    variables.SINGULARITY_INSTANCE = request.instance
    variables.APPTAINER_INSTANCE = request.instance
  }
  if (request.app) variables.SINGULARITY_APPNAME = request.app
  if (request.shell) variables.SINGULARITY_SHELL = request.shell
  if (!request.evaluate) {
    variables.SINGULARITY_NO_EVAL = '1'
    variables.APPTAINER_NO_EVAL = '1'
  }
  return variables
}

const unforgeable = /^(APPTAINER|SINGULARITY)_(CONTAINER|NAME|BIND|COMMAND|APPNAME|INSTANCE|ENVIRONMENT)$/

function injectedVariables(values: ReadonlyMap<string, string>): Injected[] {
  return [...values]
    .filter(
      ([name]) =>
        identifier.test(name) &&
        !reserved.has(name) &&
        !unforgeable.test(name) &&
        !/^(PREPEND|APPEND)_(LD_LIBRARY_)?PATH$/.test(name),
    )
    .concat(
      [...values]
        .filter(([name]) => name === 'LD_LIBRARY_PATH')
        .map(([name, value]) => [name, `${value}:${libraryDirectory}`]),
    )
    .map(([name, value]) => ({ name, value, quoted: doubleQuoted(value) }))
}

/** The text between double quotes of a shell word that stands for exactly this value. */
const literal = (value: string): string => value.replace(/[\\"$`]/g, '\\$&')

const isRuntimes = (name: string): boolean => reserved.has(name) || unforgeable.test(name)

/** Variables that devices set, as they are, where the user sets no other. */
function deviceVariables(
  variables: DeviceEnvironment['environment'],
  values: ReadonlyMap<string, string>,
): Injected[] {
  return [...new Map(variables)]
    .filter(([name]) => !values.has(name) && !isRuntimes(name))
    .map(([name, value]) => ({ name, value, quoted: literal(value) }))
}

function warnings(values: ReadonlyMap<string, string>, { environment }: DeviceEnvironment): string[] {
  const ofDevices = environment.map(([name]) => name).filter(isRuntimes)
  return [
    ...(values.has('HOME') ? ['HOME cannot be set by --env or a prefixed variable: use --home'] : []),
    ...[...new Set(ofDevices)].map((name) => `the variable ${name} of a device is not set: use --env`),
  ]
}

const searchPath = (...directories: readonly string[]): string => directories.filter(Boolean).join(':')

/** A search path with the usual directories at its end, where it lacks them. */
function completePath(path: string): string {
  const has = path.split(':')
  return searchPath(path, ...defaultPath.split(':').filter((directory) => !has.includes(directory)))
}

/** Decide the environment of a launch. `home` is the home directory inside, `devices` what devices ask for. */
export function planEnvironment(
  request: LaunchRequest,
  image: Pick<Image, 'path' | 'name' | 'oci'> & { readonly kind?: Image['kind'] | undefined },
  environment: Readonly<Record<string, string>>,
  identity: Identity,
  home: string,
  devices: DeviceEnvironment,
): Environment {
  const values = assignments(request, environment)
  const injected = [...injectedVariables(values), ...deviceVariables(devices.environment, values)]
  const set = new Set(injected.map(({ name }) => name))
  // The image's scripts say the same again, where there are any and a shell that runs them.
  const ofImage = ociVariables(image.oci)
  const isAlone = isConfigured(image)
  const beaten = (name: string) => set.has(name) || (isAlone && Object.hasOwn(ofImage, name))
  const host = hostVariables(request, environment).filter(([name]) => !beaten(name))
  const clean = request.cleanEnvironment && !(isAlone && Object.hasOwn(ofImage, 'LANG'))
  const shadowed = isAlone ? Object.keys(ofImage).filter((name) => set.has(name)) : []
  const word = (name: string) => doubleQuoted(values.get(name) ?? '')
  const { prepend, append } = devices.libraryPath
  return {
    variables: {
      ...ofImage,
      ...(clean ? { LANG: 'C' } : {}),
      ...(request.cleanEnvironment ? {} : { USER_PATH: userPath(environment) }),
      ...Object.fromEntries(host),
      ...Object.fromEntries(injected.map(({ name, value }) => [name, value])),
      ...(request.evaluate ? evaluatedTwins(injected) : {}),
      ...Object.fromEntries(shadowed.map((name) => [`_sing_o_${name}`, ofImage[name] ?? ''])),
      ...runtimeVariables(request, image),
      HOME: home,
      PATH: isAlone ? completePath(ofImage.PATH ?? '') : ofImage.PATH || defaultPath,
      ...(devices.hasLibraries
        ? { LD_LIBRARY_PATH: searchPath(ofImage.LD_LIBRARY_PATH ?? '', libraryDirectory) }
        : {}),
      ...(identity.uid === 0 && environment.USER === undefined ? { USER: identity.name } : {}),
    },
    host: [...(clean ? ['LANG'] : []), ...host.map(([name]) => name)],
    injected,
    ...(isAlone ? { ofImage: { shadowed } } : {}),
    path: { prepend: word('PREPEND_PATH'), append: word('APPEND_PATH'), replace: word('PATH') },
    libraryPath: {
      prepend: searchPath(word('PREPEND_LD_LIBRARY_PATH'), ...prepend),
      append: searchPath(...append, word('APPEND_LD_LIBRARY_PATH')),
    },
    warnings: warnings(values, devices),
  }
}

/** The evaluated form of a value, where it differs, for the action script. */
function evaluatedTwins(injected: readonly Injected[]): Record<string, string> {
  return Object.fromEntries(
    injected
      .filter(({ value, quoted }) => value !== quoted)
      .map(({ name, quoted }) => [`_sing_q_${name}`, quoted]),
  )
}

function userPath(environment: Readonly<Record<string, string>>): string {
  const own = environment.PATH ?? ''
  return own ? `${own}:/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin` : defaultPath
}
