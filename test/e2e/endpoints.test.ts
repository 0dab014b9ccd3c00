/** `sing remote` and the lists of `sing keyserver`, with an endpoint that answers. */

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { goodToken, startEndpoint } from '../helpers/endpoint.ts'
import { program, type RunOptions, run as runProgram, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { talk } from '../helpers/terminal.ts'

/** A home of its own, and `sing` in it. */
function newHome() {
  const home = temporaryFolder()
  const run = (line: string, { env, ...more }: RunOptions = {}) =>
    sing(line.split(' '), { env: { HOME: home, ...env }, cwd: home, ...more })
  const write = (name: string, text: string, mode = 0o600) => {
    const path = join(home, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    chmodSync(path, mode)
    give(home)
    return path
  }
  return { home, run, write, own: join(home, '.config/sing/remote.yaml') }
}

const names = async (run: ReturnType<typeof newHome>['run']): Promise<string[]> => {
  const { stdout } = await run('remote list --json')
  return (JSON.parse(stdout) as { name: string; active: boolean }[]).map(({ name, active }) =>
    active ? `${name}*` : name,
  )
}

describe('endpoints', () => {
  it('are the built-in one at first, in the table of the peers', async () => {
    const { run } = newHome()
    expect((await run('remote list')).stdout).toBe(`
NAME           URI                  DEFAULT?  GLOBAL?  EXCLUSIVE?  SECURE?
DefaultRemote  cloud.apptainer.org  ✓         ✓                    ✓
`)
    expect((await run('keyserver list')).stdout).toBe(`
DefaultRemote *^
   #1  https://keys.openpgp.org  🔒

(* = system endpoint, ^ = default endpoint, + = user is logged in directly to this keyserver)
`)
  })

  it('are added, used and removed, in a file that is for its owner alone', async () => {
    const { run, own } = newHome()
    const added = await run('remote add --no-login mine https://library.example.org/below/')
    expect(added).toMatchObject({ status: 0, stdout: '', stderr: 'INFO:    Remote "mine" added.\n' })
    expect(statSync(own).mode & 0o777).toBe(0o600)
    expect(statSync(dirname(own)).mode & 0o777).toBe(0o700)
    expect(await names(run)).toEqual(['DefaultRemote', 'mine*'])
    await run('remote add --no-login -n -i other localhost:8080')
    expect(await names(run)).toEqual(['DefaultRemote', 'mine*', 'other'])
    expect(await run('remote use other')).toMatchObject({ stderr: 'INFO:    Remote "other" now in use.\n' })
    expect(await names(run)).toEqual(['DefaultRemote', 'mine', 'other*'])
    expect(await run('remote remove other')).toMatchObject({ stderr: 'INFO:    Remote "other" removed.\n' })
    expect(await names(run)).toEqual(['DefaultRemote*', 'mine'])
    expect(readFileSync(own, 'utf8')).toMatch(/URI: library\.example\.org\/below\n/)
    expect(existsSync(`${own}.lock`)).toBe(false)
  })

  it('are added by many at the same time', async () => {
    const { run } = newHome()
    const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    await Promise.all(all.map((name) => run(`remote add --no-login ${name} ${name}.example`)))
    expect((await names(run)).map((name) => name.replace('*', ''))).toEqual(['DefaultRemote', ...all])
  })

  it.each([
    [
      'remote add --no-login DefaultRemote a.example',
      'DefaultRemote is already a remote (the built-in configuration)',
    ],
    ['remote add --no-login a/b a.example', '"a/b" cannot name an endpoint'],
    ['remote add --no-login a http://a.example', 'an endpoint by plain HTTP needs --insecure'],
    ['remote add --no-login a ftp://a.example', 'ftp://a.example is no endpoint'],
    ['remote add --no-login a https://u:p@a.example', 'has no address'],
    ['remote add --no-login a https://a.example?b', 'has no address'],
    ['remote add a a.example --tokenfile /nowhere', 'cannot read the token in /nowhere'],
    ['remote add --global a a.example', 'cannot write /etc/sing/remote.yaml: permission denied'],
    ['remote use nope', 'nope is not a remote'],
    ['remote remove nope', 'nope is not a remote'],
    ['remote remove DefaultRemote', "DefaultRemote is global and can't be removed"],
    ['remote login nope', 'nope is not a remote'],
    ['remote login docker://a.example', 'docker://a.example is no endpoint'],
    ['remote login -p x', 'knows no tokens: it has nobody to log in to'],
    ['remote login --tokenfile /dev/null', 'the token in /dev/null is empty'],
    ['remote status nope', 'nope is not a remote'],
    ['remote get-login-password', 'does not know who you are'],
    ['keyserver list nope', 'nope is not a remote'],
    ['keyserver add keys.example.org', 'keys.example.org is no address of a key server'],
    ['keyserver add -o 3 https://keys.example.org', 'order is out of range: it is between 1 and 2'],
    ['keyserver add https://keys.openpgp.org/', 'https://keys.openpgp.org is already configured'],
    ['keyserver remove https://keys.example.org', 'keyserver https://keys.example.org is not configured'],
    ['keyserver remove https://keys.openpgp.org', 'it is the only key server'],
    ['keyserver login -p x https://keys.example.org', 'no such key server is configured'],
  ])('are not managed by "%s"', async (line, reason) => {
    const { run, own } = newHome()
    const { status, stderr } = await run(line)
    expect(stderr).toMatch(/^(WARNING: .*\n)?FATAL: {3}/)
    expect(stderr).toContain(reason)
    expect(status).toBe(255)
    expect(existsSync(own)).toBe(false)
  })

  it('are not forgotten when the file cannot be understood', async () => {
    const { run, write } = newHome()
    write('.config/sing/remote.yaml', 'Active: a\nRemotes:\n  a:\n    URI: a.example\n    Tokn: x\n')
    for (const line of ['remote list', 'keyserver add https://keys.example.org']) {
      const { status, stderr } = await run(line)
      expect(stderr).toMatch(/remote\.yaml:5: the endpoint a: unknown key Tokn\n.*Did you mean Token\?/)
      expect(status).toBe(255)
    }
  })

  it('of a file that others may write to are not believed', async () => {
    const { run, write } = newHome()
    write('.config/sing/remote.yaml', 'Active: a\nRemotes:\n  a:\n    URI: a.example\n', 0o666)
    const { stderr } = await run('remote list')
    expect(stderr).toMatch(/^WARNING: .*remote\.yaml is not used: others may write to it/)
    expect(await names(run)).toEqual(['DefaultRemote*'])
    expect(await run('remote add --no-login b b.example')).toMatchObject({ status: 255 })
  })

  it('of the peers are read and not changed', async () => {
    const { run, write, own } = newHome()
    const peer = write(
      '.apptainer/remote.yaml',
      'Active: theirs\nRemotes:\n  theirs:\n    URI: theirs.example\n    Token: abc\n',
    )
    write('.singularity/remote.yaml', 'Active: ce\nRemotes:\n  ce:\n    URI: ce.example\n')
    const before = readFileSync(peer, 'utf8')
    expect(await names(run)).toEqual(['DefaultRemote', 'ce', 'theirs*'])
    expect((await run('remote remove theirs')).stderr).toMatch(
      /which is not changed here\n.*apptainer remote remove theirs/,
    )
    expect(await run('remote logout')).toMatchObject({ status: 0, stderr: 'INFO:    Logout succeeded\n' })
    expect((await run('remote logout')).stderr).toBe('INFO:    You were not logged in to theirs\n')
    expect((await run('remote use ce')).status).toBe(0)
    expect(await names(run)).toEqual(['DefaultRemote', 'ce*', 'theirs'])
    expect((await run('remote remove theirs')).stderr).toMatch(
      /WARNING: .*\.apptainer\/remote\.yaml has an endpoint of that name/,
    )
    expect(readFileSync(peer, 'utf8')).toBe(before)
    expect(readFileSync(own, 'utf8')).not.toContain('abc')
  })

  it('of a peer lie where its variable says', async () => {
    const { run, write, home } = newHome()
    write('elsewhere/remote.yaml', 'Remotes:\n  theirs:\n    URI: theirs.example\n')
    const { stdout } = await run('remote list', { env: { APPTAINER_CONFIGDIR: join(home, 'elsewhere') } })
    expect(stdout).toContain('theirs.example')
  })

  it('have no place without a home, but the one that is named', async () => {
    const { run, home } = newHome()
    const env = { HOME: undefined }
    const nowhere = await run('remote add --no-login a a.example', { env })
    expect(nowhere.stderr).toMatch(/the variable HOME is not set\n.*--config FILE/)
    expect((await run(`remote add --no-login --config ${home}/named.yaml a a.example`, { env })).status).toBe(
      0,
    )
    expect((await run('remote list', { env })).status).toBe(0)
  })

  it('have an address', async () => {
    const { run, write } = newHome()
    const file = write('a.yaml', 'Active: a\nRemotes:\n  a:\n    URI: "a?b"\n')
    expect((await run(`remote --config ${file} status`)).stderr).toMatch(
      /the endpoint a \(a\?b\) has no address/,
    )
  })

  it.each([
    'remote --config FILE list',
    'remote -c FILE list',
    'remote list --config=FILE',
    'remote -cFILE list',
  ])('are those of another file: %s', async (line) => {
    const { run, write } = newHome()
    const file = write('other.yaml', 'Active: a\nRemotes:\n  a:\n    URI: a.example\n')
    expect((await run(line.replace('FILE', file))).stdout).toContain('a.example')
  })
})

describe('an endpoint that answers', () => {
  it('takes a token, keeps it secret, and knows it', async () => {
    await using server = await startEndpoint()
    const { run, own, write } = newHome()
    const token = write('token', `${goodToken}\n`)
    const added = await run(`remote add --insecure --tokenfile ${token} mine http://${server.host}/below`)
    expect(added).toMatchObject({
      status: 0,
      stderr: `INFO:    Remote "mine" added.\nINFO:    Access Token Verified!\nINFO:    Token stored in ${own}\n`,
    })
    const status = await run('remote status')
    expect(status.stdout).toBe(`SERVICE    STATUS  VERSION  URI
Keyserver  OK      v1.2.3   http://${server.host}/keys
Library    OK      v1.2.3   http://${server.host}/library
Token      OK      v1.2.3   http://${server.host}/token

Valid authentication token set (logged in).
`)
    expect(await run('remote get-login-password')).toMatchObject({ status: 0, stdout: 'for-the-registry\n' })
    const list = await run('remote list --json')
    expect(JSON.parse(list.stdout)[1]).toMatchObject({ name: 'mine', loggedIn: true, secure: false })
    expect(list.stdout + status.stdout + status.stderr + added.stderr).not.toContain('good.')
    expect(await run('remote logout mine')).toMatchObject({ stderr: 'INFO:    Logout succeeded\n' })
    expect(readFileSync(own, 'utf8')).not.toContain('good.')
    expect((await run('remote status --json')).stdout).toContain('"token": "none"')
    expect(
      server.requests.filter((line) => line.includes('good.')).map((line) => line.split(' ')[1]),
    ).toEqual(['/token/v1/token-status', '/token/v1/token-status', '/library/v1/rbac/users/current'])
  })

  it.each([
    ['--password-stdin', {}, goodToken],
    ['', { APPTAINER_LOGIN_PASSWORD: goodToken }, undefined],
    [`--password ${goodToken}`, {}, undefined],
  ])('takes a token by %s', async (flag, env, input) => {
    await using server = await startEndpoint()
    const { run } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const login = await run(`remote login ${flag}`.trim(), { env, ...(input && { input }) })
    expect(login.stderr).toContain('Access Token Verified!')
    expect(login.stderr.includes('Others can see a password')).toBe(flag.startsWith('--password g'))
  })

  it.each([
    ['--password-stdin', '', /the token is empty/],
    ['--password-stdin', 'x'.repeat(4097), /the token is too long: it has more than 4096 characters/],
    ['--password-stdin', 'a\u0001b', /the token has characters that none has/],
    ['--password-stdin', 'a b', /the token has characters that none has/],
    ['--password-stdin --password x', 'x', /--password and --password-stdin exclude each other/],
    ['--password-stdin --tokenfile /dev/null', 'x', /--tokenfile and a password exclude each other/],
  ])('is not asked about what is no token: %s %j', async (flags, input, reason) => {
    await using server = await startEndpoint()
    const { run } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const { status, stderr } = await run(`remote login ${flags}`, { input })
    expect(stderr).toMatch(reason)
    expect(status).toBe(255)
    expect(server.requests).toEqual([])
  })

  it.each([
    [
      '/token/v1/token-status',
      500,
      '{}',
      'remote login --password-stdin',
      /cannot check the token: .* answered 500/,
    ],
    [
      '/library/v1/rbac/users/current',
      503,
      '{}',
      'remote get-login-password',
      /does not tell the password: .* answered 503/,
    ],
    ['/library/v1/rbac/users/current', 200, '{}', 'remote get-login-password', /has no password for you/],
    [
      '/assets/config/config.prod.json',
      200,
      '{}',
      'remote get-login-password',
      /has no library, and no passwords for one/,
    ],
    ['/assets/config/config.prod.json', 200, '{}', 'key search x', /the endpoint mine has no key server/],
    [
      '/assets/config/config.prod.json',
      200,
      '{"tokenAPI":{"uri":"http://127.0.0.1:1"}}',
      'remote login --password-stdin',
      /cannot check the token: cannot reach 127\.0\.0\.1:1/,
    ],
    [
      '/assets/config/config.prod.json',
      200,
      '{"libraryAPI":{"uri":"http://127.0.0.1:1"}}',
      'remote get-login-password',
      /gives no answer: cannot reach 127\.0\.0\.1:1/,
    ],
  ])('is of no use when %s answers %s %s to %s', async (path, status, body, line, reason) => {
    await using server = await startEndpoint()
    const { run, write } = newHome()
    const file = write('token', goodToken)
    expect((await run(`remote add -i --tokenfile ${file} mine http://${server.host}`)).status).toBe(0)
    server.misbehave = (request, response) => {
      if (request.url === path) response.writeHead(status).end(body)
      return request.url === path
    }
    const { stderr } = await run(line, { input: goodToken })
    expect(stderr).toMatch(reason)
  })

  it('does not take another token, and none is kept', async () => {
    await using server = await startEndpoint()
    const { run, own } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const login = await run('remote login --password-stdin --username ada', { input: 'bad\n' })
    expect(login.status).toBe(255)
    expect(login.stderr).toMatch(/WARNING: --username has no effect/)
    expect(login.stderr).toMatch(/FATAL: {3}the endpoint mine does not take this token\n.*\/auth\/tokens/)
    expect(readFileSync(own, 'utf8')).not.toContain('bad')
  })

  it('says so when a token is not valid any more', async () => {
    await using server = await startEndpoint()
    const { run, write } = newHome()
    write(
      '.apptainer/remote.yaml',
      `Active: mine\nRemotes:\n  mine:\n    URI: ${server.host}\n    Insecure: true\n    Token: old\n`,
    )
    const { status, stdout, stderr } = await run('remote status')
    expect(stdout).toContain('The authentication token is not valid (any more).')
    expect(stderr).toContain('Log in again: sing remote login mine')
    expect(status).toBe(255)
  })

  it('asks for the token at a terminal, and does not show it', async () => {
    await using server = await startEndpoint()
    const { run, home, own } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const { status, output } = await talk(
      ['remote', 'login'],
      [{ question: 'Access Token: ', answer: goodToken }],
      { env: { HOME: home } },
    )
    expect(output).toContain(`Generate an access token at https://${server.host}/auth/tokens`)
    expect(output).toContain('Access Token Verified!')
    expect(output).not.toContain('good.')
    expect(status).toBe(0)
    expect(readFileSync(own, 'utf8')).toContain(goodToken)
  })

  it('needs a terminal, a file or a pipe for the token', async () => {
    await using server = await startEndpoint()
    const { run } = newHome()
    const { status, stderr } = await run(`remote add -i mine http://${server.host}`)
    expect(stderr).toMatch(
      /Remote "mine" added\.\n.*\/auth\/tokens.*\nFATAL: .*there is no terminal\n.*--tokenfile FILE/,
    )
    expect(status).toBe(255)
  })

  it('has the key server that it tells of', async () => {
    await using server = await startEndpoint()
    const { run } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const { stdout } = await run('keyserver list --json mine')
    expect(JSON.parse(stdout)).toEqual([
      {
        endpoint: 'mine',
        global: false,
        active: true,
        keyservers: [
          { uri: `http://${server.host}/keys`, external: false, insecure: false, loggedIn: false },
        ],
      },
    ])
    expect((await run('keyserver add --order 1 hkp://127.0.0.1:1')).status).toBe(0)
    expect((await run(`keyserver remove http://${server.host}/keys`)).status).toBe(0)
    expect((await run('keyserver list mine')).stdout).toContain('\nmine ^\n   #1  hkp://127.0.0.1:1\n')
    const status = await run('remote status')
    expect(status.stdout).toMatch(/^Library +OK/m)
    await run(`remote add-keyserver http://${server.host}/keys`)
    expect((await run('keyserver list mine')).stdout).toContain(`   #2  http://${server.host}/keys\n`)
    await run('remote remove-keyserver hkp://127.0.0.1:1')
    expect((await run('keyserver list mine')).stdout).toContain(`   #1  http://${server.host}/keys\n`)
  })

  it.each([
    ['404', 404, '{}', /does not tell its services: it answered 404/],
    ['a page', 200, '<html></html>', /does not tell its services: its answer is something else/],
    ['a list', 200, '[]', /does not tell its services: its answer is something else/],
    ['too much', 200, ' '.repeat(70_000), /sends more than 65536 bytes/],
  ])('tells nothing with %s', async (_, code, body, reason) => {
    await using server = await startEndpoint()
    server.misbehave = (_request, response) => {
      response.writeHead(code).end(body)
      return true
    }
    const { run } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const { status, stderr } = await run('remote status')
    expect(stderr).toMatch(reason)
    expect(status).toBe(255)
    expect((await run('keyserver list')).stdout).toMatch(/unable to fetch associated keyserver info/)
  })

  it('leads no token elsewhere', async () => {
    await using other = await startEndpoint()
    await using server = await startEndpoint((base) => ({ tokenAPI: { uri: `${base}/token` } }))
    server.misbehave = (request, response) => {
      if (request.url !== '/token/v1/token-status') return false
      response.writeHead(302, { location: `http://${other.host}/token/v1/token-status` }).end()
      return true
    }
    const { run } = newHome()
    await run(`remote add --no-login -i mine http://${server.host}`)
    const login = await run('remote login --password-stdin', { input: goodToken })
    expect(login.stderr).toContain('does not take this token')
    expect(other.requests).toEqual(['GET /token/v1/token-status -'])
  })

  it('gets no token when others could have told its services, or read it', async () => {
    await using server = await startEndpoint(() => ({ tokenAPI: { uri: 'http://token.example' } }))
    const { run } = newHome()
    await run('remote add --no-login -i far http://far.example')
    const far = await run('remote login --password-stdin', { input: goodToken })
    expect(far.stderr).toMatch(/is not sent a token: its services were told by plain HTTP/)
    await run(`remote add --no-login -i near http://${server.host}`)
    const near = await run('remote login --password-stdin', { input: goodToken })
    expect(near.stderr).toMatch(/token\.example is not sent the token: everybody on the way could read it/)
  })
})

/** Runs a script as root of a machine whose /etc is its own to change. `user` runs a command as somebody else there. */
async function onMachine(script: string) {
  const home = temporaryFolder()
  const prelude = `set -e; mount -t tmpfs none /mnt; mkdir /mnt/up /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work overlay /etc
mkdir -p /etc/sing; sing() { '${program}' "$@"; }
user() { unshare --user --map-user=1000 --map-group=1000 '${program}' "$@"; }
set +e
`
  const result = await runProgram(
    ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', prelude + script],
    {
      env: { HOME: home },
      cwd: home,
    },
  )
  return { ...result, home }
}

describe.skipIf(!can('userns', 'overlay'))('endpoints of a site', () => {
  it('are added by root for everybody, and their tokens stay with their users', async () => {
    const { stdout, stderr } = await onMachine(`
sing remote add --global site site.example && stat -c %a /etc/sing/remote.yaml
user remote list --json | grep -c '"name"'
user remote list | grep site
user remote remove site
user remote use DefaultRemote; user remote list | grep DefaultRemote
user remote add --no-login site mine.example
sing remote remove --global site; user remote list | grep -c site
rm ~/.config/sing/remote.yaml; user key search x; user remote status`)
    expect(stdout.split('\n')).toEqual([
      '644',
      '2',
      expect.stringMatching(/^site +site\.example +✓ +✓ +✓$/),
      expect.stringMatching(/^DefaultRemote +cloud\.apptainer\.org +✓ +✓ +✓$/),
      '0',
      '',
    ])
    expect(stderr).toContain("site is global and can't be removed")
    expect(stderr).toContain('site is already a remote (/etc/sing/remote.yaml)')
    expect(stderr).toContain('no endpoint is in use, so there is no key server')
    expect(stderr).toMatch(/no endpoint is in use\n.*sing remote use NAME/)
  })

  it('may be the only ones that are used', async () => {
    const { stdout, stderr } = await onMachine(`
user remote add --no-login mine mine.example
sing remote use --exclusive DefaultRemote
user remote list | grep -e DefaultRemote
user remote use mine
user keyserver add https://keys.example.org
user remote add --no-login more more.example
sing remote use --global DefaultRemote
user remote use mine && user remote list | grep mine
sing remote use --exclusive nope
user remote remove --global mine; user remote remove --global DefaultRemote
sing remote use --exclusive mine
sing remote use --exclusive DefaultRemote
user key search --url hkp://127.0.0.1:1 x`)
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^DefaultRemote +cloud\.apptainer\.org +✓ +✓ +✓ +✓$/),
      expect.stringMatching(/^mine +mine\.example +✓ +✓$/),
      '',
    ])
    expect(stderr).toContain('mine cannot be used: the site allows only DefaultRemote')
    expect(stderr).toContain('key servers of DefaultRemote are chosen by the site alone')
    expect(stderr).toContain('DefaultRemote stays in use: the site allows no other endpoint')
    expect(stderr).toContain('nope is not a remote')
    expect(stderr).toContain('mine is not global')
    expect(stderr).toMatch(/mine is not a remote/)
    expect(stderr).toMatch(
      /the key server http:\/\/127\.0\.0\.1:1 may not be asked\n.*only of the endpoint DefaultRemote/,
    )
  })

  it('have key servers that root changes for everybody, and users for themselves', async () => {
    const { stdout } = await onMachine(`
sing keyserver add --order 1 hkp://127.0.0.1:1
user keyserver list
user keyserver add --order 1 hkp://127.0.0.1:2
sing keyserver remove hkp://127.0.0.1:1
user keyserver list; sing keyserver list -c /dev/null`)
    expect(stdout.match(/#.*|127.*/g)).toEqual([
      '#1  hkp://127.0.0.1:1',
      '#2  https://keys.openpgp.org  🔒',
      '#1  hkp://127.0.0.1:2',
      '#2  hkp://127.0.0.1:1',
      '#3  https://keys.openpgp.org  🔒',
      '#1  https://keys.openpgp.org  🔒',
    ])
  })

  it('of the peers are read beside ours', async () => {
    const { stdout, stderr } = await onMachine(`
mkdir -p /etc/apptainer /etc/singularity
printf 'Active: theirs\\nRemotes:\\n  theirs:\\n    URI: theirs.example\\n    Exclusive: true\\n' > /etc/apptainer/remote.yaml
printf 'Remotes:\\n  theirs:\\n    URI: other.example\\n  ce:\\n    URI: ce.example\\n' > /etc/singularity/remote.yaml
user remote list
sing remote use --global ce && user remote list | grep -v NAME
sing remote remove --global theirs; sing remote remove --global theirs`)
    expect(stdout).toMatch(/^ce +ce\.example +✓ +✓$/m)
    expect(stdout).toMatch(/^theirs +theirs\.example +✓ +✓ +✓ +✓$/m)
    expect(stdout).not.toContain('DefaultRemote')
    expect(stdout).toMatch(/^ce +ce\.example +✓ +✓ +✓$/m)
    expect(stderr).toContain('/etc/apptainer/remote.yaml has an endpoint of that name, too')
    expect(stderr).toMatch(/theirs stands in \/etc\/apptainer\/remote\.yaml, which is not changed here/)
  })
})
