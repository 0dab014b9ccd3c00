/** Configuration files and profiles, and what they do to a launch. */

import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { program, run as runProgram, sing, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
/** Home of the user, with the work in it. */
let home: string
const work = () => join(home, 'work')

beforeAll(async () => {
  images = await makeImages()
})

beforeEach(() => {
  home = temporaryFolder()
  mkdirSync(join(home, 'work/data'), { recursive: true })
  mkdirSync(join(home, '.config/sing'), { recursive: true })
  writeFileSync(join(home, 'work/data/there'), 'here\n')
  give(home)
})

function write(name: string, text: string): string {
  const path = join(home, name)
  writeFileSync(path, text)
  chmodSync(path, 0o644)
  give(path)
  return path
}

const project = (text: string) => write('work/.sing.yaml', text)
const user = (text: string) => write('.config/sing/config.yaml', text)

const run = (args: readonly string[], options: { env?: Record<string, string>; cwd?: string } = {}) =>
  sing(args, { cwd: options.cwd ?? work(), env: { HOME: home, ...options.env } })
const exec = (flags: readonly string[], script: string, options = {}) =>
  run(['exec', ...flags, images.everything, 'sh', '-c', script], options)

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a launch', () => {
  it('has the flags of the project, whose paths begin at its file', async () => {
    project('launch:\n  bind: ["./data:/mnt"]\n  env: { COLOUR: "red wine" }\n')
    mkdirSync(join(work(), 'deep/er'), { recursive: true })
    const options = { cwd: join(work(), 'deep/er') }
    expect((await exec([], 'cat /mnt/there; echo $COLOUR', options)).stdout).toBe('here\nred wine\n')
    expect((await exec(['--env', 'COLOUR=blue'], 'echo $COLOUR', options)).stdout).toBe('blue\n')
  })

  it('takes the user before the site, the environment before both, and its own flags before all', async () => {
    const site = write('site.yaml', 'launch: { hostname: of-site, cwd: /usr }\n')
    user('launch: { hostname: of-user }\n')
    const told = async (flags: string[], env = {}) =>
      (
        await run(['--config', site, 'exec', ...flags, images.everything, 'sh', '-c', 'hostname; pwd'], {
          env,
        })
      ).stdout
    expect(await told([])).toBe('of-user\n/usr\n')
    expect(await told([], { SING_HOSTNAME: 'of-env' })).toBe('of-env\n/usr\n')
    expect(await told(['--hostname', 'of-flag'], { SING_HOSTNAME: 'of-env' })).toBe('of-flag\n/usr\n')
  })

  it('has the flags of its profiles', async () => {
    user(
      'profiles:\n  a: { hostname: from-a, env: { A: 1 } }\n  b: { hostname: from-b, env: { B: 1 } }\nprofile: a\n',
    )
    const script = 'hostname; echo "$A$B"'
    expect((await exec([], script)).stdout).toBe('from-a\n1\n')
    expect((await exec(['--profile', 'b,a'], script)).stdout).toBe('from-a\n11\n')
    expect((await exec([], script, { env: { SING_PROFILE: 'b' } })).stdout).toBe('from-b\n1\n')
    const refused = await exec(['--profile', 'aa'], script)
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain('--profile: there is no profile "aa"\n         Did you mean a?')
    user('profile: mpi\n')
    expect((await exec([], script)).stderr).toContain('config.yaml:1): there is no profile "mpi"')
  })

  it.skipIf(!can('root'))('believes no file that somebody else has put there', async () => {
    const path = project('launch: { hostname: evil }\n')
    chownSync(path, 12345, 12345)
    const { stdout, stderr } = await exec([], 'hostname')
    expect(stdout).not.toContain('evil')
    expect(stderr).toContain(`${path} is ignored: it belongs to the user 12345`)
    chownSync(path, 0, 0)
    expect((await exec([], 'hostname')).stdout).toBe('evil\n')
  })

  it('stops at a key that nobody knows, naming file and line', async () => {
    const path = project('launch:\n  bind: /x\n  hostnaem: x\n')
    const { status, stdout, stderr } = await exec([], 'echo started')
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(stderr).toBe(
      `FATAL:   ${path}:3: launch: there is no flag --hostnaem\n         Did you mean hostname?\n`,
    )
    // What launches nothing is not stopped.
    expect((await run(['version'])).status).toBe(0)
  })

  it('tells the file whose value means nothing', async () => {
    const own = user('launch:\n  bind: [/a]\n  env: [no-value]\n')
    const { status, stderr } = await exec(['--bind', '/etc'], 'true')
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: expect.stringContaining(
        `Write --env NAME=VALUE\n         It stands in launch.env (${own}:3)\n`,
      ),
    })
    user('launch: { hostname: "-" }\n')
    expect((await exec([], 'true')).stderr).toContain(`It stands in launch.hostname (${own}:1)`)
    expect((await exec(['--hostname', '-'], 'true')).stderr).not.toContain('It stands in')
  })

  it('is the built-in one with --build-config', async () => {
    user('launch: { hostname: of-user }\n')
    const { stdout } = await run(['--build-config', 'exec', images.everything, 'hostname'])
    expect(stdout).not.toBe('of-user\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('--plan', () => {
  it('prints what would be done, and why, and does nothing', async () => {
    const own = user('launch: { bind: ["~/work/data:/mnt"] }\nmount: { tmp: no }\n')
    write('work/vars', 'FROM_FILE=1\n')
    const flags = ['--plan', '--env-file', 'vars', '--workdir', 'new', '--contain']
    const { stdout, stderr, status } = await run(
      ['exec', ...flags, images.everything, 'touch', join(work(), 'x')],
      {
        env: { APPTAINERENV_Q: 'one', HOST_SIDE: 'h' },
      },
    )
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const row = (...cells: string[]) => new RegExp(`^ *${cells.join(' +')}$`, 'm')
    expect(stdout).toMatch(row('Image', `${images.everything} \\(sif\\)`))
    expect(stdout).toMatch(row('Command', `exec touch ${join(work(), 'x')}`))
    expect(stdout).toMatch(row('/mnt', 'bind', join(work(), 'data'), 'rw', `launch.bind \\(${own}:1\\)`))
    expect(stdout).toMatch(row('/dev', 'tmpfs', '--contain'))
    expect(stdout).not.toMatch(row('/tmp', '.*'))
    expect(stdout).toMatch(row('FROM_FILE', '1', '--env-file vars'))
    expect(stdout).toMatch(row('Q', 'one', 'APPTAINERENV_Q'))
    expect(stdout).toMatch(row('HOST_SIDE', 'h', 'host'))
    expect(stdout).toContain('Scripts of the image run before the command')
    expect(existsSync(join(work(), 'new'))).toBe(false)
    expect(existsSync(join(work(), 'x'))).toBe(false)
  })

  it('is the same as --dry-run, and prints JSON for programs', async () => {
    const { stdout } = await run(['exec', '--dry-run', '--json', '--unsquash', images.everything, 'true'])
    expect(JSON.parse(stdout)).toMatchObject({
      format: 1,
      image: { path: images.everything, kind: 'sif', unpacked: true },
      command: { verb: 'exec', words: ['true'] },
      mounts: expect.arrayContaining([
        { at: '/proc', kind: 'bind', source: '/proc', options: ['rw'], origin: 'mount.proc, default' },
      ]),
    })
  })

  it('is of instances too, before they start and when they run', async () => {
    const name = `plan-${process.pid}`
    const start = ['instance', 'start', images.everything, name]
    const before = await run(['instance', 'start', '--plan', '--json', images.everything, name])
    expect(JSON.parse(before.stdout)).toMatchObject({
      command: { verb: 'start' },
      namespaces: expect.arrayContaining(['pid']),
    })
    user('launch: { bind: /etc:/mnt }\n')
    expect(await run(start)).toMatchObject({ status: 0 })
    try {
      user('launch: { bind: /etc:/other }\n')
      const inside = await run(['exec', '--plan', '--env', 'A=1', `instance://${name}`, 'true'])
      expect(inside).toMatchObject({ status: 0, stderr: '' })
      expect(inside.stdout).toMatch(/^Image +.* \(instance\)$/m)
      expect(inside.stdout).toMatch(/^ +A +1 +--env$/m)
      expect((await run(['exec', `instance://${name}`, 'true'])).stderr).toBe('')
    } finally {
      await run(['instance', 'stop', name])
    }
  })

  it('is what --json is about', async () => {
    const { status, stderr } = await exec(['--json'], 'true')
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('--json is about --plan, which is not given'),
    })
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a directive', () => {
  const withConf = (conf: string, ...args: string[]) =>
    run(['--config', write('site.conf', conf), 'exec', ...args])
  const image = () => images.everything

  it.each([
    ['limit container paths = /no/such', 'allows only images below /no/such'],
    ['limit container owners = nobody', 'allows only images of the users nobody'],
    ['limit container groups = no-such-group', 'allows only images of the groups no-such-group'],
    ['allow container sif = no', 'does not allow images of this kind'],
    ['enable fusemount = no', undefined],
  ])('%s', async (conf, sentence) => {
    const { status, stderr } = await withConf(conf, image(), 'true')
    expect(status).toBe(sentence ? 255 : 0)
    if (sentence) expect(stderr).toContain(sentence)
  })

  it('lets images of the right place and owner start', async () => {
    const conf = `limit container paths = /no, ${images.folder}\nlimit container owners = root, ${testUser().name}\n`
    expect(await withConf(conf, image(), 'true')).toMatchObject({ status: 0, stderr: '' })
  })

  it('that the site has for users is told of when it takes something away', async () => {
    const denied = await withConf('allow user ns = no', '--userns', image(), 'true')
    expect(denied.stderr).toContain('does not allow user namespaces')
    const binds = await withConf(
      'user bind control = no\nallow pid ns = no\n',
      '-p',
      '-B',
      '/etc:/mnt',
      image(),
      'true',
    )
    expect(binds).toMatchObject({ status: 0 })
    expect(binds.stderr).toContain('WARNING: --pid has no effect')
    expect(binds.stderr).toContain('WARNING: --bind and --mount have no effect')
  })

  it.skipIf(!can('root'))(
    'decides whether later mounts of the host come in, and brings its file systems in',
    async () => {
      const folder = temporaryFolder()
      const probe = 'grep -c master: /proc/self/mountinfo; cat /srv/there 2>/dev/null'
      const script = `
      mount -t tmpfs none /srv && echo here >/srv/there && mount --make-rshared /
      printf 'mount slave = no\\n' >"$1/no.conf"; printf 'mount hostfs = yes\\n' >"$1/yes.conf"; chmod 644 "$1"/*.conf
      for conf in no yes; do "$2" --config "$1/$conf.conf" exec "$3" sh -c '${probe}'; done`
      const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, program, image()]
      const { stdout } = await runProgram(command, { as: 'self' })
      expect(stdout).toMatch(/^0\n[1-9]\d*\nhere\n$/)
    },
  )
})

describe('config list', () => {
  it('tells each value and where it comes from', async () => {
    const own = user('# mine\nmount: { home: no }\nlaunch: { bind: [/a] }\nprofiles: { p: { pid: yes } }\n')
    const env = { SINGULARITY_BIND: '/b', SING_DOCKER_PASSWORD: 'secret', SING_CONTAIN: '1' }
    const { stdout, status } = await run(['config', 'list', '--json'], { env })
    const { values, files } = JSON.parse(stdout)
    expect(status).toBe(0)
    expect(values).toEqual(
      expect.arrayContaining([
        { key: 'mount.home', value: 'no', from: `${own}:2` },
        { key: 'mount.tmp', value: 'yes', from: 'default' },
        { key: 'launch.bind', value: ['/a'], from: `${own}:3` },
        { key: 'launch.bind', value: ['/b'], from: 'SINGULARITY_BIND' },
        { key: 'launch.contain', value: true, from: 'SING_CONTAIN' },
        { key: 'launch.docker-password', value: '(not shown)', from: 'SING_DOCKER_PASSWORD' },
        { key: 'profiles.p.pid', value: true, from: `${own}:4` },
      ]),
    )
    expect(stdout).not.toContain('secret')
    expect(files).toContainEqual({ file: own, scope: 'user', state: 'read', notes: [] })
    const text = (await run(['config', 'list'], { env })).stdout
    expect(text).toMatch(/^KEY +VALUE +FROM\n/)
    expect(text).toMatch(new RegExp(`^mount.home +no +${own}:2$`, 'm'))
  })

  it('tells what has no effect, and directives that nobody knows', async () => {
    const site = write('site.conf', 'mount porc = no\nallow setuid = yes\n')
    const { stdout } = await run(['--config', site, 'config', 'list', '--all'])
    expect(stdout).toContain('line 1: nobody knows the directive mount porc')
    expect(stdout).toMatch(/allow setuid +there is no setuid program/)
  })

  it('stops at a value that a variable cannot have', async () => {
    const { status, stderr } = await run(['config', 'list'], { env: { SING_PID: 'some' } })
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: expect.stringContaining('the variable SING_PID is "some"'),
    })
  })
})

describe('config get, set and unset', () => {
  it('change the own file, and only the key', async () => {
    const own = user('# mine\nmount:\n  tmp: no # sure\n')
    chmodSync(own, 0o640)
    expect(await run(['config', 'set', 'mount.home', 'no'])).toMatchObject({ status: 0, stderr: '' })
    expect(await run(['config', 'set', 'launch.bind', '/a', './b c'])).toMatchObject({ status: 0 })
    expect(readFileSync(own, 'utf8')).toBe(
      `# mine\nmount:\n  tmp: no # sure\n  home: no\nlaunch:\n  bind: [/a, "${work()}/b c"]\n`,
    )
    expect(statSync(own).mode & 0o777).toBe(0o640)
    expect((await run(['config', 'get', 'launch.bind'])).stdout).toBe(`/a\n${work()}/b c\n`)
    expect((await run(['config', 'get', 'mount home'])).stdout).toBe('no\n')
    await run(['config', 'unset', 'launch.bind'])
    await run(['config', 'unset', 'mount.home'])
    expect(readFileSync(own, 'utf8')).toBe('# mine\nmount:\n  tmp: no # sure\n')
    expect(await run(['config', 'get', 'launch.bind'])).toMatchObject({ status: 1, stdout: '' })
  })

  it('make the file where there is none, for its owner alone', async () => {
    const options = { env: { XDG_CONFIG_HOME: join(home, 'new') } }
    await run(['config', 'set', 'profiles.mpi.sharens', 'yes'], options)
    await run(['config', 'set', 'profile', 'mpi'], options)
    const path = join(home, 'new/sing/config.yaml')
    expect(readFileSync(path, 'utf8')).toBe('profiles:\n  mpi:\n    sharens: yes\nprofile: [mpi]\n')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await run(['config', 'get', 'profiles.mpi'], options)).stdout).toBe('profiles.mpi.sharens yes\n')
    expect((await run(['config', 'get', 'profiles.mpi.sharens'], options)).stdout).toBe('yes\n')
  })

  it('change the file of the project, or of the site', async () => {
    await run(['config', 'set', '--project', 'launch.hostname', 'h'])
    expect(readFileSync(join(work(), '.sing.yaml'), 'utf8')).toBe('launch:\n  hostname: h\n')
    const site = write('site.yaml', '')
    await run(['--config', site, 'config', 'set', '--site', 'images.sif', 'no'])
    expect(readFileSync(site, 'utf8')).toBe('images:\n  sif: no\n')
  })

  it.each([
    [['set', 'mount.hmoe', 'no'], 255, 'there is no key mount.hmoe\n         Did you mean mount.home?'],
    [['set', 'launch.bnid', '/a'], 255, 'no flag has the name bnid\n         Did you mean bind?'],
    [['set', 'mount.home', 'maybe'], 255, 'config.yaml: mount.home: expected yes or no, got "maybe"'],
    [['set', 'images.sif', 'no'], 255, "config.yaml: images.sif may be set by the site's file alone"],
    [
      ['set', '--project', 'launch.env-file', 'x'],
      255,
      'launch.env-file may be set by the file of the site or',
    ],
    [['set', '--project', '--site', 'passwd', 'no'], 1, '--site and --project exclude each other'],
    [
      ['set', '--site', 'passwd', 'no'],
      255,
      /permission denied\n +The file of the site is changed by root; without --site it is your own/,
    ],
    [['set', 'passwd', 'no', 'yes'], 1, 'passwd takes one value, not 2'],
    [['set', 'profiles.a', 'x'], 1, 'profiles.a is a profile: name one of its flags'],
    [['get', 'launch.profile'], 255, 'there is no key launch.profile'],
  ])('%j is refused', async (args, status, sentence) => {
    const outcome = await run(['config', ...args])
    expect(outcome).toMatchObject({ status, stderr: expect.stringMatching(sentence) })
    expect(existsSync(join(home, '.config/sing/config.yaml'))).toBe(false)
  })

  it('leave a file alone that they do not understand, or that is not to be believed', async () => {
    const own = user('{ mount: { home: no } }\n')
    const odd = await run(['config', 'set', 'passwd', 'no'])
    expect(odd.stderr).toContain('its layout is too unusual')
    expect(readFileSync(own, 'utf8')).toBe('{ mount: { home: no } }\n')
    chmodSync(own, 0o666)
    expect((await run(['config', 'set', 'passwd', 'no'])).stderr).toContain(
      'is not changed: others may write',
    )
    const conf = write('site.conf', '')
    const site = await run(['--config', conf, 'config', 'set', '--site', 'passwd', 'no'])
    expect(site.stderr).toContain('site.conf is no YAML file')
    const none = await run(['config', 'set', 'passwd', 'no'], { env: { HOME: '' } })
    expect(none.stderr).toContain('HOME is not set')
  })

  it.skipIf(can('root') && testUser().uid === 0)('tell what cannot be written', async () => {
    chmodSync(join(home, '.config/sing'), 0o555)
    const { status, stderr } = await run(['config', 'set', 'passwd', 'no'])
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: expect.stringContaining('config.yaml: permission denied'),
    })
  })
})

describe('config global', () => {
  const conf = () => join(home, 'site.conf')
  const global = (...args: string[]) => run(['--config', conf(), 'config', 'global', ...args])

  it('reads and changes a singularity.conf as the peers do', async () => {
    write('site.conf', '# site\nbind path = /a\nmount dev = yes\n')
    expect((await global('--get', 'bind path')).stdout).toBe('/a\n')
    await global('--set', 'bind path', '/b')
    await global('-s', 'mount dev', 'minimal')
    expect((await global('-g', 'bind path')).stdout).toBe('/a,/b\n')
    expect(readFileSync(conf(), 'utf8')).toBe('# site\nbind path = /a\nbind path = /b\nmount dev = minimal\n')
    expect((await global('--dry-run', '--reset', 'bind path')).stdout).toBe('# site\nmount dev = minimal\n')
    await global('--unset', 'bind path', '/a')
    await global('--reset', 'mount dev')
    expect(readFileSync(conf(), 'utf8')).toBe('# site\nbind path = /b\n')
  })

  it.each([
    [['--get', 'nonsense'], 255, '"nonsense" is no directive'],
    [['--set', 'mount dev', 'all'], 255, 'mount dev = all: expected yes or no or minimal'],
    [['--set', 'mount dev'], 1, '--set mount dev needs a value'],
    [['--unset', 'bind path', '/z'], 255, 'bind path has no value "/z"'],
    [['mount dev'], 1, 'needs one of --set, --unset, --get, --reset'],
    [['--get', '--set', 'mount dev'], 1, 'needs one of --set, --unset, --get, --reset'],
    [['--set', 'allow setuid', 'no'], 0, '"allow setuid" has no effect here: there is no setuid program'],
  ])('answers %j', async (args, status, sentence) => {
    const outcome = await global(...args)
    expect(outcome.status).toBe(status)
    expect(outcome.stderr).toContain(sentence)
  })
})

describe('config fakeroot', () => {
  it('is for root', async () => {
    const { status, stderr } = await run(['config', 'fakeroot', '--add', testUser().name])
    const expected = testUser().uid === 0 ? 0 : 255
    expect(status).toBe(expected)
    if (expected !== 0) expect(stderr).toContain('only root can give ranges of subordinate ids away')
  })

  it.skipIf(!can('root'))('gives ranges to users and takes them back', async () => {
    const folder = temporaryFolder()
    const script = `
      cp -a /etc "$1/etc" && mount --bind "$1/etc" /etc && cd / || exit 9
      printf 'x:100000:65536\\n' | tee /etc/subuid >/etc/subgid
      step() { "$sing" config fakeroot "$@" 2>&1; echo "$? $(sed -n '2,$p' /etc/subuid | tr '\\n' ' ')$(cmp /etc/subuid /etc/subgid)"; }
      sing=$2
      step --add daemon; step --add daemon; step --add bin; step --disable daemon; step -e daemon; step --remove bin
      step --remove bin; step --add nosuch; step daemon`
    const { stdout } = await runProgram(
      ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder, program],
      { as: 'self' },
    )
    expect(stdout).toBe(
      `0 1:4294836224:65536 
0 1:4294836224:65536 
0 1:4294836224:65536 2:4294770688:65536 
0 !1:4294836224:65536 2:4294770688:65536 
0 1:4294836224:65536 2:4294770688:65536 
0 1:4294836224:65536 
FATAL:   bin has no range in /etc/subuid
         Give one: sing config fakeroot --add bin
255 1:4294836224:65536 
FATAL:   there is no user nosuch
255 1:4294836224:65536 
Error for command "config fakeroot": needs one of --add, --disable, --enable, --remove

Usage:
  sing config fakeroot <action> <user>

Run 'sing config fakeroot --help' for more.
1 1:4294836224:65536 
`,
    )
  })
})
