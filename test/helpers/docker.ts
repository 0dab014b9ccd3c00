/** A real Docker daemon on a socket in a folder of its own. Needs root; no networks, no other state of the machine. */

import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from './oci.ts'
import { end } from './registry.ts'
import { environment, type Outcome, run } from './sing.ts'
import { until } from './slurm.ts'

export interface Docker extends AsyncDisposable {
  /** The path of the socket. Users may use it. */
  readonly socket: string
  /** What DOCKER_HOST says. */
  readonly host: string
  /** A command of the client's: `docker load -i FILE`. */
  readonly docker: (args: readonly string[]) => Promise<Outcome>
}

export async function startDocker(): Promise<Docker> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'sing-docker-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(folder, 0o755)
  const socket = join(folder, 'docker.sock')
  writeFileSync(join(folder, 'daemon.json'), JSON.stringify(configurationOf(folder, socket)))
  const command = ['--pdeathsig=KILL', 'dockerd', '--config-file', join(folder, 'daemon.json')]
  const child = spawn('setpriv', command, { env: environment({ as: 'self' }), stdio: 'ignore' })
  stack.defer(() => end(child))
  const host = `unix://${socket}`
  const client = ['docker', '--host', host]
  await until(async () => (await run([...client, 'version'], { as: 'self' })).status === 0)
  chmodSync(socket, 0o666)
  const started = stack.move()
  return {
    socket,
    host,
    docker: (args) => must([...client, ...args]),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

const configurationOf = (folder: string, socket: string): object => ({
  hosts: [`unix://${socket}`],
  group: 'root',
  'data-root': join(folder, 'data'),
  'exec-root': join(folder, 'exec'),
  pidfile: join(folder, 'pid'),
  bridge: 'none',
  iptables: false,
  ip6tables: false,
  'ip-masq': false,
  'storage-driver': 'vfs',
})
