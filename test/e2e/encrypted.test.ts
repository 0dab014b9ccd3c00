/** Encrypted images: those that Apptainer made, and ones that were damaged on their way. */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { damaged, encryptSif } from '../helpers/encrypted-sif.ts'
import { commandLine, environment, program, projectRoot, run, sing, testUser } from '../helpers/sing.ts'
import { copyInto, temporaryFolder } from '../helpers/temp.ts'

const passphrase = 'secretpass'
const header = 18
const block = 4128

let folder: string
/** Made by Apptainer, for a passphrase and for a key. */
let pass: string
let pem: string
/** All of everything.sif, with a passphrase. */
let large: string
let key: string

const keyFile = (name: string): string => copyInto(folder, join(projectRoot, 'fixtures/keys/pem', name))
const withPassphrase = { env: { SINGULARITY_ENCRYPTION_PASSPHRASE: passphrase } }

beforeAll(async () => {
  folder = temporaryFolder()
  pass = copyInto(folder, join(projectRoot, 'fixtures/encrypted/pass.sif'))
  pem = copyInto(folder, join(projectRoot, 'fixtures/encrypted/pem.sif'))
  key = keyFile('rsa-private.pkcs1.pem')
  large = join(folder, 'large.sif')
  await encryptSif(join(projectRoot, 'fixtures/images/everything.sif'), large, { passphrase })
})

describe.skipIf(!can('userns', 'fuse'))('an encrypted image', () => {
  const text = (name: string) => readFileSync(join(projectRoot, 'fixtures/keys/pem', name), 'utf8')
  const ways: readonly (readonly [string, () => readonly string[], () => Record<string, string>])[] = [
    ['a passphrase', () => [pass], () => ({ SINGULARITY_ENCRYPTION_PASSPHRASE: passphrase })],
    ['the other spelling', () => [pass], () => ({ APPTAINER_ENCRYPTION_PASSPHRASE: passphrase })],
    ['our spelling', () => [pass], () => ({ SING_ENCRYPTION_PASSPHRASE: passphrase })],
    ['a key', () => ['--pem-path', key, pem], () => ({})],
    ['a key of PKCS#8', () => ['--pem-path', keyFile('rsa-private.pkcs8.pem'), pem], () => ({})],
    ['a key that a variable names', () => [pem], () => ({ APPTAINER_ENCRYPTION_PEM_PATH: key })],
    [
      'a key in a variable',
      () => [pem],
      () => ({ APPTAINER_ENCRYPTION_PEM_DATA: text('rsa-private.pkcs1.pem') }),
    ],
    [
      'a key, which goes before a passphrase',
      () => ['--pem-path', key, pem],
      () => ({ SINGULARITY_ENCRYPTION_PASSPHRASE: 'x' }),
    ],
  ]
  it.each(ways)('runs with %s', async (_, args, env) => {
    const outcome = await sing(['exec', ...args(), '/bin/hello'], { env: env() })
    expect(outcome).toEqual({ status: 0, stdout: 'it is open\n', stderr: '' })
  })

  it('runs with a passphrase that is typed', async () => {
    const [file = '', ...args] = commandLine([program, 'exec', '--passphrase', pass, '/bin/hello'])
    const terminal = spawnTerminal(file, args, { env: environment() })
    let output = ''
    const asked = Promise.withResolvers<void>()
    terminal.onData((data) => {
      output += data
      if (/Enter encryption passphrase of .*pass\.sif: /.test(output)) asked.resolve()
    })
    const ended = new Promise<number>((resolve) => {
      terminal.onExit(({ exitCode }) => resolve(exitCode))
    })
    await asked.promise
    terminal.write(`${passphrase}\r`)
    expect(await ended).toBe(0)
    expect(output).toContain('it is open')
    expect(output).not.toContain(passphrase)
  })

  it('runs with layers of its user over it', async () => {
    for (const flag of [
      ['--writable-tmpfs'],
      ['--fakeroot'],
      ['--contain'],
      ['--overlay', temporaryFolder()],
    ]) {
      const { stdout } = await sing(['exec', ...flag, large, 'cat', '/etc/hostname'], withPassphrase)
      expect(stdout, flag[0]).not.toBe('')
    }
  })

  it('has the same files as a plain one', async () => {
    const sum = ['sh', '-c', 'find /bin /etc/profile.d /scif -type f | sort | xargs cat | sha256sum']
    const one = await sing(['exec', large, ...sum], withPassphrase)
    const other = await sing(['exec', join(projectRoot, 'fixtures/images/everything.sif'), ...sum])
    expect(one).toEqual(other)
  })

  it('is unpacked with its key', async () => {
    const { status, stdout } = await sing(['exec', '--unsquash', pass, '/bin/hello'], withPassphrase)
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'it is open\n' })
  })

  it('is an instance that others enter without a key', async () => {
    const name = `encrypted-${process.pid}`
    expect((await sing(['instance', 'start', large, name], withPassphrase)).status).toBe(0)
    const inside = await sing(['exec', `instance://${name}`, 'echo', 'inside'])
    expect((await sing(['instance', 'stop', name])).status).toBe(0)
    expect(inside.stdout).toBe('inside\n')
  })
})

describe('an encrypted image is refused', () => {
  const passphraseOf = (text: string) => ({ SINGULARITY_ENCRYPTION_PASSPHRASE: text })
  const cases: readonly (readonly [string, () => readonly string[], Record<string, string>, RegExp])[] = [
    ['without anything', () => [pass], {}, /it is encrypted\n.*--passphrase/],
    ['without a key', () => [pem], {}, /it is encrypted\n.*--pem-path/],
    ['with an empty passphrase', () => [pass], passphraseOf(''), /it is encrypted/],
    [
      'with another passphrase',
      () => [pass],
      passphraseOf('secretpas'),
      /passphrase is not the right one\n +It is that of \w+_ENCRYPTION_PASSPHRASE; --passphrase asks/,
    ],
    [
      'with what is no key',
      () => [pem],
      { APPTAINER_ENCRYPTION_PEM_DATA: 'words' },
      /cannot open APPTAINER_ENCRYPTION_PEM_DATA: it is no private key in PEM/,
    ],
    ['with a passphrase for a key', () => [pem], passphraseOf(passphrase), /not the right one\n.*--pem-path/],
    ['with a key for a passphrase', () => ['--pem-path', key, pass], {}, /with a passphrase, not for a key/],
    [
      'with a public key',
      () => ['--pem-path', keyFile('rsa-public.pem'), pem],
      {},
      /public key, which can only/,
    ],
    [
      'with another kind of key',
      () => ['--pem-path', keyFile('ecdsa-private.pkcs8.pem'), pem],
      {},
      /a key of ec/,
    ],
    [
      'with another key',
      () => ['--pem-path', keyFile('rsa-1024.pkcs1.pem'), pem],
      {},
      /not encrypted for the key/,
    ],
    [
      'without the key file',
      () => ['--pem-path', '/missing.pem', pem],
      {},
      /cannot read the key \/missing\.pem: no such/,
    ],
    ['with a folder as key', () => ['--pem-path', '/', pem], {}, /cannot read the key \/: is a directory/],
    ['with a key as large as a disk', () => ['--pem-path', large, pem], {}, /too large for a key/],
    [
      'without a terminal to ask at',
      () => ['--passphrase', pass],
      {},
      /there is no terminal\n.*ENCRYPTION_PASSPHRASE/,
    ],
    [
      'without one for a key with a password',
      () => ['--pem-path', keyFile('rsa-protected.pkcs8.pem'), pem],
      {},
      /there is no terminal\n.*password/,
    ],
  ]
  it.each(cases)('%s', async (_, args, env, words) => {
    // In a session of its own there is no terminal.
    const [file = '', ...rest] = commandLine(['setsid', '--wait', program, 'exec', ...args(), '/bin/hello'])
    const child = spawn(file, rest, { env: environment({ env }), stdio: ['ignore', 'pipe', 'pipe'] })
    let told = ''
    child.stderr.on('data', (data) => {
      told += data
    })
    const [status] = await once(child, 'close')
    expect(told).toMatch(words)
    expect(told.match(/^FATAL: {3}/gm)).toHaveLength(1)
    expect(status).toBe(255)
    for (const secret of Object.values(env)) if (secret) expect(told).not.toContain(secret)
  })

  it.skipIf(!can('userns'))('where it could only be unpacked, unless that is asked for', async () => {
    const { uid, gid } = testUser()
    const script = `: >none && chmod 0 none && mount --bind none /dev/fuse &&
      exec unshare --user --map-user=${uid} --map-group=${gid} "$0" "$@"`
    const withoutFuse = (...flags: string[]) =>
      run(['unshare', '-Urm', 'sh', '-c', script, program, 'exec', ...flags, pass, '/bin/hello'], {
        cwd: folder,
        ...withPassphrase,
      })
    const { status, stderr } = await withoutFuse()
    expect(stderr).toMatch(/it is encrypted, and \/dev\/fuse cannot be used\n.*--unsquash/)
    expect(status).toBe(255)
    expect((await withoutFuse('--unsquash')).stdout).toBe('it is open\n')
  })

  it('when something of it is to be bound', async () => {
    const bind = ['--bind', `${pass}:/mnt:image-src=/`]
    const { status, stderr } = await sing(['exec', ...bind, large, 'true'], withPassphrase)
    expect(stderr).toMatch(/object 3 is encrypted\n.*build --sandbox/)
    expect(status).toBe(255)
  })

  it('when it has two sealed passphrases', async () => {
    const two = copyInto(folder, pem, 'two-sealed.sif')
    const { status } = await sing(['sif', 'del', '2', two])
    expect(status).toBe(0)
    const bytes = readFileSync(two)
    // The descriptor of the message, once more in the free place.
    bytes.copy(bytes, 4096 + 585, 4096 + 3 * 585, 4096 + 4 * 585)
    bytes.writeUInt32LE(2, 4096 + 585 + 5)
    bytes.writeBigInt64LE(bytes.readBigInt64LE(0x50) - 1n, 0x50)
    writeFileSync(two, bytes)
    const outcome = await sing(['exec', '--pem-path', key, two, '/bin/hello'])
    expect(outcome.stderr).toMatch(/it has no single sealed passphrase/)
    expect(outcome.status).toBe(255)
  })

  it('when it is one of LUKS, with what to do', async () => {
    const luks = copyInto(folder, pass, 'luks.sif')
    const bytes = readFileSync(luks)
    bytes.writeInt32LE(5, 4096 + 2 * 585 + 201)
    writeFileSync(luks, bytes)
    const { status, stderr } = await sing(['exec', luks, 'true'], withPassphrase)
    expect(stderr).toMatch(/LUKS.*\n.*build --sandbox.*\n.*build --encrypt/)
    expect(status).toBe(255)
  })
})

describe('a damaged image', () => {
  const configurations: readonly (readonly [string, (bytes: Buffer) => void, RegExp])[] = [
    ['no JSON', (bytes) => bytes.write('x'), /its gocryptfs\.conf is no JSON/],
    ['another feature', (bytes) => bytes.write('HKDX', bytes.indexOf('HKDF')), /has the features/],
    ['another key', (bytes) => bytes.write('AAAA', bytes.indexOf('EncryptedKey') + 16), /not the right one/],
    ['another salt', (bytes) => bytes.write('AAAA', bytes.indexOf('Salt') + 8), /not the right one/],
    [
      'costs that would eat the machine',
      (bytes) => bytes.write('"R":99,', bytes.indexOf('"R"')),
      /more than we give/,
    ],
  ]
  it.each(configurations)('says so: its configuration has %s', async (_, change, words) => {
    const image = await damaged(pass, join(folder, 'damaged.sif'), '/gocryptfs.conf', change)
    const { status, stderr } = await sing(['exec', image, '/bin/hello'], withPassphrase)
    expect(stderr).toMatch(words)
    expect(status).toBe(255)
  })

  const start = (number: number): number => header + number * block
  const flip = (bytes: Buffer, at: number) => bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at)
  const beginnings: readonly (readonly [string, (bytes: Buffer) => void])[] = [
    ['its version is another', (bytes) => flip(bytes, 1)],
    ['its file id is another', (bytes) => flip(bytes, 5)],
    ['a nonce is another', (bytes) => flip(bytes, start(0))],
    ['a byte is another', (bytes) => flip(bytes, start(0) + 100)],
    ['a tag is another', (bytes) => flip(bytes, start(1) - 1)],
    ['a block is in the place of another', (bytes) => bytes.copyWithin(start(0), start(1), start(2))],
    ['nothing is left', (bytes) => bytes.fill(0)],
  ]
  it.each(beginnings)('is not started when %s', async (_, change) => {
    const image = await damaged(large, join(folder, 'damaged.sif'), '/squashfs-123', change)
    const { status, stderr } = await sing(['exec', image, 'true'], withPassphrase)
    expect(stderr).toMatch(
      /^FATAL: {3}cannot open .*damaged\.sif: encrypted data that is damaged, or changed by/,
    )
    expect(status).toBe(255)
  })

  it.skipIf(!can('userns', 'fuse'))('gives errors where it is damaged, and the rest', async () => {
    const tree = join(folder, 'tree')
    const plainImage = join(folder, 'plain.sif')
    const image = join(folder, 'spoilt.sif')
    const random = randomBytes(600_000)
    await sing(['build', '--sandbox', tree, join(projectRoot, 'fixtures/images/everything.sif')])
    writeFileSync(join(tree, 'random'), random)
    await sing(['build', plainImage, tree])
    const change = ({ sealed, plain }: { sealed: Buffer; plain: Buffer }) => {
      const at = plain.indexOf(random.subarray(300_000, 300_050))
      flip(sealed, start(Math.floor(at / 4096)) + 50)
    }
    await encryptSif(plainImage, image, { passphrase, change })
    const script = 'head -c 100000 /random | wc -c; cat /random > /dev/null || echo failed'
    const outcome = await sing(['exec', image, 'sh', '-c', script], withPassphrase)
    expect(outcome.stdout).toBe('100000\nfailed\n')
    expect(outcome.stderr).toMatch(/(I|Input)\/(O|output) error/i)
    const unpacked = await sing(['build', '--sandbox', join(folder, 'broken'), image], withPassphrase)
    expect(unpacked.stderr).toMatch(/random: encrypted data that is damaged, or changed by somebody without/)
    expect(unpacked.status).toBe(255)
  })

  it('is refused when its encrypted file is compressed, and when there is another one', async () => {
    const source = join(projectRoot, 'fixtures/images/everything.sif')
    const zeros = join(folder, 'zeros.sif')
    const change = ({ sealed }: { sealed: Buffer }) => void sealed.fill(0, header)
    await encryptSif(source, zeros, { passphrase, packing: [], change })
    const two = join(folder, 'two.sif')
    await encryptSif(source, two, { passphrase, more: { 'squashfs-1': Buffer.from('x') } })
    const compressed = await sing(['exec', zeros, 'true'], withPassphrase)
    expect(compressed.stderr).toMatch(/compressed or has holes\n.*--encrypt/)
    const second = await sing(['exec', two, 'true'], withPassphrase)
    expect(second.stderr).toMatch(/does not hold gocryptfs\.conf and one encrypted file, but 3 names/)
  })
})
