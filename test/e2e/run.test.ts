import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { program, projectRoot, run, sing, testUser } from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
const here = () => ({ cwd: images.folder })
const exec = (args: string[], options = {}) => sing(['exec', ...args], { ...here(), ...options })
const inside = (script: string, flags: string[] = [], options = {}) =>
  exec([...flags, images.everything, 'sh', '-c', script], options)

beforeAll(async () => {
  images = await makeImages()
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a container', () => {
  it.each([
    [{ SINGULARITY_LOCALCACHEDIR: 'here', TMPDIR: '/tmp' }, 'here'],
    [{ SINGULARITY_LOCALCACHEDIR: '/tmp', APPTAINER_TMPDIR: 'here' }, 'here'],
  ])('is unpacked where variables say: %j', async (variables, place) => {
    const folder = temporaryFolder()
    const named = Object.entries(variables).map(([name, path]) => [name, path === place ? folder : path])
    const { stdout, stderr } = await inside('echo in', ['--unsquash'], { env: Object.fromEntries(named) })
    expect(stderr).toContain(`to a temporary sandbox in ${folder}\n`)
    expect(stdout).toBe('in\n')
    expect(readdirSync(folder)).toEqual([])
  })

  it('runs a command of the image as the same user', async () => {
    const { uid, gid, name } = testUser()
    const { stdout, status } = await inside('id -u; id -g; id -un; head -1 /etc/os-release')
    expect(stdout).toBe(`${uid}\n${gid}\n${name}\nNAME="Suite Linux"\n`)
    expect(status).toBe(0)
  })

  it.skipIf(!can('root'))('runs for who has no entry in passwd, whatever is in USER and HOME', async () => {
    const home = join(images.folder, 'odd:ho\nme')
    mkdirSync(home)
    chmodSync(home, 0o777)
    const script = 'id -u; grep 54321 /etc/passwd; echo "$HOME"'
    const ids = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups']
    const command = [...ids, program, 'exec', images.everything, 'sh', '-c', script]
    const env = { USER: 'x:0:0\nroot:', LOGNAME: undefined, HOME: home }
    const { stdout } = await run(command, { as: 'self', env })
    expect(stdout).toBe(`54321\n54321:x:54321:54321::/:/bin/sh\n${home}\n`)
    const lost = await run(command, { as: 'self', env: { USER: 'me', HOME: 'not/absolute' } })
    expect(lost.stdout).toBe('54321\nme:x:54321:54321::/:/bin/sh\n/\n')
  })

  it('hands arguments on unchanged', async () => {
    const words = ['', 'b  c', 'd\ne', '*', '$HOME', "it's", '"q"', '\\n', '--', '-x', '--bind']
    const { stdout } = await exec([
      images.everything,
      'sh',
      '-c',
      'for a; do printf "<%s>" "$a"; done',
      'x',
      ...words,
    ])
    expect(stdout).toBe(words.map((word) => `<${word}>`).join(''))
  })

  it('names a script of the environment that cannot be read', async () => {
    const sandbox = copyInto(images.folder, images.sandbox, 'closed')
    const script = join(sandbox, '.singularity.d/env/90-environment.sh')
    chmodSync(script, 0)
    expect(await exec([sandbox, 'true'])).toMatchObject({
      status: 255,
      stderr: 'FATAL:   cannot read /.singularity.d/env/90-environment.sh: permission denied\n',
    })
  })

  it('ends with the status of its command', async () => {
    for (const status of [0, 1, 42, 126, 127, 255])
      expect(await inside(`exit ${status}`)).toMatchObject({ status })
  })

  it('turns a signal into 128 plus its number', async () => {
    expect((await inside('kill -KILL $$')).status).toBe(137)
    expect((await inside('kill -TERM $$')).status).toBe(143)
  })

  it('starts where the caller is and sees the files there', async () => {
    mkdirSync(join(images.folder, 'work/deep'), { recursive: true })
    writeFileSync(join(images.folder, 'work/deep/file'), 'data')
    give(join(images.folder, 'work'))
    const { stdout } = await inside('pwd; cat file; echo new > made', [], {
      cwd: join(images.folder, 'work/deep'),
    })
    expect(stdout).toBe(`${join(images.folder, 'work/deep')}\ndata`)
    expect(readFileSync(join(images.folder, 'work/deep/made'), 'utf8')).toBe('new\n')
  })

  it('has home, /tmp, devices and the kernel file systems', async () => {
    const script =
      'test -w ~ && test -w /tmp && test -c /dev/null && test -e /proc/self/status && test -d /sys/kernel && echo all'
    expect((await inside(script)).stdout).toBe('all\n')
  })

  it('cannot change the image', async () => {
    const { stdout, stderr } = await inside('touch /opt/open/x || echo refused; mkdir /etc/d || echo refused')
    expect(stdout).toBe('refused\nrefused\n')
    expect(stderr).toContain('Read-only file system')
  })

  it('cannot change a sandbox without --writable, and can with it', async () => {
    expect((await exec([images.sandbox, 'touch', '/opt/open/x'])).status).not.toBe(0)
    expect(existsSync(join(images.sandbox, 'opt/open/x'))).toBe(false)
    expect((await exec(['--writable', images.sandbox, 'touch', '/opt/open/x'])).status).toBe(0)
    expect(existsSync(join(images.sandbox, 'opt/open/x'))).toBe(true)
  })

  it('has no capability, no new privileges, and mounts without setuid and devices', async () => {
    const { stdout } = await inside(
      'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status; grep " /tmp " /proc/self/mounts',
    )
    expect(stdout).toMatch(/CapEff:\s+0+\n/)
    expect(stdout).toMatch(/CapBnd:\s+0+\n/)
    expect(stdout).toMatch(/NoNewPrivs:\s+1/)
    expect(stdout).toMatch(/nosuid,nodev/)
  })

  it('runs the runscript when the file itself is executed', async () => {
    const path = { PATH: `${join(projectRoot, 'bin')}:/usr/bin:/bin` }
    const { stdout, status } = await run([images.everything, 'echo', 'a  b'], { ...here(), env: path })
    expect(stdout).toBe('Running command: echo a  b\na  b\n')
    expect(status).toBe(0)
  })

  it('runs apps, tests and shells', async () => {
    expect((await sing(['run', '--app', 'foo', images.everything], here())).stdout).toBe('RUNNING FOO\n')
    expect((await sing(['run', '--app', 'nope', images.everything], here())).status).toBe(1)
    expect((await sing(['test', images.everything, 'false'], here())).status).toBe(1)
    const shell = await sing(['shell', images.everything], { ...here(), input: 'echo $GREETING; exit 3\n' })
    expect(shell).toMatchObject({ stdout: 'hello from the image\n', status: 3 })
  })

  it('keeps descriptors of the caller and none of its own', async () => {
    writeFileSync(join(images.folder, 'nine'), 'through nine')
    const script = `exec 9<nine; ls /proc/self/fd; echo; "$0" exec "$1" sh -c 'ls /proc/self/fd; cat <&9'`
    const { stdout } = await run(['sh', '-c', script, program, images.everything], here())
    const [outside = '', within] = stdout.split('\n\n')
    expect(outside.split('\n')).toContain('9')
    expect(within).toBe(`${outside}\nthrough nine`)
  })

  it('keeps the soft limit of open files', async () => {
    const script = `ulimit -Sn 321; ulimit -Hn 654; "$0" exec "$1" sh -c 'ulimit -Sn; ulimit -Hn'`
    const { stdout } = await run(['sh', '-c', script, program, images.everything], here())
    expect(stdout).toBe('321\n654\n')
  })

  // Node gives every signal its default at its own start, so what was ignored before cannot be known there.
  it.skipIf(process.env.SING_ENGINE === 'node')(
    'keeps what is ignored, but for the signals of a shell in the background',
    async () => {
      const script = `trap "" HUP USR1 INT; "$0" exec "$1" sh -c 'grep SigIgn /proc/self/status'`
      const { stdout } = await run(['sh', '-c', script, program, images.everything], here())
      const bits = BigInt(`0x${stdout.trim().replace(/\D*/, '')}`)
      const isIgnored = (signal: bigint) => (bits >> (signal - 1n)) & 1n
      expect([1n, 10n, 2n, 13n].map(isIgnored)).toEqual([1n, 1n, 0n, 0n])
    },
  )

  it('with --containall sees nothing of the host', async () => {
    const { stdout } = await inside(
      'ls -A ~ /tmp | grep -v : ; echo "[$FOO] $$"; ls /dev | grep -c -e fuse -e loop',
      ['--containall'],
      {
        env: { FOO: 'bar' },
      },
    )
    expect(stdout).toMatch(/^\s*\[\] \d\n0\n$/)
  })

  it('needs neither shell nor metadata in the image', async () => {
    const bare = join(temporaryFolder(), 'bare')
    mkdirSync(join(bare, 'bin'), { recursive: true })
    cpSync(join(images.sandbox, 'bin/busybox'), join(bare, 'bin/echo'))
    give(bare)
    expect(await exec([bare, 'echo', 'no shell'])).toMatchObject({ stdout: 'no shell\n', status: 0 })
  })

  it('leaves no file behind', async () => {
    const folder = temporaryFolder()
    await inside('true', [], { env: { TMPDIR: folder, SINGULARITY_TMPDIR: folder } })
    expect(readdirSync(folder)).toEqual([])
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('binds', () => {
  it('show host directories, read-only with :ro, and make their places', async () => {
    const from = join(images.folder, 'from')
    mkdirSync(from)
    writeFileSync(join(from, 'file'), 'data')
    give(from)
    const { stdout } = await inside('cat /new/place/file; touch /ro/x 2>/dev/null || echo refused', [
      '-B',
      `${from}:/new/place,${from}:/ro:ro`,
    ])
    expect(stdout).toBe('datarefused\n')
  })

  it('never follow a link of an image to a directory of the host', async () => {
    const tree = join(temporaryFolder(), 'tree')
    cpSync(images.sandbox, tree, { recursive: true, verbatimSymlinks: true })
    const victim = join(images.folder, 'victim')
    mkdirSync(victim)
    rmSync(join(tree, 'srv'), { recursive: true })
    symlinkSync(victim, join(tree, 'srv'))
    give(tree)
    give(victim)
    await exec(['--bind', `${images.folder}:${images.folder}`, '--bind', '/etc:/srv/made/here', tree, 'true'])
    expect(readdirSync(victim)).toEqual([])
  })

  it('name what is wrong in one line', async () => {
    for (const [flag, reason] of [
      ['/no/such/thing:/mnt', '/no/such/thing'],
      ['/etc:relative', 'not absolute'],
      ['/etc:/mnt:rx', 'rx'],
      ['/etc/passwd:/etc', '/etc'],
    ] as const) {
      const { status, stderr } = await inside('true', ['--bind', flag])
      expect(status).toBe(255)
      expect(stderr).toMatch(/^FATAL: {3}/)
      expect(stderr).toContain(reason)
    }
  })
})

describe.skipIf(!can('userns'))('where no overlay can be made', () => {
  it('a bind that has no place in the image is refused, and nothing is made in a sandbox', async () => {
    const config = join(images.folder, 'no-overlay.conf')
    writeFileSync(config, 'enable overlay = no\nenable underlay = no\n')
    const bare = join(images.folder, 'no-places')
    cpSync(images.sandbox, bare, { recursive: true, verbatimSymlinks: true })
    for (const place of ['dev', 'mnt']) rmSync(join(bare, place), { recursive: true })
    give(bare)
    const before = readdirSync(bare)
    for (const flags of [
      ['--bind', `${images.folder}:/mnt`],
      ['--home', `${images.folder}:/mnt`],
      ['--scratch', '/mnt'],
      ['--containall'],
    ]) {
      const { status, stderr } = await sing(['--config', config, 'exec', ...flags, bare, 'true'], here())
      expect([status, stderr]).toEqual([255, expect.stringMatching(/(mnt|dev) does not exist/)])
    }
    expect(readdirSync(bare)).toEqual(before)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('the environment', () => {
  const value = async (name: string, flags: string[] = [], env: Record<string, string> = {}) =>
    (await inside(`printf %s "$${name}"`, flags, { env })).stdout

  it('takes host variables, image values and explicit ones in rising order', async () => {
    expect(await value('FOO', [], { FOO: 'a "b" $c\nd' })).toBe('a "b" $c\nd')
    expect(await value('CGO_ENABLED', [], { CGO_ENABLED: '1' })).toBe('0')
    expect(await value('CGO_ENABLED', [], { SINGULARITYENV_CGO_ENABLED: '1' })).toBe('1')
    expect(await value('X', [], { SINGULARITYENV_X: 's', APPTAINERENV_X: 'a' })).toBe('a')
    expect(await value('X', ['--env', 'X=flag'], { APPTAINERENV_X: 'a' })).toBe('flag')
    expect(await value('FOO', ['--cleanenv'], { FOO: 'bar' })).toBe('')
  })

  it('knows how to change the search path', async () => {
    const base = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/go/bin:/usr/local/go/bin'
    expect(await value('PATH')).toBe(base)
    expect(await value('PATH', [], { SINGULARITYENV_APPEND_PATH: '/foo' })).toBe(`${base}:/foo`)
    expect(await value('PATH', [], { SINGULARITYENV_PREPEND_PATH: '/foo' })).toBe(`/foo:${base}`)
    expect(await value('PATH', ['--env', 'PATH=$PATH:/foo'])).toBe(`${base}:/foo`)
  })

  it('evaluates explicit values unless --no-eval says no', async () => {
    expect(await value('X', ['--env', 'X=<$GREETING> "q"'])).toBe('<hello from the image> "q"')
    expect(await value('X', ['--no-eval', '--env', 'X=$(echo out)'])).toBe('$(echo out)')
  })

  it('takes values that are no shell words as they are', async () => {
    for (const password of ['a`b', '$(', '${x', '"$(\\']) {
      expect(await value('PASSWORD', [], { SINGULARITYENV_PASSWORD: password })).toBe(password)
      const path = await value('PATH', [], { SINGULARITYENV_APPEND_PATH: `/x${password}` })
      expect(path).toMatch(/^\/usr\/local\/sbin:/)
    }
  })

  it('hands on variables with the names of shell scripts', async () => {
    const env = {
      _host: 'a',
      _set: 'b',
      _n: 'c',
      _v_FOO: 'd',
      FOO: 'e',
      _q_X: 'f',
      SINGULARITYENV_X: '$HOME',
    }
    const { stdout } = await inside('echo "$_host$_set$_n$_v_FOO$FOO$_q_X $X"', [], { env })
    expect(stdout).toBe(`abcdef ${testUser().home}\n`)
  })

  it('reads --env-file like a shell', async () => {
    const file = join(images.folder, 'env')
    writeFileSync(file, 'A=base\nB=${A}-more\nexport C="two words"\n')
    expect((await inside('echo "$A|$B|$C"', ['--env-file', file])).stdout).toBe('base|base-more|two words\n')
    const piped = `echo A=piped | "$0" exec --env-file /dev/stdin "$1" sh -c 'echo $A'`
    const { stdout } = await run(['sh', '-c', piped, program, images.everything])
    expect(stdout).toBe('piped\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('--fakeroot', () => {
  it.each([[[]], [['--ignore-subuid']]])('makes the user root, also %j', async (flags) => {
    const { stdout } = await inside('id -u; whoami; echo $HOME; touch made; stat -c %u made; rm made', [
      '--fakeroot',
      ...flags,
    ])
    expect(stdout).toBe('0\nroot\n/root\n0\n')
  })

  it('makes the user root where nothing can gain privileges', async () => {
    const command = [program, 'exec', '--fakeroot', images.everything, 'id', '-u']
    const { stdout, status } = await run(['setpriv', '--no-new-privs', ...command])
    expect({ stdout, status }).toEqual({ stdout: '0\n', status: 0 })
  })

  it.skipIf(!can('subuid'))('passes by programs that cannot map ids', async () => {
    const powerless = temporaryFolder()
    for (const name of ['newuidmap', 'newgidmap']) symlinkSync('/bin/true', join(powerless, name))
    const path = `${powerless}:/usr/bin:/bin`
    const { stdout } = await inside('id -u', ['--fakeroot'], { env: { PATH: path } })
    expect(stdout).toBe('0\n')
  })

  it('gives no power over the host', async () => {
    const { stdout } = await inside('cat /hostroot/etc/shadow 2>/dev/null || echo refused', [
      '--fakeroot',
      '--bind',
      '/:/hostroot',
    ])
    expect(stdout).toBe('refused\n')
  })
})
