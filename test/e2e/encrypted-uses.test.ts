/** What is done with encrypted images beside running them, and who gets to see their keys: nobody. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { encryptSif } from '../helpers/encrypted-sif.ts'
import { startRegistry } from '../helpers/registry.ts'
import { commandLine, environment, program, projectRoot, run, sing } from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'
import { until } from '../native/starter.ts'

const passphrase = 'no other text has this in it'
const secrets = {
  SINGULARITY_ENCRYPTION_PASSPHRASE: passphrase,
  APPTAINER_ENCRYPTION_PASSPHRASE: passphrase,
  SING_ENCRYPTION_PASSPHRASE: passphrase,
}

let folder: string
let plain: string
let image: string
const at = (name: string): string => join(folder, name)

const ours = (args: readonly string[], env: Record<string, string> = secrets) =>
  sing(args, { cwd: folder, env: { HOME: folder, SING_CACHEDIR: at('cache'), ...env } })

beforeAll(async () => {
  folder = temporaryFolder()
  plain = copyInto(folder, join(projectRoot, 'fixtures/images/everything.sif'))
  image = at('image.sif')
  await encryptSif(plain, image, { passphrase })
})

describe.skipIf(!can('userns', 'fuse'))('the key of a container', () => {
  /** A container that waits, as long as something is done. */
  async function whileRunning<T>(flags: readonly string[], work: () => Promise<T>): Promise<T> {
    const [file = '', ...args] = commandLine([
      program,
      'exec',
      ...flags,
      image,
      'sh',
      '-c',
      'echo up; read line',
    ])
    const env = environment({ env: { HOME: folder, ...secrets } })
    const child = spawn(file, args, { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      await once(child.stdout, 'data')
      return await work()
    } finally {
      child.stdin.end()
      await once(child, 'close')
    }
  }

  const processes = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const textOf = (path: string): string => {
    try {
      return readFileSync(path, 'latin1')
    } catch {
      return ''
    }
  }

  it('is on no command line and in no environment', async () => {
    const found = await whileRunning([], async () => {
      const places = processes().flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
      return places.filter((place) => textOf(place).includes(passphrase))
    })
    expect(found).toEqual([])
  })

  // Programs of the same user, who see all processes of the machine; once with all the powers that a container can give.
  const script = `
    for place in /proc/[0-9]*; do
      tr '\\0' ' ' < $place/cmdline 2>/dev/null | grep -q '^sing-squashfs .*--key' || continue
      echo server
      ls $place/fd/ > /dev/null 2>&1 && echo descriptors
      head -c 1 $place/mem > /dev/null 2>&1 && echo memory
      cat $place/environ > /dev/null 2>&1 && echo environment
      cat $place/maps > /dev/null 2>&1 && echo maps
    done; :`
  it.each([[[]], [['--fakeroot']], [['--fakeroot', '--add-caps', 'all']]])(
    'is not seen by programs with %j',
    async (flags) => {
      const { stdout, status } = await ours(['exec', ...flags, image, 'sh', '-c', script])
      expect(status).toBe(0)
      expect([...new Set(stdout.trim().split('\n'))]).toEqual(['server'])
    },
  )

  it('is not in the environment of programs, nor a descriptor', async () => {
    const shell = 'env; ls /proc/self/fd | wc -l; ls -l /proc/self/fd'
    const { stdout } = await ours(['exec', image, 'sh', '-c', shell])
    const { stdout: usual } = await ours(['exec', plain, 'sh', '-c', shell])
    const linesOf = (text: string) => text.split('\n').length
    expect(stdout).not.toContain('ENCRYPTION')
    expect(stdout).not.toContain(passphrase)
    expect(stdout).not.toContain('sing-secret')
    expect(linesOf(stdout)).toBe(linesOf(usual))
  })

  it('is not written down for an instance', async () => {
    const name = `keyless-${process.pid}`
    expect((await ours(['instance', 'start', image, name])).status).toBe(0)
    const { stdout } = await run(['grep', '-r', '-l', passphrase, folder])
    const inside = await ours(['exec', `instance://${name}`, 'env'], {})
    await ours(['instance', 'stop', name])
    expect(stdout).toBe('')
    expect(inside.stdout).not.toContain(passphrase)
  })

  it('is given anew to start an instance again', async () => {
    const name = `again-${process.pid}`
    await ours(['instance', 'start', image, name])
    const refused = await ours(['instance', 'restart', name], {})
    const still = await ours(['exec', `instance://${name}`, 'echo', 'still'], {})
    const again = await ours(['instance', 'restart', name])
    await ours(['instance', 'stop', name])
    expect(refused.stderr).toMatch(/it is encrypted\n.*--passphrase/)
    expect(still.stdout).toBe('still\n')
    expect(again.status).toBe(0)
  })

  it('ends with the server when the container ends', async () => {
    const server = () =>
      processes().filter((pid) => /^sing-squashfs\0.*--key/.test(textOf(`/proc/${pid}/cmdline`)))
    const before = new Set(server())
    const during = await whileRunning([], async () => server().filter((pid) => !before.has(pid)))
    expect(during.length).toBeGreaterThan(0)
    await until(() => during.every((pid) => !server().includes(pid)))
  })
})

describe('an encrypted image', () => {
  it('says what it is without a key', async () => {
    const inspected = await ours(['inspect', image], {})
    expect(inspected).toEqual(await ours(['inspect', plain], {}))
    expect((await ours(['sif', 'list', image], {})).stdout).toContain('Gocryptfs squashfs')
  })

  it('is checked with its key', async () => {
    const [one, other] = [await ours(['check', image]), await ours(['check', plain])]
    expect(one.stdout.replaceAll(image, plain)).toBe(other.stdout)
    expect((await ours(['check', image], {})).stderr).toMatch(/it is encrypted\n.*--passphrase/)
  })

  it('is checked by programs of the site, which get no key', async () => {
    mkdirSync(at('checks'))
    const check = at('checks/look')
    writeFileSync(check, `#!/bin/sh\nenv > ${at('seen')}\n`)
    chmodSync(check, 0o755)
    give(at('checks'))
    await ours(['check', '--checks', at('checks'), image])
    expect(readFileSync(at('seen'), 'utf8')).toContain('PATH=')
    expect(readFileSync(at('seen'), 'utf8')).not.toContain('ENCRYPTION')
  })

  it('becomes a sandbox with its key', async () => {
    const { status } = await ours(['build', '--sandbox', at('tree'), image])
    expect(status).toBe(0)
    expect(readFileSync(at('tree/.singularity.d/runscript'), 'utf8')).not.toBe('')
    const refused = await ours(['build', '--sandbox', at('none'), image], {})
    expect(refused.stderr).toMatch(/there is no terminal\n.*ENCRYPTION_PASSPHRASE/)
    expect(readdirSync(folder)).not.toContain('none')
  })

  it('is not started where the site does not allow it', async () => {
    writeFileSync(at('site.conf'), 'allow container encrypted = no\n')
    give(at('site.conf'))
    const { status, stderr } = await ours(['--config', at('site.conf'), 'exec', image, 'true'])
    expect(stderr).toContain('does not allow encrypted images')
    expect(status).toBe(255)
  })

  it('is planned without a key', async () => {
    const { status, stdout } = await ours(['exec', '--plan', image, 'true'], {})
    expect({ status, names: stdout.includes(image) }).toEqual({ status: 0, names: true })
  })

  it.skipIf(!can('registry'))('is sent decrypted to a registry of OCI, and says so', async () => {
    await using registry = await startRegistry()
    const to = `docker://${registry.host}/encrypted`
    const sent = await ours(['push', '--no-https', image, to])
    expect(sent.stderr).toMatch(/WARNING: .*image\.sif is sent decrypted/)
    expect(sent.status).toBe(0)
    const packed = await ours(['push', '--no-https', '--layer-format', 'squashfs', image, to])
    expect(packed.stderr).toMatch(/--layer-format squashfs: .* is encrypted\n.*oras/)
    const keyless = await ours(['push', '--no-https', image, to], {})
    expect(keyless.stderr).toMatch(/it is encrypted\n.*--passphrase/)
    const asItIs = await ours(['push', '--no-https', image, `oras://${registry.host}/encrypted:sif`], {})
    expect(asItIs.status).toBe(0)
    const back = await ours(['exec', '--no-https', `oras://${registry.host}/encrypted:sif`, 'echo', 'back'])
    expect(back.stdout).toBe('back\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a build on an encrypted image', () => {
  const filesOf = (directory: string): string[] =>
    (readdirSync(directory, { recursive: true }) as string[]).filter((name) =>
      statSync(join(directory, name)).isFile(),
    )

  async function buildOn(base: string, cache: string, target: string) {
    mkdirSync(at(cache), { recursive: true })
    give(at(cache))
    const lines = [
      'Bootstrap: localimage',
      `From: ${base}`,
      '%post',
      '    env > /variables',
      '    echo new > /new',
    ]
    writeFileSync(at('on.def'), `${lines.join('\n')}\n`)
    give(at('on.def'))
    return await ours(['build', '--fakeroot', at(target), at('on.def')], {
      ...secrets,
      SING_CACHEDIR: at(cache),
    })
  }

  it('keeps nothing of it in the cache, and hands no secret to scripts', async () => {
    const { status, stderr } = await buildOn(image, 'cache-1', 'on.sif')
    expect(stderr).not.toContain(passphrase)
    expect(status).toBe(0)
    const { stdout } = await ours(['exec', at('on.sif'), 'cat', '/new', '/variables'], {})
    expect(stdout).toMatch(/^new\n/)
    expect(stdout).not.toContain(passphrase)
    expect(stdout).not.toContain('ENCRYPTION')
    await buildOn(plain, 'cache-2', 'on-plain.sif')
    const large = (cache: string) =>
      filesOf(at(cache)).filter((name) => statSync(join(at(cache), name)).size > 4000)
    expect(large('cache-1')).toEqual([])
    expect(large('cache-2')).not.toEqual([])
  })

  it('is refused without a key, before anything runs', async () => {
    writeFileSync(at('on.def'), `Bootstrap: localimage\nFrom: ${image}\n%post\n    echo ran\n`)
    const { status, stdout, stderr } = await ours(['build', '--fakeroot', at('no.sif'), at('on.def')], {})
    expect(stderr).toMatch(/there is no terminal\n.*ENCRYPTION_PASSPHRASE/)
    expect(stdout).not.toContain('ran')
    expect(status).toBe(255)
  })

  it('commits what lies over it', async () => {
    const overlay = at('changes')
    mkdirSync(overlay)
    give(overlay)
    await ours(['exec', '--fakeroot', '--overlay', overlay, image, 'sh', '-c', 'echo changed > /changed'])
    const { status, stderr } = await ours(['commit', '--overlay', overlay, at('committed.sif'), image])
    expect(stderr).not.toContain('FATAL')
    expect(status).toBe(0)
    const { stdout } = await ours(['exec', at('committed.sif'), 'cat', '/changed'], {})
    expect(stdout).toBe('changed\n')
  })
})

describe.skipIf(!can('root', 'fuse'))('root', () => {
  it('runs an encrypted image, too', async () => {
    const outcome = await sing(['exec', image, 'echo', 'root'], {
      as: 'self',
      env: { ...secrets, HOME: '/root' },
    })
    expect(outcome).toMatchObject({ status: 0, stdout: 'root\n' })
  })
})
