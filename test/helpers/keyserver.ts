/** A real key server, Debian's sks, on a free port of 127.0.0.1, with a folder of its own and a note of all requests. */

import { spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type NotingProxy, startProxy } from './proxy.ts'
import { end } from './registry.ts'
import { environment, run } from './sing.ts'
import { until } from './slurm.ts'

export interface Keyserver extends AsyncDisposable {
  /** `127.0.0.1:PORT`, through a proxy that notes requests and may meddle with them. */
  readonly host: string
  /** `127.0.0.1:PORT` of the server itself. */
  readonly directHost: string
  readonly proxy: NotingProxy
}

/** It lies in /usr/sbin. */
const program = '/usr/sbin/sks'

const settings = (port: number): string =>
  ['pagesize: 16', 'ptree_pagesize: 16', 'hkp_address: 127.0.0.1', `hkp_port: ${port}`, ''].join('\n')

/** A port that is free now: sks cannot choose one. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const answers = async (port: number): Promise<boolean> =>
  await fetch(`http://127.0.0.1:${port}/pks/lookup?op=index&options=mr&search=nobody`).then(
    ({ status }) => status === 404,
    () => false,
  )

/** Have a server take an armored key. */
export async function giveKey(host: string, armored: string): Promise<void> {
  const body = new URLSearchParams({ keytext: armored })
  const { status } = await fetch(`http://${host}/pks/add`, { method: 'POST', body })
  if (status !== 200) throw new Error(`the key server answered ${status}`)
}

/** Start a server that has these keys, armored. */
export async function startKeyserver(...keys: readonly string[]): Promise<Keyserver> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'sing-keyserver-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(folder, 0o755)
  for (const name of ['var/log/sks', 'var/lib/sks', 'var/run/sks', 'var/spool/sks', 'etc/sks'])
    mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'etc/sks/membership'), '')
  const built = await run([program, 'build', '-basedir', folder], { as: 'self', cwd: folder })
  if (built.status !== 0) throw new Error(`sks build: ${built.stderr}${built.stdout}`)
  const port = await start(folder, stack)
  for (const key of keys) await giveKey(`127.0.0.1:${port}`, key)
  const proxy = stack.use(await startProxy(port))
  const started = stack.move()
  return {
    host: `127.0.0.1:${proxy.port}`,
    directHost: `127.0.0.1:${port}`,
    proxy,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** It ends with us, also when we are killed. Where somebody took the port in between it is tried again. */
async function start(folder: string, stack: AsyncDisposableStack): Promise<number> {
  const log = join(folder, 'log')
  for (let tries = 0; tries < 5; tries++) {
    const port = await freePort()
    writeFileSync(join(folder, 'etc/sks/sksconf'), settings(port))
    const output = openSync(log, 'w')
    const command = ['--pdeathsig=KILL', program, 'db', '-basedir', folder, '-stdoutlog']
    const child = spawn('setpriv', command, {
      env: environment({ as: 'self' }),
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    let isThere = false
    await until(async () => {
      isThere = await answers(port)
      return isThere || child.exitCode !== null
    })
    if (isThere && child.exitCode === null) {
      stack.defer(() => end(child))
      return port
    }
  }
  throw new Error(`sks ended: ${readFileSync(log, 'utf8')}`)
}
