/** HEALTHCHECK and EXPOSE: nothing here acts on them, and images tell them to those who do. */

import { excerpt } from '../lines.ts'
import type { Healthcheck } from './state.ts'
import { type Flag, type Health, type Place, wrong } from './types.ts'

const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

/** Nanoseconds of `1m30s`, as Go writes times. @throws SingError DEFINITION */
function duration({ name, value = '' }: Flag, place: Place): number {
  const parts = [...value.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)/g)]
  const isWhole = value !== '' && parts.map(([part]) => part).join('') === value
  const sum = parts.reduce((total, [, count, unit = '']) => total + Number(count) * (units[unit] ?? 0), 0)
  if (value === '0') return 0
  if (!isWhole || sum < 1e6)
    throw wrong(place, `HEALTHCHECK --${name}=${excerpt(value)}: expected a time of 1ms or more, such as 30s`)
  return Math.round(sum)
}

const times = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
} as const

export function readHealthcheck(health: Health, place: Place): Healthcheck {
  if (health.kind === 'none') return { Test: ['NONE'] }
  const { command, flags } = health
  const Test = command.form === 'shell' ? ['CMD-SHELL', command.text] : ['CMD', ...command.words]
  const set = flags.flatMap((flag): [string, number][] => {
    if (flag.name === 'retries') return [['Retries', retries(flag, place)]]
    return [[times[flag.name as keyof typeof times], duration(flag, place)]]
  })
  return { Test, ...Object.fromEntries(set) }
}

function retries({ value = '' }: Flag, place: Place): number {
  if (/^\d{1,9}$/.test(value)) return Number(value)
  throw wrong(place, `HEALTHCHECK --retries=${excerpt(value)}: expected a number`)
}

const mostPort = 65535

/** The ports of `80`, `80/udp` or `8000-8010`, as configurations have them. @throws SingError DEFINITION */
export function readPorts(word: string, place: Place): string[] {
  const [, first = '', last = first, protocol = 'tcp'] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? []
  const [from, to] = [Number(first), Number(last)]
  if (first === '' || to > mostPort || from > to)
    throw wrong(place, `EXPOSE ${excerpt(word)}: expected a port such as 80, 53/udp or 8000-8010`)
  return Array.from({ length: to - from + 1 }, (_, at) => `${from + at}/${protocol.toLowerCase()}`)
}
