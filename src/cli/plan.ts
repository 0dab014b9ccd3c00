/** Shows a launch instead of doing it: --plan, as text for people or as JSON. */

import type { Settings } from '../config/load.ts'
import { shown } from '../core/errors.ts'
import { type Described, type Description, describe, type Sources } from '../plan/describe.ts'
import type { LaunchRequest } from '../plan/request.ts'
import { toJson } from '../ui/json.ts'
import { toColumns } from '../ui/table.ts'
import type { Call } from './command.ts'
import { launchFlags } from './options.ts'

function sourcesOf({ flags, origins, context }: Call, settings: Settings, unpacked: boolean): Sources {
  return {
    directive: (key) => {
      const origin = settings.origins.get(key)
      return origin ? `${origin.file}:${origin.line}` : 'default'
    },
    flag: (name) => (flags[name] === false ? [] : (origins[name] ?? [])),
    value: (name) => flags[name],
    environment: context.environment,
    unpacked,
    limits: launchFlags.filter(({ group }) => group === 'Resources:').map(({ name }) => name),
  }
}

const heading = (title: string, rows: readonly (readonly string[])[]): string =>
  rows.length > 0 ? `\n${title}\n${toColumns(rows.map((row) => ['', ...row]))}` : ''

function idText({ name, uid, gid, uids, setgroups }: Description['user']): string {
  const maps = uids.map(
    ({ inside, outside, count }) => `${inside}=${outside}${count > 1 ? ` (${count})` : ''}`,
  )
  const mapped = maps.length > 0 ? `, ids ${maps.join(' ')}, setgroups ${setgroups}` : ''
  return `${name} (${uid}:${gid})${mapped}`
}

function factRows(description: Description): string[][] {
  const { image, command, user, namespaces, network, hostname, umask, init, security } = description
  const { noNewPrivileges, capabilities, filter, seccomp, label } = security
  const app = command.app ? ` --app ${command.app}` : ''
  const powers = [
    `capabilities ${capabilities}`,
    noNewPrivileges ? 'no new privileges' : 'new privileges possible',
    ...(filter === 'none' ? [] : [`filter ${filter}`]),
    ...(seccomp ? ['seccomp profile'] : []),
    ...(label ? [`label ${label}`] : []),
  ]
  return [
    ['Image', `${image.path} (${image.kind}${image.unpacked ? ', unpacked first' : ''})`],
    ['Command', [`${command.verb}${app}`, ...command.words].join(' ')],
    ['Directory', command.directories.join(', else ')],
    ['User', idText(user)],
    ['Namespaces', namespaces.join(' ')],
    ...(network === 'host' ? [] : [['Network', network]]),
    ...(hostname === null ? [] : [['Host name', hostname]]),
    ...(umask === null ? [] : [['Umask', umask]]),
    ...(init ? [['Process 1', 'a small init']] : []),
    ['Security', powers.join(', ')],
  ]
}

/** Long values tell little; --json has them whole. */
const longest = 60
const brief = (text: string): string => (text.length > longest ? `${text.slice(0, longest - 3)}...` : text)

function textOf(description: Description): string {
  const { mounts, environment, environmentNote, limits } = description
  return [
    toColumns(factRows(description)),
    heading(
      'Mounts, in this order:',
      mounts.map(({ at, kind, source, options, origin }) => [
        at,
        kind,
        brief(source),
        options.join(','),
        origin,
      ]),
    ),
    heading(
      'Environment:',
      environment.map(({ name, value, origin }) => [name, brief(value), origin]),
    ),
    `  ${shown(environmentNote)}\n`,
    heading(
      'Limits:',
      limits.map(({ name, value, origin }) => [name, value, origin]),
    ),
  ].join('')
}

/** Print what a launch would be. Nothing is made, started or written. */
export async function printPlan(
  call: Call,
  { request, image }: { readonly request: LaunchRequest; readonly image: Parameters<typeof describe>[2] },
  plan: Described,
  unpacked = false,
): Promise<number> {
  const { flags, context } = call
  const sources = sourcesOf(call, await context.settings(), unpacked)
  const description = describe(plan, request, image, sources)
  context.print(flags.json === true ? toJson(description) : textOf(description))
  return 0
}
