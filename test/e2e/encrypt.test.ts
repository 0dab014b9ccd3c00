/** Encrypted images are made: what is in them, who opens them, and that nothing plain is left anywhere. */

import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { dataTypes } from '../../src/sif/format.ts'
import { readSif } from '../../src/sif/read.ts'
import {
  type BuildFolder,
  base,
  buildFolder,
  header,
  inBackground,
  leftBy,
  onTerminal,
  pause,
} from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { casingOf, decrypt, listCasing, passphraseFor } from '../helpers/encrypted.ts'
import { program, run, sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'

const needs = can('userns', 'fuse')
const secret = 'open sesame'
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
})

let folder: BuildFolder
beforeEach(() => {
  folder = buildFolder()
  folder.write('public.pem', publicKey)
  folder.write('private.pem', privateKey)
})
const at = (name: string): string => join(folder.path, name)

function build(args: readonly string[], more: Record<string, string | undefined> = {}) {
  return sing(['build', ...args], { cwd: folder.path, env: { ...folder.env, ...more } })
}
const withSecret = { SING_ENCRYPTION_PASSPHRASE: secret }

/** Everything below a directory that holds these bytes. */
function holding(directory: string, bytes: Buffer): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(bytes))
}

describe.skipIf(!needs)('an image with a passphrase', () => {
  it('has the objects that other runtimes expect', async () => {
    expect(await build(['--encrypt', 'x.sif', base], withSecret)).toMatchObject({ status: 0 })
    const { objects } = await readSif(at('x.sif'))
    expect(objects.map(({ dataType }) => dataType)).toEqual([
      dataTypes.definition,
      dataTypes.genericJson,
      dataTypes.partition,
    ])
    expect(objects[2]?.partition).toMatchObject({ filesystem: 6, kind: 2 })
    expect(await leftBy(folder, ['public.pem', 'private.pem', 'x.sif'])).toEqual([])
  })

  it('has the very bytes inside that a plain one has', async () => {
    const same = { SOURCE_DATE_EPOCH: '1700000000' }
    await build(['--fakeroot', 'plain.sif', base], same)
    await build(['--encrypt', 'x.sif', base], { ...same, ...withSecret })
    const { objects } = await readSif(at('plain.sif'))
    const { offset = 0, size = 0 } = objects.find(({ dataType }) => dataType === dataTypes.partition) ?? {}
    const plain = readFileSync(at('plain.sif')).subarray(offset, offset + size)
    expect((await decrypt(at('x.sif'), secret)).equals(plain)).toBe(true)
  })

  it('is a squashfs around them with the two files of gocryptfs', async () => {
    await build(['--encrypt', 'x.sif', base], withSecret)
    const lines = listCasing(await casingOf(at('x.sif'))).map((line) =>
      line.replace(/ +\d+ \d{4}-\S+ \S+/, ''),
    )
    expect(lines).toEqual([
      'drwxrwxrwx 0/0 squashfs-root',
      '-r-------- 0/0 squashfs-root/gocryptfs.conf',
      expect.stringMatching(/^-rw-r--r-- 0\/0 squashfs-root\/squashfs-\d+$/),
    ])
  })

  it('is another one each time', async () => {
    await build(['--encrypt', 'x.sif', base], withSecret)
    await build(['--encrypt', 'y.sif', base], withSecret)
    expect(readFileSync(at('x.sif')).equals(readFileSync(at('y.sif')))).toBe(false)
  })

  it('says that it cannot be reproducible', async () => {
    const { status, stderr } = await build(['--encrypt', '--reproducible', 'x.sif', base], withSecret)
    expect(status).toBe(0)
    expect(stderr).toMatch(/^WARNING: .*encrypted.* never the same twice/m)
  })

  it('can be built of a definition', async () => {
    const { stderr } = await folder.build('%post\n  echo inside > /made\n', '--encrypt')
    expect(stderr).toMatch(/nothing to encrypt with/)
    folder.write('x.def', `${header}%post\n  echo inside > /made\n`)
    expect(await build(['--encrypt', 'x.sif', 'x.def'], withSecret)).toMatchObject({ status: 0 })
    writeFileSync(at('inner.squashfs'), await decrypt(at('x.sif'), secret))
    give(at('inner.squashfs'))
    const { stdout } = await sing(['exec', at('inner.squashfs'), 'cat', '/made', '/opt/hello.txt'])
    expect(stdout).toBe('inside\nhello, file\n')
  })

  it('can be built of a sandbox', async () => {
    await build(['--sandbox', 'tree', base])
    expect(await build(['--encrypt', 'x.sif', 'tree'], withSecret)).toMatchObject({ status: 0 })
    writeFileSync(at('inner.squashfs'), await decrypt(at('x.sif'), secret))
    give(at('inner.squashfs'))
    expect((await sing(['exec', at('inner.squashfs'), 'cat', '/opt/hello.txt'])).stdout).toBe('hello, file\n')
  })

  it('takes no overlay', async () => {
    await build(['--encrypt', 'x.sif', base], withSecret)
    const { status, stderr } = await sing(['overlay', 'create', at('x.sif')], { cwd: folder.path })
    expect(status).toBe(255)
    expect(stderr).toContain('it is encrypted')
  })

  it('shows its labels without the passphrase', async () => {
    await build(['--encrypt', 'x.sif', base], withSecret)
    const { status, stdout } = await sing(['inspect', at('x.sif')])
    expect(status).toBe(0)
    expect(stdout).toContain('org.label-schema.schema-version')
  })
})

describe.skipIf(!needs)('an image for a key', () => {
  it.each([
    ['--pem-path', ['--pem-path', 'public.pem'], {}],
    ['SINGULARITY_ENCRYPTION_PEM_PATH', ['--encrypt'], { SINGULARITY_ENCRYPTION_PEM_PATH: 'public.pem' }],
    ['APPTAINER_ENCRYPTION_PEM_DATA', ['--encrypt'], { APPTAINER_ENCRYPTION_PEM_DATA: publicKey }],
    ['a file before a passphrase', ['--encrypt'], { ...withSecret, SING_ENCRYPTION_PEM_PATH: 'public.pem' }],
  ])('by %s holds a passphrase that the private key opens', async (_, flags, env) => {
    expect(await build([...flags, 'x.sif', base], env)).toMatchObject({ status: 0 })
    const { objects } = await readSif(at('x.sif'))
    expect(objects[3]).toMatchObject({
      dataType: dataTypes.cryptoMessage,
      group: 1,
      link: { kind: 'object', id: 3 },
    })
    const passphrase = await passphraseFor(at('x.sif'), privateKey)
    expect((await decrypt(at('x.sif'), passphrase)).toString('latin1', 0, 4)).toBe('hsqs')
  })

  it('is refused for a key that cannot be used', async () => {
    folder.write('rubbish.pem', 'rubbish')
    folder.write('huge.pem', 'x'.repeat(100_000))
    for (const name of ['rubbish.pem', 'huge.pem', 'none.pem', 'tmp']) {
      const { status, stderr } = await build(['--encrypt', '--pem-path', name, 'x.sif', base])
      expect(status).toBe(255)
      expect(stderr).toMatch(/^FATAL: +cannot (encrypt for|read the key) (rubbish|huge|none|tmp)/m)
    }
    expect(existsSync(at('x.sif'))).toBe(false)
  })
})

describe.skipIf(!needs)('a passphrase that is asked for', () => {
  async function answer(...lines: readonly string[]) {
    const terminal = onTerminal(['build', '--passphrase', 'x.sif', base], folder)
    for (const [index, line] of lines.entries()) {
      await terminal.shows(index === 0 ? /Passphrase for x.sif: / : /again: /)
      terminal.type(`${line}\r`)
    }
    return { status: await terminal.status, text: terminal.text() }
  }

  it('is typed twice, and not shown', async () => {
    const { status, text } = await answer(secret, secret)
    expect(status).toBe(0)
    expect(text).not.toContain(secret)
    expect((await decrypt(at('x.sif'), secret)).length).toBeGreaterThan(4096)
  })

  it('is refused when both differ, or when it is empty', async () => {
    expect(await answer(secret, 'other')).toMatchObject({
      status: 255,
      text: expect.stringContaining('differ'),
    })
    expect(await answer('')).toMatchObject({ status: 255, text: expect.stringContaining('is empty') })
    expect(existsSync(at('x.sif'))).toBe(false)
  })

  it('needs a terminal', async () => {
    const { status, stderr } = await run(
      ['setsid', '-w', program, 'build', '--passphrase', at('x.sif'), base],
      {
        env: folder.env,
      },
    )
    expect(status).toBe(255)
    expect(stderr).toContain('SING_ENCRYPTION_PASSPHRASE')
  })
})

describe('an image that cannot be encrypted', () => {
  it.each([
    [
      'without a key',
      ['--encrypt', 'x.sif', base],
      {},
      /nothing to encrypt with[\s\S]*--passphrase[\s\S]*--pem-path/,
    ],
    [
      'with an empty passphrase',
      ['-e', 'x.sif', base],
      { SING_ENCRYPTION_PASSPHRASE: '' },
      /nothing to encrypt with/,
    ],
    [
      'with a passphrase of two lines',
      ['-e', 'x.sif', base],
      { SINGULARITY_ENCRYPTION_PASSPHRASE: 'a\nb' },
      /is not one line of text/,
    ],
    [
      'with a passphrase of three kilobytes',
      ['-e', 'x.sif', base],
      { SINGULARITY_ENCRYPTION_PASSPHRASE: 'a'.repeat(3000) },
      /longer than 2048 bytes/,
    ],
    ['as a sandbox', ['-e', '--sandbox', 'x.sif', base], withSecret, /--encrypt: a sandbox is a directory/],
    ['as an OCI-SIF', ['-e', '--oci', 'x.sif', base], withSecret, /--encrypt: an OCI-SIF has layers/],
    ['as data', ['-e', '--data', 'x.sif', base], withSecret, /--encrypt: an image that holds only data/],
    [
      'with two kinds of keys',
      ['--passphrase', '--pem-path', 'public.pem', 'x.sif', base],
      {},
      /--passphrase and --pem-path cannot be given together/,
    ],
    [
      'and be resumed',
      ['-e', '--resume', 'x.sif', 'x.def'],
      withSecret,
      /--resume: this build keeps nothing/,
    ],
  ])('%s is not built', async (_, args, env, says) => {
    folder.write('x.def', header)
    const { status, stderr } = await build(args, env)
    expect(status).toBe(255)
    expect(stderr).toMatch(says)
    expect(await leftBy(folder, ['public.pem', 'private.pem'])).toEqual([])
  })
})

it('warns of a key in the environment that is not used', async () => {
  const { status, stderr } = await build(['x.sif', base], withSecret)
  expect(status).toBe(0)
  expect(stderr).toMatch(/^WARNING: .*SING_ENCRYPTION_PASSPHRASE is set.* not encrypted$/m)
  expect(stderr).not.toContain(secret)
})

describe.skipIf(!needs)('nothing plain', () => {
  const marker = randomBytes(64 * 1024)
  // What cannot be compressed lies in a squashfs as it is.
  const seen = marker.subarray(1000, 1064)
  let image: string
  beforeAll(async () => {
    const first = buildFolder()
    const text = `${header}%files\n  marker /marker\n  large /large\n`
    first.write('marker', '')
    writeFileSync(join(first.path, 'marker'), marker)
    writeFileSync(join(first.path, 'large'), randomBytes(100_000_000))
    first.write('x.def', text)
    const made = await sing(['build', 'plain.sif', 'x.def'], { cwd: first.path, env: first.env })
    if (made.status !== 0) throw new Error(made.stderr)
    image = join(first.path, 'plain.sif')
    // The search finds it where it is.
    expect(readFileSync(image).includes(seen)).toBe(true)
  })

  const building = (env: Record<string, string> = withSecret) =>
    inBackground(['build', '--encrypt', 'x.sif', image], { ...folder, env: { ...folder.env, ...env } })
  const given = ['public.pem', 'private.pem']

  it('is in the image, the cache and the directory for temporary files', async () => {
    expect(await building().status).toBe(0)
    expect(holding(folder.path, seen)).toEqual([])
    expect(await leftBy(folder, [...given, 'x.sif'])).toEqual([])
  })

  it('is left of a build that is interrupted', async () => {
    const job = building()
    await job.shows(/Creating the SIF file/)
    process.kill(-job.pid, 'SIGINT')
    expect(await job.status).toBe(130)
    expect(await leftBy(folder, given)).toEqual([])
  })

  it('is left of a build that is killed, at any moment', async () => {
    for (let round = 0; round < 6; round += 1) {
      const job = building()
      await job.shows(/Creating the SIF file/)
      await pause(round * 60)
      // On a fast machine it is done by now.
      spawnSync('kill', ['-KILL', '--', `-${job.pid}`])
      await job.status
      expect(holding(folder.path, seen)).toEqual([])
      rmSync(at('x.sif'), { force: true })
    }
    expect(await building().status).toBe(0)
    expect(await leftBy(folder, [...given, 'x.sif'])).toEqual([])
  })

  it('is left when the disk is full', async () => {
    const script =
      'mount -t tmpfs -o size=20m none "$1" && { cd "$1"; "$2" build -e x.sif "$3"; echo status $?; find "$1" -type f; } 2>&1'
    const { stdout } = await run(['unshare', '-Urm', 'sh', '-c', script, 'sh', at('tmp'), program, image], {
      cwd: folder.path,
      env: { ...folder.env, ...withSecret, SINGULARITY_TMPDIR: '/tmp' },
    })
    expect(stdout).toMatch(/no space left|there is no room|not enough space|is full/i)
    expect(stdout).toMatch(/status 255\n$/)
  })
})

describe.skipIf(!needs)('a secret', () => {
  it('is told to no script, and stands on no command line', async () => {
    const look = 'env; cat /proc/[0-9]*/cmdline | tr "\\0" " "'
    folder.write('x.def', `${header}%setup\n  ${look}\n%post\n  ${look}\n%test\n  ${look}\n`)
    for (const flags of [['--encrypt'], []]) {
      const { status, stdout, stderr } = await build([...flags, '--force', 'x.sif', 'x.def'], {
        ...withSecret,
        SING_ENCRYPTION_PEM_DATA: flags.length > 0 ? publicKey : undefined,
        APPTAINER_ENCRYPTION_PASSPHRASE: secret,
      })
      expect(status).toBe(0)
      expect(stdout).toContain('PATH=')
      expect(`${stdout}${stderr}`).not.toContain(secret)
      expect(stdout).not.toContain('ENCRYPTION_')
    }
  })
})

describe.skipIf(!needs)('steps of an encrypted image', () => {
  it('are not kept', async () => {
    folder.write('x.def', `${header}%post\n  date +%N > /when\n`)
    await build(['--encrypt', 'x.sif', 'x.def'], withSecret)
    const { stderr } = await build(['--encrypt', '--force', 'x.sif', 'x.def'], withSecret)
    expect(stderr).not.toContain('cached')
    expect(existsSync(join(at('cache'), 'build'))).toBe(false)
  })
})

describe.skipIf(!can('root'))('an image that root makes', () => {
  it('is of the same kind', async () => {
    const env = { ...folder.env, ...withSecret }
    const { status } = await sing(['build', '-e', 'x.sif', base], { cwd: folder.path, env, as: 'self' })
    expect(status).toBe(0)
    expect((await readSif(at('x.sif'))).objects[2]?.partition?.filesystem).toBe(6)
    expect((await decrypt(at('x.sif'), secret)).toString('latin1', 0, 4)).toBe('hsqs')
    expect(statSync(at('x.sif')).size).toBeGreaterThan(4096)
  })
})
