/** Privileges of the payload and what limits them, from the command line to the kernel. */

import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { type RunOptions, sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
const exec = (flags: string[], command: string[], options: RunOptions = {}) =>
  sing(['exec', ...flags, images.everything, ...command], { cwd: images.folder, ...options })

beforeAll(async () => {
  images = await makeImages()
})

function profile(name: string, value: object): string {
  writeFileSync(join(images.folder, name), JSON.stringify(value))
  return `seccomp:${name}`
}
const denying = (action: string) => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action }],
})

async function capabilities(flags: string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr } = await exec(flags, ['grep', 'CapEff', '/proc/self/status'], options)
  return stdout.replace(/^CapEff:\s*0*/, '').trim() || stderr || '0'
}

describe.skipIf(!can('userns', 'fuse', 'overlay'))('--security', () => {
  it('ends a program that does what the profile forbids', async () => {
    const flags = ['--security', profile('kill.json', denying('SCMP_ACT_KILL')), '--writable-tmpfs']
    expect(await exec(flags, ['mkdir', '/x'])).toMatchObject({ status: 159 })
    expect(await exec(flags, ['true'])).toMatchObject({ status: 0, stderr: '' })
  })

  it('refuses calls, for root of a namespace too', async () => {
    const flags = ['--security', profile('deny.json', denying('SCMP_ACT_ERRNO')), '--writable-tmpfs']
    for (const more of [[], ['--fakeroot'], ['--fakeroot', '--ignore-subuid'], ['--pid'], ['--containall']]) {
      const outcome = await exec([...flags, ...more], ['sh', '-c', 'mkdir /tmp/x || touch /y && echo made'])
      expect(outcome.stderr).toContain('Operation not permitted')
      expect(outcome.stdout).toBe('made\n')
    }
  })

  it('warns of a rule for a call that does not exist, and refuses a profile that is none', async () => {
    const odd = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdri'], action: 'SCMP_ACT_KILL' }] }
    const warned = await exec(['--security', profile('odd.json', odd)], ['true'])
    expect(warned.stderr).toBe(
      'WARNING: seccomp profile odd.json: "mkdri" is no system call here, its rule has no effect\n',
    )
    writeFileSync(join(images.folder, 'bad.json'), '{')
    expect((await exec(['--security', 'seccomp:bad.json'], ['true'])).stderr).toMatch(
      /^FATAL: {3}seccomp profile bad\.json: not JSON: /,
    )
    execFileSync('mkfifo', [join(images.folder, 'pipe.json')])
    give(join(images.folder, 'pipe.json'))
    expect((await exec(['--security', 'seccomp:pipe.json'], ['true'])).stderr).toBe(
      'FATAL:   --security seccomp:pipe.json: is no file\n',
    )
    expect(await exec(['--security', 'seccomp:none.json'], ['true'])).toMatchObject({
      status: 255,
      stderr: 'FATAL:   --security seccomp:none.json: no such file or directory\n',
    })
  })

  it('does not make somebody else of a user', async () => {
    for (const word of ['uid:99', 'gid:99']) {
      const outcome = await exec(['--security', word], ['true'])
      expect(outcome.status).toBe(255)
      expect(outcome.stderr).toContain(`--security ${word}: only root can run as somebody else`)
    }
  })

  it.skipIf(!can('subuid'))('makes somebody else of root of a namespace', async () => {
    const { stdout } = await exec(
      ['--fakeroot', '--security', 'uid:99,gid:98:97'],
      ['sh', '-c', 'id -u; id -G'],
    )
    expect(stdout).toBe('99\n98 97\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('capabilities', () => {
  const raw = '2000'
  it('of a user are none but those of the own namespace that are asked for', async () => {
    expect(await capabilities([])).toBe('0')
    expect(await capabilities(['--drop-caps', 'CAP_NET_RAW'])).toBe('0')
    expect(await capabilities(['--no-privs'])).toBe('0')
    expect(await capabilities(['--add-caps', 'net_raw'])).toBe(raw)
    expect(await capabilities([], { env: { SINGULARITY_ADD_CAPS: 'CAP_NET_RAW,chown' } })).toBe('2001')
  })

  it('of root of a namespace are all but those that are dropped', async () => {
    expect(await capabilities(['--fakeroot'])).toBe('1ffffffffff')
    expect(await capabilities(['--fakeroot', '--drop-caps', 'net_raw'])).toBe('1ffffffdfff')
    expect(await capabilities(['--fakeroot', '--no-privs', '--add-caps', 'net_raw'])).toBe(raw)
  })

  it.each([
    [['--add-caps', 'NET_RAV'], 'Did you mean CAP_NET_RAW?'],
    [['--keep-privs'], '--keep-privs is for root of the machine alone'],
    [['--allow-setuid'], '--allow-setuid is for root of the machine alone'],
    [['--ignore-userns'], '--ignore-userns: without user namespaces nothing can be started'],
    [['--fakeroot', '--ignore-userns'], '--ignore-userns: without user namespaces nothing can be started'],
  ])('are refused with %j', async (flags, sentence) => {
    const outcome = await exec(flags, ['true'])
    expect(outcome.stderr).toContain(sentence)
    expect(outcome.status).toBe(255)
  })

  it.skipIf(!can('root'))('of root are those that it has, less what is dropped', async () => {
    const self = { as: 'self' } as const
    const mine = BigInt(`0x${/CapEff:\s*(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`)
    expect(await capabilities([], self)).toBe(mine.toString(16))
    expect(await capabilities(['--keep-privs'], self)).toBe(mine.toString(16))
    expect(await capabilities(['--drop-caps', 'net_raw'], self)).toBe((mine & ~0x2000n).toString(16))
    expect(await capabilities(['--no-privs'], self)).toBe('0')
    expect(await capabilities(['--no-privs', '--add-caps', 'net_raw'], self)).toBe(raw)
    expect(await capabilities(['--security', 'uid:99'], self)).toBe('0')
    const config = join(images.folder, 'root.conf')
    for (const word of ['file', 'no']) {
      writeFileSync(config, `root default capabilities = ${word}\n`)
      const args = ['-c', config, 'exec', images.everything, 'grep', 'CapEff', '/proc/self/status']
      const { stdout } = await sing(args, { ...self, cwd: images.folder })
      expect(stdout).toBe('CapEff:\t0000000000000000\n')
    }
    const { stdout } = await exec(
      ['--security', 'uid:99', '--allow-setuid'],
      ['grep', ' / / ', '/proc/self/mountinfo'],
      self,
    )
    expect(stdout).not.toContain('nosuid')
  })
})

/** The sandbox with a FUSE program of the host, its libraries, and an image for it. */
function withFuseProgram(image: string): string {
  const tree = join(images.folder, 'fuse-sandbox')
  cpSync(images.sandbox, tree, { recursive: true, verbatimSymlinks: true })
  const program = execFileSync('sh', ['-c', 'command -v squashfuse_ll']).toString().trim()
  const libraries = execFileSync('ldd', [program]).toString().match(/\/\S+/g) ?? []
  for (const file of [program, ...libraries]) {
    mkdirSync(join(tree, dirname(file)), { recursive: true })
    copyFileSync(file, join(tree, file))
    chmodSync(join(tree, file), 0o755)
  }
  copyFileSync(image, join(tree, 'data.sqfs'))
  give(tree)
  return tree
}

const fusePrograms = hasProgram('squashfuse_ll') && hasProgram('mksquashfs')
describe.skipIf(!can('userns', 'fuse', 'overlay') || !fusePrograms)('--fusemount', () => {
  let image: string
  let tree: string
  beforeAll(() => {
    const data = join(images.folder, 'data')
    image = join(images.folder, 'data.sqfs')
    mkdirSync(data)
    writeFileSync(join(data, 'file'), 'served\n')
    execFileSync('mksquashfs', [data, image, '-quiet', '-no-progress', '-comp', 'gzip'])
    tree = withFuseProgram(image)
  })
  const fuse = (spec: string, flags: string[] = [], of = images.everything) =>
    sing(['exec', '--fusemount', spec, ...flags, of, 'cat', '/new/file'], { cwd: images.folder })

  it.each([[[]], [['--fakeroot']], [['--pid']], [['--containall']], [['--writable-tmpfs']]])(
    'shows what a program of the host serves, with %j',
    async (flags: string[]) => {
      for (const type of ['host', 'host-daemon']) {
        const outcome = await fuse(`${type}:squashfuse_ll data.sqfs /new`, flags)
        expect([type, outcome.stdout, outcome.status]).toEqual([type, 'served\n', 0])
      }
    },
  )

  it.each([[[]], [['--fakeroot']], [['--no-init']], [['--containall']]])(
    'shows what a program of the image serves, with %j',
    async (flags: string[]) => {
      for (const type of ['container', 'container-daemon']) {
        const outcome = await fuse(`${type}:squashfuse_ll /data.sqfs /new`, flags, tree)
        expect([type, outcome.stdout, outcome.status]).toEqual([type, 'served\n', 0])
      }
    },
  )

  it.skipIf(!hasProgram('fuse-overlayfs'))('lets programs take changes', async () => {
    for (const name of ['low', 'up', 'work']) mkdirSync(join(images.folder, name))
    give(images.folder)
    const spec = 'host:fuse-overlayfs -o lowerdir=low,upperdir=up,workdir=work /new'
    const flags = ['--fusemount', spec]
    expect(await exec(flags, ['sh', '-c', 'echo kept >/new/file'])).toMatchObject({ status: 0 })
    expect(readFileSync(join(images.folder, 'up/file'), 'utf8')).toBe('kept\n')
  })

  it.each([
    [
      'host:squashfuse_ll none.sqfs /new',
      /FATAL: {3}cannot mount .*squashfuse_ll at \/new: .* ended before it served anything/,
    ],
    ['host:no-such-program x /new', /^FATAL: {3}--fusemount: this host has no program no-such-program\n/],
    ['container:no-such-program x /new', /FATAL: .* running no-such-program: No such file or directory\n/],
    ['sshfs x /new', /^FATAL: {3}--fusemount sshfs x \/new: it does not begin with host:/],
  ])('tells why there is nothing: %s', async (spec, sentence) => {
    const { status, stderr } = await fuse(spec)
    expect(stderr).toMatch(sentence)
    expect(status).toBe(255)
  })

  it('is refused where the site forbids it', async () => {
    const config = join(images.folder, 'sing.conf')
    writeFileSync(config, 'enable fusemount = no\n')
    const args = ['-c', config, 'exec', '--fusemount', 'host:squashfuse_ll data.sqfs /new', images.everything]
    const { status, stderr } = await sing([...args, 'true'], { cwd: images.folder })
    expect(stderr).toContain("--fusemount cannot be used: the site's configuration does not allow it")
    expect(status).toBe(255)
  })
})
