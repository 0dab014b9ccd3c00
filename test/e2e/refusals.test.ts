import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, environment, program, projectRoot, run, sing } from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'

let folder: string
let image: string

beforeAll(() => {
  folder = temporaryFolder()
  image = copyInto(folder, join(projectRoot, 'fixtures/images/everything.sif'))
})

const write = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  give(path)
  return path
}

/** Runs in an empty folder and checks what every refusal promises: one line, the status, nothing left behind. */
async function refused(args: string[], reason: string | RegExp, status = 255): Promise<string> {
  const cwd = temporaryFolder()
  const temporary = temporaryFolder()
  const outcome = await sing(args, { cwd, env: { TMPDIR: temporary } })
  expect(outcome.stderr).toMatch(reason)
  expect(outcome.stderr.match(/^FATAL: {3}/gm)).toHaveLength(1)
  expect(outcome.status).toBe(status)
  expect(readdirSync(cwd)).toEqual([])
  expect(readdirSync(temporary)).toEqual([])
  return outcome.stderr
}

describe('an image that is none', () => {
  it('is named when it does not exist', async () => {
    await refused(['exec', '/missing.sif', 'true'], /\/missing\.sif.*no such file/)
  })

  it('is refused when it is a text', async () => {
    await refused(['exec', write('text.sif', 'just words\n'.repeat(500)), 'true'], /text\.sif/)
  })

  it('is refused when it is cut off', async () => {
    const cut = write('cut.sif', '')
    writeFileSync(cut, readFileSync(image).subarray(0, 50_000))
    await refused(['exec', cut, 'true'], /cut\.sif/)
  })

  it('is refused when it is for another architecture, and both are named', async () => {
    const foreign = join(folder, 'foreign.sif')
    copyFileSync(image, foreign)
    // The architecture stands in the third descriptor, behind the kind of file system and of partition.
    const fd = openSync(foreign, 'r+')
    writeSync(fd, '06', 4096 + 2 * 585 + 201 + 8)
    give(foreign)
    const stderr = await refused(['exec', foreign, 'true'], /ppc64le/)
    expect(stderr).toMatch(/amd64|arm64/)
  })

  it('points to docker:// when it looks like a reference', async () => {
    expect(await refused(['exec', 'ubuntu:22.04', 'true'], /ubuntu:22\.04/)).toContain('docker://')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a command that cannot run', () => {
  it.each([
    ['/no/such/program', /no such file/],
    ['no-such-program', /not found/],
    ['/etc', /is a directory/],
    ['/opt/noexec', /permission denied/],
    ['', /empty/],
  ])('%s is named with its reason', async (command, reason) => {
    await refused(['exec', image, command], reason)
  })

  it('is refused for a working directory that is not there', async () => {
    await refused(['exec', '--cwd', '/no/such/place', image, 'true'], /\/no\/such\/place/)
  })

  it('is refused for a directory behind --contain that is not there', async () => {
    await refused(['exec', '--contain', '--workdir', 'missing', image, 'true'], /--workdir .*missing/)
    await refused(['exec', '--scratch', '/s', '--workdir', 'missing', image, 'true'], /--workdir .*missing/)
  })
})

describe('a definition', () => {
  const build = (text: string, reason: RegExp) =>
    refused(['build', 'out.sif', write('bad.def', text)], reason)

  it('names the line of an unknown header', () =>
    build('Bootstrap: scratch\nFrobnicate: yes\n', /bad\.def:2: .*Frobnicate/i))
  it('names the line of an unknown section and suggests one', async () => {
    expect(await build('Bootstrap: scratch\n\n%psot\n  true\n', /bad\.def:3: .*%psot/)).toContain('%post')
  })
  it('names an unknown source', () => build('Bootstrap: nonsense\nFrom: x\n', /bad\.def:1: .*nonsense/))
  it('says that it cannot be read', () => refused(['build', 'out.sif', '/no/such.def'], /\/no\/such\.def/))
  it('says that this user may not read it', async () => {
    const path = write('secret.def', 'Bootstrap: scratch\n')
    chmodSync(path, 0)
    await refused(['build', 'out.sif', path], /cannot open .*secret\.def: permission denied/)
    await refused(['build', '--json', 'out.sif', path], /cannot open .*secret\.def: permission denied/)
  })
  it('names a variable without value', () =>
    build('Bootstrap: localimage\nFrom: {{ BASE }}\n', /bad\.def:2: .*BASE/))
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a build that fails', () => {
  const base = () => `Bootstrap: localimage\nFrom: ${image}\n`
  it('tells the status of %post', () =>
    refused(['build', 'out.sif', write('post.def', `${base()}%post\n  exit 3\n`)], /%post .*3/))
  it('tells the status of %test', () =>
    refused(['build', 'out.sif', write('test.def', `${base()}%test\n  exit 4\n`)], /%test .*4/))
  it('names a bind whose source does not exist', () =>
    refused(
      ['build', '--bind', '/no/such:/mnt', 'out.sif', write('bind.def', `${base()}%post\n  true\n`)],
      /\/no\/such does not exist/,
    ))
  it('names a missing source of %files', () =>
    refused(
      ['build', 'out.sif', write('files.def', `${base()}%files\n  /no/such/file /x\n`)],
      /\/no\/such\/file/,
    ))
})

const mountTmpfs = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c']

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a machine without what is needed', () => {
  it('says that the disk is full, and leaves nothing', async () => {
    const place = temporaryFolder()
    const script = `mount -t tmpfs -o size=700k,mode=777 none "$1" && cd "$1" && "$2" build out.sif "$3"; s=$?; ls -A "$1"; exit $s`
    const { status, stdout, stderr } = await run([...mountTmpfs, script, 'sh', place, program, image])
    expect(stderr).toMatch(/no space left|full/i)
    expect(stderr.match(/^FATAL: {3}/gm)).toHaveLength(1)
    expect(stdout).toBe('')
    expect(status).toBe(255)
  })

  it('says which setting forbids user namespaces', async () => {
    // The limit of a namespace is its own: lowering it there forbids nested ones, like an administrator does for all.
    const script = `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --bounding-set=-all "$1" exec "$2" true`
    const { status, stderr } = await run([
      'unshare',
      '--user',
      '--map-current-user',
      '--keep-caps',
      'sh',
      '-c',
      script,
      'sh',
      program,
      image,
    ])
    expect(stderr).toMatch(/user namespaces/)
    expect(stderr).toContain('max_user_namespaces')
    expect(status).toBe(255)
  })

  it('unpacks the image where /dev/fuse cannot be used, and removes it', async () => {
    const temporary = temporaryFolder()
    const script = `mount -t tmpfs none /dev && touch /dev/null && "$1" exec "$2" cat /etc/hostname; s=$?; exit $s`
    const { status, stdout, stderr } = await run([...mountTmpfs, script, 'sh', program, image], {
      env: { TMPDIR: temporary },
    })
    expect(stdout).toBe('suite-image\n')
    expect(stderr).toMatch(/INFO:.*npack/)
    expect(status).toBe(0)
    expect(readdirSync(temporary)).toEqual([])
  })

  it.skipIf(!can('root'))('unpacks the image for root where there are no loop devices either', async () => {
    const place = temporaryFolder()
    const self = { as: 'self', cwd: place, env: { TMPDIR: place } } as const
    await sing(['build', '--sandbox', 'tree', image], self)
    chownSync(join(place, 'tree/etc/hostname'), 12, 34)
    await sing(['build', 'owned.sif', 'tree'], self)
    const before = readdirSync(place)
    const script = `mount -t tmpfs none /dev && touch /dev/null && "$1" exec owned.sif stat -c %u:%g /etc/hostname; s=$?; exit $s`
    const outcome = await run(['unshare', '--mount', 'sh', '-c', script, 'sh', program], self)
    expect(outcome.stderr).toMatch(/INFO:.*npack/)
    expect([outcome.stdout, outcome.status, readdirSync(place)]).toEqual(['12:34\n', 0, before])
  })

  it('removes what it has unpacked when it is interrupted meanwhile', async () => {
    const temporary = temporaryFolder()
    const [file = '', ...args] = commandLine([program, 'exec', '--unsquash', image, 'sleep', '60'])
    const env = environment({ env: { TMPDIR: temporary } })
    const child = spawn(file, args, { env, stdio: 'ignore' })
    while (readdirSync(temporary).length === 0) await setTimeout(1)
    child.kill('SIGINT')
    const [status] = await once(child, 'close')
    expect([status, readdirSync(temporary)]).toEqual([130, []])
  })

  it('hands no interrupt of the terminal on, which an unpacked container has got already', async () => {
    const script = `n=0; trap 'n=$((n+1))' INT; echo ready; while [ $n = 0 ]; do sleep 0.1; done; sleep 1; echo "came $n"`
    const [file = '', ...args] = commandLine([program, 'exec', '--unsquash', image, 'sh', '-c', script])
    const terminal = spawnTerminal(file, args, { cwd: '/', env: environment() })
    let shown = ''
    terminal.onData((text) => {
      shown += text
      if (text.includes('ready')) terminal.write('\u0003')
    })
    await new Promise((resolve) => terminal.onExit(resolve))
    expect(shown).toContain('came 1')
  })

  it('unpacks on request as well', async () => {
    const temporary = temporaryFolder()
    const { status, stdout } = await sing(['exec', '--unsquash', image, 'cat', '/etc/hostname'], {
      env: { TMPDIR: temporary },
    })
    expect([stdout, status, readdirSync(temporary)]).toEqual(['suite-image\n', 0, []])
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a build that is killed', () => {
  it('leaves nothing under the final name, and the next build cleans up and works', async () => {
    const cwd = temporaryFolder()
    const temporary = temporaryFolder()
    const definition = write(
      'kill.def',
      `Bootstrap: localimage\nFrom: ${image}\n%post\n  i=0; while [ $i -lt 40 ]; do echo $i > /f$i; i=$((i+1)); done\n`,
    )
    const args = [program, 'build', 'out.sif', definition]
    let seed = 42
    for (let round = 0; round < 20; round += 1) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      const [file = '', ...rest] = commandLine(args)
      // A whole build takes well under a second or two; the moments are spread over all of it.
      spawnSync(file, rest, {
        cwd,
        env: environment({ env: { TMPDIR: temporary } }),
        timeout: 20 + (seed % 900),
        killSignal: 'SIGKILL',
      })
      if (existsSync(join(cwd, 'out.sif'))) {
        expect((await sing(['run', join(cwd, 'out.sif'), 'true'])).status).toBe(0)
        spawnSync('rm', [join(cwd, 'out.sif')])
      }
    }
    const { status, stderr } = await sing(['build', 'out.sif', definition], {
      cwd,
      env: { TMPDIR: temporary },
    })
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    expect((await sing(['exec', join(cwd, 'out.sif'), 'cat', '/f39'])).stdout).toBe('39\n')
    await expect
      .poll(() => [...readdirSync(cwd), ...readdirSync(temporary)], { timeout: 20_000 })
      .toEqual(['out.sif'])
  })
})
