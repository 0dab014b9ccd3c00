/**
 * Fragments of classic BPF programs for seccomp(2): arguments compared in 64 bits, and a search tree over the number of
 * the system call. Every fragment of a decision ends in a return, so that fragments can be put behind each other.
 */

export type Instruction = {
  readonly code: number
  readonly yes: number
  readonly no: number
  readonly value: number
}

/** From linux/bpf_common.h. */
const LOAD = 0x20
const AND = 0x54
const JUMP = 0x05
const IF_EQUAL = 0x15
const IF_GREATER = 0x25
const IF_AT_LEAST = 0x35
const RETURN = 0x06

/** Offsets in struct seccomp_data; every architecture of ours is little-endian. */
const OFFSET_ARCHITECTURE = 4
const OFFSET_NUMBER = 0
const OFFSET_ARGUMENTS = 16

/** The kernel's limit (BPF_MAXINSNS). */
export const mostInstructions = 4096

const plain = (code: number, value: number): Instruction => ({ code, yes: 0, no: 0, value })

export const answer = (value: number): Instruction[] => [plain(RETURN, value)]

export type Comparison = 'ne' | 'lt' | 'le' | 'eq' | 'ge' | 'gt' | 'masked'

export type Condition = {
  /** Which argument, 0 to 5. */
  readonly index: number
  readonly comparison: Comparison
  readonly value: bigint
  /** Of `masked`: the bits that are compared. */
  readonly mask: bigint
}

/** A test of one half of an argument: where to go on `yes` and `no`. */
type Target = 'next' | 'match' | 'differ'
type Test = {
  readonly load: Instruction[]
  readonly code: number
  readonly value: number
  yes: Target
  no: Target
}

const low = (value: bigint): number => Number(value & 0xffffffffn)
const high = (value: bigint): number => Number(value >> 32n)

/** The tests of a condition; behind the last one it matches. Calls with 32 bit arguments have no upper halves. */
function testsOf({ index, comparison, value, mask }: Condition, wide: boolean): Test[] {
  const load = (half: number) => [plain(LOAD, OFFSET_ARGUMENTS + 8 * index + 4 * half)]
  const test = (half: number, code: number, yes: Target, no: Target): Test => ({
    load: load(half),
    code,
    value: half ? high(value) : low(value),
    yes,
    no,
  })
  const upper = (...tests: Test[]): Test[] => (wide ? tests : [])
  switch (comparison) {
    case 'eq':
      return [...upper(test(1, IF_EQUAL, 'next', 'differ')), test(0, IF_EQUAL, 'match', 'differ')]
    case 'ne':
      return [...upper(test(1, IF_EQUAL, 'next', 'match')), test(0, IF_EQUAL, 'differ', 'match')]
    case 'gt':
    case 'ge': {
      const code = comparison === 'gt' ? IF_GREATER : IF_AT_LEAST
      return [...upper(...unequalHalves('match', 'differ')), test(0, code, 'match', 'differ')]
    }
    case 'lt':
    case 'le': {
      const code = comparison === 'lt' ? IF_AT_LEAST : IF_GREATER
      return [...upper(...unequalHalves('differ', 'match')), test(0, code, 'differ', 'match')]
    }
    case 'masked': {
      const masked = (half: number, bits: number, yes: Target): Test => ({
        ...test(half, IF_EQUAL, yes, 'differ'),
        load: [...load(half), plain(AND, bits)],
      })
      return [...upper(masked(1, high(mask), 'next')), masked(0, low(mask), 'match')]
    }
  }
  /** The upper halves decide unless they are equal. */
  function unequalHalves(greater: Target, less: Target): Test[] {
    return [test(1, IF_GREATER, greater, 'next'), { ...test(1, IF_EQUAL, 'next', less), load: [] }]
  }
}

/** `then` when all conditions match; behind it goes what else there is to decide. */
export function when(conditions: readonly Condition[], wide: boolean, then: Instruction[]): Instruction[] {
  const tests = conditions.map((condition) => testsOf(condition, wide))
  const size = (test: Test): number => test.load.length + 1
  const sizes = tests.map((group) => group.reduce((sum, test) => sum + size(test), 0))
  const end = sizes.reduce((sum, length) => sum + length, 0) + then.length
  const code: Instruction[] = []
  let matched = 0
  tests.forEach((group, number) => {
    matched += sizes[number] ?? 0
    for (const test of group) {
      code.push(...test.load)
      const next = code.length + 1
      const distance = { next: 0, match: matched - next, differ: end - next }
      code.push({ code: test.code, yes: distance[test.yes], no: distance[test.no], value: test.value })
    }
  })
  return [...code, ...then]
}

/** What is decided for the numbers from `first` up to the next entry. */
export type Interval = { readonly first: number; readonly code: Instruction[] }

/** Decide by the number in the accumulator. The intervals are in order and the first begins at 0. */
export function search(intervals: readonly Interval[]): Instruction[] {
  const [only] = intervals
  if (intervals.length === 1 && only) return only.code
  const middle = intervals.length >> 1
  const below = search(intervals.slice(0, middle))
  const above = search(intervals.slice(middle))
  const value = intervals[middle]?.first ?? 0
  // A conditional jump reaches 255 instructions far, the other kind as far as any.
  if (below.length <= 255) return [{ code: IF_AT_LEAST, yes: below.length, no: 0, value }, ...below, ...above]
  return [{ code: IF_AT_LEAST, yes: 0, no: 1, value }, plain(JUMP, below.length), ...below, ...above]
}

/** The decision for one architecture; whatever is behind is for the others. */
export function forArchitecture(token: number, code: Instruction[]): Instruction[] {
  return [
    plain(LOAD, OFFSET_ARCHITECTURE),
    { code: IF_EQUAL, yes: 1, no: 0, value: token },
    plain(JUMP, code.length + 1),
    plain(LOAD, OFFSET_NUMBER),
    ...code,
  ]
}

/** As the kernel wants it: struct sock_filter in the byte order of our architectures, in hexadecimal. */
export function encodeProgram(program: readonly Instruction[]): string {
  const bytes = new DataView(new ArrayBuffer(program.length * 8))
  program.forEach(({ code, yes, no, value }, index) => {
    bytes.setUint16(index * 8, code, true)
    bytes.setUint8(index * 8 + 2, yes)
    bytes.setUint8(index * 8 + 3, no)
    bytes.setUint32(index * 8 + 4, value, true)
  })
  return Array.from(new Uint8Array(bytes.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
