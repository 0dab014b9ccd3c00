/** Logging in to registries, and out: the login is tried first, and kept in a file of logins or by the helper that the file names. */

import { unlink } from 'node:fs/promises'
import { writeConfig } from '../config/write.ts'
import { SingError } from '../core/errors.ts'
import { waitForLock } from '../store/lock.ts'
import { RegistryClient, type RegistryOptions, refusalOf } from './client.ts'
import {
  type CredentialOptions,
  loginFiles,
  otherLoginFiles,
  ownLoginFile,
  peerLoginFiles,
  readLoginFile,
} from './credentials.ts'
import { clearHelper, listHelper, tellHelper } from './helper.ts'
import {
  addLogin,
  findLogin,
  helperFor,
  hostOfKey,
  type LoginFile,
  parseLogins,
  removeLogin,
} from './logins.ts'

type Account = { readonly username: string; readonly password: string }

function requireFile({ authFile, environment }: CredentialOptions): string {
  const path = authFile ?? ownLoginFile(environment)
  if (path !== undefined) return path
  throw new SingError('REGISTRY', 'there is no place to keep the login: the variable HOME is not set', {
    hint: 'Name a file: --authfile FILE',
  })
}

/** Change a file that others may change at the same time: one after the other. Undefined leaves it as it is. */
async function change(
  path: string,
  signal: AbortSignal,
  edit: (text: string) => string | undefined,
): Promise<boolean> {
  // The folder is made with the file, which is the first to need it.
  if (readLoginFile(path) === undefined) writeConfig(path, '{}\n', secret)
  const lock = await waitForLock(`${path}.lock`, { signal })
  try {
    const text = edit(readLoginFile(path) ?? '')
    if (text !== undefined) writeConfig(path, text, secret)
    return text !== undefined
  } finally {
    await unlink(`${path}.lock`).catch(() => {})
    await lock?.close()
  }
}

const secret = { mode: 0o600, folderMode: 0o700, isSecret: true }

/** Ask the registry for nothing, as who we say we are. @throws SingError when it does not let us in */
export async function tryLogin(
  registry: string,
  { username, password }: Account,
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<void> {
  using client = new RegistryClient({ ...options, registry, username, password })
  const response = await client.request('/v2/', { scopes: [], signal })
  if (response.status !== 200) throw await refusalOf(response, client, 'to log in')
  await response.discard()
}

/** Keep a login. Returns where: a path, or the name of a helper. */
export async function keepLogin(
  registry: string,
  account: Account,
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<string> {
  const path = requireFile(options)
  const helper = helperFor(parseLogins(readLoginFile(path) ?? '', path), registry)
  if (helper !== undefined) {
    await tellHelper(helper, registry, account, options.environment)
    return `docker-credential-${helper}`
  }
  await change(path, signal, (text) => addLogin(text, path, registry, { kind: 'password', ...account }))
  return path
}

/** Files that have a login for a registry, with the helper that keeps it there. */
function filesWith(
  registry: string,
  paths: readonly string[],
): { path: string; helper: string | undefined }[] {
  return paths.flatMap((path) => {
    const text = readLoginFile(path)
    if (text === undefined) return []
    const file = parseLogins(text, path)
    const helper = helperFor(file, registry)
    return helper !== undefined || findLogin(file, registry, '') ? [{ path, helper }] : []
  })
}

/** Forget the logins for a registry. Returns where they were. */
export async function forgetLogin(
  registry: string,
  options: CredentialOptions,
  signal: AbortSignal,
): Promise<string[]> {
  const { authFile, environment } = options
  const own = ownLoginFile(environment)
  const paths = authFile !== undefined ? [authFile] : [...(own ? [own] : []), ...peerLoginFiles(environment)]
  const gone: string[] = []
  for (const { path, helper } of filesWith(registry, paths)) {
    if (helper !== undefined && (await clearHelper(helper, registry, environment))) {
      gone.push(`docker-credential-${helper}`)
    }
    if (await change(path, signal, (text) => removeLogin(text, path, registry))) gone.push(path)
  }
  return gone
}

/** Files of docker and podman that have a login for a registry: it stays, and is used. */
export function remainingLogins(registry: string, { authFile, environment }: CredentialOptions): string[] {
  if (authFile !== undefined) return []
  return otherLoginFiles(environment).filter((path) => {
    const text = readLoginFile(path)
    return text !== undefined && findLogin(parseLogins(text, path), registry, '') !== undefined
  })
}

export type KnownLogin = { readonly registry: string; readonly user: string; readonly from: string }

const nameOf = (login: ReturnType<typeof findLogin>): string =>
  login?.kind === 'password' ? login.username : '(token)'

async function loginsIn(file: LoginFile, path: string, environment: CredentialOptions['environment']) {
  const written = [...file.auths]
    .filter(([, login]) => login !== undefined)
    .map(([key, login]) => ({ registry: hostOfKey(key), user: nameOf(login), from: path }))
  const kept: KnownLogin[] = []
  for (const helper of new Set([...file.helpers.values(), ...(file.store ? [file.store] : [])])) {
    const from = `docker-credential-${helper}`
    const entries = await listHelper(helper, environment)
    kept.push(...entries.map(({ registry, username }) => ({ registry, user: username, from })))
  }
  return [...kept, ...written]
}

/** All logins that are known here, the ones that are used first. */
export async function listLogins(options: CredentialOptions): Promise<KnownLogin[]> {
  const found: KnownLogin[] = []
  for (const path of loginFiles(options)) {
    const text = readLoginFile(path)
    if (text === undefined) continue
    found.push(...(await loginsIn(parseLogins(text, path), path, options.environment)))
  }
  return found
}
