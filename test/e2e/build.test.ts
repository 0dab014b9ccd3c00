import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, environment, type Outcome, program, projectRoot, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const base = join(projectRoot, 'fixtures/images/everything.sif')
const header = `Bootstrap: localimage\nFrom: ${base}\n`
const needs = can('userns', 'fuse')

let folder = ''
let scratch = ''
let cache = ''
beforeEach(() => {
  folder = temporaryFolder()
  cache = temporaryFolder()
  scratch = join(folder, 'tmp')
  mkdirSync(scratch)
  give(scratch)
})

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  give(path)
  return path
}

/** `sing build ARGUMENT...` in the folder, with temporary files below it and an empty cache: no step is known yet. */
function build(...args: string[]): Promise<Outcome> {
  const env = { SINGULARITY_TMPDIR: scratch, SINGULARITY_CACHEDIR: cache }
  return sing(['build', ...args], { cwd: folder, env })
}

async function buildDefinition(text: string, ...args: string[]): Promise<Outcome> {
  write('x.def', header + text)
  return await build(...args, 'x.sif', 'x.def')
}

/** What a command prints in the image that was built. */
async function inImage(script: string, image = 'x.sif', ...flags: string[]): Promise<string> {
  const { status, stdout, stderr } = await sing(['exec', ...flags, image, 'sh', '-c', script], {
    cwd: folder,
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
}

const visible = () => readdirSync(folder).filter((name) => name !== 'tmp' && name !== 'x.def')

describe.skipIf(!needs)('building a definition', () => {
  it('makes an image that runs, as an ordinary user without any flag', async () => {
    const { status, stderr } = await buildDefinition(
      '%post\n  echo made > /seen\n%runscript\n  echo "runs: $*"\n%labels\n  Who me\n%help\n  Helps.\n',
    )
    expect(stderr).not.toContain('WARNING')
    expect(status).toBe(0)
    expect(await inImage('cat /seen')).toBe('made\n')
    const { stdout } = await sing(['run', 'x.sif', 'a', 'b c'], { cwd: folder })
    expect(stdout).toBe('runs: a b c\n')
    const labels = await sing(['inspect', 'x.sif'], { cwd: folder })
    expect(labels.stdout).toContain('Who: me\n')
    expect(readdirSync(scratch)).toEqual([])
  })

  it.each([
    { ids: 'subordinate ids', flags: [] },
    { ids: 'a single id', flags: ['--ignore-subuid'] },
  ])('lets its scripts be root that gives files away, with $ids', async ({ flags }) => {
    const text = '%post\n  id -u > /seen\n  touch /f\n  chown 5:7 /f\n  chmod 4755 /f\n'
    expect((await buildDefinition(text, ...flags)).status).toBe(0)
    expect(await inImage('cat /seen; stat -c %a /f')).toBe('0\n4755\n')
  })

  it('runs its parts in the order that the format promises', async () => {
    write('hostfile', 'host')
    const { status, stderr } = await buildDefinition(
      '%test\n  cat /order\n' +
        '%post\n  cat /hostfile > /dev/null; echo post >> /order\n' +
        '%setup\n  test ! -e $SINGULARITY_ROOTFS/hostfile; echo setup > $APPTAINER_ROOTFS/order\n' +
        '%files\n  hostfile /hostfile\n' +
        '%pre\n  echo pre > pre-ran\n' +
        '%appinstall tool\n  pwd >> /order\n',
    )
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    expect(readFileSync(join(folder, 'pre-ran'), 'utf8')).toBe('pre\n')
    expect(await inImage('cat /order')).toBe('setup\npost\n/scif/apps/tool\n')
  })

  it('gives %post a clean environment, root as home, and the files that change the image', async () => {
    write(
      'x.def',
      `${header}%post
  echo "[$FROM_HOST] $HOME $(pwd)" > /seen
  echo 'export LATER=yes' >> $SINGULARITY_ENVIRONMENT
  echo 'Colour light green' >> $APPTAINER_LABELS
  if read line; then echo "stdin has $line" >> /seen; fi
`,
    )
    const env = { FROM_HOST: 'leaks', SINGULARITY_TMPDIR: scratch }
    const { status } = await sing(['build', 'x.sif', 'x.def'], { cwd: folder, env, input: 'typed\n' })
    expect(status).toBe(0)
    expect(await inImage('cat /seen; echo $LATER')).toBe('[] /root /\nyes\n')
    expect((await sing(['inspect', 'x.sif'], { cwd: folder })).stdout).toContain('Colour: light green\n')
    expect(await inImage('ls -A / | grep -E "script|labels|apt" || true')).toBe('')
  })

  it('copies from an earlier stage and forgets the stage', async () => {
    write(
      'x.def',
      `${header}Stage: one\n%post\n  echo 1 > /one; chmod 751 /one\n\n${header}%files from one\n  /one /two\n`,
    )
    expect((await build('x.sif', 'x.def')).status).toBe(0)
    expect(await inImage('stat -c %a /two; cat /two; test -e /one || echo gone')).toBe('751\n1\ngone\n')
  })

  it('lets nobody leave groups with --no-setgroups', async () => {
    const { stdout } = await buildDefinition('%post\n  cat /proc/self/setgroups\n', '--no-setgroups')
    expect(stdout).toBe('deny\n')
  })

  it('is not hindered by a variable that is for others', async () => {
    write('x.def', header)
    const env = { SINGULARITY_TMPDIR: scratch, SINGULARITY_KEEP_LAYERS: 'true' }
    expect(await sing(['build', 'x.sif', 'x.def'], { cwd: folder, env })).toMatchObject({ status: 0 })
    const { stderr } = await build('--keep-layers', 'y.sif', 'x.def')
    expect(stderr).toContain('--keep-layers is about --oci')
  })

  it('warns of a resolv.conf that leads nowhere', async () => {
    const text = '%setup\n  ln -sf /run/nowhere "$SINGULARITY_ROOTFS/etc/resolv.conf"\n%post\n  true\n'
    const { status, stderr } = await buildDefinition(text)
    expect(status).toBe(0)
    expect(stderr).toContain('WARNING: /etc/resolv.conf of the image leads to a file that is not there')
  })

  it('tells once what a flag of it cannot do', async () => {
    const { stderr } = await buildDefinition('', '--library', 'https://library.example')
    expect(stderr.match(/--library has no effect/g)).toHaveLength(1)
  })

  it('tells which part failed, where and how, and leaves nothing', async () => {
    const { status, stderr } = await buildDefinition('%post\n  true\n  exit 3\n  touch /never\n')
    expect(status).toBe(255)
    expect(stderr).toContain('FATAL:   %post failed with status 3 (x.def:5)')
    expect(visible()).toEqual([])
    expect(readdirSync(scratch)).toEqual([])
  })

  it('keeps the temporary files of a failed build with --no-cleanup', async () => {
    const { stderr } = await buildDefinition('%post\n  touch /kept\n  false\n', '--no-cleanup')
    const [kept = ''] = readdirSync(scratch)
    expect(stderr).toContain(join(scratch, kept))
    expect(existsSync(join(scratch, kept, 'rootfs-1/kept'))).toBe(true)
  })

  it('makes no image when %test fails, and one when it is left out', async () => {
    const text = '%test\n  touch /changed\n'
    expect((await buildDefinition(text)).status).toBe(255)
    expect(visible()).toEqual([])
    expect((await buildDefinition(text, '--writable-tmpfs')).status).toBe(0)
    expect(await inImage('test -e /changed || echo forgotten')).toBe('forgotten\n')
    expect((await buildDefinition(text, '--notest', '--force')).status).toBe(0)
  })

  it('runs the chosen sections only', async () => {
    const text =
      '%setup\n  touch $SINGULARITY_ROOTFS/by-setup\n%post\n  touch /by-post\n%labels\n  New label\n'
    expect((await buildDefinition(text, '--section', 'post')).status).toBe(0)
    expect(await inImage('ls / | grep ^by-')).toBe('by-post\n')
    expect((await sing(['inspect', 'x.sif'], { cwd: folder })).stdout).not.toContain('New: label')
  })

  it('brings host directories in during %post, where they belong', async () => {
    mkdirSync(join(folder, 'h'))
    write('h/f', 'host')
    const text = '%post\n  cat /mnt/f > /seen; touch /mnt/x 2>/dev/null || echo refused >> /seen\n'
    expect((await buildDefinition(text, '--bind', `${folder}/h:/mnt:ro`)).status).toBe(0)
    expect(await inImage('cat /seen; ls -A /mnt')).toBe('hostrefused\n')
    const missing = await buildDefinition(text, '--force', '--bind', `${folder}/h:/not/there`)
    expect(missing.status).toBe(255)
    expect(missing.stderr).toContain('/not/there')
  })

  it('has temporary directories that no script can harm the host through', async () => {
    write('tmp/precious', 'mine')
    const text =
      '%post\n  ls -A /tmp /var/tmp > /seen; touch /tmp/a /var/tmp/b; rm -rf /tmp/* /var/tmp/*; echo on >> /seen\n'
    expect((await buildDefinition(text)).status).toBe(0)
    expect(await inImage('cat /seen')).toBe('/tmp:\n\n/var/tmp:\non\n')
    expect(readFileSync(join(scratch, 'precious'), 'utf8')).toBe('mine')
  })

  it('updates a sandbox where it is', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    write('x.def', `${header}%post\n  echo updated > /seen\n`)
    expect((await build('--update', '--sandbox', 'sb', 'x.def')).status).toBe(0)
    expect(readFileSync(join(folder, 'sb/seen'), 'utf8')).toBe('updated\n')
    expect((await build('--update', 'sb', 'x.def')).status).toBe(255)
  })

  it('lets a single static busybox become an image', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    write(
      'x.def',
      `Bootstrap: busybox\nMirrorURL: ${folder}/sb/bin/busybox\n%post\n  ls /bin | wc -l > /seen\n`,
    )
    expect((await build('x.sif', 'x.def')).status).toBe(0)
    expect(Number(await inImage('cat /seen'))).toBeGreaterThan(50)
    write('x.def', `Bootstrap: busybox\nMirrorURL: ${folder}/x.def\n`)
    const { status, stderr } = await build('--force', 'x.sif', 'x.def')
    expect([status, stderr]).toEqual([255, expect.stringContaining('not an ELF program')])
  })
})

describe.skipIf(!needs)('a build that is stopped', () => {
  /** Start a build whose %post takes long, and give it once it is there. */
  async function started(): Promise<{ pid: number; ended: Promise<number> }> {
    write('x.def', `${header}%post\n  touch /mnt/ready; sleep 60\n`)
    mkdirSync(join(folder, 'h'))
    give(join(folder, 'h'))
    const [file = '', ...args] = commandLine([
      program,
      'build',
      '--bind',
      `${folder}/h:/mnt`,
      'x.sif',
      'x.def',
    ])
    const env = environment({ env: { SINGULARITY_TMPDIR: scratch } })
    const child = spawn(file, args, { cwd: folder, env, stdio: 'ignore' })
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
    while (!existsSync(join(folder, 'h/ready')) && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return { pid: child.pid ?? 0, ended }
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s leaves nothing behind', async (signal, status) => {
    const { pid, ended } = await started()
    process.kill(pid, signal)
    expect(await ended).toBe(status)
    expect(visible()).toEqual(['h'])
    expect(readdirSync(scratch)).toEqual([])
  })

  it('by SIGKILL leaves no image, and what it leaves the next build removes', async () => {
    const { pid, ended } = await started()
    process.kill(pid, 'SIGKILL')
    await ended
    expect(visible()).toEqual(['h'])
    expect(readdirSync(scratch)).toHaveLength(1)
    expect((await buildDefinition('')).status).toBe(0)
    expect(readdirSync(scratch)).toEqual([])
  })
})

describe.skipIf(!needs)('converting an image', () => {
  const list =
    'cd /; find . -xdev -path ./proc -prune -o -path ./sys -prune -o -path ./dev -prune -o -print | grep -v history | sort'

  it('keeps the files on the way from SIF to sandbox to SIF', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    expect((await build('x.sif', 'sb')).status).toBe(0)
    const files = await inImage(list, base, '--contain')
    expect(await inImage(list, 'x.sif', '--contain')).toBe(files)
    expect(await inImage('cat /opt/hello.txt; readlink /etc/relative-slink')).toBe(
      'hello, file\n../usr/share/zoneinfo/Etc/UTC\n',
    )
  })

  it.skipIf(!can('ext3'))('takes an ext3 without any other flag', async () => {
    await sing(['build', '--sandbox', 'tree', base], { cwd: folder })
    await run(['sh', '-c', 'truncate -s 16M x.img && mke2fs -q -t ext3 -d tree x.img'], { cwd: folder })
    expect(await build('x.sif', 'x.img')).toMatchObject({ status: 0 })
    expect(await inImage('echo here')).toBe('here\n')
  })

  it('does not change the sandbox that it reads', async () => {
    mkdirSync(join(folder, 'sb/bin'), { recursive: true })
    write('sb/bin/f', 'x')
    give(join(folder, 'sb'))
    expect((await build('x.sif', 'sb')).status).toBe(0)
    expect(readdirSync(join(folder, 'sb'))).toEqual(['bin'])
    const definition = await sing(['inspect', '--deffile', 'x.sif'], { cwd: folder })
    expect(definition.stdout).toBe('bootstrap: localimage\nfrom: sb\n')
  })

  it('takes nothing of the host into the image through a link of the sandbox', async () => {
    mkdirSync(join(folder, 'private/scif'), { recursive: true })
    write('private/scif/runscript.help', 'secret')
    mkdirSync(join(folder, 'sb/scif/apps'), { recursive: true })
    symlinkSync(join(folder, 'private'), join(folder, 'sb/scif/apps/spy'))
    give(join(folder, 'sb'))
    expect((await build('x.sif', 'sb')).status).toBe(0)
    expect(readFileSync(join(folder, 'x.sif')).includes('secret')).toBe(false)
  })

  it('lets nobody become the user by a setuid program, and keeps the bit in images', async () => {
    expect((await buildDefinition('%post\n  touch /f\n  chmod 4755 /f\n')).status).toBe(0)
    expect((await build('--sandbox', 'sb', 'x.sif')).status).toBe(0)
    expect(statSync(join(folder, 'sb/f')).mode & 0o7777).toBe(0o755)
    expect((await build('y.sif', 'x.sif')).status).toBe(0)
    expect(await inImage('stat -c %a /f', 'y.sif')).toBe('4755\n')
  })

  it('does not wait for a pipe that lies among the scripts of a sandbox', async () => {
    const pipe = join(folder, 'sb/.singularity.d/env/10-pipe.sh')
    mkdirSync(dirname(pipe), { recursive: true })
    await run(['mkfifo', pipe], { as: 'self' })
    give(join(folder, 'sb'))
    const { status, stderr } = await build('x.sif', 'sb')
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
  })

  it('needs no user namespace and gives the files to root', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    expect((await build('--ignore-userns', 'x.sif', 'sb')).status).toBe(0)
    expect(await inImage('stat -c %u:%g /bin/busybox', 'x.sif', '--fakeroot')).toBe('0:0\n')
  })

  it('gives equal bytes for equal input with --reproducible', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    expect((await build('--reproducible', 'a.sif', 'sb')).status).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await build('--reproducible', 'b.sif', 'sb')).status).toBe(0)
    expect(readFileSync(join(folder, 'a.sif')).equals(readFileSync(join(folder, 'b.sif')))).toBe(true)
  })

  it('uses the compressor that is asked for', async () => {
    expect((await build('--compress', 'xz', 'x.sif', base)).status).toBe(0)
    const { stdout } = await sing(['sif', 'list', 'x.sif'], { cwd: folder })
    const offset = Number(/(\d+)-\d+\s*\|FS/.exec(stdout)?.[1])
    // Compression id of a squashfs superblock: 4 is xz.
    expect(readFileSync(join(folder, 'x.sif')).readUInt16LE(offset + 20)).toBe(4)
  })

  it('names the file that it may not read and makes nothing', async () => {
    mkdirSync(join(folder, 'sb'))
    write('sb/locked', 'x')
    chmodSync(join(folder, 'sb/locked'), 0)
    const { status, stderr } = await build('x.sif', 'sb')
    expect([status, stderr]).toEqual([255, expect.stringContaining('locked')])
    expect(visible()).toEqual(['sb'])
  })

  it('replaces an existing target only by force, and only with something whole', async () => {
    write('x.sif', 'precious')
    const refused = await build('x.sif', base)
    expect([refused.status, refused.stderr]).toEqual([255, expect.stringContaining('--force')])
    write('x.def', `${header}%post\n  false\n`)
    expect((await build('--force', 'x.sif', 'x.def')).status).toBe(255)
    expect(readFileSync(join(folder, 'x.sif'), 'utf8')).toBe('precious')
    expect((await build('--force', 'x.sif', base)).status).toBe(0)
  })

  it('follows the umask of the caller with the new file only', async () => {
    const { status } = await run(['sh', '-c', `umask 027; exec '${program}' build x.sif '${base}'`], {
      cwd: folder,
    })
    expect(status).toBe(0)
    const { stdout } = await run(['stat', '-c', '%a', 'x.sif'], { cwd: folder })
    expect(stdout).toBe('750\n')
  })

  it('tells a full disk in one line and leaves nothing', async () => {
    expect((await build('--sandbox', 'sb', base)).status).toBe(0)
    const full = join(folder, 'full')
    mkdirSync(full)
    give(full)
    const script = `mount -t tmpfs -o size=1m none "$1" && SINGULARITY_TMPDIR="$1" "$2" build "$1/x.sif" "$3"; s=$?; ls -A "$1"; exit $s`
    const command = ['unshare', '-Urm', 'sh', '-c', script, 'sh', full, program, base]
    const { status, stdout, stderr } = await run(command, { cwd: folder })
    expect(stderr).toMatch(/^FATAL: {3}(not enough|no) space .*\n {9}.*--tmpdir/m)
    expect([status, stdout]).toEqual([255, ''])
  })
})

describe('a build that cannot be', () => {
  it.each([
    [['', base], 'empty'],
    [['x.sif', 'missing.sif'], 'missing.sif'],
    [['none/x.sif', base], 'none'],
    [['x.sif', 'library://alpine'], 'there is no library to ask'],
    [['x.sif', 'nothing://alpine'], 'nothing'],
    [['--encrypt', 'x.sif', base], 'nothing to encrypt with'],
    [['--section', 'psot', 'x.sif', base], 'psot'],
    [['x.sif', `${base}/x`], `cannot open ${base}/x: not a directory`],
    [['x.sif', 'x'.repeat(300)], 'name too long'],
    [['--json', 'x.sif', 'tmp'], 'tmp is a directory, and no definition in JSON'],
    [['--compress', 'brotli', 'x.sif', base], 'brotli'],
  ])('sing build %j says why', async (args, reason) => {
    const { status, stderr } = await build(...args)
    expect(status).toBe(255)
    expect(stderr).toContain(reason)
    expect(visible()).toEqual([])
  })

  it('names the line of the definition before anything is done', async () => {
    write('bad.def', `${header}%psot\n  true\n`)
    const { status, stderr } = await build('x.sif', 'bad.def')
    expect([status, stderr]).toEqual([255, expect.stringContaining('bad.def:3')])
    expect(stderr).toContain('%post')
  })
})
