/** `sing pull` from registries with users, certificates, mirrors and proxies before them. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { spawn as spawnTerminal } from '@lydell/node-pty'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { copyImage, type Layout, writeLayout } from '../helpers/oci.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { commandLine, environment, program, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const layout: Layout = writeLayout(join(temporaryFolder(), 'layout'), {
  one: { layers: [[{ path: 'greeting', data: 'hello\n' }]] },
})

const copied = (registry: Registry) =>
  copyImage(`oci:${layout.folder}:one`, `docker://${registry.directHost}/team/app:one`, [
    '--dest-creds',
    'alice:s3cret',
  ])

/** A home of its own, and `sing` in it. */
function newHome() {
  const home = temporaryFolder()
  const write = (name: string, content: string, mode = 0o600) => {
    const path = join(home, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    chmodSync(path, mode)
    give(home)
  }
  const run = (args: readonly string[], env: Record<string, string | undefined> = {}, input?: string) =>
    sing(args, { env: { HOME: home, ...env }, cwd: home, ...(input !== undefined && { input }) })
  const pull = (
    registry: Pick<Registry, 'host'>,
    env: Record<string, string | undefined> = {},
    ...flags: string[]
  ) => run(['pull', '--force', ...flags, 'x.sif', `docker://${registry.host}/team/app:one`], env)
  return { home, write, run, pull }
}

const pair = (text: string): string => Buffer.from(text).toString('base64')
const isPossible = can('registry', 'skopeo')

describe.skipIf(!isPossible).each(['', 'node'])('a private image (engine "%s")', (engine) => {
  const on = { SING_ENGINE: engine || undefined }

  it('of a registry with TLS and a token server comes after a login', async () => {
    await using registry = await startRegistry({
      tls: true,
      access: 'token',
      users: { alice: { password: 's3cret' } },
    })
    await copied(registry)
    const { run, pull } = newHome()
    const env = { ...on, SSL_CERT_FILE: registry.authority }
    const refused = await pull(registry, env)
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain(`Log in: sing registry login ${registry.host}`)
    const login = ['registry', 'login', '-u', 'alice', '--password-stdin', registry.host]
    expect(await run(login, env, 's3cret\n')).toMatchObject({ status: 0 })
    expect(await pull(registry, env)).toMatchObject({ status: 0 })
    expect(await run(['registry', 'logout', registry.host], env)).toMatchObject({ status: 0 })
    expect((await pull(registry, env)).status).toBe(255)
  })

  it('comes with the login of flags, variables, files and helpers', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    await copied(registry)
    const auths = JSON.stringify({ auths: { [registry.host]: { auth: pair('alice:s3cret') } } })
    const helper = `#!/bin/sh\nread -r url\nprintf '{"Username":"alice","Secret":"s3cret"}'\n`

    const attempts: [
      env: Record<string, string>,
      flags: string[],
      prepare?: (home: ReturnType<typeof newHome>) => void,
    ][] = [
      [{}, ['--docker-username', 'alice', '--docker-password', 's3cret']],
      [{ DOCKER_USERNAME: 'alice', DOCKER_PASSWORD: 's3cret' }, []],
      [{ APPTAINER_DOCKER_USERNAME: 'alice', APPTAINER_DOCKER_PASSWORD: 's3cret' }, []],
      [{ DOCKER_AUTH_CONFIG: auths }, []],
      [{}, ['--authfile', 'mine.json'], ({ write }) => write('mine.json', auths)],
      [{ SINGULARITY_AUTHFILE: 'mine.json' }, [], ({ write }) => write('mine.json', auths)],
      [{}, [], ({ write }) => write('.singularity/docker-config.json', auths)],
      [{}, [], ({ write }) => write('.apptainer/docker-config.json', auths)],
      [{}, [], ({ write }) => write('.docker/config.json', auths)],
      [{}, [], ({ write }) => write('.config/containers/auth.json', auths)],
      [
        { PATH: './bin:/usr/bin:/bin' },
        [],
        ({ write }) => {
          write('bin/docker-credential-test', helper, 0o755)
          write('.docker/config.json', JSON.stringify({ credHelpers: { [registry.host]: 'test' } }))
        },
      ],
    ]
    for (const [env, flags, prepare] of attempts) {
      const home = newHome()
      prepare?.(home)
      const { status, stderr } = await home.pull(registry, { ...on, ...env }, ...flags)
      expect([env, flags, status, stderr]).toEqual([env, flags, 0, expect.not.stringContaining('s3cret')])
    }
  })

  it('comes with a login that is asked for', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    await copied(registry)
    const { home } = newHome()
    const [file = '', ...args] = commandLine([
      program,
      'pull',
      '--docker-login',
      'x.sif',
      `docker://${registry.host}/team/app:one`,
    ])
    const terminal = spawnTerminal(file, args, {
      cwd: home,
      env: environment({ env: { HOME: home, ...on } }),
    })
    let seen = ''
    terminal.onData((data) => {
      seen += data
      if (seen.endsWith(`User name at ${registry.host}: `)) terminal.write('alice\r')
      if (seen.endsWith('Password of alice: ')) terminal.write('s3cret\r')
    })
    const { exitCode } = await new Promise<{ exitCode: number }>((resolve) => terminal.onExit(resolve))
    expect(seen).toContain('Password of alice:')
    expect(seen).not.toContain('s3cret')
    expect(exitCode).toBe(0)
  })

  it('comes through a mirror that registries.conf names', async () => {
    await using mirror = await startRegistry()
    await copyImage(`oci:${layout.folder}:one`, `docker://${mirror.directHost}/copies/team/app:one`)
    const { write, pull } = newHome()
    const conf = `[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "${mirror.host}/copies"\n`
    write('.config/containers/registries.conf', conf)
    expect(await pull({ host: 'registry.invalid' }, on)).toMatchObject({ status: 0 })
    write(
      '.config/containers/registries.conf',
      '[[registry]]\nlocation = "registry.invalid"\nblocked = true\n',
    )
    const blocked = await pull({ host: 'registry.invalid' }, on)
    expect(blocked.status).toBe(255)
    expect(blocked.stderr).toContain(
      'registry.invalid/team/app is blocked by registries.conf (registry.invalid)',
    )
  })
})
