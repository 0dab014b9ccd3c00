/** `sing registry login`, `logout` and `list`, against real registries. */

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { startRegistry } from '../helpers/registry.ts'
import { type RunOptions, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

/** A home of its own, and `sing` in it. */
function newHome() {
  const home = temporaryFolder()
  const run = (args: readonly string[], { env, ...more }: RunOptions = {}) =>
    sing(args, { env: { HOME: home, ...env }, cwd: home, ...more })
  const write = (name: string, content: object | string, mode = 0o600) => {
    const path = join(home, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode })
    chmodSync(path, mode)
    give(home)
    return path
  }
  return { home, run, write, own: join(home, '.config/sing/docker-config.json') }
}

const encoded = (text: string): string => Buffer.from(text).toString('base64')

/** A helper that keeps logins in files beside it. */
const helper = `#!/bin/sh
cd "$(dirname "$0")" || exit
case $1 in
  store) cat > stored ;;
  get) read -r url; [ -e stored ] && cat stored || { echo 'credentials not found in native keychain'; exit 1; } ;;
  erase) read -r url; echo "$url" > erased; rm -f stored ;;
  list) [ -e stored ] && echo '{"https://kept.example/v1/":"keeper"}' || echo '{}' ;;
esac
`

describe.skipIf(!can('registry'))('a login', () => {
  it('is tried, kept for its owner alone, listed and forgotten', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { run, own } = newHome()
    const login = await run(
      ['registry', 'login', '-u', 'alice', '--password-stdin', `docker://${registry.host}`],
      {
        input: 's3cret\n',
      },
    )
    expect(login).toMatchObject({
      status: 0,
      stdout: '',
      stderr: `INFO:    Logged in to ${registry.host} as alice; kept in ${own}\n`,
    })
    expect(statSync(own).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(own, 'utf8'))).toEqual({
      auths: { [registry.host]: { auth: encoded('alice:s3cret') } },
    })
    expect(existsSync(`${own}.lock`)).toBe(false)
    const list = await run(['registry', 'list'])
    expect(list.stdout).toMatch(new RegExp(`^URI +USER +FROM\n${registry.host} +alice +${own}\n$`))
    const logout = await run(['registry', 'logout', registry.host])
    expect(logout).toMatchObject({
      status: 0,
      stderr: `INFO:    Removed the login for ${registry.host} from ${own}\n`,
    })
    expect(JSON.parse(readFileSync(own, 'utf8'))).toEqual({ auths: {} })
    const again = await run(['registry', 'logout', registry.host])
    expect(again.status).toBe(255)
    expect(again.stderr).toContain(`FATAL:   there is no login for ${registry.host}\n`)
  })

  it('that is wrong is not kept', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { run, own } = newHome()
    const { status, stderr } = await run(['registry', 'login', '-u', 'alice', '-p', 'wrong', registry.host])
    expect(status).toBe(255)
    expect(stderr).toContain(`FATAL:   ${registry.host} refuses the user alice`)
    expect(stderr).not.toContain('wrong')
    expect(existsSync(own)).toBe(false)
  })

  it('is tried at the token server that the registry names', async () => {
    await using registry = await startRegistry({ access: 'token' })
    const { run } = newHome()
    const env = { SINGULARITY_LOGIN_USERNAME: 'alice', SINGULARITY_LOGIN_PASSWORD: 's3cret' }
    expect(await run(['registry', 'login', registry.host], { env })).toMatchObject({ status: 0 })
    const wrong = { ...env, SINGULARITY_LOGIN_PASSWORD: 'x' }
    const { stderr } = await run(['registry', 'login', registry.host], { env: wrong })
    expect(stderr).toContain(`${registry.host} refuses the user alice`)
  })

  it('on the command line is warned of', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { run } = newHome()
    const { stderr } = await run(['registry', 'login', '-u', 'alice', '-p', 's3cret', registry.host])
    expect(stderr).toContain('WARNING: Others can see a password on the command line')
  })

  it('goes into the file that --authfile names, whose other parts stay', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { run, write } = newHome()
    const file = write(
      'auth.json',
      { currentContext: 'x', auths: { 'other.example': { auth: encoded('bob:b') } } },
      0o644,
    )
    const args = [
      'registry',
      'login',
      '--authfile',
      'auth.json',
      '-u',
      'alice',
      '--password-stdin',
      registry.host,
    ]
    expect(await run(args, { input: 's3cret' })).toMatchObject({ status: 0 })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      currentContext: 'x',
      auths: {
        'other.example': { auth: encoded('bob:b') },
        [registry.host]: { auth: encoded('alice:s3cret') },
      },
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('is kept by the helper that the file names', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { home, run, write } = newHome()
    write('bin/docker-credential-test', helper, 0o755)
    write('.config/sing/docker-config.json', { credHelpers: { [registry.host]: 'test' } })
    const env = { PATH: `${home}/bin:/usr/bin:/bin` }
    const args = ['registry', 'login', '-u', 'alice', '--password-stdin', registry.host]
    expect(await run(args, { env, input: 's3cret' })).toMatchObject({
      status: 0,
      stderr: `INFO:    Logged in to ${registry.host} as alice; kept in docker-credential-test\n`,
    })
    expect(JSON.parse(readFileSync(join(home, 'bin/stored'), 'utf8'))).toEqual({
      ServerURL: registry.host,
      Username: 'alice',
      Secret: 's3cret',
    })
    expect((await run(['registry', 'list'], { env })).stdout).toMatch(
      /kept\.example +keeper +docker-credential-test\n/,
    )
    expect(await run(['registry', 'logout', registry.host], { env })).toMatchObject({
      status: 0,
      stderr: `INFO:    Removed the login for ${registry.host} from docker-credential-test\n`,
    })
    expect(readFileSync(join(home, 'bin/erased'), 'utf8')).toBe(`${registry.host}\n`)
  })

  it('at several registries at once is kept for each', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const { run, own } = newHome()
    const hosts = [registry.host, registry.name, registry.directHost]
    const logins = hosts.map((host) =>
      run(['registry', 'login', '-u', 'alice', '--password-stdin', host], { input: 's3cret' }),
    )
    expect((await Promise.all(logins)).map(({ status }) => status)).toEqual([0, 0, 0])
    expect(Object.keys(JSON.parse(readFileSync(own, 'utf8')).auths).sort()).toEqual([...hosts].sort())
  })
})

describe.skipIf(!can('registry')).each(['', 'node'])('a login over TLS (engine "%s")', (engine) => {
  const args = (host: string) => ['registry', 'login', '-u', 'alice', '--password-stdin', host]

  it('believes the authorities that are named, and no other', async () => {
    await using registry = await startRegistry({ tls: true, access: 'htpasswd' })
    const authority = registry.authority ?? ''
    const { run, write } = newHome()
    const login = (env: Record<string, string>) =>
      run(args(registry.name), { env: { SING_ENGINE: engine || undefined, ...env }, input: 's3cret' })
    const untold = await login({})
    expect(untold.status).toBe(255)
    expect(untold.stderr).toBe(
      `FATAL:   cannot reach ${registry.name}: its certificate comes from an unknown authority\n` +
        `         To believe it, put the certificate of its authority into ~/.config/containers/certs.d/${registry.name}/ca.crt, or name it in SSL_CERT_FILE\n`,
    )
    expect(await login({ SSL_CERT_FILE: authority })).toMatchObject({ status: 0 })
    write(`.config/containers/certs.d/${registry.name}/any.crt`, readFileSync(authority, 'utf8'))
    expect(await login({})).toMatchObject({ status: 0 })
  })

  it('is not tried without TLS where the server has it', async () => {
    await using registry = await startRegistry({ tls: true, access: 'htpasswd' })
    const { run } = newHome()
    const env = { SING_ENGINE: engine || undefined, SINGULARITY_NOHTTPS: '1' }
    const { status, stderr } = await run(args(registry.directHost), { env, input: 's3cret' })
    expect(status).toBe(255)
    expect(stderr).toContain(`${registry.directHost} answered 400 when asked to log in`)
    expect(stderr).toContain('If it speaks HTTPS: without --no-https')
  })
})

describe('a logout', () => {
  it('takes the logins of the other runtimes away, and tells of those that stay', async () => {
    const { home, run, write } = newHome()
    const auths = { 'registry.example': { auth: encoded('alice:a') } }
    const singularity = write('.singularity/docker-config.json', { auths })
    const docker = write('.docker/config.json', { auths })
    const { status, stderr } = await run(['registry', 'logout', 'docker://registry.example'])
    expect(status).toBe(0)
    expect(stderr).toBe(
      `INFO:    Removed the login for registry.example from ${singularity}\n` +
        `WARNING: ${docker} has a login for registry.example, too, which is still used\n`,
    )
    expect(JSON.parse(readFileSync(singularity, 'utf8'))).toEqual({ auths: {} })
    expect(JSON.parse(readFileSync(docker, 'utf8'))).toEqual({ auths })
    expect(existsSync(join(home, '.config/sing/docker-config.json'))).toBe(false)
  })
})

describe('the list of logins', () => {
  it('has those of all programs, in the order in which they are used', async () => {
    const { run, write } = newHome()
    const entry = (text: string) => ({ auth: encoded(text) })
    write('.docker/config.json', { auths: { 'https://index.docker.io/v1/': entry('hub:h') } })
    write('.apptainer/docker-config.json', { auths: { 'b.example': entry('bob:b') } })
    write('.singularity/docker-config.json', { auths: { 'a.example:5000': { identitytoken: 'secret' } } })
    const { status, stdout } = await run(['registry', 'list', '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject([
      { registry: 'a.example:5000', user: '(token)' },
      { registry: 'b.example', user: 'bob' },
      { registry: 'index.docker.io', user: 'hub' },
    ])
    expect(stdout).not.toContain('secret')
  })
})

describe('registry login refuses', () => {
  const cases: [string, string[], string][] = [
    ['what is no host', ['alpine'], 'alpine is no registry'],
    ['a file of endpoints', ['--config', 'remote.yaml', 'registry.example'], '--config cannot be used'],
    [
      'a repository',
      ['docker://registry.example/app'],
      'docker://registry.example/app names more than a registry',
    ],
    [
      'two passwords',
      ['-u', 'a', '-p', 'x', '--password-stdin', 'registry.example'],
      '--password and --password-stdin exclude each other',
    ],
    ['a password of nobody', ['--password-stdin', 'registry.example'], '--password-stdin needs --username'],
    [
      'an empty password',
      ['-u', 'a', '--password-stdin', 'registry.example'],
      'needs a user name and a password',
    ],
  ]
  it.each(cases)('%s', async (_, args, sentence) => {
    const { run } = newHome()
    const { status, stderr } = await run(['registry', 'login', ...args], { input: '' })
    expect(status).toBe(255)
    expect(stderr).toContain(sentence)
  })

  it('to ask where nobody is', async () => {
    const { run } = newHome()
    const { status, stderr } = await run(['registry', 'login', 'registry.example'])
    expect(status).toBe(255)
    expect(stderr).toContain('cannot ask "User name at registry.example": there is no terminal')
    expect(stderr).toContain('--password-stdin')
  })

  it('a file of logins that is none, without a word of it', async () => {
    const { run, write } = newHome()
    const path = write('auth.json', 'secret: yes')
    const { status, stderr } = await run(['registry', 'list', '--authfile', path])
    expect(status).toBe(255)
    expect(stderr).toContain(`${path} is no file of logins: it is not a JSON object`)
    expect(stderr).not.toContain('secret')
  })

  it('a helper that fails', async () => {
    const { run, write } = newHome()
    write('.config/sing/docker-config.json', {
      credHelpers: { 'a.example': 'none-such', 'b.example': '../evil' },
    })
    const missing = await run(['registry', 'logout', 'a.example'])
    expect(missing.status).toBe(255)
    expect(missing.stderr).toContain(
      'cannot get logins from docker-credential-none-such: no such file or directory',
    )
    const evil = await run(['registry', 'logout', 'b.example'])
    expect(evil.stderr).toContain(
      'cannot get logins from docker-credential-../evil: this is no name of a helper',
    )
  })
})
