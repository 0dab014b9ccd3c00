/** Configuration files and profiles, and what they do to a launch. */

import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
/** Home of the user, with the work in it. */
let home: string
const work = () => join(home, 'work')

beforeAll(async () => {
  images = await makeImages()
})

beforeEach(() => {
  home = temporaryFolder()
  mkdirSync(join(home, 'work/data'), { recursive: true })
  mkdirSync(join(home, '.config/sing'), { recursive: true })
  writeFileSync(join(home, 'work/data/there'), 'here\n')
  give(home)
})

function write(name: string, text: string): string {
  const path = join(home, name)
  writeFileSync(path, text)
  chmodSync(path, 0o644)
  give(path)
  return path
}

const project = (text: string) => write('work/.sing.yaml', text)
const user = (text: string) => write('.config/sing/config.yaml', text)

const run = (args: readonly string[], options: { env?: Record<string, string>; cwd?: string } = {}) =>
  sing(args, { cwd: options.cwd ?? work(), env: { HOME: home, ...options.env } })
const exec = (flags: readonly string[], script: string, options = {}) =>
  run(['exec', ...flags, images.everything, 'sh', '-c', script], options)

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a launch', () => {
  it('has the flags of the project, whose paths begin at its file', async () => {
    project('launch:\n  bind: ["./data:/mnt"]\n  env: { COLOUR: "red wine" }\n')
    mkdirSync(join(work(), 'deep/er'), { recursive: true })
    const options = { cwd: join(work(), 'deep/er') }
    expect((await exec([], 'cat /mnt/there; echo $COLOUR', options)).stdout).toBe('here\nred wine\n')
    expect((await exec(['--env', 'COLOUR=blue'], 'echo $COLOUR', options)).stdout).toBe('blue\n')
  })

  it('takes the user before the site, the environment before both, and its own flags before all', async () => {
    const site = write('site.yaml', 'launch: { hostname: of-site, cwd: /usr }\n')
    user('launch: { hostname: of-user }\n')
    const told = async (flags: string[], env = {}) =>
      (
        await run(['--config', site, 'exec', ...flags, images.everything, 'sh', '-c', 'hostname; pwd'], {
          env,
        })
      ).stdout
    expect(await told([])).toBe('of-user\n/usr\n')
    expect(await told([], { SING_HOSTNAME: 'of-env' })).toBe('of-env\n/usr\n')
    expect(await told(['--hostname', 'of-flag'], { SING_HOSTNAME: 'of-env' })).toBe('of-flag\n/usr\n')
  })

  it('has the flags of its profiles', async () => {
    user(
      'profiles:\n  a: { hostname: from-a, env: { A: 1 } }\n  b: { hostname: from-b, env: { B: 1 } }\nprofile: a\n',
    )
    const script = 'hostname; echo "$A$B"'
    expect((await exec([], script)).stdout).toBe('from-a\n1\n')
    expect((await exec(['--profile', 'b,a'], script)).stdout).toBe('from-a\n11\n')
    expect((await exec([], script, { env: { SING_PROFILE: 'b' } })).stdout).toBe('from-b\n1\n')
    const refused = await exec(['--profile', 'aa'], script)
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain('--profile: there is no profile "aa"\n         Did you mean a?')
    user('profile: mpi\n')
    expect((await exec([], script)).stderr).toContain('config.yaml:1): there is no profile "mpi"')
  })

  it.skipIf(!can('root'))('believes no file that somebody else has put there', async () => {
    const path = project('launch: { hostname: evil }\n')
    chownSync(path, 12345, 12345)
    const { stdout, stderr } = await exec([], 'hostname')
    expect(stdout).not.toContain('evil')
    expect(stderr).toContain(`${path} is ignored: it belongs to the user 12345`)
    chownSync(path, 0, 0)
    expect((await exec([], 'hostname')).stdout).toBe('evil\n')
  })

  it('stops at a key that nobody knows, naming file and line', async () => {
    const path = project('launch:\n  bind: /x\n  hostnaem: x\n')
    const { status, stdout, stderr } = await exec([], 'echo started')
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(stderr).toBe(
      `FATAL:   ${path}:3: launch: there is no flag --hostnaem\n         Did you mean hostname?\n`,
    )
    // What launches nothing is not stopped.
    expect((await run(['version'])).status).toBe(0)
  })

  it('is the built-in one with --build-config', async () => {
    user('launch: { hostname: of-user }\n')
    const { stdout } = await run(['--build-config', 'exec', images.everything, 'hostname'])
    expect(stdout).not.toBe('of-user\n')
  })
})
