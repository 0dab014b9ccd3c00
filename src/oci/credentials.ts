/** Who we are at a registry: what the caller gives, else what the files of logins say. */

import { join } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { readBytes } from './bytes.ts'
import { askHelper } from './helper.ts'
import { findLogin, helperFor, type Login, parseLogins } from './logins.ts'

type Environment = Readonly<Record<string, string>>

export type CredentialOptions = {
  readonly environment: Environment
  /** `--docker-username`, `--docker-password` */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `--docker-login`: ask the person */
  readonly ask?: ((registry: string) => Promise<{ username: string; password: string }>) | undefined
  /** `--authfile` */
  readonly authFile?: string | undefined
}

/** A login, and where it comes from, for messages. */
export type Found = { readonly login: Login; readonly from: string }

const absolute = (path: string | undefined): path is string => path?.startsWith('/') === true
const under = (folder: string | undefined, ...names: string[]): string[] =>
  absolute(folder) ? [join(folder, ...names)] : []

/** The folder of our own settings. */
const ownFolder = ({ XDG_CONFIG_HOME: given, HOME }: Environment): string | undefined =>
  absolute(given) ? join(given, 'sing') : absolute(HOME) ? join(HOME, '.config', 'sing') : undefined

/** Our own file of logins; undefined for who has no home. */
export const ownLoginFile = (environment: Environment): string | undefined =>
  under(ownFolder(environment), 'docker-config.json')[0]

/** Files of logins of the runtimes that we stand in for; a logout is one from these, too. */
export const peerLoginFiles = (environment: Environment): string[] => {
  const { HOME, SINGULARITY_CONFIGDIR, APPTAINER_CONFIGDIR } = environment
  return [
    ...under(SINGULARITY_CONFIGDIR, 'docker-config.json'),
    ...under(HOME, '.singularity', 'docker-config.json'),
    ...under(APPTAINER_CONFIGDIR, 'docker-config.json'),
    ...under(HOME, '.apptainer', 'docker-config.json'),
  ]
}

/** Files of logins of docker and podman. */
export const otherLoginFiles = (environment: Environment): string[] => {
  const { HOME, DOCKER_CONFIG, REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME } = environment
  return [
    ...(DOCKER_CONFIG ? under(DOCKER_CONFIG, 'config.json') : under(HOME, '.docker', 'config.json')),
    ...under(REGISTRY_AUTH_FILE),
    ...under(XDG_RUNTIME_DIR, 'containers', 'auth.json'),
    ...(absolute(XDG_CONFIG_HOME)
      ? under(XDG_CONFIG_HOME, 'containers', 'auth.json')
      : under(HOME, '.config', 'containers', 'auth.json')),
  ]
}

/** Files of logins in the order in which they are asked: the one that is named, or all usual ones. */
export function loginFiles({ environment, authFile }: CredentialOptions): string[] {
  if (authFile !== undefined) return [authFile]
  const own = ownLoginFile(environment)
  return [...(own ? [own] : []), ...peerLoginFiles(environment), ...otherLoginFiles(environment)]
}

/** Logins have some hundred bytes each. */
const sizeLimit = 4 * 1024 * 1024

/** @throws SingError REGISTRY for a file that is there and cannot be read */
export function readLoginFile(path: string): string | undefined {
  try {
    return readBytes(path, sizeLimit).toString('utf8')
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR') return undefined
    throw new SingError('REGISTRY', `cannot read the logins in ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** What the caller gave: a name and a password belong together. */
function given({ username, password }: CredentialOptions): Found | undefined {
  if (username === undefined && password === undefined) return undefined
  if (!username || password === undefined) {
    const [has, lacks] = username ? ['user', 'password'] : ['password', 'user name']
    throw new SingError('REGISTRY', `a ${has} for the registry is given without a ${lacks}`, {
      hint: `Set --docker-username and --docker-password, or SING_DOCKER_USERNAME and SING_DOCKER_PASSWORD`,
    })
  }
  return { login: { kind: 'password', username, password }, from: 'the command line or the environment' }
}

async function inText(
  text: string,
  from: string,
  registry: string,
  repository: string,
  environment: Environment,
): Promise<Found | undefined> {
  const file = parseLogins(text, from)
  const helper = helperFor(file, registry)
  const kept = helper === undefined ? undefined : await askHelper(helper, registry, environment)
  if (kept) return { login: kept, from: `docker-credential-${helper}` }
  const login = findLogin(file, registry, repository)
  return login && { login, from }
}

/**
 * The login for a repository, undefined when there is none. It is for this host alone.
 * @throws SingError when something that should tell cannot be read
 */
export async function findCredentials(
  registry: string,
  repository: string,
  options: CredentialOptions,
): Promise<Found | undefined> {
  const { environment, authFile } = options
  const direct = given(options)
  if (direct) return direct
  if (options.ask) {
    const answer = await options.ask(registry)
    return { login: { kind: 'password', ...answer }, from: 'the prompt' }
  }
  if (authFile === undefined && environment.DOCKER_AUTH_CONFIG) {
    const name = 'the variable DOCKER_AUTH_CONFIG'
    const found = await inText(environment.DOCKER_AUTH_CONFIG, name, registry, repository, environment)
    if (found) return found
  }
  for (const path of loginFiles(options)) {
    const text = readLoginFile(path)
    if (text === undefined && authFile !== undefined) {
      throw new SingError('REGISTRY', `cannot read the logins in ${shown(path)}: no such file or directory`)
    }
    const found = text === undefined ? undefined : await inText(text, path, registry, repository, environment)
    if (found) return found
  }
  return undefined
}
