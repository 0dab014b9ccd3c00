/** OCI-SIF files: what they run, what their layers show, and what is said of those that cannot be used. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import {
  directory,
  file,
  type LayerFile,
  link,
  type OciSifLike,
  opaque,
  program,
  squashfsOf,
  whiteout,
  writeOciSif,
} from '../helpers/oci-sif.ts'
import { type Outcome, sing } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const folder = temporaryFolder()
let count = 0
let base: Buffer

/** The lowest layer of most images here: a shell and its tools, and files for the layers above. */
const baseFiles = (): Record<string, LayerFile> => ({
  'bin/busybox': program(readFileSync('/bin/busybox')),
  ...Object.fromEntries(
    ['sh', 'cat', 'env', 'ls', 'find', 'stat', 'id', 'pwd', 'echo'].map((name) => [
      `bin/${name}`,
      link('busybox'),
    ]),
  ),
  'etc/passwd': file('root:x:0:0::/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\n'),
  'etc/group': file('root:x:0:\nstaff:x:50:\n'),
  kept: file('below\n'),
  removed: file('gone\n'),
  replaced: file('old\n'),
  'tree/one': file('1\n'),
  'tree/two': file('2\n'),
  'closed/old': file('old\n'),
  'file-to-directory': file('file\n'),
  'directory-to-file/inside': file('inside\n'),
  'link-to-directory': link('tree'),
})

const upperFiles: Record<string, LayerFile> = {
  removed: whiteout,
  replaced: file('new\n'),
  'tree/two': whiteout,
  'tree/three': file('3\n'),
  closed: opaque,
  'closed/new': file('new\n'),
  'file-to-directory/inside': file('inside\n'),
  'directory-to-file': file('file\n'),
  'link-to-directory': directory,
  'link-to-directory/own': file('own\n'),
}

const make = (image: Partial<OciSifLike> = {}): Promise<string> =>
  writeOciSif(join(folder, `image-${count++}.sif`), { layers: [base], ...image })

const well = (stdout: string): Outcome => ({ status: 0, stdout, stderr: '' })

/** Files with their contents. */
const look = `cd /; find kept removed replaced tree closed file-to-directory directory-to-file link-to-directory -type f 2>/dev/null | sort | while read f; do echo "$f=$(cat $f)"; done`
const merged = [
  'closed/new=new',
  'directory-to-file=file',
  'file-to-directory/inside=inside',
  'kept=below',
  'link-to-directory/own=own',
  'replaced=new',
  'tree/one=1',
  'tree/three=3',
  '',
].join('\n')

beforeAll(async () => {
  base = await squashfsOf(baseFiles())
})

describe('an OCI-SIF', () => {
  const config = {
    Entrypoint: ['/bin/sh', '-c', 'printf "<%s>" "$0" "$@"; echo'],
    Cmd: ['one', "it's $HOME `two`\n"],
    Env: ['PATH=/opt/bin:/bin', 'A=from image', 'TWICE=image', 'HIDDEN=image', 'EMPTY='],
  }

  it('runs its entry point with its default arguments, as they are', async () => {
    expect(await sing(['run', await make({ config })])).toEqual(well("<one><it's $HOME `two`\n>\n"))
  })

  it('runs its entry point with other arguments, which no shell reads', async () => {
    expect(await sing(['run', await make({ config }), 'a  b', '$HOME', '`x`'])).toEqual(
      well('<a  b><$HOME><`x`>\n'),
    )
  })

  it('runs its command through its own search path', async () => {
    const image = await make({ config: { Cmd: ['echo', 'hello'], Env: ['PATH=/bin'] } })
    expect(await sing(['run', image])).toEqual(well('hello\n'))
    expect(await sing(['run', image, 'echo', 'other'])).toEqual(well('other\n'))
  })

  it('names the program of its configuration that it does not have', async () => {
    const { status, stderr } = await sing(['run', await make({ config: { Cmd: ['nothing'] } })])
    expect(status).toBe(255)
    expect(stderr).toContain('cannot run nothing: executable file not found in the image')
  })

  it('without entry point and command runs a shell, and says so', async () => {
    const { stdout, stderr } = await sing(['run', await make()], { input: 'echo well\n' })
    expect([stdout, stderr]).toEqual(['well\n', 'No runscript found in the container, running /bin/sh\n'])
  })

  it.each<[string, string[], Record<string, string>, string]>([
    ['sets its variables', [], {}, 'from image,image,image'],
    ['beats those of the host', [], { A: 'host', TWICE: 'host' }, 'from image,image,image'],
    ['gives way to --env', ['--env', 'A=flag'], { A: 'host' }, 'flag,image,image'],
    ['may be named by --env', ['--env', 'TWICE=$TWICE and $A'], {}, 'from image,image and from image,image'],
    ['gives way to prefixed ones', [], { SINGULARITYENV_A: 'prefix' }, 'prefix,image,image'],
    ['stays with --cleanenv', ['--cleanenv'], {}, 'from image,image,image'],
  ])('%s', async (_, flags, env, expected) => {
    const words = [
      'exec',
      ...flags,
      await make({ config }),
      'sh',
      '-c',
      'echo "$A,$TWICE,$HIDDEN${EMPTY-unset}"',
    ]
    expect(await sing(words, { env })).toEqual(well(`${expected}\n`))
  })

  it('has its own search paths, and the usual directories behind them', async () => {
    const image = await make({ config: { Env: ['PATH=/opt/bin:/bin', 'LD_LIBRARY_PATH=/opt/lib'] } })
    const words = (flags: string[]) => ['exec', ...flags, image, 'sh', '-c', 'echo $PATH $LD_LIBRARY_PATH']
    const rest = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin'
    expect(await sing(words([]))).toEqual(well(`/opt/bin:/bin:${rest} /opt/lib\n`))
    const { stdout } = await sing(
      words(['--env', 'PREPEND_PATH=/first,LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/more']),
    )
    expect(stdout).toMatch(/^\/first:\/opt\/bin:\/bin:\S+ \/opt\/lib:\/more:/)
  })

  it('that has no shell runs all the same', async () => {
    const layer = await squashfsOf({ busybox: program(readFileSync('/bin/busybox')) })
    const image = await make({ layers: [layer], config: { Entrypoint: ['/busybox', 'echo'], Cmd: ['x'] } })
    expect(await sing(['run', image])).toEqual(well('x\n'))
    expect(await sing(['run', image, 'a b'])).toEqual(well('a b\n'))
    expect(await sing(['exec', image, '/busybox', 'echo', 'c'])).toEqual(well('c\n'))
  })

  it('for another machine is refused', async () => {
    const { stderr } = await sing(['run', await make({ more: { architecture: 's390x' } })])
    expect(stderr).toContain('it is for s390x, this machine is')
  })

  it('keeps no changes, unless in memory', async () => {
    const image = await make()
    const touch = (...flags: string[]) =>
      sing(['exec', ...flags, image, 'sh', '-c', 'echo x > /new && cat /new'])
    expect((await touch()).stderr).toContain('Read-only file system')
    expect(await touch('--writable-tmpfs')).toEqual(well('x\n'))
  })
})

describe('an OCI-SIF of several layers', () => {
  const layered = async (more: Partial<OciSifLike> = {}) =>
    make({ layers: [base, await squashfsOf(upperFiles)], ...more })

  it.runIf(can('overlay'))('shows them as one: nothing that an upper one removed or replaced', async () => {
    expect(await sing(['exec', await layered(), 'sh', '-c', look])).toEqual(well(merged))
  })

  it.runIf(can('root'))('shows the same to root, who has other marks', async () => {
    expect(await sing(['exec', await layered(), 'sh', '-c', look], { as: 'self' })).toEqual(well(merged))
  })
})
