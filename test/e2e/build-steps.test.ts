/** Steps of builds whose results are kept: which of them run, and that images are the same as without. */

import { spawn } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'
import { treeOf } from '../helpers/tree.ts'

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
  copyInto(folder, join(projectRoot, 'fixtures/images/everything.sif'), 'base.sif')
  mkdirSync(join(folder, 'tmp'))
  write('data', 'data\n')
  give(folder)
})

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text)
  give(join(folder, name))
}

const variables = () => ({
  SINGULARITY_TMPDIR: join(folder, 'tmp'),
  SINGULARITY_CACHEDIR: join(folder, 'cache'),
})

const header = 'Bootstrap: localimage\nFrom: base.sif\n'

/** Build a definition. Its scripts write to standard output what runs. */
async function build(text: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Outcome> {
  write('x.def', header + text)
  const env = { ...variables(), ...options.env }
  return await sing(['build', '--force', ...args, 'x.sif', 'x.def'], { cwd: folder, ...options, env })
}

/** What ran in a build that must succeed. */
async function ran(...args: Parameters<typeof build>): Promise<string> {
  const { status, stdout, stderr } = await build(...args)
  expect(stderr).not.toMatch(/WARNING|FATAL/)
  expect(status).toBe(0)
  return stdout.trim().split(/\s+/).join(' ')
}

async function inImage(script: string, image = 'x.sif'): Promise<string> {
  const { stdout, stderr } = await sing(['exec', image, 'sh', '-c', script], { cwd: folder })
  expect(stderr).toBe('')
  return stdout
}

type Kept = { id: string; name: string; partial: boolean }

async function kept(options: RunOptions = {}): Promise<Kept[]> {
  const call = ['cache', 'list', '--json', '--type', 'build']
  const { stdout } = await sing(call, { env: variables(), ...options })
  return JSON.parse(stdout).entries
}

const digestOf = (name: string): string => sha256(readFileSync(join(folder, name)))

const two = (first: string, second: string): string =>
  `%post\n  echo ran-${first}\n  echo ${first} > /first\n  # ---\n  echo ran-${second}\n  echo ${second} > /second\n`

const ways = [
  { ids: 'subordinate ids', flags: [], as: 'user', needs: can('subuid') },
  { ids: 'a single id', flags: ['--ignore-subuid'], as: 'user', needs: true },
  { ids: 'all ids, for root', flags: [], as: 'self', needs: can('root') },
] as const

/** Everything that layers can get wrong, each part on top of the one before. */
const torture = [
  'mkdir -p /t/d/e /t/gone/deep /t/opaque; echo a > /t/a; ln /t/a /t/b; echo c > /t/d/c; ln /t/d/c /t/d/c2; ln -s a /t/l',
  'echo x > /t/gone/deep/x; echo old > /t/opaque/old; chmod 4755 /t/a; chmod 2750 /t/d; mkfifo /t/p',
  'mkdir /t/own; echo o > /t/own/o; chown 3:4 /t/own /t/own/o; dd if=/dev/zero of=/t/holes bs=1 count=1 seek=200000 2>/dev/null',
  '# ---',
  'rm -r /t/gone; rm -r /t/opaque; mkdir /t/opaque; echo new > /t/opaque/new; mv /t/d /t/moved; rm /t/l; echo file > /t/l',
  '# ---',
  'echo more > /t/new; mkdir /t/gone; mv /t/l /t/e2; echo file > /t/l; rm /etc/hostname; chmod 711 /t/moved; chmod 700 /root; rm /t/p',
  '# ---',
  'mv /t/moved /t/d; ln /t/l /t/l2; mkdir /t/opaque/deep; rmdir /t/gone; echo z > /t/gone; rm -r /usr/share; chmod u+s /t/l',
]

describe.skipIf(!can('userns', 'fuse', 'overlay'))('steps', () => {
  describe.each(ways)('with $ids', ({ flags, as, needs }) => {
    it.skipIf(!needs)('are taken when they are known, and give the same image', async () => {
      const env = { SOURCE_DATE_EPOCH: '1700000000' }
      const text = `%files\n  data /data\n${two('one', 'two')}%test\n  echo tested\n`
      expect(await ran(text, flags, { as, env })).toBe('ran-one ran-two tested')
      const first = digestOf('x.sif')
      expect(await ran(text, flags, { as, env })).toBe('tested')
      expect(digestOf('x.sif')).toBe(first)
      expect(await ran(text, [...flags, '--disable-cache'], { as, env })).toBe('ran-one ran-two tested')
      expect(digestOf('x.sif')).toBe(first)
      expect(readdirSync(join(folder, 'tmp'))).toEqual([])
      expect(mountsOf(folder)).toEqual([])
      expect(processesOf(folder)).toEqual([])
    })

    it.skipIf(!needs)('give what a build at one go gives, whatever they do to files', async () => {
      const env = { SOURCE_DATE_EPOCH: '1700000000' }
      const text = `%post\n  ${torture.join('\n  ')}\n`
      await ran(text, [...flags, '--disable-cache'], { as, env })
      const expected = digestOf('x.sif')
      await ran(text, flags, { as, env })
      expect(digestOf('x.sif')).toBe(expected)
      await ran(text, flags, { as, env })
      expect(digestOf('x.sif')).toBe(expected)
      await ran(text, flags, { as })
      const list =
        'cd /; find t usr root -exec stat -c "%n %f %u %g %s" {} + | sort; cat /t/a /t/b /t/d/c /t/l2 /t/new'
      const adopted = await inImage(list)
      await ran(text, [...flags, '--disable-cache'], { as })
      expect(await inImage(list)).toBe(adopted)
    })
  })

  describe.each(ways)('with $ids', ({ flags, as, needs }) => {
    it.skipIf(!needs || !can('xattrs'))('keep attributes, capabilities and setuid bits', async () => {
      const setup = [
        'cd "$SING_ROOTFS"; touch one two; chmod 4755 two',
        'setfattr -n user.note -v kept one',
        'setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 one',
      ]
      const text = `%setup\n  ${setup.join('\n  ')}\n%post\n  mkdir /d; mv /one /d/one\n  # ---\n  mv /two /d/two; mv /d/one /three\n`
      await ran(text, flags, { as })
      await ran(text, flags, { as })
      const tree = await treeOf(join(folder, 'x.sif'))
      expect(tree.get('three')).toMatch(/security\.capability=0[12]000002000400/)
      expect(tree.get('three')).toContain(`user.note=${Buffer.from('kept').toString('hex')}`)
      expect(tree.get('d/two')).toMatch(/^file 4755 0:0/)
      expect(tree.get('one')).toBeUndefined()
    })
  })

  it('leave %post known when an app changes behind a cut, and all of them when only its texts do', async () => {
    const text = (install: string, greeting: string, label: string) => `%post
  echo ran-post; word=post
  # ---
%appinstall one
  echo ran-$word-${install}; echo ${install} > bin/what
%apprun one
  echo ${greeting} $(cat /scif/apps/one/bin/what)
%applabels one
  ${label} yes
`
    expect(await ran(text('first', 'hi', 'Old'))).toBe('ran-post ran--first')
    expect(await ran(text('second', 'hi', 'Old'))).toBe('ran--second')
    expect(await ran(text('second', 'hello', 'New'))).toBe('')
    const app = await sing(['run', '--app', 'one', 'x.sif'], { cwd: folder })
    expect(app.stdout).toBe('hello second\n')
    const labels = await sing(['inspect', '--app', 'one', '--labels', 'x.sif'], { cwd: folder })
    expect(labels.stdout).toBe('New: yes\nSCIF_APP_NAME: one\n')
    expect(await inImage('echo $SCIF_APPRUN_one')).toBe('/scif/apps/one/scif/runscript\n')
  })

  it('call what apps install by its name where there is no %post', async () => {
    const { stderr } = await build('%appinstall one\n  echo fine\n  false\n')
    expect(stderr).toContain('FATAL:   %appinstall failed with status 1 (x.def:5)\n')
  })

  it('are no part of what only describes the image', async () => {
    const say = (word: string) => `${two('one', 'two')}%runscript\n  echo ${word}\n%labels\n  word ${word}\n`
    expect(await ran(say('a'))).toBe('ran-one ran-two')
    expect(await ran(say('b'))).toBe('')
    expect((await sing(['run', 'x.sif'], { cwd: folder })).stdout).toBe('b\n')
    expect((await sing(['inspect', 'x.sif'], { cwd: folder })).stdout).toContain('word: b\n')
  })

  it('run again from the part of %post on that changed', async () => {
    await ran(two('one', 'two'))
    expect(await ran(two('one', 'new'))).toBe('ran-new')
    expect(await inImage('cat /first /second')).toBe('one\nnew\n')
    expect(await ran(two('new', 'two'))).toBe('ran-new ran-two')
    expect(await ran(two('one', 'two'))).toBe('')
  })

  it('run again when a file that they copy changed, and not when it was only touched', async () => {
    const text = `%files\n  data /data\n  dir /\n${two('one', 'two')}`
    mkdirSync(join(folder, 'dir'))
    write('dir/inner', 'inner\n')
    expect(await ran(text)).toBe('ran-one ran-two')
    utimesSync(join(folder, 'data'), 1000, 1000)
    expect(await ran(text)).toBe('')
    write('dir/inner', 'other\n')
    expect(await ran(text)).toBe('ran-one ran-two')
    expect(await inImage('cat /data /dir/inner')).toBe('data\nother\n')
    write('dir/more', '')
    expect(await ran(text)).toBe('ran-one ran-two')
  })

  it('run again when the base is another one', async () => {
    const text = two('one', 'two')
    await ran(text)
    await ran('%post\n  echo base > /base\n')
    await run(['mv', 'x.sif', 'base.sif'], { cwd: folder })
    expect(await ran(text)).toBe('ran-one ran-two')
    expect(await inImage('cat /base')).toBe('base\n')
  })

  it('behind %setup are known when it changed the same', async () => {
    const text = (word: string) => `%setup\n  echo ${word} > "$SING_ROOTFS/setup"\n${two('one', 'two')}`
    expect(await ran(text('a'))).toBe('ran-one ran-two')
    expect(await ran(text('a'))).toBe('')
    expect(await ran(text('b'))).toBe('ran-one ran-two')
    expect(await inImage('cat /setup')).toBe('b\n')
    expect(await ran(`%setup\n  true\n${two('one', 'two')}`)).toBe('ran-one ran-two')
    expect(await ran(two('one', 'two'))).toBe('')
  })

  it('run again when what they see of the host changed', async () => {
    const bind = ['--bind', `${folder}/data:/mnt/data`]
    const text = '%setup\n  touch $SING_ROOTFS/mnt/data\n%post\n  echo ran; cat /mnt/data > /copy\n'
    expect(await ran(text, bind)).toBe('ran')
    expect(await ran(text, bind)).toBe('')
    write('data', 'changed\n')
    expect(await ran(text, bind)).toBe('ran')
    expect(await inImage('cat /copy')).toBe('changed\n')
  })

  it('collect labels across parts', async () => {
    const text = '%post\n  echo one 1 >> $SINGULARITY_LABELS\n  # ---\n  echo two 2 >> $SINGULARITY_LABELS\n'
    await ran(text)
    await ran(text)
    const { stdout } = await sing(['inspect', '--labels', 'x.sif'], { cwd: folder })
    expect(stdout).toMatch(/^one: 1$/m)
    expect(stdout).toMatch(/^two: 2$/m)
    expect(await inImage('ls -A / | grep build.labels || true')).toBe('')
  })

  it('can be run all the same', async () => {
    const text = two('one', 'two')
    await ran(text)
    expect(await ran(text, ['--no-cache'])).toBe('ran-one ran-two')
    expect(await ran(text, ['--from-step', '3'])).toBe('ran-two')
    expect(await ran(text, ['--from-step', '%post'])).toBe('ran-one ran-two')
    expect(await ran(text, ['--from-step', '%post (2 of 2)'])).toBe('ran-two')
    expect(await ran(text, [], { env: { SING_NO_CACHE: '1' } })).toBe('ran-one ran-two')
    expect(await ran(text, [], { env: { SINGULARITY_FROM_STEP: '3' } })).toBe('ran-two')
    const { status, stderr } = await build(text, ['--from-step', 'six'])
    expect(status).toBe(255)
    expect(stderr).toContain('--from-step six: there is no such step')
    expect(stderr).toContain('Steps: 1 localimage base.sif, 2 %post (1 of 2), 3 %post (2 of 2)')
  })

  it('are not mixed with what the same step made another time', async () => {
    const text =
      '%post\n  echo ran-one; cat /proc/sys/kernel/random/uuid > /one\n  # ---\n  echo ran-two; cp /one /two\n'
    await ran(text)
    const [first] = (await kept()).filter(({ name }) => name.includes('1 of 2'))
    unlinkSync(join(folder, 'cache/cache/sing/build', first?.id ?? ''))
    expect(await ran(text)).toBe('ran-one ran-two')
    expect(await inImage('cmp /one /two')).toBe('')
    expect(await ran(text)).toBe('')
  })

  it('stand on what they began with, whoever replaces it meanwhile', async () => {
    await ran('%post\n  echo base > /base\n')
    await run(['mv', 'x.sif', 'other.sif'], { cwd: folder })
    const one = 'Stage: one\n%setup\n  mv other.sif base.sif\n%post\n  echo one > /one; ls /base || true\n\n'
    const two = `${header}Stage: two\n%setup\n  rm cache/cache/sing/build/*\n%files from one\n  /one /copy\n`
    expect((await build(one + two)).stderr).toMatch(/\/base.*No such file/)
    expect(await inImage('cat /base /copy')).toBe('base\none\n')
  })

  it('are not kept when the file of the base is written to meanwhile', async () => {
    const place = String(readFileSync(join(folder, 'base.sif')).indexOf('hsqs') + 8)
    const text = `%setup\n  printf xyz | dd of=base.sif bs=1 conv=notrunc seek=${place}\n`
    const { status, stderr } = await build(text)
    expect(stderr).toContain('the image that the build began with was changed meanwhile')
    expect(status).toBe(255)
    expect(await kept()).toHaveLength(1)
  })

  it('are known by what they copied, also when that changes all the time', async () => {
    const text = '%files\n  /proc/uptime /uptime\n%post\n  echo ran\n'
    expect(await ran(text)).toBe('ran')
    const before = await inImage('cat /uptime')
    expect(await ran(text)).toBe('ran')
    expect(await inImage('cat /uptime')).not.toBe(before)
  })

  it('of a stage that others copy from do not run either', async () => {
    const text = (word: string) =>
      `Stage: one\n%post\n  echo ran-one; echo one > /one\n%test\n  echo tested\n\n${header}Stage: two\n%files from one\n  /one /copy\n%post\n  echo ran-${word}\n`
    expect(await ran(text('two'))).toBe('ran-one tested ran-two')
    expect(await ran(text('two'))).toBe('')
    expect(await ran(text('new'))).toBe('ran-new')
    expect(await inImage('cat /copy; ls /one 2>/dev/null || true')).toBe('one\n')
  })

  it('copy what a stage says about itself when that changed, too', async () => {
    const text = (word: string) =>
      `Stage: one\n%help\n  help\n\n# ${word}\n${header}Stage: two\n%files from one\n  /.singularity.d/Singularity /copy\n`
    await ran(text('first'))
    await ran(text('second'))
    expect(await inImage('grep "^#" /copy')).toBe('# second\n')
  })

  it('give sandboxes too', async () => {
    write('x.def', header + two('one', 'two'))
    const call = ['build', '--force', '--sandbox', 'box', 'x.def']
    const options = { cwd: folder, env: variables() }
    expect((await sing(call, options)).stdout).toBe('ran-one\nran-two\n')
    const { stdout, stderr, status } = await sing(call, options)
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    expect(stdout).toBe('')
    expect(await inImage('cat /first /second', 'box')).toBe('one\ntwo\n')
    expect(await ran(two('one', 'two'))).toBe('')
  })

  it('that fail leave nothing, and those before them are known', async () => {
    const text = (last: string) => `%post\n  echo ran-one\n  # ---\n  echo ran-two; touch /x; ${last}\n`
    expect((await build(text('false'))).status).toBe(255)
    const before = await kept()
    const names = before.map(({ name }) => name).sort()
    expect(names).toEqual(['x.def %post (1 of 2)', 'x.def localimage base.sif'])
    expect(before.every(({ partial }) => !partial)).toBe(true)
    expect(await ran(text('true'))).toBe('ran-two')
    expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  })

  it('that were damaged are no reason for a riddle', async () => {
    await ran(two('one', 'two'))
    for (const { id } of await kept()) {
      const path = join(folder, 'cache/cache/sing/build', id)
      writeFileSync(path, Buffer.alloc(statSync(path).size))
    }
    const { status, stderr } = await build(two('one', 'new'))
    expect(status).toBe(255)
    expect(stderr).toContain('cannot mount what the steps before made')
    expect(stderr).toContain('sing cache clean --type build')
    expect(await ran(two('one', 'new'), ['--disable-cache'])).toBe('ran-one ran-new')
  })

  it('are not lost when they cannot be put into the cache', async () => {
    await ran(two('one', 'two'))
    for (const { id } of await kept()) {
      const path = join(folder, 'cache/cache/sing/build', id)
      unlinkSync(path)
      mkdirSync(path)
    }
    const { status, stdout, stderr } = await build(two('one', 'two'))
    expect(stderr).toMatch(/WARNING: What %post \(1 of 2\) made is not kept: .*directory/)
    expect(status).toBe(0)
    expect(stdout).toBe('ran-one\nran-two\n')
    expect(await inImage('cat /first /second')).toBe('one\ntwo\n')
  })

  it('are listed, counted and removed by their type', async () => {
    await ran(two('one', 'two'))
    const { stdout } = await sing(['cache', 'list'], { env: variables() })
    expect(stdout).toMatch(/3 build step\(s\) using/)
    await sing(['cache', 'clean', '--force', '--type', 'build'], { env: variables() })
    expect(await kept()).toEqual([])
    expect(await ran(two('one', 'two'))).toBe('ran-one ran-two')
  })

  it('are not kept, and not lost either, when the cache is full', async () => {
    write(
      'x.def',
      `${header}%post\n  head -c 3000000 /dev/urandom > /large; echo ran\n  # ---\n  ls -l /large\n`,
    )
    const script =
      'mkdir -p cache && mount -t tmpfs -o size=1m none cache && "$0" "$@" && find cache -size +500k && find cache -name "*.work"'
    const call = ['unshare', '-Urm', 'sh', '-c', script, program, 'build', 'x.sif', 'x.def']
    const { status, stdout, stderr } = await run(call, { cwd: folder, env: variables() })
    expect(stderr).toContain(
      'WARNING: What %post (1 of 2) made is not kept: there is no space left in the cache',
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/^ran\n-rw.* 3000000 .* \/large\n$/)
    expect(await inImage('stat -c %s /large')).toBe('3000000\n')
    expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  })

  it('are unpacked as a whole where the kernel mounts nothing', async () => {
    const text = `%files\n  data /data\n${two('one', 'two')}`
    write('x.def', header + text)
    // An overlay on another one.
    const script =
      'mkdir -p l u w && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none tmp && exec "$0" "$@"'
    const call = ['unshare', '-Urm', 'sh', '-c', script, program, 'build', '--force', 'x.sif', 'x.def']
    const options = { cwd: folder, env: { ...variables(), SINGULARITY_TMPDIR: 'tmp' } }
    expect((await run(call, options)).stdout).toBe('ran-one\nran-two\n')
    expect(await kept()).toHaveLength(1)
    const { stdout, stderr } = await run(call, options)
    expect(stderr).not.toContain('FATAL')
    expect(stdout).toBe('')
    expect(await inImage('cat /data /first /second')).toBe('data\none\ntwo\n')
  })

  describe('of several builds at once', () => {
    it('run in one of them', async () => {
      write('y.def', `${header}%post\n  echo ran; sleep 2; echo done > /done\n`)
      const start = (target: string) => sing(['build', target, 'y.def'], { cwd: folder, env: variables() })
      const outcomes = await Promise.all(['a.sif', 'b.sif', 'c.sif'].map(start))
      expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0])
      expect(outcomes.map(({ stdout }) => stdout).join('')).toBe('ran\n')
      const all = outcomes.map(({ stderr }) => stderr).join('')
      expect(all).toContain('Waiting for another process that makes y.def %post')
      for (const image of ['a.sif', 'b.sif', 'c.sif'])
        expect(await inImage('cat /done', image)).toBe('done\n')
    })

    it('run in the next one when one is killed', async () => {
      write('x.def', `${header}%files\n  data /data\n${two('one', 'two')}`)
      const [file = '', ...args] = commandLine([program, 'build', '--force', 'x.sif', 'x.def'])
      const env = environment({ env: variables() })
      for (let moment = 0; moment < 20; moment += 1) {
        const child = spawn(file, args, { cwd: folder, env, stdio: 'ignore', detached: true })
        const end = new Promise((resolve) => child.once('close', resolve))
        await sleep(60 + moment * 45)
        child.kill('SIGKILL')
        await end
      }
      await ran(`%files\n  data /data\n${two('one', 'two')}`)
      expect(await inImage('cat /data /first /second')).toBe('data\none\ntwo\n')
      for (const { name, partial } of await kept()) expect([name, partial]).toEqual([name, false])
      expect(await kept()).toHaveLength(4)
      expect(readdirSync(join(folder, 'tmp'))).toEqual([])
      expect(mountsOf(folder)).toEqual([])
    })
  })
})
