/** `sing keyserver ...`: the servers that are asked for keys. */

import type { Command } from '../command.ts'
import { configFile, globalFlag, json, passwordFlags } from './remote-flags.ts'

const addFlags = [
  {
    name: 'insecure',
    short: 'i',
    kind: 'boolean',
    env: [],
    help: 'believe whoever answers: the certificate of the server is not checked',
  },
  {
    name: 'order',
    short: 'o',
    kind: 'number',
    env: [],
    placeholder: 'number',
    help: 'its place among the others, 1 being asked first (the last)',
  },
] as const

const where =
  'The list is your own, for root that of the site (/etc/sing/remote.yaml). Without the name of an endpoint it is the one in use.'

export const subcommands: Readonly<Record<string, Command>> = {
  add: {
    usage: 'keyserver add [options] [endpoint] <server>',
    summary: 'Ask one more key server',
    description: `${where}\nServers are https://HOST, hkps://HOST, http://HOST or hkp://HOST, each with a port and a path if need be.`,
    examples: [
      'sing keyserver add https://keys.example.org',
      'sing keyserver add --order 1 hkp://127.0.0.1:11371',
    ],
    flags: [...addFlags, globalFlag, configFile],
    args: [1, 2],
    run: async (call) => (await import('../endpoints/keyservers.ts')).addKeyserver(call),
  },
  remove: {
    usage: 'keyserver remove [options] [endpoint] <server>',
    summary: 'Do not ask a key server any more',
    description: where,
    examples: ['sing keyserver remove https://keys.example.org'],
    flags: [globalFlag, configFile],
    args: [1, 2],
    run: async (call) => (await import('../endpoints/keyservers.ts')).removeKeyserver(call),
  },
  list: {
    usage: 'keyserver list [options] [endpoint]',
    summary: 'List the key servers of each endpoint',
    examples: ['sing keyserver list', 'sing keyserver list --json'],
    flags: [json, configFile],
    args: [0, 1],
    run: async (call) => (await import('../endpoints/list.ts')).listKeyservers(call),
  },
  login: {
    usage: 'keyserver login [options] <server>',
    summary: 'Log in to a key server, for this and later commands',
    description:
      'With a user name it is a password, without one a token. The server is asked whether it takes it. It is sent to this ' +
      'server alone, and by plain HTTP only on this machine.',
    examples: ['sing keyserver login --username alice --password-stdin https://keys.example.org < password'],
    flags: [...passwordFlags, configFile],
    args: [1, 1],
    run: async (call) => (await import('../endpoints/keyservers.ts')).logInToKeyserver(call),
  },
  logout: {
    usage: 'keyserver logout [options] <server>',
    summary: 'Forget the login for a key server',
    examples: ['sing keyserver logout https://keys.example.org'],
    flags: [configFile],
    args: [1, 1],
    run: async (call) => (await import('../endpoints/keyservers.ts')).logOutOfKeyserver(call),
  },
}
