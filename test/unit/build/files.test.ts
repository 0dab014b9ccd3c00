import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CopyFilesOptions, copyFiles } from '../../../src/build/files.ts'
import type { Event } from '../../../src/core/events.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

let folder = ''
let root = ''
let cwd = ''
let events: Event[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
  root = join(folder, 'root')
  cwd = join(folder, 'host')
  events = []
  for (const path of ['root/etc', 'root/opt', 'root/usr/bin', 'host/tree/sub', 'host/src']) {
    mkdirSync(join(folder, path), { recursive: true })
  }
  symlinkSync('usr/bin', join(root, 'bin'))
  writeFileSync(join(root, 'etc/passwd'), 'root')
  for (const name of ['a1', 'a2', 'b1', 'two words']) writeFileSync(join(cwd, 'src', name), name)
  writeFileSync(join(cwd, 'tree/f'), 'f')
  writeFileSync(join(cwd, 'tree/.hidden'), 'h')
  writeFileSync(join(cwd, 'tree/sub/g'), 'g')
  symlinkSync('f', join(cwd, 'tree/link'))
  symlinkSync('sub', join(cwd, 'tree/sublink'))
})
afterEach(() => {
  spawnSync('chmod', ['-R', 'u+rwx', folder], { stdio: 'ignore' })
  rmSync(folder, { recursive: true, force: true })
})

/** Perform the lines of a `%files` section. */
async function copy(lines: string, options: Partial<CopyFilesOptions> = {}): Promise<void> {
  const text = `Bootstrap: scratch\n%files\n${lines}\n`
  const [block] = parseDefinition(text, { name: 'd' }).stages[0]?.files ?? []
  await copyFiles(block?.copies ?? [], {
    root,
    cwd,
    name: 'd',
    report: (event) => events.push(event),
    ...options,
  })
}

/** Everything below a folder: directories with a slash, links with their target, files with their content. */
function show(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).sort().map((name) => {
    const stats = lstatSync(join(path, name))
    if (stats.isDirectory()) return `${name}/`
    if (stats.isSymbolicLink()) return `${name} -> ${readlinkSync(join(path, name))}`
    return name
  })
}

const wholeTree = ['.hidden', 'f', 'link', 'sub/', 'sub/g', 'sublink/', 'sublink/g']

describe('%files from the host', () => {
  it('gives a file a new name, making the directories above', async () => {
    await copy('src/a1 /new/dir/name')
    expect(readFileSync(join(root, 'new/dir/name'), 'utf8')).toBe('a1')
    expect(statSync(join(root, 'new/dir')).mode & 0o777).toBe(0o755)
  })

  it('keeps the path without a destination', async () => {
    await copy(`src/a1\n./src/../src/a2\n../host/tree\n${cwd}/src/b1`)
    expect(show(join(root, 'src'))).toEqual(['a1', 'a2'])
    expect(show(join(root, 'host/tree'))).toEqual(wholeTree)
    expect(readFileSync(join(root, cwd, 'src/b1'), 'utf8')).toBe('b1')
  })

  it('merges a directory into the one of the same path', async () => {
    await copy('tree\ntree')
    expect(show(join(root, 'tree'))).toEqual(wholeTree)
  })

  it.each([
    ['tree /d', 'd'],
    ['tree/ /opt', 'opt/tree'],
    ['tree /opt/', 'opt/tree'],
    ['tree /new/', 'new/tree'],
    ['tree/. /opt', 'opt'],
    ['tree/sub/.. /opt', 'opt'],
    ['tree relative', 'relative'],
    ['tree /../../up', 'up'],
  ])('%s', async (line, place) => {
    await copy(line)
    expect(show(join(root, place))).toEqual(wholeTree)
  })

  it('expands wildcards and braces into a directory, a new one too', async () => {
    await copy('src/a* /opt\nsrc/{b1,a2} /new\n"src/two words" "/with blank"')
    expect(show(join(root, 'opt'))).toEqual(['a1', 'a2'])
    expect(show(join(root, 'new'))).toEqual(['a2', 'b1'])
    expect(readFileSync(join(root, 'with blank'), 'utf8')).toBe('two words')
  })

  it('knows the variables it is given', async () => {
    await copy('$WHERE/a1 /$WHERE', { environment: { WHERE: 'src' } })
    expect(readFileSync(join(root, '$WHERE'), 'utf8')).toBe('a1')
  })

  it('follows links of the image, and never out of it', async () => {
    const outside = join(folder, 'outside')
    mkdirSync(outside)
    symlinkSync(outside, join(root, 'trap'))
    symlinkSync('../../../../../../etc/passwd', join(root, 'etc/escape'))
    await copy('src/a1 /bin/tool\nsrc/a1 /trap/file\nsrc/a2 /etc/escape')
    expect(readFileSync(join(root, 'usr/bin/tool'), 'utf8')).toBe('a1')
    expect(readdirSync(outside)).toEqual([])
    expect(readFileSync(join(root, outside, 'file'), 'utf8')).toBe('a1')
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toBe('a2')
  })

  it('puts what belongs to a merged directory where its link leads', async () => {
    mkdirSync(join(cwd, 'overlay/bin'), { recursive: true })
    writeFileSync(join(cwd, 'overlay/bin/tool'), 'x')
    await copy('overlay/. /')
    expect(readlinkSync(join(root, 'bin'))).toBe('usr/bin')
    expect(readFileSync(join(root, 'usr/bin/tool'), 'utf8')).toBe('x')
  })

  it('replaces a file without changing its other names', async () => {
    linkSync(join(root, 'etc/passwd'), join(root, 'other'))
    await copy('src/a1 /etc/passwd')
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toBe('a1')
    expect(readFileSync(join(root, 'other'), 'utf8')).toBe('root')
  })

  it('keeps the mode of a file that is there', async () => {
    writeFileSync(join(root, 'opt/config'), 'old')
    chmodSync(join(root, 'opt/config'), 0o600)
    await copy('src/a1 /opt/config')
    expect(readFileSync(join(root, 'opt/config'), 'utf8')).toBe('a1')
    expect(statSync(join(root, 'opt/config')).mode & 0o777).toBe(0o600)
  })

  it('keeps modes and times, but no setuid bit, whatever the umask', async () => {
    const tool = join(cwd, 'src/a1')
    chmodSync(tool, 0o4751)
    utimesSync(tool, 1_000_000_000, 1_000_000_000)
    chmodSync(join(cwd, 'tree/sub'), 0o550)
    const umask = process.umask(0o077)
    try {
      await copy('src/a1 /tool\ntree /tree')
    } finally {
      process.umask(umask)
    }
    expect(statSync(join(root, 'tool')).mode & 0o7777).toBe(0o751)
    expect(statSync(join(root, 'tool')).mtimeMs).toBe(1_000_000_000_000)
    expect(statSync(join(root, 'tree/sub')).mode & 0o7777).toBe(0o550)
    expect(statSync(join(root, 'tree/f')).mode & 0o777).toBe(0o644)
  })

  it('copies names of any bytes', async () => {
    const name = Buffer.from([0xff, 0x20, 0x0a])
    writeFileSync(Buffer.concat([Buffer.from(`${cwd}/tree/`), name]), 'odd')
    await copy('tree /t')
    expect(readFileSync(Buffer.concat([Buffer.from(`${root}/t/`), name]), 'utf8')).toBe('odd')
  })

  it('leaves out pipes with a warning', async () => {
    spawnSync('mkfifo', [join(cwd, 'tree/pipe')])
    await copy('tree /t')
    expect(show(join(root, 't'))).toEqual(wholeTree)
    expect(events.at(-1)).toEqual({
      kind: 'warning',
      text: `${cwd}/tree/pipe is a device, pipe or socket and is left out`,
    })
  })

  it('does not copy the image into itself', async () => {
    await copy('.. /opt')
    expect(existsSync(join(root, 'opt/host/src/a1'))).toBe(true)
    expect(existsSync(join(root, 'opt/root'))).toBe(false)
    expect(events.at(-1)).toMatchObject({ kind: 'warning', text: expect.stringContaining('is left out') })
  })

  const refused: [string, string][] = [
    ['not-there /x', 'd:3: cannot copy not-there: no such file or directory'],
    ['src/a1 /x\nsrc/z* /y', 'd:4: cannot copy src/z*: nothing matches it'],
    ['src/{a1,a9} /y', 'd:3: cannot copy src/a9: no such file or directory'],
    ['$NOPE/x /y', 'd:3: the variable NOPE is not set'],
    ['src/a1 /etc/passwd/x', 'd:3: cannot reach /etc/passwd/x in the image: /etc/passwd is not a directory'],
    ['tree /etc/passwd', 'there is a file in its place in the image'],
    ['src/a1 /blocked/', 'there is a directory in its place in the image'],
    ['looped /x', 'the link leads back above itself'],
    ['dangling /x', 'no such file or directory'],
  ]
  it.each(refused)('refuses %j', async (lines, message) => {
    mkdirSync(join(root, 'blocked/a1'), { recursive: true })
    mkdirSync(join(cwd, 'looped'))
    symlinkSync('../looped', join(cwd, 'looped/again'))
    mkdirSync(join(cwd, 'dangling'))
    symlinkSync('nowhere', join(cwd, 'dangling/link'))
    await expect(copy(lines)).rejects.toThrow(message)
  })

  it('says where relative names begin', async () => {
    await expect(copy('not-there')).rejects.toMatchObject({
      code: 'BUILD',
      hint: `relative names begin in ${cwd}`,
    })
  })

  it('ends when the build is interrupted', async () => {
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(copy('tree /t', { signal })).rejects.toThrow('stop')
  })

  it('puts the files of an app below its directory', async () => {
    await copy('src/a1\nsrc/a2 sub/\nsrc/b1 /abs', { base: '/scif/apps/tool' })
    expect(show(join(root, 'scif/apps/tool'))).toEqual(['abs', 'src/', 'src/a1', 'sub/', 'sub/a2'])
  })
})

describe('%files from a stage', () => {
  let stage = ''
  const copyFrom = (lines: string) => copy(lines, { fromRoot: stage })
  beforeEach(() => {
    stage = join(folder, 'stage')
    mkdirSync(join(stage, 't/sub'), { recursive: true })
    writeFileSync(join(stage, 't/f'), 'f')
    chmodSync(join(stage, 't/f'), 0o4751)
    writeFileSync(join(stage, 'secret'), 'of the stage')
    symlinkSync('../t/f', join(stage, 't/relative'))
    symlinkSync('/secret', join(stage, 't/absolute'))
    symlinkSync('/nowhere', join(stage, 't/dangling'))
    symlinkSync('t', join(stage, 'alias'))
  })

  it('keeps links, modes and dangling links', async () => {
    await copyFrom('/t /copy')
    expect(show(join(root, 'copy'))).toEqual([
      'absolute -> /secret',
      'dangling -> /nowhere',
      'f',
      'relative -> ../t/f',
      'sub/',
    ])
    expect(statSync(join(root, 'copy/f')).mode & 0o7777).toBe(0o4751)
  })

  it('follows a link that is named itself, inside the stage', async () => {
    await copyFrom('/t/absolute /one\nalias /two\nt/relative')
    expect(readFileSync(join(root, 'one'), 'utf8')).toBe('of the stage')
    expect(lstatSync(join(root, 'one')).isFile()).toBe(true)
    expect(lstatSync(join(root, 'two')).isDirectory()).toBe(true)
    expect(readFileSync(join(root, 't/relative'), 'utf8')).toBe('f')
  })

  it('expands patterns in the stage, through its links', async () => {
    await copyFrom('/ali*/f* /opt\nt/{f,absolute} /new')
    expect(show(join(root, 'opt'))).toEqual(['f'])
    expect(show(join(root, 'new'))).toEqual(['absolute', 'f'])
  })

  it('keeps times of links and files', async () => {
    utimesSync(join(stage, 't/f'), 1_000_000_000, 1_000_000_000)
    await copyFrom('/t /copy')
    expect(statSync(join(root, 'copy/f')).mtimeMs).toBe(1_000_000_000_000)
  })

  it.skipIf(process.getuid?.() !== 0)('keeps owners', async () => {
    chownSync(join(stage, 't/f'), 1234, 4321)
    chmodSync(join(stage, 't/f'), 0o4751)
    await copyFrom('/t /copy')
    expect(statSync(join(root, 'copy/f'))).toMatchObject({ uid: 1234, gid: 4321 })
    expect(statSync(join(root, 'copy/f')).mode & 0o7777).toBe(0o4751)
  })

  it('refuses what the stage lacks, though the host may have it', async () => {
    await expect(copyFrom('/etc/passwd /x')).rejects.toMatchObject({
      message: 'd:3: cannot copy /etc/passwd: no such file or directory',
      hint: 'names begin at the root of that stage',
    })
    await expect(copyFrom('t/dangling /x')).rejects.toThrow('no such file or directory')
  })
})
