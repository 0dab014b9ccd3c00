/** What a person sees of a build: its steps, what they write, and where they failed. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type BuildFolder, base, buildFolder, header, leftBy, onTerminal, pause } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { type Outcome, program, run, sing } from '../helpers/sing.ts'

const needs = can('userns', 'fuse')

let made: BuildFolder
let folder = ''
let env: Readonly<Record<string, string>> = {}
beforeEach(() => {
  made = buildFolder()
  folder = made.path
  env = made.env
})

const write = (text: string) => made.write('x.def', header + text)

function build(text: string, ...flags: string[]): Promise<Outcome> {
  write(text)
  const [global, own] = flags[0] === '--quiet' ? [flags, []] : [[], flags]
  return sing([...global, 'build', ...own, 'x.sif', 'x.def'], { cwd: folder, env })
}

describe.skipIf(!needs)('the steps of a build', () => {
  it('are counted over all stages, and their output stays as it is where no person looks', async () => {
    const { status, stdout, stderr } = await build(
      `Stage: one\n%post\n  printf 'a\\r\\377\\n'\n\n${header}%files from one\n  /etc/hosts /h\n%test\n  echo tried\n`,
    )
    expect(status).toBe(0)
    expect(stdout).toBe('a\r\ufffd\ntried\n')
    const steps = stderr
      .split('\n')
      .flatMap((line) => /^(\[\d\/5\] .*) {2}(?:cached|\d+\.\d s)$/.exec(line)?.[1] ?? [])
    expect(steps).toEqual([
      `[1/5] localimage ${base}`,
      '[2/5] %post',
      `[3/5] localimage ${base}`,
      '[4/5] %files from one',
      '[5/5] %test',
    ])
    expect(stderr).toMatch(/^\[2\/5\] %post\n\+ printf/m)
  })

  it('come live and with their number on a terminal', async () => {
    write(`%post\n  echo out; echo err >&2\n  sh -c 'printf "1%%\\r2%%\\r"; sleep 0.5; echo done'\n`)
    const terminal = onTerminal(['build', 'x.sif', 'x.def'], made)
    expect(await terminal.status).toBe(0)
    const plain = terminal
      .text()
      .replaceAll(/\u001b\[[\d;]*m/g, '')
      .replaceAll('\r\n', '\n')
    for (const line of ['out', 'err', 'done']) expect(plain).toContain(`[2/2] ${line}\n`)
    expect(plain).toContain('\u001b[J[2/2] 2%\n[2/2] %post  ')
  })

  it('leave the order of both streams in one file', async () => {
    write('%post\n  for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done\n')
    const command = `"$0" --quiet build x.sif x.def > log 2>&1`
    expect((await run(['sh', '-c', command, program], { cwd: folder, env })).status).toBe(0)
    const log = readFileSync(join(folder, 'log'), 'utf8').split('\n')
    const both = [1, 2, 3, 4, 5].flatMap((number) => [`out ${number}`, `err ${number}`])
    expect(log.filter((line) => /^(out|err) /.test(line))).toEqual(both)
  })

  it('can open what they write to by its name, whoever they are', async () => {
    const { stdout, stderr } = await build('%post\n  echo a > /dev/stdout; echo b > /dev/stderr\n', '--quiet')
    expect(stdout).toBe('a\n')
    expect(stderr).toMatch(/^b$/m)
  })

  it('go on when nobody reads what they write', async () => {
    write('%post\n  sleep 0.3; echo one; echo two\n  touch /there\n')
    const command = `"$0" build x.sif x.def | true`
    await run(['bash', '-c', command, program], { cwd: folder, env })
    expect((await sing(['exec', 'x.sif', 'ls', '/there'], { cwd: folder })).stdout).toBe('/there\n')
  })
})

describe.skipIf(!needs)('a step that fails', () => {
  const cases: { name: string; text: string; says: string }[] = [
    {
      name: 'a command of %post',
      text: '%post\n  true\n\n  test a = b\n  touch /never\n',
      says: '%post failed with status 1 (x.def:6)',
    },
    {
      name: 'a function',
      text: '%post\n  f() {\n    ls /none\n  }\n  f\n',
      says: '%post failed with status 1 (x.def:5)',
    },
    {
      name: 'a second %post',
      text: '%post\n  true\n%help\n  h\n%post\n  exit 7\n',
      says: '%post failed with status 7 (x.def:8)',
    },
    {
      name: 'a part of %post',
      text: '%post\n  true\n  # ---\n  nosuch\n',
      says: '%post (2 of 2) failed with status 127 (x.def:6)',
    },
    {
      name: 'an app',
      text: '%post\n  true\n%appinstall foo\n  true\n  exit 4\n',
      says: '%post failed with status 4 (x.def:7)',
    },
    {
      name: 'a section of another shell',
      text: '%post -c /bin/busybox sh -e\n  true\n  nosuch\n',
      says: '%post failed with status 127 (x.def:5)',
    },
    {
      name: 'a section that tells nothing',
      text: '%post\n  set +x\n  exit 3\n',
      says: '%post failed with status 3 (x.def:3)',
    },
    { name: '%pre', text: '%pre\n  true\n  exit 3\n', says: '%pre failed with status 3 (x.def:5)' },
    { name: '%setup', text: '%setup\n  true\n  exit 3\n', says: '%setup failed with status 3 (x.def:5)' },
    { name: '%test', text: '%test\n  true\n  nosuch\n', says: '%test failed with status 127 (x.def:5)' },
    {
      name: 'a second stage',
      text: `%post\n  true\n${header}%post\n  exit 3\n`,
      says: '%post failed with status 3 (x.def:8)',
    },
  ]
  it.each(cases)('says where it did: $name', async ({ text, says }) => {
    const { status, stderr } = await build(text)
    expect(stderr).toContain(`FATAL:   ${says}\n`)
    expect(status).toBe(255)
    expect(readdirSync(folder).sort()).toEqual(['cache', 'tmp', 'x.def'])
    expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  })

  it('says how the argument of several lines counts', async () => {
    write('%post\n  echo {{ A }}\n  exit 3\n')
    const args = ['build', '--build-arg', 'A="a\nb"', 'x.sif', 'x.def']
    expect((await sing(args, { cwd: folder, env })).stderr).toContain('status 3 (x.def:5)\n')
  })

  it('tells the end of its output again when there was much', async () => {
    const { stderr } = await build('%post\n  seq 100 >&2\n  exit 3\n')
    expect(stderr).toMatch(/status 3 .*\n {9}The last 20 lines of its output:\n(?: {11}\S+.*\n){20}$/)
    expect(stderr).toMatch(/ {11}100\n {11}\+ exit 3\n$/)
  })

  it('tells of memory when it was killed', async () => {
    const { stderr } = await build('%post\n  sh -c "kill -9 \\$\\$"\n')
    expect(stderr).toContain(
      'status 137 (x.def:4)\n         Status 137 is a SIGKILL, often for lack of memory\n',
    )
  })
})

describe.skipIf(!needs)('a shell where a step failed', () => {
  it('stands in the tree as the step left it, with its environment, and ends the build', async () => {
    const folder = buildFolder()
    folder.write('x.def', `${header}%post\n  echo left > /made; export A=b\n  nosuch\n`)
    const terminal = onTerminal(['build', '--on-error', 'shell', 'x.sif', 'x.def'], folder)
    await terminal.shows(/failed after .*build> /s)
    terminal.type('cat /made; id -u; tail -n 1 /.post.script; echo $SINGULARITY_LABELS $((40 + 2))\n')
    await terminal.shows(/left\s+0\s+nosuch\s+\/\.build\.labels 42\s/)
    terminal.type('sleep 60\n')
    await pause(300)
    terminal.type('\u0003')
    await pause(300)
    terminal.type('echo $((50 + 1)) on\nexit\n')
    expect(await terminal.status).toBe(255)
    expect(terminal.text()).toContain('51 on')
    expect(terminal.text()).toMatch(/FATAL: .*%post failed with status 127 \(x\.def:5\)\s/)
    expect(await leftBy(folder)).toEqual([])
  })

  it('is on the host for a section of the host', async () => {
    const folder = buildFolder()
    folder.write('x.def', `${header}%setup\n  echo left > $SINGULARITY_ROOTFS/made\n  exit 3\n`)
    const terminal = onTerminal(['build', '--on-error=shell', 'x.sif', 'x.def'], folder)
    await terminal.shows(/build> /)
    terminal.type('cat $SINGULARITY_ROOTFS/made; pwd\n')
    await terminal.shows(new RegExp(`left\\s+${folder.path}\\s`))
    terminal.type('exit\n')
    expect(await terminal.status).toBe(255)
    expect(await leftBy(folder)).toEqual([])
  })

  it.each([
    ['shell', 'there is no terminal for a shell\n         Start the build on a terminal'],
    ['sleep', 'unknown choice\n         Choices: stop, shell'],
  ])('is refused before anything is done: --on-error %s', async (choice, says) => {
    const { status, stderr } = await build('%pre\n  touch ran\n', '--on-error', choice)
    expect(status).toBe(255)
    expect(stderr).toContain(`FATAL:   --on-error ${choice}: ${says}`)
    expect(readdirSync(folder).sort()).toEqual(['cache', 'tmp', 'x.def'])
  })
})
