/** Seccomp profiles, the JSON of Docker and the OCI runtime specification, compiled into a filter program. */

import { SingError, shown } from '../core/errors.ts'
import {
  answer,
  type Comparison,
  type Condition,
  encodeProgram,
  forArchitecture,
  type Instruction,
  type Interval,
  mostInstructions,
  search,
  when,
} from './bpf.ts'
import { type Architecture, type SystemCalls, systemCalls } from './syscalls.ts'

export type SeccompTarget = {
  readonly architecture: 'x86_64' | 'aarch64'
  /** Of the payload, for rules that depend on them. */
  readonly capabilities: readonly string[]
  /** The kernel's release, as `5.14.0-70.el9`. */
  readonly kernel: string
}

export type Seccomp = {
  /** Of seccomp(2). */
  readonly flags: number
  /** Instructions in hexadecimal. */
  readonly program: string
  readonly warnings: readonly string[]
}

type Json = { readonly [name: string]: unknown }

/** Says where in which file something is wrong. */
class Profile {
  readonly file: string
  constructor(file: string) {
    this.file = file
  }

  refuse(where: string, expected: string): SingError {
    return new SingError('USAGE', `seccomp profile ${shown(this.file)}: ${where}: ${expected}`, {
      status: 255,
    })
  }

  object(value: unknown, where: string): Json {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
    throw this.refuse(where, 'expected an object')
  }

  /** An absent list is empty. */
  list(value: unknown, where: string): readonly unknown[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value
    throw this.refuse(where, 'expected a list')
  }

  text(value: unknown, where: string): string {
    if (typeof value === 'string') return value
    throw this.refuse(where, 'expected a text')
  }

  texts(value: unknown, where: string): string[] {
    return this.list(value, where).map((entry) => this.text(entry, where))
  }

  /** Numbers of more digits than a double holds come as texts. */
  number(value: unknown, where: string, most: bigint): bigint {
    const known = typeof value === 'number' ? Number.isSafeInteger(value) : /^\d{1,20}$/.test(String(value))
    const number = known ? BigInt(value as string | number) : -1n
    if (number >= 0n && number <= most) return number
    throw this.refuse(where, `expected a number from 0 to ${most}`)
  }

  word<T>(value: unknown, where: string, words: Readonly<Record<string, T>>): T {
    const word = this.text(value, where)
    if (Object.hasOwn(words, word)) return words[word] as T
    throw this.refuse(where, `"${shown(word)}" is unknown, known are ${Object.keys(words).join(', ')}`)
  }
}

const WIDEST = 0xffffffffffffffffn
const MOST_ERRNO = 4095n

/** Numbers that a double would round are kept as texts; nothing inside of strings is touched. */
function parseJson(text: string, profile: Profile): Json {
  const exact = text.replace(/"(?:[^"\\]|\\.)*"|\d{16,}/g, (word) =>
    word.startsWith('"') ? word : `"${word}"`,
  )
  try {
    return profile.object(JSON.parse(exact), 'the whole')
  } catch (error) {
    if (error instanceof SingError) throw error
    throw profile.refuse('not JSON', (error as Error).message)
  }
}

/** Actions as the kernel's return values (linux/seccomp.h); those with `data` carry the errno. */
const actions = {
  SCMP_ACT_KILL: { value: 0x00000000, data: false },
  SCMP_ACT_KILL_THREAD: { value: 0x00000000, data: false },
  SCMP_ACT_KILL_PROCESS: { value: 0x80000000, data: false },
  SCMP_ACT_TRAP: { value: 0x00030000, data: false },
  SCMP_ACT_ERRNO: { value: 0x00050000, data: true },
  SCMP_ACT_TRACE: { value: 0x7ff00000, data: true },
  SCMP_ACT_LOG: { value: 0x7ffc0000, data: false },
  SCMP_ACT_ALLOW: { value: 0x7fff0000, data: false },
} as const

const KILL = actions.SCMP_ACT_KILL.value
const EPERM = 1

const comparisons: Record<string, Comparison> = {
  SCMP_CMP_NE: 'ne',
  SCMP_CMP_LT: 'lt',
  SCMP_CMP_LE: 'le',
  SCMP_CMP_EQ: 'eq',
  SCMP_CMP_GE: 'ge',
  SCMP_CMP_GT: 'gt',
  SCMP_CMP_MASKED_EQ: 'masked',
}

/** SECCOMP_FILTER_FLAG_*; one thread needs no synchronization. */
const filterFlags = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
} as const

function toAnswer(profile: Profile, action: unknown, errno: unknown, where: string): number {
  if (action === 'SCMP_ACT_NOTIFY') {
    throw profile.refuse(where, 'SCMP_ACT_NOTIFY needs a program that answers, which does not exist here')
  }
  const { value, data } = profile.word(action, where, actions)
  if (!data) return value
  const number =
    errno === undefined || errno === null ? EPERM : Number(profile.number(errno, where, MOST_ERRNO))
  return (value | number) >>> 0
}

type Rule = {
  readonly names: readonly string[]
  readonly answer: number
  /** Alternatives, each a list of conditions that must all match; empty: always. */
  readonly alternatives: readonly (readonly Condition[])[]
}

function readCondition(profile: Profile, entry: unknown, where: string): Condition {
  const { index, value, valueTwo = 0, op } = profile.object(entry, where)
  const comparison = profile.word(op, `${where}.op`, comparisons)
  const first = profile.number(value, `${where}.value`, WIDEST)
  const second = profile.number(valueTwo ?? 0, `${where}.valueTwo`, WIDEST)
  return {
    index: Number(profile.number(index, `${where}.index`, 5n)),
    comparison,
    value: comparison === 'masked' ? second : first,
    mask: first,
  }
}

/** All conditions must match, but where an argument stands there twice any of them: so the other runtimes read it. */
function toAlternatives(conditions: readonly Condition[]): Condition[][] {
  const indexes = new Set(conditions.map(({ index }) => index))
  if (conditions.length === 0) return []
  return indexes.size < conditions.length ? conditions.map((condition) => [condition]) : [[...conditions]]
}

const architectureNames = { x86_64: 'amd64', aarch64: 'arm64' } as const

function isKernelAtLeast(release: string, wanted: string): boolean {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number)
  const [least = 0, second = 0] = wanted.split('.').map(Number)
  return major > least || (major === least && minor >= second)
}

/** `includes` must all hold, `excludes` must none of them. */
function applies(profile: Profile, entry: Json, target: SeccompTarget, where: string): boolean {
  const read = (name: 'includes' | 'excludes') => {
    const at = `${where}.${name}`
    const { caps, arches, minKernel } = profile.object(entry[name] ?? {}, at)
    return {
      caps: profile.texts(caps, `${at}.caps`),
      arches: profile.texts(arches, `${at}.arches`),
      kernel: minKernel ? profile.text(minKernel, `${at}.minKernel`) : undefined,
    }
  }
  const has = (name: string) => target.capabilities.includes(name)
  const arch = architectureNames[target.architecture]
  const { caps, arches, kernel } = read('includes')
  if (!caps.every(has) || (arches.length > 0 && !arches.includes(arch))) return false
  if (kernel && !isKernelAtLeast(target.kernel, kernel)) return false
  const excluded = read('excludes')
  if (excluded.caps.some(has) || excluded.arches.includes(arch)) return false
  return !(excluded.kernel && isKernelAtLeast(target.kernel, excluded.kernel))
}

function readRules(profile: Profile, calls: readonly unknown[], target: SeccompTarget): Rule[] {
  return calls.flatMap((call, number) => {
    const where = `syscalls[${number}]`
    const entry = profile.object(call, where)
    const names = [
      ...profile.texts(entry.names, `${where}.names`),
      ...(typeof entry.name === 'string' && entry.name ? [entry.name] : []),
    ]
    if (names.length === 0) throw profile.refuse(`${where}.names`, 'expected names of system calls')
    const conditions = profile
      .list(entry.args, `${where}.args`)
      .map((argument, index) => readCondition(profile, argument, `${where}.args[${index}]`))
    const value = toAnswer(profile, entry.action, entry.errnoRet, `${where}.action`)
    if (!applies(profile, entry, target, where)) return []
    return [{ names, answer: value, alternatives: toAlternatives(conditions) }]
  })
}

/** Calls of an architecture that came in one number before they had their own: the number and its first argument. */
type Multiplexed = { readonly by: string; readonly calls: Readonly<Record<string, number>> }

const multiplexed: readonly Multiplexed[] = [
  {
    by: 'socketcall',
    calls: {
      ...numbered(
        'socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom',
      ),
      ...numbered('shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg', 13),
    },
  },
  {
    by: 'ipc',
    calls: {
      ...numbered('semop semget semctl semtimedop'),
      ...numbered('msgsnd msgrcv msgget msgctl', 11),
      ...numbered('shmat shmdt shmget shmctl', 21),
    },
  },
]

function numbered(names: string, first = 1): Record<string, number> {
  return Object.fromEntries(names.split(' ').map((name, index) => [name, first + index]))
}

type Machine = {
  readonly architecture: Architecture
  /** AUDIT_ARCH_*. */
  readonly token: number
  readonly wide: boolean
  readonly multiplexed: readonly Multiplexed[]
}

const machine = (
  architecture: Architecture,
  token: number,
  wide: boolean,
  calls: readonly Multiplexed[] = [],
) => ({
  architecture,
  token,
  wide,
  multiplexed: calls,
})

/** The calls that a kernel of this architecture can be asked for; the native ones first. */
const machines: Record<string, Machine> = {
  SCMP_ARCH_X86_64: machine('x86_64', 0xc000003e, true),
  SCMP_ARCH_X32: machine('x32', 0xc000003e, true),
  SCMP_ARCH_X86: machine('i386', 0x40000003, false, multiplexed),
  SCMP_ARCH_AARCH64: machine('aarch64', 0xc00000b7, true),
  SCMP_ARCH_ARM: machine('arm', 0x40000028, false),
}
const families = {
  x86_64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X32', 'SCMP_ARCH_X86'],
  aarch64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
} as const

/** Architectures that the filter knows: the native one, and what of the profile's this kernel can run. */
function readArchitectures(profile: Profile, whole: Json, target: SeccompTarget): Machine[] {
  const family: readonly string[] = families[target.architecture]
  const [native] = family
  const mapped = profile.list(whole.archMap, 'archMap').flatMap((entry, index) => {
    const { architecture, subArchitectures } = profile.object(entry, `archMap[${index}]`)
    return architecture === native
      ? profile.texts(subArchitectures, `archMap[${index}].subArchitectures`)
      : []
  })
  const named = [...profile.texts(whole.architectures, 'architectures'), ...mapped]
  const strange = named.find((name) => !/^SCMP_ARCH_[A-Z0-9_]+$/.test(name))
  if (strange !== undefined) throw profile.refuse('architectures', `"${shown(strange)}" is none`)
  return family
    .filter((name) => name === native || named.includes(name))
    .map((name) => machines[name] as Machine)
}

/** What is decided for one number: conditional answers in their order, and the one without condition. */
type Decision = {
  readonly conditional: { conditions: readonly Condition[]; answer: number }[]
  plain: number | undefined
}

/** The first answer that matches counts; answers without condition come behind all others. */
function addRule(
  decisions: Map<number, Decision>,
  number: number,
  { alternatives, answer: value }: Rule,
): void {
  const decision = decisions.get(number) ?? { conditional: [], plain: undefined }
  decisions.set(number, decision)
  if (alternatives.length === 0) decision.plain ??= value
  for (const conditions of alternatives) decision.conditional.push({ conditions, answer: value })
}

function decide(
  rules: readonly Rule[],
  calls: SystemCalls,
  also: readonly Multiplexed[],
): Map<number, Decision> {
  const decisions = new Map<number, Decision>()
  for (const rule of rules) {
    for (const name of rule.names) {
      const number = calls.get(name)
      if (number !== undefined) addRule(decisions, number, rule)
      for (const { by, calls: parts } of also) {
        const part = Object.hasOwn(parts, name) ? parts[name] : undefined
        // Arguments of such calls lie in memory, where no filter can look.
        if (part === undefined || rule.alternatives.length > 0) continue
        const first: Condition = { index: 0, comparison: 'eq', value: BigInt(part), mask: 0n }
        addRule(decisions, calls.get(by) as number, { ...rule, alternatives: [[first]] })
      }
    }
  }
  return decisions
}

/** Numbers with the same answer next to each other become one interval. */
function toIntervals(decisions: ReadonlyMap<number, Decision>, otherwise: number, wide: boolean): Interval[] {
  const intervals: Interval[] = []
  let last: number | undefined
  const add = (first: number, { conditional, plain = otherwise }: Decision) => {
    const simple = conditional.length === 0 ? plain : undefined
    if (simple !== undefined && simple === last) return
    last = simple
    const tests = conditional.flatMap((entry) => when(entry.conditions, wide, answer(entry.answer)))
    intervals.push({ first, code: [...tests, ...answer(plain)] })
  }
  const nothing: Decision = { conditional: [], plain: undefined }
  const numbers = [...decisions.keys()].sort((one, other) => one - other)
  if (numbers[0] !== 0) add(0, nothing)
  for (const number of numbers) {
    add(number, decisions.get(number) ?? nothing)
    if (!decisions.has(number + 1)) add(number + 1, nothing)
  }
  return intervals
}

const X32_BIT = 0x40000000
/** What a tracer makes of a number to skip the call: none of x32, though it has the bit. */
const SKIPPED = 0xffffffff

/** x86_64 and x32 have one token; the numbers of x32 have a bit, and without x32 in the profile are as foreign as others. */
function withX32(
  native: readonly Interval[],
  x32: readonly Interval[] | undefined,
  otherwise: number,
): Interval[] {
  const foreign = x32 ?? [{ first: 0, code: answer(KILL) }]
  return [
    ...native,
    ...foreign.map(({ first, code }) => ({ first: first + X32_BIT, code })),
    { first: SKIPPED, code: answer(otherwise) },
  ]
}

function compile(
  rules: readonly Rule[],
  otherwise: number,
  architectures: readonly Machine[],
): Instruction[] {
  const intervalsOf = ({ architecture, multiplexed: also, wide }: Machine) =>
    toIntervals(decide(rules, systemCalls(architecture), also), otherwise, wide)
  const x32 = architectures.find(({ architecture }) => architecture === 'x32')
  const parts = architectures
    .filter((one) => one !== x32)
    .map((one) => {
      const intervals = intervalsOf(one)
      const all =
        one.architecture === 'x86_64' ? withX32(intervals, x32 && intervalsOf(x32), otherwise) : intervals
      return forArchitecture(one.token, search(all))
    })
  return [...parts.flat(), ...answer(KILL)]
}

/** A name that no architecture has is a slip where its rule was to forbid something. */
function unknownNames(rules: readonly Rule[], architectures: readonly Machine[]): string[] {
  const known = new Set(architectures.flatMap(({ architecture }) => [...systemCalls(architecture).keys()]))
  const strict = rules.filter(({ answer: value }) => value !== actions.SCMP_ACT_ALLOW.value)
  return [...new Set(strict.flatMap(({ names }) => names.filter((name) => !known.has(name))))]
}

/**
 * Compile the text of a profile.
 * @throws SingError naming the file and the place for whatever is wrong with it
 */
export function compileSeccomp(text: string, file: string, target: SeccompTarget): Seccomp {
  const profile = new Profile(file)
  const whole = parseJson(text, profile)
  if (whole.listenerPath) throw profile.refuse('listenerPath', 'there is nobody who would listen')
  const otherwise = toAnswer(profile, whole.defaultAction, whole.defaultErrnoRet, 'defaultAction')
  const flags = profile
    .list(whole.flags, 'flags')
    .reduce<number>((sum, flag) => sum | profile.word(flag, 'flags', filterFlags), 0)
  const architectures = readArchitectures(profile, whole, target)
  const rules = readRules(profile, profile.list(whole.syscalls, 'syscalls'), target)
  // Each alternative takes an instruction at least: what cannot fit is not even tried.
  const least = rules.reduce((sum, { names, alternatives }) => sum + names.length * alternatives.length, 0)
  const program = least > mostInstructions ? [] : compile(rules, otherwise, architectures)
  const length = Math.max(least, program.length)
  if (length > mostInstructions) {
    throw profile.refuse('too long', `${length} instructions, and the kernel takes ${mostInstructions}`)
  }
  return {
    flags,
    program: encodeProgram(program),
    warnings: unknownNames(rules, architectures).map(
      (name) =>
        `seccomp profile ${shown(file)}: "${shown(name)}" is no system call here, its rule has no effect`,
    ),
  }
}
