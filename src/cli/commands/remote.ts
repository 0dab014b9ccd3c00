/** `sing remote ...`: endpoints, each an address that tells of services: a key server, a library. */

import type { Command } from '../command.ts'
import type { Flag } from '../options.ts'
import { subcommands as keyserver } from './keyserver.ts'
import { configFile, globalFlag, json, tokenFlags, tokenfile } from './remote-flags.ts'

const insecure = (env: string): Flag => ({
  name: 'insecure',
  short: 'i',
  kind: 'boolean',
  env: [env],
  help: 'the endpoint tells its services by plain HTTP',
})

const toggle = (name: string, short: string | undefined, help: string): Flag => ({
  name,
  ...(short && { short }),
  kind: 'boolean',
  env: [],
  help,
})

/** Old names of commands of `keyserver`. */
const formerly = (verb: 'add' | 'remove'): Command => {
  const command = keyserver[verb] as Command
  return {
    ...command,
    usage: command.usage.replace(`keyserver ${verb}`, `remote ${verb}-keyserver`),
    examples: [],
    hidden: true,
  }
}

export const subcommands: Readonly<Record<string, Command>> = {
  add: {
    usage: 'remote add [options] <name> <address>',
    summary: 'Add an endpoint, log in to it, and use it from now on',
    examples: ['sing remote add --no-login mine https://cloud.example.org'],
    flags: [
      globalFlag,
      insecure('ADD_INSECURE'),
      toggle('no-default', 'n', 'do not use it from now on'),
      toggle('no-login', undefined, 'do not log in'),
      tokenfile,
      configFile,
    ],
    args: [2, 2],
    run: async (call) => (await import('../endpoints/manage.ts')).addEndpoint(call),
  },
  use: {
    usage: 'remote use [options] <name>',
    summary: 'Use an endpoint from now on',
    examples: ['sing remote use mine', 'sing remote use --exclusive mine'],
    flags: [toggle('exclusive', 'e', 'nobody on this machine may use another one'), globalFlag, configFile],
    args: [1, 1],
    run: async (call) => (await import('../endpoints/manage.ts')).chooseEndpoint(call),
  },
  remove: {
    usage: 'remote remove [options] <name>',
    summary: 'Remove an endpoint',
    examples: ['sing remote remove mine'],
    flags: [globalFlag, configFile],
    args: [1, 1],
    run: async (call) => (await import('../endpoints/manage.ts')).removeEndpoint(call),
  },
  list: {
    usage: 'remote list [options]',
    summary: 'List the endpoints',
    description:
      'Those of your own file (~/.config/sing/remote.yaml), of the files of Apptainer and SingularityCE in your home, and of the site.',
    examples: ['sing remote list', 'sing remote list --json'],
    flags: [json, configFile],
    args: [0, 0],
    run: async (call) => (await import('../endpoints/list.ts')).listEndpoints(call),
  },
  login: {
    usage: 'remote login [options] [name]',
    summary: 'Log in to an endpoint with a token',
    description:
      'The endpoint is asked whether it takes the token. Registries: registry login; key servers: keyserver login.',
    examples: ['sing remote login', 'sing remote login --tokenfile token mine'],
    flags: [...tokenFlags, insecure('LOGIN_INSECURE'), configFile],
    args: [0, 1],
    run: async (call) => (await import('../endpoints/login.ts')).logIn(call),
  },
  logout: {
    usage: 'remote logout [options] [name]',
    summary: 'Forget the token for an endpoint',
    examples: ['sing remote logout mine'],
    flags: [configFile],
    args: [0, 1],
    run: async (call) => (await import('../endpoints/login.ts')).logOut(call),
  },
  status: {
    usage: 'remote status [options] [name]',
    summary: 'Show whether the services of an endpoint answer, and whether you are logged in',
    examples: ['sing remote status', 'sing remote status --json mine'],
    flags: [json, configFile],
    args: [0, 1],
    run: async (call) => (await import('../endpoints/status.ts')).showStatus(call),
  },
  'get-login-password': {
    usage: 'remote get-login-password [options]',
    summary: 'Print your password at the registry of the endpoint in use',
    examples: [
      'sing remote get-login-password | sing registry login -u alice --password-stdin registry.example.org',
    ],
    flags: [configFile],
    args: [0, 0],
    run: async (call) => (await import('../endpoints/login.ts')).printPassword(call),
  },
  'add-keyserver': formerly('add'),
  'remove-keyserver': formerly('remove'),
}
