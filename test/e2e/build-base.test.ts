/** Image files as the base of a build: they are mounted, and only what changes is written. */

import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { mountsOf, processesOf } from '../helpers/left.ts'
import { sha256 } from '../helpers/oci.ts'
import {
  commandLine,
  environment,
  type Outcome,
  program,
  projectRoot,
  type RunOptions,
  run,
  sing,
} from '../helpers/sing.ts'
import { until } from '../helpers/slurm.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'

/** A script of the host that writes into the tree whether it is an overlay. */
const tell =
  '%setup\n  grep -c " $SINGULARITY_ROOTFS .* overlay " /proc/self/mountinfo > $SINGULARITY_ROOTFS/told || true\n'

let folder = ''
let base = ''
beforeEach(() => {
  folder = temporaryFolder()
  base = copyInto(folder, join(projectRoot, 'fixtures/images/everything.sif'))
  mkdirSync(join(folder, 'tmp'))
  give(join(folder, 'tmp'))
})

function write(text: string): void {
  writeFileSync(join(folder, 'x.def'), `Bootstrap: localimage\nFrom: ${base}\n${text}`)
}

function build(text: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  write(text)
  const env = { SINGULARITY_TMPDIR: join(folder, 'tmp'), ...options.env }
  return sing(['build', '--force', ...args, 'x.def'], { cwd: folder, ...options, env })
}

async function mustBuild(...args: Parameters<typeof build>): Promise<void> {
  const { status, stderr } = await build(...args)
  expect(stderr).not.toMatch(/WARNING|FATAL/)
  expect(status).toBe(0)
}

async function inImage(image: string, script: string): Promise<string> {
  const { stdout, stderr } = await sing(['exec', image, 'sh', '-c', script], { cwd: folder })
  expect(stderr).toBe('')
  return stdout
}

const ways = [
  { ids: 'subordinate ids', flags: [], as: 'user', needs: can('subuid') },
  { ids: 'a single id', flags: ['--ignore-subuid'], as: 'user', needs: true },
  { ids: 'all ids, for root', flags: [], as: 'self', needs: can('root') },
] as const

describe.skipIf(!can('userns', 'fuse', 'overlay'))('an image file as a base', () => {
  describe.each(ways)('with $ids', ({ flags, as, needs }) => {
    it.skipIf(!needs)('stays packed, and leaves nothing behind', async () => {
      const changes =
        '%post\n  rm /etc/hostname; echo new > /new; chown 0:0 /new; chmod 700 /usr; mv /opt /opt2\n'
      await mustBuild(tell + changes, [...flags, 'x.sif'], { as })
      const look = 'cat /told /new; ls -d /etc/hostname /opt 2>/dev/null; stat -c %a /usr; ls /opt2 | wc -l'
      expect(await inImage('x.sif', look)).toBe('1\nnew\n700\n6\n')
      expect(readdirSync(join(folder, 'tmp'))).toEqual([])
      expect(mountsOf(folder)).toEqual([])
      // The server of the container that has just ended is about to.
      await until(() => processesOf(folder).length === 0)
    })

    it.skipIf(!needs)('gives the same image as when it is unpacked', async () => {
      const text =
        '%post\n  rm -r /usr; mkdir /usr; echo x > /usr/x; ln /usr/x /usr/y; ln -s x /usr/z; echo >> /etc/hostname\n'
      const env = { SOURCE_DATE_EPOCH: '1700000000' }
      await mustBuild(text, [...flags, 'x.sif'], { as, env })
      await mustBuild(text, [...flags, '--no-cleanup', 'y.sif'], { as, env })
      expect(sha256(readFileSync(join(folder, 'x.sif')))).toBe(sha256(readFileSync(join(folder, 'y.sif'))))
    })
  })

  describe('that this program packed', () => {
    const makes = [
      'mkdir /d /d/e; i=0; while [ $i -lt 60000 ]; do echo "line $i $((i * i))"; i=$((i+1)); done > /d/long',
      'cp /d/long /d/twin; ln /d/long /d/e/name; echo one > /d/one; ln /d/one /d/e/one; : > /d/empty; echo end >> /d/twin',
      'dd if=/d/long of=/d/holes bs=4096 count=1 seek=500 2>/dev/null; chmod 600 /d/twin; chown 0:0 /d/twin',
    ]
    const changes =
      '%post\n  echo more >> /d/holes; mv /d/empty /d/none; rm /d/twin /d/one; echo new > /d/new; cp -p /d/long /d/copy\n'
    const list =
      'find box -printf "%P %y %m %U %G %n %s %l\n" | sort; cd box; find . -type f | sort | xargs sha256sum'

    /** A base, and what was below it before. */
    async function makeBase(...flags: string[]): Promise<Buffer> {
      await mustBuild(`%post\n  ${makes.join('\n  ')}\n`, [...flags, 'base.sif'])
      base = join(folder, 'base.sif')
      return readFileSync(base)
    }

    async function unpacked(image: string): Promise<string> {
      await sing(['build', '--force', '--sandbox', 'box', image], { cwd: folder })
      const { stdout } = await run(['sh', '-c', list], { cwd: folder })
      // What tells where the sandbox came from.
      return stdout.replace(/.*(labels\.json|Singularity)\b.*$/gm, '')
    }

    it('gives its files as they lie in it', async () => {
      const before = await makeBase('--compress', 'zstd:1')
      await mustBuild(changes, ['x.sif'])
      await mustBuild(changes, ['--no-cleanup', 'y.sif'])
      expect(await unpacked('x.sif')).toBe(await unpacked('y.sif'))
      const stretch = before.subarray(40_000, 60_000)
      expect(readFileSync(join(folder, 'x.sif')).includes(stretch)).toBe(true)
      expect(readFileSync(join(folder, 'y.sif')).includes(stretch)).toBe(false)
    })

    it('is packed anew as the user wants it', async () => {
      const before = await makeBase('--compress', 'zstd:1')
      await mustBuild(changes, ['--compress', 'zstd:9', 'x.sif'])
      expect(readFileSync(join(folder, 'x.sif')).includes(before.subarray(40_000, 60_000))).toBe(false)
    })

    it('is packed anew when its compressor is another one', async () => {
      await makeBase('--compress', 'lz4')
      await mustBuild(changes, ['x.sif'])
      await mustBuild(changes, ['--no-cleanup', 'y.sif'])
      expect(await unpacked('x.sif')).toBe(await unpacked('y.sif'))
    })
  })

  it('is unpacked where files are to stay, or all of them change', async () => {
    await mustBuild(tell, ['--fix-perms', 'x.sif'])
    expect(await inImage('x.sif', 'cat /told')).toBe('0\n')
    await mustBuild(tell, ['--sandbox', '--disable-cache', 'box'])
    expect(await inImage('box', 'cat /told')).toBe('0\n')
  })

  it('is unpacked where the file system cannot keep what an overlay changes', async () => {
    write(tell)
    // An overlay on another one.
    const script =
      'mkdir l u w && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none tmp && exec "$0" "$@"'
    const call = ['unshare', '-Urm', 'sh', '-c', script, program, 'build', 'x.sif', 'x.def']
    const { status, stderr } = await run(call, { cwd: folder, env: { SINGULARITY_TMPDIR: 'tmp' } })
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    expect(await inImage('x.sif', 'cat /told')).toBe('0\n')
  })

  it('can be that of two stages, one of which copies from the other', async () => {
    const stages = [
      'Stage: one\n%post\n  echo one > /one; chmod 640 /one\n',
      `Bootstrap: localimage\nFrom: ${base}\nStage: two\n%files from one\n  /one /copied\n  /bin /copied-bin\n`,
    ]
    await mustBuild(stages.join('\n'), ['x.sif'])
    const look =
      'cat /copied; ls /one 2>/dev/null; cmp /bin/busybox /copied-bin/busybox && stat -c %a /copied'
    expect(await inImage('x.sif', look)).toBe('one\n640\n')
  })

  it('keeps the other names of a file that is changed under one of them as they were', async () => {
    await mustBuild('%post\n  echo old > /a; ln /a /b; ln /a /c\n', ['base.sif'])
    base = join(folder, 'base.sif')
    await mustBuild('%post\n  echo new >> /a\n', ['x.sif'])
    expect(await inImage('x.sif', 'cat /a /b; stat -c %h /b /c')).toBe('old\nnew\nold\n2\n2\n')
  })

  it('lets %test write for itself alone', async () => {
    const { status, stdout } = await build('%test\n  echo kept > /seen && cat /seen\n', [
      '--writable-tmpfs',
      'x.sif',
    ])
    expect(status).toBe(0)
    expect(stdout).toBe('kept\n')
    expect(await inImage('x.sif', 'ls /seen 2>/dev/null; echo')).toBe('\n')
  })

  it('has no server any more when the build is killed', async () => {
    write('%post\n  echo running\n  sleep 300\n')
    const [file = '', ...args] = commandLine([program, 'build', 'x.sif', 'x.def'])
    const env = environment({ env: { SINGULARITY_TMPDIR: join(folder, 'tmp') } })
    const child = spawn(file, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'] })
    const servers = () => processesOf(folder).filter((line) => line.includes('sing-squashfs'))
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    expect(servers()).toHaveLength(1)
    child.kill('SIGKILL')
    await until(() => servers().length === 0)
    expect(mountsOf(folder)).toEqual([])
    // The next build removes what lies there.
    await mustBuild('', ['x.sif'])
    expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  })
})
