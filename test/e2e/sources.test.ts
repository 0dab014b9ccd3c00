/** Archives and daemons as a user meets them: what is in the way of an ordinary user, and what is left behind. */

import { chmodSync, chownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { startDocker } from '../helpers/docker.ts'
import { copyImage, must, writeLayout } from '../helpers/oci.ts'
import { type Outcome, program, type RunOptions, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

const needs = can('userns', 'fuse', 'skopeo')
let archive = ''
beforeAll(async () => {
  const folder = temporaryFolder()
  writeLayout(join(folder, 'layout'), { app: printingImage(await busyboxLayer()) })
  archive = join(folder, 'app.tar')
  await copyImage(`oci:${folder}/layout:app`, `docker-archive:${archive}:app:1`)
  give(folder)
})

const ours = (args: readonly string[], folder: string, options: RunOptions = {}): Promise<Outcome> =>
  sing(args, { cwd: folder, env: { SINGULARITY_CACHEDIR: join(folder, 'cache') }, ...options })

describe.skipIf(!needs)('an image of docker save', () => {
  it('comes out of a pipe', async () => {
    const folder = temporaryFolder()
    const script = 'gzip -c "$1" | "$2" pull app.sif docker-archive:/dev/stdin'
    const env = { SINGULARITY_CACHEDIR: join(folder, 'cache') }
    const pulled = await run(['sh', '-c', script, 'sh', archive, program], { cwd: folder, env })
    expect(pulled).toMatchObject({ status: 0 })
    expect(await ours(['run', 'app.sif', 'a b'], folder)).toMatchObject({ stdout: '[entry][a b]\n' })
  })

  it('needs room when it comes compressed, and leaves nothing where there is none', async () => {
    const folder = temporaryFolder()
    await must([
      'sh',
      '-c',
      'head -c 8M /dev/urandom >"$1/x" && tar -C "$1" -czf "$1/x.tar.gz" x',
      'sh',
      folder,
    ])
    const script =
      'mount -t tmpfs -o size=4m none "$1" && mkdir "$1/c" && SINGULARITY_CACHEDIR="$1/c" "$2" pull x.sif "docker-archive:$3"; s=$?; find "$1" -type f ! -name CACHEDIR.TAG; exit $s'
    const room = join(folder, 'room')
    await must(['mkdir', room])
    give(folder)
    const command = ['unshare', '-Urm', 'sh', '-c', script, 'sh', room, program, join(folder, 'x.tar.gz')]
    const { status, stdout, stderr } = await run(command, { cwd: folder })
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(stderr).toMatch(
      /no space left in the directory of temporary files \S+: \d+ MiB more are needed, \d+ MiB are free/,
    )
    expect(stderr).toContain('Name another one in SINGULARITY_CACHEDIR; with --disable-cache, by --tmpdir')
    expect(readdirSync(folder).sort()).toEqual(['room', 'x', 'x.tar.gz'])
  })
})

describe.skipIf(!needs || !can('docker'))('an image of a Docker daemon', () => {
  it('runs, and is the one of its archive; without the right to ask, the way is told', async () => {
    await using daemon = await startDocker()
    await daemon.docker(['load', '-i', archive])
    const folder = temporaryFolder()
    const { host: DOCKER_HOST } = daemon
    const env = { SINGULARITY_CACHEDIR: join(folder, 'cache'), DOCKER_HOST }
    const fetched = await ours(['run', 'docker-daemon:app:1', 'x'], folder, { env })
    expect(fetched).toMatchObject({ status: 0, stdout: '[entry][x]\n' })
    const again = await ours(['run', '--docker-host', DOCKER_HOST, 'docker-daemon:app:1', 'y'], folder)
    expect(again).toMatchObject({ status: 0, stdout: '[entry][y]\n' })
    chownSync(daemon.socket, 0, 0)
    chmodSync(daemon.socket, 0o600)
    const denied = await ours(['pull', 'x.sif', 'docker-daemon:app:1'], folder, { env })
    expect(denied.status).toBe(255)
    expect(denied.stderr).toContain(`cannot ask the Docker daemon at ${DOCKER_HOST}`)
    expect(denied.stderr).toContain('permission denied')
    expect(denied.stderr).toContain('docker save -o app.tar NAME where you may, and docker-archive:app.tar')
    expect(readdirSync(folder)).toEqual(['cache'])
  })
})
