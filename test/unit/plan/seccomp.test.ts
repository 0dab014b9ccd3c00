/** Seccomp profiles, compiled and run by a small machine for classic BPF. */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileSeccomp, type SeccompTarget } from '../../../src/plan/seccomp.ts'
import { type Architecture, systemCalls } from '../../../src/plan/syscalls.ts'

const ALLOW = 0x7fff0000
const KILL = 0
const errno = (number: number) => 0x50000 + number

const x86: SeccompTarget = { architecture: 'x86_64', capabilities: [], kernel: '6.1.0-9-amd64' }
const arm: SeccompTarget = { ...x86, architecture: 'aarch64' }

const tokens: Record<Architecture, number> = {
  x86_64: 0xc000003e,
  x32: 0xc000003e,
  i386: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
}

type Asked = { architecture?: Architecture; number?: number; args?: readonly bigint[] }

/** What a program answers: the instructions that compileSeccomp emits, as the kernel runs them. */
function execute(program: string, name: string, asked: Asked = {}): number {
  const { architecture = 'x86_64', args = [] } = asked
  const number = asked.number ?? systemCalls(architecture).get(name)
  if (number === undefined) throw new Error(`no such call: ${name}`)
  const code = Buffer.from(program, 'hex')
  const data = Buffer.alloc(64)
  data.writeUInt32LE((number + (architecture === 'x32' ? 0x40000000 : 0)) >>> 0, 0)
  data.writeUInt32LE(tokens[architecture], 4)
  args.forEach((value, index) => {
    data.writeBigUInt64LE(value, 16 + 8 * index)
  })
  let accumulator = 0
  for (let at = 0; ; at += 1) {
    const [yes, no, value] = [code[at * 8 + 2] ?? 0, code[at * 8 + 3] ?? 0, code.readUInt32LE(at * 8 + 4)]
    const jump = (holds: boolean) => {
      at += holds ? yes : no
    }
    switch (code.readUInt16LE(at * 8)) {
      case 0x20:
        accumulator = data.readUInt32LE(value)
        break
      case 0x54:
        accumulator = (accumulator & value) >>> 0
        break
      case 0x05:
        at += value
        break
      case 0x15:
        jump(accumulator === value)
        break
      case 0x25:
        jump(accumulator > value)
        break
      case 0x35:
        jump(accumulator >= value)
        break
      case 0x06:
        return value
      default:
        throw new Error(`instruction ${at} is none`)
    }
  }
}

const compile = (profile: unknown, target: SeccompTarget = x86) =>
  compileSeccomp(typeof profile === 'string' ? profile : JSON.stringify(profile), 'p.json', target)

const deny = (names: string[], more: object = {}) => ({
  names,
  action: 'SCMP_ACT_ERRNO',
  ...more,
})
const allowing = (...syscalls: object[]) => ({ defaultAction: 'SCMP_ACT_ALLOW', syscalls })

function refusal(profile: unknown): string {
  try {
    compile(profile)
  } catch (error) {
    return (error as Error).message
  }
  return 'none'
}

describe('a seccomp profile', () => {
  it('forbids what it names and nothing else', () => {
    const { program, warnings } = compile(allowing(deny(['mkdir', 'mkdirat'])))
    expect(execute(program, 'mkdir')).toBe(errno(1))
    expect(execute(program, 'mkdirat')).toBe(errno(1))
    for (const name of ['rename', 'rmdir', 'read', 'openat', 'mknodat', 'file_setattr']) {
      expect(execute(program, name)).toBe(ALLOW)
    }
    expect(execute(program, '', { number: 5000 })).toBe(ALLOW)
    expect(warnings).toEqual([])
  })

  it('allows what it names and answers with its own errno otherwise', () => {
    const rules = [{ names: ['read', 'write', 'exit_group'], action: 'SCMP_ACT_ALLOW' }]
    const { program } = compile({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38, syscalls: rules })
    expect(execute(program, 'read')).toBe(ALLOW)
    expect(execute(program, 'exit_group')).toBe(ALLOW)
    expect(execute(program, 'open')).toBe(errno(38))
  })

  const answers = [
    ['SCMP_ACT_KILL', KILL],
    ['SCMP_ACT_KILL_THREAD', KILL],
    ['SCMP_ACT_KILL_PROCESS', 0x80000000],
    ['SCMP_ACT_TRAP', 0x30000],
    ['SCMP_ACT_ERRNO', errno(7)],
    ['SCMP_ACT_TRACE', 0x7ff00007],
    ['SCMP_ACT_LOG', 0x7ffc0000],
    ['SCMP_ACT_ALLOW', ALLOW],
  ] as const
  it.each(answers)('knows %s', (action, expected) => {
    const { program } = compile({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['uname'], action, errnoRet: 7 }],
    })
    expect(execute(program, 'uname')).toBe(expected)
  })

  const big = 0x1_0000_0005n
  const values = [0n, 4n, 5n, 6n, big - 1n, big, big + 1n, 0x2_0000_0000n, 0xffff_ffff_ffff_ffffn]
  const operators = [
    ['SCMP_CMP_EQ', (a: bigint, b: bigint) => a === b],
    ['SCMP_CMP_NE', (a: bigint, b: bigint) => a !== b],
    ['SCMP_CMP_LT', (a: bigint, b: bigint) => a < b],
    ['SCMP_CMP_LE', (a: bigint, b: bigint) => a <= b],
    ['SCMP_CMP_GT', (a: bigint, b: bigint) => a > b],
    ['SCMP_CMP_GE', (a: bigint, b: bigint) => a >= b],
  ] as const
  it.each(operators)('compares arguments in 64 bits: %s', (op, holds) => {
    for (const value of values) {
      const args = `[{"index":2,"value":${value},"op":"${op}"}]`
      const { program } = compile(
        `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["lseek"],"action":"SCMP_ACT_ERRNO","args":${args}}]}`,
      )
      for (const given of values) {
        const found = execute(program, 'lseek', { args: [9n, 9n, given] })
        expect([op, given, value, found]).toEqual([op, given, value, holds(given, value) ? errno(1) : ALLOW])
      }
    }
  })

  it('compares chosen bits', () => {
    const args = [{ index: 0, value: 2114060288, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]
    const { program } = compile({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['clone'], action: 'SCMP_ACT_ALLOW', args }],
    })
    expect(execute(program, 'clone', { args: [0x11n] })).toBe(ALLOW)
    expect(execute(program, 'clone', { args: [0x10000000n | 0x11n] })).toBe(errno(1))
    expect(execute(program, 'clone', { args: [0x1_0000_0011n] })).toBe(ALLOW)
  })

  it('wants all conditions to match, and any of those on one argument', () => {
    const condition = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' })
    const both = compile(allowing(deny(['socket'], { args: [condition(0, 16), condition(2, 9)] }))).program
    expect(execute(both, 'socket', { args: [16n, 0n, 9n] })).toBe(errno(1))
    expect(execute(both, 'socket', { args: [16n, 0n, 8n] })).toBe(ALLOW)
    expect(execute(both, 'socket', { args: [15n, 0n, 9n] })).toBe(ALLOW)
    const any = compile(allowing(deny(['personality'], { args: [condition(0, 1), condition(0, 8)] }))).program
    expect(execute(any, 'personality', { args: [1n] })).toBe(errno(1))
    expect(execute(any, 'personality', { args: [8n] })).toBe(errno(1))
    expect(execute(any, 'personality', { args: [2n] })).toBe(ALLOW)
  })

  it('asks rules with conditions before those without', () => {
    const args = [{ index: 0, value: 2, op: 'SCMP_CMP_EQ' }]
    const { program } = compile(
      allowing(deny(['socket'], { errnoRet: 13 }), { names: ['socket'], action: 'SCMP_ACT_ALLOW', args }),
    )
    expect(execute(program, 'socket', { args: [2n] })).toBe(ALLOW)
    expect(execute(program, 'socket', { args: [1n] })).toBe(errno(13))
  })

  it('ends who uses an architecture that it does not name', () => {
    const { program } = compile(allowing(deny(['mkdir'])))
    expect(execute(program, 'read', { architecture: 'i386' })).toBe(KILL)
    expect(execute(program, 'read', { architecture: 'x32' })).toBe(KILL)
    expect(execute(program, 'read', { architecture: 'aarch64' })).toBe(KILL)
    expect(execute(program, '', { number: 0xffffffff })).toBe(ALLOW)
  })

  const both = [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] }]
  it('filters the architectures that it names by their own numbers', () => {
    for (const more of [
      { archMap: both },
      { architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_MIPS'] },
    ]) {
      const { program } = compile({ ...allowing(deny(['mkdir', 'socket'])), ...more })
      for (const architecture of ['x86_64', 'i386', 'x32'] as const) {
        expect(execute(program, 'mkdir', { architecture })).toBe(errno(1))
        expect(execute(program, 'read', { architecture })).toBe(ALLOW)
      }
      expect(execute(program, 'socketcall', { architecture: 'i386', args: [1n] })).toBe(errno(1))
      expect(execute(program, 'socketcall', { architecture: 'i386', args: [2n] })).toBe(ALLOW)
    }
  })

  it('looks at the lower half of 32 bit arguments', () => {
    const { program } = compile(
      `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{"name":"kill","action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}`,
    )
    expect(execute(program, 'kill', { architecture: 'i386', args: [0xffffffffn] })).toBe(errno(1))
    expect(execute(program, 'kill', { args: [0xffffffffn] })).toBe(ALLOW)
    expect(execute(program, 'kill', { args: [0xffffffffffffffffn] })).toBe(errno(1))
  })

  it('knows the numbers of arm', () => {
    const archMap = [{ architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] }]
    const { program } = compile({ ...allowing(deny(['mkdirat', 'cacheflush'])), archMap }, arm)
    expect(execute(program, 'mkdirat', { architecture: 'aarch64' })).toBe(errno(1))
    expect(execute(program, 'mkdirat', { architecture: 'arm' })).toBe(errno(1))
    expect(execute(program, 'cacheflush', { architecture: 'arm' })).toBe(errno(1))
    expect(execute(program, 'mkdir', { architecture: 'arm' })).toBe(ALLOW)
    expect(execute(program, 'read', { architecture: 'x86_64' })).toBe(KILL)
  })

  it('takes rules by architecture, capability and kernel', () => {
    const rule = (name: string, more: object) => ({ names: [name], action: 'SCMP_ACT_ALLOW', ...more })
    const profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [
        rule('read', { includes: { arches: ['amd64', 'x32'] } }),
        rule('write', { includes: { arches: ['s390x'] } }),
        rule('mount', { includes: { caps: ['CAP_SYS_ADMIN'] } }),
        rule('clone', { excludes: { caps: ['CAP_SYS_ADMIN'] } }),
        rule('ptrace', { includes: { minKernel: '4.8' } }),
        rule('open', { includes: { minKernel: '6.2' } }),
        rule('close', { includes: {}, excludes: { arches: ['amd64'] }, comment: '' }),
      ],
    }
    const answersOf = (target: SeccompTarget) => {
      const { program } = compile(profile, target)
      return Object.fromEntries(
        ['read', 'write', 'mount', 'clone', 'ptrace', 'open', 'close'].map((name) => [
          name,
          execute(program, name) === ALLOW,
        ]),
      )
    }
    const user = {
      read: true,
      write: false,
      mount: false,
      clone: true,
      ptrace: true,
      open: false,
      close: false,
    }
    expect(answersOf(x86)).toEqual(user)
    expect(answersOf({ ...x86, capabilities: ['CAP_SYS_ADMIN'] })).toEqual({
      ...user,
      mount: true,
      clone: false,
    })
    expect(answersOf({ ...x86, kernel: '6.18.44' })).toEqual({ ...user, open: true })
    expect(answersOf({ ...x86, kernel: '4.7.9' })).toEqual({ ...user, ptrace: false })
  })

  it('fits long profiles into the kernel, and decides in few steps', () => {
    const names = [...systemCalls('x86_64').keys()].filter((_, index) => index % 2 === 0)
    const args = [0, 1, 2].map((index) => ({ index, value: 7, op: 'SCMP_CMP_GE' }))
    const { program } = compile({
      ...allowing(deny(names.slice(0, 40), { args }), deny(names.slice(40))),
      archMap: both,
    })
    expect(program.length / 16).toBeLessThan(4096)
    for (const [index, name] of names.entries()) {
      expect(execute(program, name, { args: [7n, 8n, 1n << 40n] })).toBe(errno(1))
      expect(execute(program, name, { args: [7n, 8n, 6n] })).toBe(index < 40 ? ALLOW : errno(1))
    }
  })

  it('warns of a rule that forbids nothing', () => {
    const { warnings } = compile(
      allowing(deny(['mkdri']), { names: ['s390_runtime_instr'], action: 'SCMP_ACT_ALLOW' }),
    )
    expect(warnings).toEqual([
      'seccomp profile p.json: "mkdri" is no system call here, its rule has no effect',
    ])
  })

  it('has flags for the kernel', () => {
    const flags = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW']
    expect(compile({ ...allowing(), flags }).flags).toBe(6)
  })

  const bad: readonly (readonly [unknown, string])[] = [
    ['{', 'p.json: not JSON: '],
    ['[]', 'p.json: the whole: expected an object'],
    ['{}', 'p.json: defaultAction: expected a text'],
    [{ defaultAction: 'ALLOW' }, 'p.json: defaultAction: "ALLOW" is unknown, known are SCMP_ACT_KILL, '],
    [{ defaultAction: 'SCMP_ACT_NOTIFY' }, 'defaultAction: SCMP_ACT_NOTIFY needs a program that answers'],
    [{ ...allowing(), listenerPath: '/run/x' }, 'listenerPath: there is nobody who would listen'],
    [{ ...allowing(), syscalls: {} }, 'syscalls: expected a list'],
    [allowing({}), 'syscalls[0].names: expected names'],
    [allowing(deny([1 as never])), 'syscalls[0].names: expected a text'],
    [allowing(deny(['read'], { errnoRet: 5000 })), 'syscalls[0].action: expected a number from 0 to 4095'],
    [allowing(deny(['read'], { args: [{}] })), 'syscalls[0].args[0].op: expected a text'],
    [
      allowing(deny(['read'], { args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] })),
      'args[0].index: expected a number from 0 to 5',
    ],
    [
      allowing(deny(['read'], { args: [{ index: 0, value: -1, op: 'SCMP_CMP_EQ' }] })),
      'args[0].value: expected a number from 0 to 18446744073709551615',
    ],
    [{ ...allowing(), architectures: ['amd64'] }, 'architectures: "amd64" is none'],
    [{ ...allowing(), flags: ['X'] }, 'flags: "X" is unknown'],
    [
      allowing(
        deny([...systemCalls('x86_64').keys()], {
          args: Array.from({ length: 20 }, (_, value) => ({ index: 0, value, op: 'SCMP_CMP_EQ' })),
        }),
      ),
      'too long: 7660 instructions, and the kernel takes 4096',
    ],
  ]
  it.each(bad.map(([profile, message]) => ({ profile, message })))('refuses: $message', (row) => {
    expect(refusal(row.profile)).toContain(row.message)
  })
})

const headers = [
  ['x86_64', 'asm/unistd_64.h', []],
  ['i386', 'asm/unistd_32.h', []],
  ['x32', 'asm/unistd_x32.h', ['-D__X32_SYSCALL_BIT=0']],
  [
    'aarch64',
    'asm-generic/unistd.h',
    'RENAMEAT NEW_STAT SET_GET_RLIMIT TIME32_SYSCALLS SYS_CLONE3 MEMFD_SECRET'
      .split(' ')
      .map((name) => `-D__ARCH_WANT_${name}`),
  ],
] as const

function hasHeader(header: string): boolean {
  return spawnSync('cc', ['-E', '-x', 'c', '-'], { input: `#include <${header}>\n` }).status === 0
}

describe('the table of system calls', () => {
  it.each(headers.filter(([, header]) => hasHeader(header)))('agrees with the header of %s', (...row) => {
    const [architecture, header, options] = row
    const include = `#include <${header}>\n`
    const defines = execFileSync('cc', ['-E', '-dM', ...options, '-x', 'c', '-'], {
      input: include,
    }).toString()
    const names = Array.from(defines.matchAll(/^#define __NR_(\w+) /gm), ([, name = '']) => name)
      .filter((name) => !/^(syscalls|arch_specific_syscall)$/.test(name))
      .sort()
    const text = `${include}${names.map((name) => `number ${name} __NR_${name}\n`).join('')}`
    const expanded = execFileSync('cc', ['-E', '-P', ...options, '-x', 'c', '-'], { input: text }).toString()
    const numbers = Array.from(
      expanded.matchAll(/^number (\w+) \(?(?:0 \+ )?(\d+)\)?$/gm),
      ([, name = '', number]) => [name, Number(number)],
    )
    const table = systemCalls(architecture)
    expect(numbers.length).toBe(names.length)
    expect(numbers).toEqual(numbers.map(([name]) => [name, table.get(String(name))]))
  })

  it('was compared with a header at all', () => {
    expect(existsSync('/usr/include/asm-generic/unistd.h')).toBe(
      headers.some(([, header]) => hasHeader(header)),
    )
  })

  it('has no number twice', () => {
    for (const architecture of Object.keys(tokens) as Architecture[]) {
      const numbers = [...systemCalls(architecture).values()]
      expect(new Set(numbers).size).toBe(numbers.length)
    }
  })
})
