/** Programs that keep logins for docker (`docker-credential-NAME`): secrets travel through their pipes alone. */

import { reasonOf, SingError, shown } from '../core/errors.ts'
import { hostOfKey, type Login, serverName } from './logins.ts'

type Environment = Readonly<Record<string, string>>

const outputLimit = 64 * 1024
const patience = 60_000
/** What helpers say when they have nothing, by their common library. */
const nothing = 'credentials not found in native keychain'

const failed = (program: string, reason: string, cause?: unknown): SingError =>
  new SingError('HOST_TOOL', `cannot get logins from ${shown(program)}: ${reason}`, {
    hint: 'It is named in a file of logins by credsStore or credHelpers',
    cause,
  })

async function call(
  helper: string,
  action: 'get' | 'store' | 'erase' | 'list',
  input: string,
  environment: Environment,
): Promise<string | undefined> {
  const program = `docker-credential-${helper}`
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper)) throw failed(program, 'this is no name of a helper')
  const { execa } = await import('execa')
  const result = await execa(program, [action], {
    input,
    extendEnv: false,
    env: { ...environment },
    timeout: patience,
    maxBuffer: outputLimit,
    reject: false,
    // What it prints may be a secret: nothing of it is kept in errors.
    stderr: 'ignore',
  })
  if (result.exitCode === 0) return result.stdout
  if (result.timedOut) throw failed(program, `it does not answer in ${patience / 1000} seconds`)
  if (result.exitCode === undefined)
    throw failed(program, reasonOf(result.cause ?? new Error('it was ended')))
  if (result.stdout.includes(nothing)) return undefined
  throw failed(program, `it ended with status ${result.exitCode}`)
}

/** The login that a helper keeps for a registry; undefined when it keeps none. */
export async function askHelper(
  helper: string,
  registry: string,
  environment: Environment,
): Promise<Login | undefined> {
  const answer = await call(helper, 'get', serverName(registry), environment)
  if (answer === undefined) return undefined
  let fields: { Username?: unknown; Secret?: unknown } | null = null
  try {
    fields = JSON.parse(answer)
  } catch {
    // Not told further: the answer holds a secret.
  }
  const { Username: username, Secret: secret } = fields ?? {}
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') {
    throw failed(`docker-credential-${helper}`, 'its answer cannot be read')
  }
  return username === '<token>'
    ? { kind: 'identity', username, token: secret }
    : { kind: 'password', username, password: secret }
}

/** Have a helper keep a login. */
export async function tellHelper(
  helper: string,
  registry: string,
  { username, password }: { readonly username: string; readonly password: string },
  environment: Environment,
): Promise<void> {
  const entry = { ServerURL: serverName(registry), Username: username, Secret: password }
  await call(helper, 'store', JSON.stringify(entry), environment)
}

/** Have a helper forget the login of a registry; false when it kept none. */
export async function clearHelper(
  helper: string,
  registry: string,
  environment: Environment,
): Promise<boolean> {
  const has = (await call(helper, 'get', serverName(registry), environment)) !== undefined
  if (has) await call(helper, 'erase', serverName(registry), environment)
  return has
}

/** The registries that a helper keeps logins of, and who we are there. */
export async function listHelper(
  helper: string,
  environment: Environment,
): Promise<{ registry: string; username: string }[]> {
  const answer = await call(helper, 'list', '', environment)
  try {
    const entries = Object.entries(JSON.parse(answer || '{}') as Record<string, unknown>)
    return entries.map(([key, username]) => ({ registry: hostOfKey(key), username: String(username) }))
  } catch {
    throw failed(`docker-credential-${helper}`, 'its answer cannot be read')
  }
}
