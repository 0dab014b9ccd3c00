/** The filter `record`: whatever asks for owners and devices gets the answers of real root, and its wishes are noted. */

import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeSpec, type LaunchSpec } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { projectRoot } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { mappedIds } from './ids.ts'
import {
  asRoot,
  bind,
  type Changes,
  directoryRoot,
  launch,
  makeScene,
  makeSpec,
  makeTree,
  rootIds,
  start,
  starter,
  until,
} from './starter.ts'

const scene = makeScene()
const asks = join(scene.folder, 'asks')
const source = join(projectRoot, 'test', 'native', 'asks.c')
execFileSync('cc', ['-std=gnu11', '-O1', '-static', '-pthread', '-Wall', '-Wextra', source, '-o', asks])

const recorded: Changes = { ids: rootIds(), security: { capabilities: 'all', filter: 'record' } }

type As = { readonly changes: Changes; readonly as: 'self' | 'user' }
const identities = {
  recorded: { changes: recorded, as: 'user' },
  root: { changes: { ...asRoot, security: { capabilities: 'all', filter: 'none' } }, as: 'self' },
  range: {
    changes: { ids: mappedIds(), security: { capabilities: 'all', filter: 'record-devices' } },
    as: 'user',
  },
} as const satisfies Record<string, As>

/** The kinds of root: a directory, and an overlay whose changes go to another directory. */
const kinds = ['a directory', 'an overlay'] as const
function rootOf(kind: (typeof kinds)[number], work: string): LaunchSpec['ops'] {
  const tools = bind(scene.folder, '/mnt')
  const proc = bind('/proc', '/proc', { trusted: true })
  if (kind === 'a directory') return [...directoryRoot(scene.root), tools, proc, bind(work, '/tmp')]
  return [
    { op: 'directory', layer: 'image', from: makeTree({ ...scene, folder: work }, 'lower') },
    { op: 'directory', layer: 'changes', from: work },
    { op: 'overlay', lower: ['image'], upper: 'changes', userxattr: true },
    tools,
    proc,
  ]
}

/** Ask in a new folder; what was answered, and what has become of the files. */
async function ask({ changes, as }: As, kind: (typeof kinds)[number], ...words: string[]) {
  const work = temporaryFolder()
  const program = (all: string[]) =>
    makeSpec('', [], {
      ...changes,
      ops: rootOf(kind, work),
      process: { programs: [['/mnt/asks', ...all]], directories: ['/tmp'], directoryRequired: true },
    })
  const answers = await launch(program(words), { as })
  const files = await launch(program(['list']), { as })
  expect([answers.stderr, files.stderr]).toEqual(['', ''])
  return { answers: answers.stdout.split('\n'), files: files.stdout.split('\n') }
}

describe.skipIf(!can('userns', 'overlay'))('owners that are recorded', () => {
  it.skipIf(!can('root')).each(kinds)('are answered and noted as real root has them, in %s', async (kind) => {
    const real = await ask(identities.root, kind, 'answers', 'devices', 'ids')
    const noted = await ask(identities.recorded, kind, 'answers', 'devices', 'ids')
    expect(noted).toEqual(real)
    expect(real.files).toContain('./disk b 0640 80 81 259:70000 -')
  })

  it.skipIf(!can('subuid'))('are answered and noted as a range of ids has them', async () => {
    const real = await ask(identities.range, 'a directory', 'answers')
    expect(await ask(identities.recorded, 'a directory', 'answers')).toEqual(real)
    expect(real.files).toContain('./dir/renamed - 0644 16 17 0:0 -')
  })

  it.skipIf(!can('root', 'subuid')).each(kinds)(
    'are real with a range, and devices noted, in %s',
    async (kind) => {
      for (const words of [['answers', 'devices'], ['another']]) {
        const real = await ask(identities.root, kind, ...words)
        expect(await ask(identities.range, kind, ...words)).toEqual(real)
      }
    },
  )

  it('come from many threads, with signals, beside processes that are killed', async () => {
    const { answers, files } = await ask(identities.recorded, 'a directory', 'stress')
    expect(answers).toEqual(['chown("victim", 2, 3) ok', ''])
    expect(files).toContain('./victim - 0600 2 3 0:0 -')
    const owned = files.filter((line) => {
      const [, thread, index] = /^\.\/t(\d+)-(\d+) /.exec(line) ?? []
      return line === `./t${thread}-${index} - 0600 ${Number(thread) + 1} ${Number(index) + 1} 0:0 -`
    })
    expect(owned.length).toBe(32 * 100)
    expect(files.filter((line) => / c 0600 0 0 1:3 -$/.test(line)).length).toBe(32 * 100)
  })

  it.skipIf(!can('fuse'))('are noted while a file system does not answer', async () => {
    const devices = [bind('/dev', '/dev', { trusted: true })]
    const work = temporaryFolder()
    const ops = [...rootOf('a directory', work), ...devices]
    const process = { programs: [['/mnt/asks', 'fuse']], directories: ['/tmp'], directoryRequired: true }
    const { stdout } = await launch(makeSpec('', [], { ...recorded, ops, process }))
    expect(stdout.split('\n').slice(1, 3)).toEqual(['chown("other", 5, 6) ok', 'chown("other", 7, 8) ok'])
  })

  it('leave the ids of a namespace further inside to the kernel', async () => {
    const work = temporaryFolder()
    const script = 'chown 5:5 f; unshare --user --map-root-user sh -c "chown 0:0 f && ! chown 5:5 f"'
    const { status, stderr } = await onHost(['sh', '-c', `touch f && ${script}`], work)
    expect([status, stderr]).toEqual([0, expect.stringContaining('Invalid argument')])
    expect(notesOf(work, 'f')).toBe('user.sing.stat="5:5"')
  })

  it.skipIf(!can('xattrs'))('go on with what takes the place of /etc/shadow', async () => {
    const work = temporaryFolder()
    const give = `${asks} give etc/shadow+ etc/shadow- etc/motd+ etc/group+ shadow+`
    const lines = [
      'mkdir etc; touch etc/shadow etc/shadow+ etc/shadow- etc/motd etc/motd+ etc/group etc/group+ shadow shadow+',
      'touch etc/gshadow etc/gshadow+; chown 0:42 etc/shadow etc/motd shadow etc/gshadow; chown 0:0 etc/gshadow+',
      // The second time the copy is there, with a note.
      `${give}; ${give}; mv etc/shadow+ etc/shadow`,
    ]
    const { status, stderr } = await onHost(['sh', '-ec', lines.join('\n')], work)
    expect([status, stderr]).toEqual([0, ''])
    for (const [name, note] of [
      ['etc/shadow', 'user.sing.stat="0:42"'],
      ['etc/shadow-', 'user.sing.stat="0:42"'],
      ['etc/gshadow+', undefined],
      ['etc/motd+', undefined],
      ['etc/group+', undefined],
      ['shadow+', undefined],
    ] as const)
      expect([name, notesOf(work, name)]).toEqual([name, note])
  })

  it('are not changed on files of others', async () => {
    const { status, stderr } = await onHost(['chown', '5:5', '/etc/passwd', '/dev/null', '/proc/self/status'])
    expect([status, stderr]).toEqual([0, ''])
  })

  it('do not hide that attributes of the kernel cannot be set', async () => {
    const work = temporaryFolder()
    const { stderr } = await onHost(['sh', '-c', 'touch f; setfattr -n security.ima -v 1 f'], work)
    if (can('xattrs')) expect(stderr).toBe('setfattr: f: Operation not permitted\n')
  })
})

/** Programs of the host, in a folder. */
function hostSpec(program: readonly string[], folder = '/', marker = ''): LaunchSpec {
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', MARKER: marker }
  const process = { programs: [program], directories: [folder], environment }
  return makeSpec('', [], { ...recorded, root: 'host', ops: [], process })
}
const onHost = (program: readonly string[], folder?: string) => launch(hostSpec(program, folder))

function notesOf(folder: string, name: string): string | undefined {
  const text = execFileSync('getfattr', ['-h', '-d', '-m', '-', name], { cwd: folder, encoding: 'utf8' })
  return text.split('\n')[1]
}

/** Living processes that began with this environment. */
function marked(marker: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(marker)
    } catch {
      return false
    }
  })
}

describe.skipIf(!can('userns', 'root'))('the recorder', () => {
  it('holds nothing of the caller, and ends with the last process', async () => {
    const marker = randomUUID()
    const folder = temporaryFolder()
    const { child, line } = start(hostSpec(['sh', '-c', 'echo up; exec sleep 1000'], folder, marker))
    await line()
    const recorder = marked(marker).find((pid) => Number(pid) !== child.pid)
    const place = `/proc/${recorder}`
    // It puts away what it was started with while the payload runs already.
    await until(() => readdirSync(`${place}/fd`).length === 7)
    expect(readFileSync(`${place}/comm`, 'utf8')).toBe('sing-recorder\n')
    expect(readFileSync(`${place}/cmdline`, 'utf8').replaceAll('\0', '')).toBe('sing-recorder')
    const open = readdirSync(`${place}/fd`).map((fd) => readlinkSync(`${place}/fd/${fd}`))
    expect(open.sort()).toEqual([
      '/',
      ...['/dev/null', '/dev/null', '/dev/null'],
      '/proc',
      'anon_inode:[timerfd]',
      'anon_inode:seccomp notify',
    ])
    expect(readlinkSync(`${place}/cwd`)).toBe('/')
    expect(readFileSync(`${place}/stat`, 'utf8').split(' ')[5]).not.toBe(
      readFileSync('/proc/self/stat', 'utf8').split(' ')[5],
    )
    child.kill('SIGKILL')
    await until(() => marked(marker).length === 0)
  })

  it('outlives the keys of a terminal', async () => {
    const marker = randomUUID()
    const folder = temporaryFolder()
    const script = 'echo up; until [ -e go ]; do sleep 0.05; done; touch f; chown 5:6 f; echo done'
    const { child, line } = start(hostSpec(['sh', '-c', script], folder, marker))
    await line()
    const recorder = Number(marked(marker).find((pid) => Number(pid) !== child.pid))
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGTSTP'] as const)
      process.kill(recorder, signal)
    writeFileSync(join(folder, 'go'), '')
    expect(await line()).toBe('done')
    expect(notesOf(folder, 'f')).toBe('user.sing.stat="5:6"')
  })
})

describe.skipIf(!can('userns'))('a recorder inside of another', () => {
  it('is none, and says so', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'dir'))
    give(folder)
    const inner = hostSpec(['chown', '5:5', 'dir'], folder)
    const ids = { uids: [{ inside: 0, outside: 0, count: 1 }], gids: [{ inside: 0, outside: 0, count: 1 }] }
    const words = encodeSpec({ ...inner, ids: { ...ids, setgroups: 'deny' } })
    const { status, stderr } = await onHost([starter, ...words], folder)
    expect(stderr).toBe(
      "WARNING: owners are not recorded, all files of the image will be root's: another build around this one records\n",
    )
    expect(status).toBe(0)
    expect(notesOf(folder, 'dir')).toBe(undefined)
  })
})
