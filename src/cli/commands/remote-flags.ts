/** Flags of `sing remote` and `sing keyserver`. */

import type { Flag } from '../options.ts'

export const configFile: Flag = {
  name: 'config',
  short: 'c',
  kind: 'string',
  env: [],
  placeholder: 'file',
  help: 'file of endpoints and logins, in the place of your own',
}

export const json: Flag = {
  name: 'json',
  short: 'j',
  kind: 'boolean',
  env: [],
  help: 'print JSON instead of text',
}

export const globalFlag: Flag = {
  name: 'global',
  short: 'g',
  kind: 'boolean',
  env: [],
  help: 'what holds for everybody on this machine (/etc/sing/remote.yaml)',
}

export const tokenfile: Flag = {
  name: 'tokenfile',
  kind: 'string',
  env: [],
  placeholder: 'file',
  help: 'read the token from the first line of a file',
}

const user: Flag = {
  name: 'username',
  short: 'u',
  kind: 'string',
  env: ['LOGIN_USERNAME'],
  placeholder: 'name',
  help: 'user name',
}

export const passwordFlags: readonly Flag[] = [
  user,
  {
    name: 'password',
    short: 'p',
    kind: 'string',
    env: ['LOGIN_PASSWORD'],
    placeholder: 'text',
    help: 'password or token; asked for when it is missing',
  },
  {
    name: 'password-stdin',
    kind: 'boolean',
    env: [],
    help: 'read the password or token from standard input',
  },
]

/** The same, where only tokens are known. */
export const tokenFlags: readonly Flag[] = [
  { ...user, hidden: true, notice: '--username has no effect: an endpoint knows who you are by your token' },
  ...passwordFlags.slice(1),
  tokenfile,
]
