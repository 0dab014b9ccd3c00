/** OCI-SIF files: what they run, what their layers show, and what is said of those that cannot be used. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { layerTypes } from '../../src/image/oci-sif.ts'
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
import { peer } from '../helpers/peer.ts'
import { type Outcome, type RunOptions, sing, testUser } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const folder = temporaryFolder()
let count = 0
let base: Buffer

/** The lowest layer of most images here: a shell and its tools, and files for the layers above. */
const baseFiles = (): Record<string, LayerFile> => ({
  'bin/busybox': program(readFileSync('/bin/busybox')),
  ...Object.fromEntries(
    ['sh', 'cat', 'env', 'ls', 'find', 'stat', 'id', 'pwd', 'echo', 'sleep', 'test'].map((name) => [
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

  it.each([
    ['asked for', ['--unsquash']],
    ['without an overlay', ['--underlay']],
  ])('are unpacked as one: %s', async (_, flags) => {
    const { status, stdout, stderr } = await sing(['exec', ...flags, await layered(), 'sh', '-c', look])
    expect([status, stdout]).toEqual([0, merged])
    expect(stderr).toMatch(/^INFO: {4}Unpacking /)
  })

  it('give a third layer what the second has hidden and what it has not', async () => {
    const top = await squashfsOf({
      'closed/newer': file('newer\n'),
      'tree/two': file('again\n'),
      removed: directory,
    })
    const image = await make({ layers: [base, await squashfsOf(upperFiles), top] })
    const expected = merged
      .replace('closed/new=new\n', 'closed/new=new\nclosed/newer=newer\n')
      .replace('tree/three=3\n', 'tree/three=3\ntree/two=again\n')
    for (const flags of [[], ['--unsquash']]) {
      expect((await sing(['exec', ...flags, image, 'sh', '-c', look])).stdout).toBe(expected)
    }
  })

  it('keep modes and times when they are unpacked as one', async () => {
    const locked = { type: 'directory', mode: 0o555, mtime: 900_000_000 } as const
    const lower = {
      ...baseFiles(),
      'locked/a': file('a'),
      locked,
      'locked/deep/x': file('x'),
      'locked/deep': locked,
    }
    const upper = { locked: { ...locked, mode: 0o511 }, 'locked/b': file('b') }
    const image = await make({ layers: [await squashfsOf(lower), await squashfsOf(upper)] })
    const script = 'cd /; stat -c "%n %a %Y" locked locked/a locked/b locked/deep'
    const [mounted, unpacked] = await Promise.all(
      [[], ['--unsquash']].map((flags) => sing(['exec', ...flags, image, 'sh', '-c', script])),
    )
    expect(mounted?.stdout).toContain('locked 511 900000000\n')
    expect(unpacked?.stdout).toBe(mounted?.stdout)
  })

  it('become a sandbox, and an image of this kind, with what the configuration says', async () => {
    const config = { Entrypoint: ['/bin/echo'], Cmd: ['hello'], Env: ['A=b'], Labels: { who: 'me' } }
    const image = await layered({ config })
    const target = (name: string) => join(folder, `${name}-${count++}`)
    for (const [flags, path] of [
      [['--sandbox'], target('sandbox')],
      [[], target('native.sif')],
    ] as const) {
      expect((await sing(['build', ...flags, path, image])).status).toBe(0)
      expect((await sing(['exec', path, 'sh', '-c', look])).stdout).toBe(merged)
      expect((await sing(['run', path])).stdout).toBe('hello\n')
      expect((await sing(['exec', path, 'sh', '-c', 'echo $A'])).stdout).toBe('b\n')
      expect((await sing(['inspect', path])).stdout).toContain('who: me\n')
    }
  })
})

describe('sing inspect', () => {
  it('shows what the configuration of an OCI-SIF says', async () => {
    const config = {
      Entrypoint: ['/bin/echo', "it's"],
      Cmd: ['me'],
      Env: ['A=b c'],
      Labels: { who: 'me', 'a.first': '1' },
    }
    const image = await make({ config })
    expect(await sing(['inspect', image])).toEqual(well('a.first: 1\nwho: me\n'))
    expect(await sing(['inspect', '--runscript', image])).toEqual(
      well(`#!/bin/sh\n[ $# -gt 0 ] || set -- 'me'\nexec '/bin/echo' 'it'\\''s' "$@"\n`),
    )
    expect((await sing(['inspect', '--environment', image])).stdout).toContain("A='b c'")
    expect(await sing(['inspect', '--deffile', image])).toEqual(well(''))
    const { stdout } = await sing(['inspect', '--json', '--labels', '--list-apps', image])
    expect(JSON.parse(stdout)).toEqual({
      data: { attributes: { labels: { 'a.first': '1', who: 'me' } } },
      type: 'container',
    })
  })

  it('shows what the files of all layers together say', async () => {
    const labels = await squashfsOf({
      '.singularity.d/labels.json': file('{"own":"label"}'),
      'scif/apps/one/scif/runscript': file('x'),
    })
    const hidden = await squashfsOf({
      'scif/apps/one': whiteout,
      'scif/apps/two/scif/runscript': link('../../../../text'),
      text: file('of two'),
    })
    const image = await make({ layers: [base, labels, hidden], config: { Labels: { more: 'label' } } })
    expect(await sing(['inspect', image])).toEqual(well('more: label\nown: label\n'))
    expect(await sing(['inspect', '--list-apps', image])).toEqual(well('two\n'))
    expect(await sing(['inspect', '--runscript', '--app', 'two', image])).toEqual(well('of two\n'))
  })
})

describe('--oci', () => {
  const config = { WorkingDir: '/srv/work', Env: ['A=image'] }
  const inside = async (flags: string[], script: string, more: object = {}, options: RunOptions = {}) =>
    sing(
      [
        'exec',
        ...flags,
        await make({ layers: [await squashfsOf(withFolders())], config: { ...config, ...more } }),
        'sh',
        '-c',
        script,
      ],
      options,
    )
  const withFolders = (): Record<string, LayerFile> => ({
    ...baseFiles(),
    'srv/work/here': file('x'),
    'srv/kept': file('x'),
    dev: directory,
    proc: directory,
    tmp: directory,
  })

  it('starts in the working directory of the image, changeable and apart from the host', async () => {
    const script = 'pwd; echo x > /new && cat /new; echo "${HOST_SEEN-unset}"'
    expect(await inside(['--oci'], script, {}, { env: { HOST_SEEN: 'host' } })).toEqual(
      well('/srv/work\nx\nunset\n'),
    )
  })

  it('gives way to --cwd, --no-oci and --no-compat', async () => {
    const { home } = testUser()
    expect(await inside(['--oci', '--cwd', '/srv'], 'pwd')).toEqual(well('/srv\n'))
    expect(await inside(['--oci', '--no-oci'], 'pwd')).toEqual(well(`${home}\n`))
    expect(
      await inside(['--oci', '--no-compat'], 'pwd; echo $HOST_SEEN', {}, { env: { HOST_SEEN: 'host' } }),
    ).toEqual(well(`${home}\nhost\n`))
    expect(await inside([], 'pwd')).toEqual(well(`${home}\n`))
  })

  it.each([
    ['a name', 'web', '33 44 web /srv'],
    ['a name and a group', 'web:staff', '33 50 web /srv'],
    ['a number that has a name', '33', '33 44 web /srv'],
    ['a number that has none', '1234', '1234 0 1234 /'],
    ['two numbers', '1234:4321', '1234 4321 1234 /'],
    ['root', 'root', '0 0 root /root'],
  ])('starts as the user of the image: %s', async (_, User, expected) => {
    const { status, stdout, stderr } = await inside(
      ['--oci'],
      'echo $(id -u) $(id -g) $(id -un) $HOME; ls /srv',
      { User },
    )
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: `${expected}\nkept\nwork\n` })
  })

  it('leaves the user as it is without it', async () => {
    expect(await inside([], 'id -u', { User: 'web' })).toEqual(well(`${testUser().uid}\n`))
  })

  it.runIf(can('root'))('makes root that user too', async () => {
    const script =
      'echo $(id -u) $(id -g) $HOME $(pwd); cat /proc/self/status | while read a b; do test "$a" = CapEff: && echo $b; done'
    const { stdout } = await inside(['--oci'], script, { User: 'web' }, { as: 'self' })
    expect(stdout).toBe('33 44 /srv /srv/work\n0000000000000000\n')
  })

  it('names a user that the image does not know', async () => {
    const { status, stderr } = await inside(['--oci'], 'true', { User: 'nobody-here' })
    expect(status).toBe(255)
    expect(stderr).toContain('as nobody-here, as it wants: its /etc/passwd does not have that name')
    expect((await inside(['--oci'], 'true', { User: 'web:none' })).stderr).toContain(
      'its /etc/group does not',
    )
    expect((await inside(['--oci', '--fakeroot'], 'id -u', { User: 'nobody-here' })).stdout).toBe('0\n')
  })
})

describe('a data container', () => {
  const container = async () =>
    make({
      layers: [await squashfsOf({ 'data/one': file('1\n') })],
      manifest: { artifactType: 'application/vnd.sylabs.data-container.v1' },
    })

  it('is brought in by --data and by --bind', async () => {
    const [image, data] = [await make(), await container()]
    expect(await sing(['exec', '--data', `${data}:/mnt`, image, 'cat', '/mnt/data/one'])).toEqual(well('1\n'))
    expect(await sing(['exec', '--bind', `${data}:/mnt:image-src=/data`, image, 'cat', '/mnt/one'])).toEqual(
      well('1\n'),
    )
  })

  it('runs nothing', async () => {
    const { stderr } = await sing(['run', await container()])
    expect(stderr).toContain('it is a data container, which has files and no programs')
    expect(stderr).toContain(':/DESTINATION:image-src=/')
  })

  it('has one layer, or none of them can be bound', async () => {
    const two = await make({ layers: [base, await squashfsOf(upperFiles)] })
    const { stderr } = await sing(['exec', '--data', `${two}:/mnt`, await make(), 'true'])
    expect(stderr).toContain('it is an OCI-SIF of 2 layers, and one is needed')
    expect((await sing(['exec', '--data', `${two}`, await make(), 'true'])).stderr).toContain(
      'expected IMAGE:/DESTINATION',
    )
  })
})

describe.skipIf(!can('ext3', 'fuse'))('an OCI-SIF with changes', () => {
  it('shows them, and takes more with --writable', async () => {
    const ext3 = join(folder, 'changes.img')
    expect((await sing(['overlay', 'create', '--sparse', ext3])).status).toBe(0)
    const layers = [base, { data: readFileSync(ext3), mediaType: layerTypes.ext3 }]
    const image = await make({ layers, config: { WorkingDir: '/tree' } })
    const inside = (flags: string[], script: string) => sing(['exec', ...flags, image, 'sh', '-c', script])
    expect(await inside(['--writable'], 'echo new > /replaced && cat /kept')).toEqual(well('below\n'))
    expect(await inside([], 'cat /replaced')).toEqual(well('new\n'))
    expect((await inside([], 'echo x > /kept')).stderr).toContain('Read-only file system')
    expect(await inside(['--oci', '--writable'], 'pwd; echo newer > /replaced')).toEqual(well('/tree\n'))
    expect(await inside(['--oci'], 'cat /replaced; echo x > /kept && cat /kept')).toEqual(well('newer\nx\n'))
    expect(await inside([], 'cat /replaced /kept')).toEqual(well('newer\nbelow\n'))
  })
})

describe('an instance of an OCI-SIF', () => {
  it('runs what others of it do, with its variables', async () => {
    const image = await make({
      config: { Entrypoint: ['/bin/sh', '-c', 'echo $A > /tmp/$0; sleep 60'], Env: ['A=b'] },
    })
    const name = `oci-${process.pid}`
    expect((await sing(['instance', 'run', '--contain', image, name, 'note'])).status).toBe(0)
    try {
      const script = 'until test -s /tmp/note; do sleep 0.1; done; cat /tmp/note; echo $A'
      expect(await sing(['exec', `instance://${name}`, 'sh', '-c', script])).toEqual(well('b\nb\n'))
    } finally {
      await sing(['instance', 'stop', name])
    }
  })
})

describe('sing overlay', () => {
  it('leaves an OCI-SIF as it is, and tells another way', async () => {
    const image = await make()
    const before = readFileSync(image)
    const { status, stderr } = await sing(['overlay', 'create', image])
    expect(status).toBe(255)
    expect(stderr).toContain('it is an OCI-SIF')
    expect(stderr).toContain('sing overlay create FILE')
    expect(readFileSync(image).equals(before)).toBe(true)
    expect((await sing(['exec', '--overlay', `${image}:ro`, image, 'true'])).stderr).toContain(
      'it is an OCI-SIF, whose layers belong to its image',
    )
  })
})

describe.skipIf(!can('peer'))('beside the peer', () => {
  it('the objects of an OCI-SIF are listed and shown alike', async () => {
    const image = await make({ layers: [base, await squashfsOf(upperFiles)] })
    for (const words of [
      ['list', image],
      ['header', image],
      ['info', '1', image],
      ['info', '5', image],
      ['dump', '5', image],
    ]) {
      const { stdout } = await sing(['sif', ...words])
      expect(stdout).not.toBe('')
      expect((await peer(['sif', ...words], { folders: [folder] })).stdout, words.join(' ')).toBe(stdout)
    }
  })
})
