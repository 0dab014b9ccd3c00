/** `sing registry ...`: log in to registries, log out, and list the logins. */

import { readFileSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { dockerHub, parseReference } from '../../oci/reference.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call, Command } from '../command.ts'
import { type Flag, registryFlags } from '../options.ts'
import { usageError, wordOf } from '../words.ts'

const authFile = registryFlags.filter(({ name }) => name === 'authfile')
const noHttps = registryFlags.filter(({ name }) => name === 'no-https')

const config: Flag = {
  name: 'config',
  short: 'c',
  kind: 'string',
  env: [],
  hidden: true,
  placeholder: 'file',
  help: 'a file of remote endpoints',
  refused: 'logins are in files of the format of docker: --authfile FILE names one',
}

const loginFlags: readonly Flag[] = [
  {
    name: 'username',
    short: 'u',
    kind: 'string',
    env: ['LOGIN_USERNAME'],
    placeholder: 'name',
    help: 'user name; asked for when it is missing',
  },
  {
    name: 'password',
    short: 'p',
    kind: 'string',
    env: ['LOGIN_PASSWORD'],
    placeholder: 'text',
    help: 'password or access token; asked for when it is missing',
  },
  { name: 'password-stdin', kind: 'boolean', env: [], help: 'read the password from standard input' },
  ...noHttps,
  ...authFile,
  config,
]

const listFlags: readonly Flag[] = [
  { name: 'json', short: 'j', kind: 'boolean', env: [], help: 'print JSON instead of text' },
  ...authFile,
  config,
]

/** The registry that an argument names: `docker://HOST`, `oras://HOST`, or the host alone. */
function registryOf(text: string): string {
  const host = text.replace(/^(docker|oras|https?):\/\//i, '').replace(/\/+$/, '')
  const refuse = (reason: string, hint: string): never => {
    throw usageError(`${shown(text)} ${reason}`, hint)
  }
  if (host.includes('/'))
    refuse(
      'names more than a registry',
      `A login is for all of a registry: ${shown(host.replace(/\/.*/, ''))}`,
    )
  const reference = parseReference(`docker://${host}/name`)
  const registry = 'registry' in reference ? reference.registry : ''
  const isNamed = registry !== dockerHub || /docker\.(io|com)$/i.test(host)
  return isNamed
    ? registry
    : refuse('is no registry', 'A registry is a host: docker.io, registry.example:5000')
}

const options = ({ flags, context: { environment, report } }: Call) => ({
  environment,
  report,
  noHttps: flags['no-https'] === true,
  authFile: wordOf(flags, 'authfile'),
})

function readPassword(): string {
  try {
    return readFileSync(0, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new SingError('IO', `cannot read the password from standard input: ${reasonOf(cause)}`, { cause })
  }
}

/** Who somebody says to be: by flags and variables, and what is missing by asking. */
async function accountOf(registry: string, { flags, origins, context }: Call) {
  const [name, given, isPiped] = [
    wordOf(flags, 'username'),
    wordOf(flags, 'password'),
    flags['password-stdin'] === true,
  ]
  if (isPiped && given !== undefined && origins.password?.[0] === '--password')
    throw usageError('--password and --password-stdin exclude each other')
  if (isPiped && name === undefined) throw usageError('--password-stdin needs --username', `--username NAME`)
  if (!isPiped && origins.password?.[0] === '--password') {
    const text = 'Others can see a password on the command line while it runs: --password-stdin hides it'
    context.report({ kind: 'warning', text })
  }
  const { askLogin } = await import('../login.ts')
  const known = { username: name, password: isPiped ? readPassword() : given }
  const { username, password } = await askLogin(
    registry,
    known,
    'Give --username NAME --password-stdin, and the password on standard input',
  )
  if (username === '' || password === '')
    throw usageError(`a login at ${shown(registry)} needs a user name and a password`)
  return { username, password }
}

async function login(call: Call): Promise<number> {
  const { keepLogin, tryLogin } = await import('../../oci/login.ts')
  const registry = registryOf(call.args[0] ?? '')
  const account = await accountOf(registry, call)
  using interruption = catchInterruption('logging in')
  const { signal } = interruption
  await tryLogin(registry, account, options(call), signal)
  const place = await keepLogin(registry, account, options(call), signal)
  const text = `Logged in to ${shown(registry)} as ${shown(account.username)}; kept in ${shown(place)}`
  call.context.report({ kind: 'info', text })
  return 0
}

async function logout(call: Call): Promise<number> {
  const { forgetLogin, remainingLogins } = await import('../../oci/login.ts')
  const registry = registryOf(call.args[0] ?? '')
  using interruption = catchInterruption('logging out')
  const gone = await forgetLogin(registry, options(call), interruption.signal)
  const rest = remainingLogins(registry, options(call))
  if (gone.length === 0 && rest.length === 0)
    throw new SingError('REGISTRY', `there is no login for ${shown(registry)}`, {
      hint: 'See: sing registry list',
    })
  const { report } = call.context
  for (const place of gone)
    report({ kind: 'info', text: `Removed the login for ${shown(registry)} from ${shown(place)}` })
  for (const path of rest) {
    const text = `${shown(path)} has a login for ${shown(registry)}, too, which is still used`
    report({ kind: 'warning', text })
  }
  return 0
}

async function list(call: Call): Promise<number> {
  const { listLogins } = await import('../../oci/login.ts')
  const found = await listLogins(options(call))
  const rows = found.map(({ registry, user, from }) => [registry, user, from])
  const text = call.flags.json ? toJson(found) : toColumns([['URI', 'USER', 'FROM'], ...rows])
  call.context.print(text)
  return 0
}

const argument = 'docker://registry.example'

export const subcommands: Readonly<Record<string, Command>> = {
  login: {
    usage: 'registry login [options] <registry>',
    summary: 'Log in to a registry, for this and later commands',
    description:
      'The registry is asked whether the login is right. It is then kept in ~/.config/sing/docker-config.json, or by the ' +
      'helper that credsStore or credHelpers name there. Logins of docker, podman, Apptainer and SingularityCE are used ' +
      'without this.',
    examples: [
      'sing registry login --username alice docker://registry.example',
      'sing registry login --username alice --password-stdin docker.io < token',
    ],
    flags: loginFlags,
    args: [1, 1],
    run: login,
  },
  logout: {
    usage: 'registry logout [options] <registry>',
    summary: 'Forget the login for a registry',
    examples: [`sing registry logout ${argument}`],
    flags: [...authFile, config],
    args: [1, 1],
    run: logout,
  },
  list: {
    usage: 'registry list [options]',
    summary: 'List the logins that are used, the first of a registry counts',
    examples: ['sing registry list'],
    flags: listFlags,
    args: [0, 0],
    run: list,
  },
}
