/** `sing check` and `build --check`: what is found in images of every kind, and what becomes of the answer. */

import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { elfWith } from '../helpers/elf.ts'
import { writeLayout } from '../helpers/oci.ts'
import { file, opaque, program, squashfsOf, whiteout, writeOciSif } from '../helpers/oci-sif.ts'
import { type Outcome, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const folder = temporaryFolder()
const key = `-----BEGIN PRIVATE KEY-----\n${'Q'.repeat(64)}\n-----END PRIVATE KEY-----\n`
const secret = 'Q'.repeat(20)

/** A tree with one thing wrong of most kinds. */
const wrong: Readonly<Record<string, string | Buffer>> = {
  'bin/sh': elfWith({ needs: ['libgone.so.1'] }),
  'etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
  'root/.bash_history': 'make\n',
  'root/.ssh/id_rsa': key,
  'tmp/build.log': 'x',
  'var/lib/apt/lists/Packages': Buffer.alloc(2 * 1024 * 1024, 'a'),
}
const expected = [
  'error private-keys /root/.ssh/id_rsa',
  'warning world-writable /etc/group',
  'warning libraries /bin/sh',
  'warning apt-lists /var/lib/apt/lists',
  'note certificates /etc/ssl/certs',
  'note broken-links /opt/broken',
  'note history /root/.bash_history',
  'note temporary-files /tmp/build.log',
]

function makeTree(name: string, files: Readonly<Record<string, string | Buffer>>): string {
  const root = join(folder, name)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), content, { mode: path.startsWith('bin/') ? 0o755 : 0o644 })
  }
  return root
}

type Json = {
  readonly failed: boolean
  readonly errors: number
  readonly findings: readonly { severity: string; check: string; path: string }[]
}
const jsonOf = ({ stdout }: Outcome): Json => JSON.parse(stdout)
const shortly = (outcome: Outcome): string[] =>
  jsonOf(outcome).findings.map(({ severity, check, path }) => `${severity} ${check} ${path}`)

let sandbox: string
let sif: string
beforeAll(async () => {
  sandbox = makeTree('sandbox', wrong)
  mkdirSync(join(sandbox, 'opt'))
  symlinkSync('/nowhere', join(sandbox, 'opt/broken'))
  // A link out of the image, to a file that is there: in the image it is broken all the same.
  chmodSync(join(sandbox, 'etc/group'), 0o666)
  give(sandbox)
  sif = join(folder, 'wrong.sif')
  await sing(['build', sif, sandbox])
})

describe('check', () => {
  it('finds the same in a sandbox and in the SIF that is made of it', async () => {
    expect(shortly(await sing(['check', '--json', sandbox]))).toEqual(expected)
    expect(shortly(await sing(['check', '--json', sif]))).toEqual(expected)
  })

  it('says where, what and what to do, one line each, and never the secret', async () => {
    const { status, stdout, stderr } = await sing(['check', sif])
    expect([status, stderr]).toEqual([1, ''])
    expect(stdout).toContain(
      'ERROR:   /root/.ssh/id_rsa:1: private key; add to %post: rm -f /root/.ssh/id_rsa',
    )
    expect(stdout).toContain(
      'WARNING: /var/lib/apt/lists: package lists of apt: 2 MiB; add to %post: rm -rf /var/lib/apt/lists/*\n',
    )
    expect(stdout).toContain(
      'WARNING: /bin/sh: needs libgone.so.1, which is not there; install the package that has it',
    )
    expect(stdout).toContain('NOTE:    /opt/broken: leads to /nowhere, which is not there')
    expect(stdout).toMatch(/LARGEST DIRECTORIES +SIZE +FILES\n\/var\/lib\/apt\/lists +2 MiB +1\n/)
    expect(stdout).toMatch(/wrong\.sif: 1 error, 3 warnings, 4 notes, 2 MiB in \d+ files\n$/)
    expect(stdout).not.toContain(secret)
  })

  it('fails by what --level says', async () => {
    const statusOf = async (...words: string[]) => (await sing(['check', ...words, sif])).status
    expect(await statusOf('--level', 'never')).toBe(0)
    expect(await statusOf('--tag', 'clean')).toBe(0)
    expect(await statusOf('--tag', 'clean', '--level', 'warning')).toBe(1)
    expect(await statusOf('--tag', 'links', '--level', 'warning')).toBe(0)
  })

  it('reads layers of an OCI-SIF as a container sees them', async () => {
    const below = {
      'root/.ssh/id_rsa': file(key),
      'root/.pgpass': file('a:1:b:c:d\n'),
      'old/.netrc': file(key),
      'bin/sh': program(''),
    }
    const above = { 'root/.ssh/id_rsa': whiteout, old: opaque, 'old/new': file('') }
    const layers = [await squashfsOf(below), await squashfsOf(above)]
    const image = await writeOciSif(join(folder, 'layers.sif'), { layers })
    const found = shortly(await sing(['check', '--tag', 'security', '--json', image]))
    expect(found).toEqual(['error credentials /root/.pgpass'])
  })

  it('reads a squashfs, and follows no link out of it', async () => {
    const path = join(folder, 'bare.sqfs')
    const host = { type: 'symlink' as const, link: '/etc/passwd' }
    writeFileSync(
      path,
      await squashfsOf({ 'root/.netrc': host, 'root/a': { ...host, link: '../../../../etc/shadow' } }),
    )
    expect(shortly(await sing(['check', '--tag', 'links', '--json', path]))).toEqual([
      'note broken-links /root/.netrc',
      'note broken-links /root/a',
    ])
  })

  it('fetches what a reference names', async () => {
    const layout = writeLayout(join(folder, 'layout'), {
      latest: {
        layers: [
          [
            { path: 'root/.ssh/', type: 'directory' },
            { path: 'root/.ssh/id_rsa', data: key },
          ],
        ],
      },
    })
    const env = { SING_CACHEDIR: join(folder, 'cache') }
    const { status, stdout } = await sing(['check', '--tag', 'security', `oci:${layout.folder}:latest`], {
      env,
    })
    expect(status).toBe(1)
    expect(stdout).toContain('/root/.ssh/id_rsa:1: private key')
  })

  it('waits for no pipe, and passes over what it may not read', async () => {
    const root = makeTree('odd', { 'bin/sh': elfWith(), 'root/closed': key, 'shut/a': '' })
    await run(['mkfifo', join(root, 'root/id_rsa')], { as: 'self' })
    give(root)
    chmodSync(join(root, 'root/closed'), 0)
    chmodSync(join(root, 'shut'), 0)
    const { status, stderr } = await sing(['check', '--tag', 'security', root])
    expect(status).toBe(0)
    expect(stderr).toBe('WARNING: cannot look into /shut: permission denied\n')
  })

  it('makes names visible that could command a terminal', async () => {
    const path = join(folder, 'names.sqfs')
    writeFileSync(path, await squashfsOf({ 'root/\u001b[31m.netrc': { data: key } }))
    const { stdout } = await sing(['check', '--tag', 'security', path])
    expect(stdout).toContain('/root/\\x1b[31m.netrc:1: private key')
  })

  it('tells of ten findings of a check, and of all with --all', async () => {
    const path = join(folder, 'many.sqfs')
    const names = Array.from({ length: 12 }, (_, index) => [`a/${index}`, { data: '', mode: 0o666 }])
    writeFileSync(path, await squashfsOf(Object.fromEntries(names)))
    const short = await sing(['check', '--tag', 'security', path])
    expect(short.stdout).toContain('         2 more of world-writable: all of them with --all\n')
    const all = await sing(['check', '--tag', 'security', '--all', path])
    expect(all.stdout.match(/everybody may write/g)).toHaveLength(12)
  })

  it('lists its checks', async () => {
    const { stdout } = await sing(['check', '--list', '--tag', 'links'])
    expect(stdout).toBe(
      'CHECK          TAGS    WHAT IT LOOKS FOR\nbroken-links   links   symbolic links that lead nowhere in the image\n',
    )
    const json = JSON.parse((await sing(['check', '--list', '--json'])).stdout)
    expect(json).toContainEqual(expect.objectContaining({ check: 'setuid', tags: ['security'] }))
  })

  it.each([
    [['check'], 1, 'the image is missing'],
    [['check', '--tag', 'sekurity', 'a.sif'], 255, '--tag: there are no checks "sekurity"'],
    [['check', '--level', 'x', 'a.sif'], 255, '--level x: expected note, warning, error, never'],
    [['check', 'gone.sif'], 255, 'cannot open gone.sif: no such file'],
    [['check', 'instance://x'], 255, 'cannot open instance://x: it is an instance'],
  ] as const)('refuses %j', async (words, status, text) => {
    const outcome = await sing([...words], { cwd: folder })
    expect(outcome.status).toBe(status)
    expect(outcome.stderr).toContain(text)
  })

  it('refuses an image that is damaged, or an ext3', async () => {
    const whole = readFileSync(sif)
    // The tables of names and inodes lie at the end.
    whole.fill(0x5a, whole.length - 6000, whole.length - 500)
    const damaged = join(folder, 'damaged.sif')
    writeFileSync(damaged, whole)
    expect((await sing(['check', damaged])).status).toBe(255)
    if (!existsSync('/sbin/mke2fs')) return
    const ext3 = join(folder, 'image.img')
    await run(['/sbin/mke2fs', '-q', '-t', 'ext3', ext3, '8M'])
    const { status, stderr } = await sing(['check', ext3])
    expect(status).toBe(255)
    expect(stderr).toContain('its root file system is an ext3')
  })
})

describe('checks of the site', () => {
  const directory = join(folder, 'checks')
  const script = (name: string, text: string, mode = 0o755) => {
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode })
    chmodSync(join(directory, name), mode)
    give(directory)
  }
  const check = (...words: string[]) => sing(['check', '--tag', 'site', ...words, '--checks', directory, sif])

  it('are programs that get the path of the image, one after the other', async () => {
    script('20-fails', 'echo "no licence in $1" >&2; exit 3')
    script('10-well', 'test "$1" = "$SING_CHECK_IMAGE" && echo "looked at a $SING_CHECK_KIND"')
    script('30-quiet', 'exit 1')
    script('data', 'exit 1', 0o644)
    const { status, stdout } = await check()
    expect(status).toBe(1)
    expect(stdout).toBe(
      `NOTE:    ${directory}/10-well: looked at a sif\n` +
        `ERROR:   ${directory}/20-fails: no licence in ${sif}\n` +
        `ERROR:   ${directory}/30-quiet: failed: exit status 1\n\n${sif}: 2 errors, no warnings, 1 note\n`,
    )
  })

  it('come from the configuration, too', async () => {
    const config = join(folder, 'config.yaml')
    writeFileSync(config, `check:\n  directory: ${directory}\n`)
    give(config)
    const { status, stdout } = await sing(['-c', config, 'check', '--tag', 'site', sif])
    expect([status, stdout]).toEqual([1, expect.stringContaining('20-fails')])
  })

  it('are not run when others can change them', async () => {
    script('40-open', 'touch /tmp/never', 0o777)
    const { status, stderr } = await check()
    expect(status).toBe(255)
    expect(stderr).toContain('40-open are not run: others can change them')
    chmodSync(join(directory, '40-open'), 0o755)
    chmodSync(directory, 0o777)
    expect((await check()).stderr).toContain('checks are not run: others can change them')
    chmodSync(directory, 0o755)
  })

  it('have to be there', async () => {
    const { status, stderr } = await sing(['check', '--checks', join(folder, 'none'), sif])
    expect(status).toBe(255)
    expect(stderr).toContain('none: no such file or directory')
  })
})

describe('build --check', () => {
  const names = ['new.sif', 'new'] as const

  it.each(names)('refuses %s, and leaves nothing of it', async (name) => {
    const target = join(folder, name)
    const words = name === 'new' ? ['--sandbox'] : []
    const { status, stderr } = await sing(['build', '--check', ...words, target, sif])
    expect(status).toBe(255)
    expect(stderr).toContain('ERROR:   check: /root/.ssh/id_rsa:1: private key')
    expect(stderr).toContain('WARNING: check: /etc/group: ')
    expect(stderr).toContain('the image is refused: a check has found what is not to be in it')
    expect(stderr).not.toContain(secret)
    const { stdout } = await run(['ls', '-A', folder])
    expect(stdout.split('\n').filter((left) => left === name || left.includes('partial'))).toEqual([])
  })

  it('lets an image pass by what --check-level says', async () => {
    const target = join(folder, 'passed.sif')
    expect((await sing(['build', '--check', '--check-level', 'never', target, sif])).status).toBe(0)
    expect((await sing(['build', '--check-level', 'note', target, sif])).stderr).toContain('give --check too')
  })

  it('refuses what a reference names, whether it is packed anew or not', async () => {
    const layout = writeLayout(join(folder, 'keys'), {
      latest: { layers: [[{ path: 'root/.netrc', data: key }]] },
    })
    const env = { SING_CACHEDIR: join(folder, 'cache') }
    for (const words of [[], ['--compress', 'gzip'], ['--sandbox']]) {
      const target = join(folder, 'fetched')
      const { status, stderr } = await sing(
        ['build', '--check', ...words, target, `oci:${layout.folder}:latest`],
        { env },
      )
      expect(status).toBe(255)
      expect(stderr).toContain('the image is refused')
      expect(existsSync(target)).toBe(false)
    }
  })

  it('has nothing to look for in data', async () => {
    const { status, stderr } = await sing(['build', '--data', '--check', join(folder, 'data.sif'), sandbox])
    expect([status, stderr]).toEqual([255, expect.stringContaining('--check: there is nothing to check')])
  })

  it.skipIf(!can('userns'))('looks at what a definition makes', async () => {
    const definition = join(folder, 'check.def')
    writeFileSync(
      definition,
      'Bootstrap: scratch\n%setup\n  mkdir -p $SINGULARITY_ROOTFS/root\n  printf "machine a login b password c" >$SINGULARITY_ROOTFS/root/.netrc\n',
    )
    give(definition)
    const target = join(folder, 'made.sif')
    const { status, stderr } = await sing(['build', '--check', target, definition])
    expect(status).toBe(255)
    expect(stderr).toContain('/root/.netrc:1: login')
    expect(existsSync(target)).toBe(false)
  })
})
