import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { makeLibc, makeLibrary } from '../helpers/libraries.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let driver: string

/** A host whose loader knows a driver: a library that needs a newer glibc than there is, and a program. */
function makeDriver(): string {
  const folder = temporaryFolder()
  const libc = makeLibc(folder, '2.99')
  const cuda = makeLibrary(folder, 'libcuda.so.550.54', { soname: 'libcuda.so.1', symbol: 'cuInit' })
  const ml = makeLibrary(folder, 'libnvidia-ml.so.550.54', {
    soname: 'libnvidia-ml.so.1',
    symbol: 'nvml',
    libc,
  })
  symlinkSync(cuda, join(folder, 'libcuda.so.1'))
  symlinkSync(ml, join(folder, 'libnvidia-ml.so.1'))
  script(folder, 'nvidia-smi', 'echo "the program of the driver"')
  offer(folder, ['libcuda.so.1'])
  give(folder)
  return folder
}

function script(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(folder, name), 0o755)
}

/** What `ldconfig -p` says there. */
function offer(folder: string, names: readonly string[]): void {
  const lines = names.map((name) => `\t${name} (libc6,x86-64) => ${join(folder, name)}`)
  script(folder, 'ldconfig', `cat <<'END'\n1 libs found\n${lines.join('\n')}\nEND`)
}

const withDriver = (folder = driver) => ({
  cwd: images.folder,
  env: { PATH: `${folder}:/usr/bin:/bin` },
})

beforeAll(async () => {
  images = await makeImages()
  if (hasProgram('gcc')) driver = makeDriver()
})

describe.skipIf(!can('userns', 'fuse', 'overlay') || !hasProgram('gcc'))('--nv', () => {
  const list = 'for f in /.singularity.d/libs/*; do echo ${f##*/}; done; echo $LD_LIBRARY_PATH'

  it('brings libraries under all of their names, and programs', async () => {
    const flags = ['exec', '--nv', images.everything, 'sh', '-c', `${list}; nvidia-smi`]
    const { stdout, stderr, status } = await sing(flags, withDriver())
    expect({ stdout, stderr, status }).toEqual({
      stdout: 'libcuda.so.1\nlibcuda.so.550.54\n/.singularity.d/libs\nthe program of the driver\n',
      stderr: '',
      status: 0,
    })
  })

  it('brings the same into a sandbox, which stays as it is', async () => {
    const { stdout } = await sing(['exec', '--nv', images.sandbox, 'nvidia-smi'], withDriver())
    expect(stdout).toBe('the program of the driver\n')
    const writable = [
      'exec',
      '--nv',
      '--writable',
      images.sandbox,
      'sh',
      '-c',
      `${list}; ls /usr/bin/nvidia-smi`,
    ]
    const changed = await sing(writable, withDriver())
    expect(changed.stdout).toContain('libcuda.so.1\n')
    expect(changed.stderr).toContain('No such file')
  })

  it('is taken from the environment, and back', async () => {
    const { env, cwd } = withDriver()
    const ask = (flags: string[], more: Record<string, string>) =>
      sing(['exec', ...flags, images.everything, 'sh', '-c', list], { cwd, env: { ...env, ...more } })
    expect((await ask([], { SINGULARITY_NV: '1' })).stdout).toContain('libcuda')
    expect((await ask(['--no-nv'], { APPTAINER_NV: '1' })).stdout).not.toContain('libcuda')
  })

  it('takes directories before and behind those of libraries', async () => {
    const { env, cwd } = withDriver()
    const more = {
      SINGULARITYENV_PREPEND_LD_LIBRARY_PATH: '/first',
      APPTAINERENV_APPEND_LD_LIBRARY_PATH: '/la st',
    }
    const { stdout } = await sing(['exec', images.everything, 'sh', '-c', 'env | grep LD_LIB'], {
      cwd,
      env: { ...env, ...more },
    })
    expect(stdout).toBe('LD_LIBRARY_PATH=/first:/.singularity.d/libs:/la st\n')
  })

  it.skipIf(existsSync('/dev/nvidiactl') || existsSync('/dev/kfd'))(
    'warns where there is no driver, and starts',
    async () => {
      const bare = temporaryFolder()
      offer(bare, [])
      give(bare)
      const { stdout, stderr, status } = await sing(
        ['exec', '--nv', '--rocm', images.everything, 'echo', 'on'],
        withDriver(bare),
      )
      expect({ stdout, status }).toEqual({ stdout: 'on\n', status: 0 })
      expect(stderr).toContain('WARNING: --nv: could not find any nv files on this host')
      expect(stderr).toContain('WARNING: --rocm: could not find any rocm files on this host')
    },
  )

  it('warns before programs crash when the image has an older glibc', async () => {
    const old = join(images.folder, 'old')
    cpSync(images.sandbox, old, { recursive: true, verbatimSymlinks: true })
    mkdirSync(join(old, 'lib64'))
    makeLibc(join(old, 'lib64'), '2.31')
    give(old)
    const newer = temporaryFolder()
    cpSync(driver, newer, { recursive: true, verbatimSymlinks: true })
    offer(newer, ['libcuda.so.1', 'libnvidia-ml.so.1'])
    give(newer)
    const warning =
      'WARNING: libnvidia-ml.so.1 of this host needs glibc 2.99, old has 2.31: programs that load it will fail; use an image with glibc 2.99 or newer\n'
    expect(await sing(['exec', '--nv', old, 'true'], withDriver(newer))).toMatchObject({
      status: 0,
      stderr: warning,
    })
    const file = join(images.folder, 'old.sif')
    const built = await sing(['build', file, old], { cwd: images.folder })
    expect(built.status).toBe(0)
    const { stderr } = await sing(['exec', '--nv', file, 'true'], withDriver(newer))
    expect(stderr).toBe(warning.replace('old has', 'old.sif has'))
  })

  it('lets a program of the image load a library of the host', async () => {
    const root = join(images.folder, 'dynamic')
    cpSync(images.sandbox, root, { recursive: true, verbatimSymlinks: true })
    const source = join(root, 'cuda.c')
    writeFileSync(
      source,
      '#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *l = dlopen("libcuda.so.1", RTLD_NOW);\n' +
        'int (*f)(void) = l ? (int (*)(void))dlsym(l, "cuInit") : 0; printf("%d\\n", f ? f() : -1); return 0; }\n',
    )
    expect(spawnSync('gcc', ['-o', join(root, 'cuda'), source, '-ldl']).status).toBe(0)
    const needed = spawnSync('ldd', [join(root, 'cuda')], { encoding: 'utf8' }).stdout
    for (const [path = ''] of needed.matchAll(/\/\S+/g)) {
      mkdirSync(join(root, dirname(path)), { recursive: true })
      copyFileSync(path, join(root, path))
    }
    give(root)
    expect((await sing(['exec', '--nv', root, '/cuda'], withDriver())).stdout).toBe('42\n')
    expect((await sing(['exec', root, '/cuda'], withDriver())).stdout).toBe('-1\n')
  })

  it('serves the sections of a build, and leaves nothing in the image', async () => {
    const definition = join(images.folder, 'nv.def')
    const look = 'ls /.singularity.d/libs; echo "$LD_LIBRARY_PATH"; ls /dev/null'
    const sections = `%post\n  (${look}) > /post.log\n%test\n  ${look}\n`
    writeFileSync(definition, `Bootstrap: localimage\nFrom: ${images.everything}\n\n${sections}`)
    give(definition)
    const target = join(images.folder, 'nv')
    const built = await sing(['build', '--nv', '--sandbox', target, definition], withDriver())
    const seen = 'libcuda.so.1\nlibcuda.so.550.54\n/.singularity.d/libs\n/dev/null\n'
    expect(built).toMatchObject({ status: 0 })
    expect(readFileSync(join(target, 'post.log'), 'utf8')).toBe(seen)
    expect(built.stdout + built.stderr).toContain(seen)
    expect(readdirSync(join(target, '.singularity.d/libs'))).toEqual([])
    expect(existsSync(join(target, 'usr/bin/nvidia-smi'))).toBe(false)
  })

  it('names libraries one by one with --containlibs', async () => {
    const flags = ['--containlibs', 'libcuda.so.1', images.everything, 'sh', '-c', list]
    const { stdout } = await sing(['exec', ...flags], { cwd: driver })
    expect(stdout).toBe('libcuda.so.1\nlibcuda.so.550.54\n/.singularity.d/libs\n')
    const missing = await sing(['exec', '--containlibs', '/no/such.so', images.everything, 'true'])
    expect(missing.status).toBe(255)
    expect(missing.stderr).toContain('--containlibs /no/such.so: no such file')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('--device', () => {
  let specs: string
  const write = (name: string, value: unknown) => {
    writeFileSync(join(specs, name), typeof value === 'string' ? value : JSON.stringify(value))
  }
  beforeAll(() => {
    specs = temporaryFolder()
    mkdirSync(join(specs, 'data'))
    writeFileSync(join(specs, 'data/file'), 'of the host\n')
    // A device that every machine with containers has, but no minimal /dev.
    const node = '{path: /dev/fuse, permissions: rw}'
    write(
      'vendor.yaml',
      `cdiVersion: 0.6.0
kind: vendor.com/test
devices:
  - {name: one, containerEdits: {deviceNodes: [${node}], env: ["DEVICE=$one"]}}
  - {name: named, containerEdits: {deviceNodes: [{path: /dev/other, hostPath: /dev/fuse}]}}
  - {name: gone, containerEdits: {deviceNodes: [{path: /dev/no-such-node}]}}
containerEdits:
  mounts:
    - {hostPath: ${specs}/data, containerPath: /opt/ro, options: [ro, bind]}
    - {hostPath: ${specs}/data, containerPath: /opt/rw, options: [rw, bind]}
`,
    )
    write('hooks.json', {
      cdiVersion: '0.6.0',
      kind: 'vendor.com/hooks',
      devices: [
        {
          name: 'bad',
          containerEdits: { hooks: [{ hookName: 'createContainer', path: '/usr/bin/odd', args: ['odd'] }] },
        },
        {
          name: 'good',
          containerEdits: {
            mounts: [{ hostPath: `${specs}/data/file`, containerPath: '/opt/file' }],
            hooks: [
              {
                hookName: 'createContainer',
                path: '/usr/bin/nvidia-ctk',
                args: [
                  'nvidia-ctk',
                  'hook',
                  'create-symlinks',
                  '--link',
                  'file::/opt/link',
                  '--link',
                  '/x::/opt/y/z',
                ],
              },
            ],
          },
        },
      ],
    })
    give(specs)
  })
  const exec = (flags: string[], command: string, env = {}) =>
    sing(['exec', '--cdi-dirs', specs, ...flags, images.everything, 'sh', '-c', command], {
      cwd: images.folder,
      env,
    })

  it('shows a node of a contained /dev only when it is asked for', async () => {
    const look = 'test -c /dev/fuse && echo there || echo none'
    expect((await exec(['--contain'], look)).stdout).toBe('none\n')
    expect((await exec(['--contain', '--device', 'vendor.com/test=one'], look)).stdout).toBe('there\n')
    expect((await exec(['--contain', '--device', 'vendor.com/test=named'], look)).stdout).toBe('none\n')
  })

  it('can give a node another name', async () => {
    const flags = ['--contain', '--device', 'vendor.com/test=named']
    const { stdout } = await exec(flags, 'test -c /dev/other && echo there; : 3<>/dev/other && echo open')
    expect(stdout).toBe('there\nopen\n')
    const shared = await exec(['--device', 'vendor.com/test=named'], 'true')
    expect(shared.status).toBe(255)
    expect(shared.stderr).toContain('Use --contain')
  })

  it('mounts what it needs, read-only or not, and sets its variables', async () => {
    const command =
      'cat /opt/ro/file; touch /opt/rw/made; touch /opt/ro/made2 2>/dev/null || echo refused; echo $DEVICE'
    const { stdout } = await exec(['--device', 'vendor.com/test=one'], command)
    expect(stdout).toBe('of the host\nrefused\n$one\n')
    const mine = await exec(['--device', 'vendor.com/test=one', '--env', 'DEVICE=mine'], 'echo $DEVICE')
    expect(mine.stdout).toBe('mine\n')
  })

  it('makes links without running the hook for them', async () => {
    const { stdout } = await exec(['--device', 'vendor.com/hooks=good'], 'cat /opt/link; readlink /opt/y/z')
    expect(stdout).toBe('of the host\n/x\n')
  })

  it.each([
    ['vendor.com/test=two', /no CDI file describes this device\n.*Known: .*vendor\.com\/test=one/],
    ['vendor.com/test=gone', /this host has no \/dev\/no-such-node/],
    [
      'vendor.com/hooks=bad',
      /--device vendor\.com\/hooks=bad: it wants the hook createContainer \/usr\/bin\/odd/,
    ],
    ['two', /expected VENDOR\/CLASS=NAME/],
  ])('%s is refused with its reason', async (name, reason) => {
    const { status, stderr } = await exec(['--device', name], 'true')
    expect(status).toBe(255)
    expect(stderr).toMatch(reason)
  })

  it('names the directories where nothing was found', async () => {
    const flags = ['exec', '--cdi-dirs', '/no/such,/nor/this', '--device', 'a/b=c', images.everything, 'true']
    const { status, stderr } = await sing(flags)
    expect(status).toBe(255)
    expect(stderr).toContain('Nothing in /no/such, /nor/this')
  })

  it.skipIf(!can('root'))('works for root as well', async () => {
    const flags = ['exec', '--contain', '--cdi-dirs', specs, '--device', 'vendor.com/test=one']
    const { stdout } = await sing(
      [...flags, images.everything, 'sh', '-c', 'test -c /dev/fuse && echo there'],
      {
        as: 'self',
      },
    )
    expect(stdout).toBe('there\n')
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('other accelerators', () => {
  it.skipIf(existsSync('/dev/accel'))('are told of where there are none', async () => {
    const { status, stderr } = await sing(['exec', '--intel-hpu', images.everything, 'true'], {
      cwd: images.folder,
    })
    expect(status).toBe(0)
    expect(stderr).toContain('--intel-hpu: this host has no such devices')
    const env = { HABANA_VISIBLE_DEVICES: 'first' }
    const wrong = await sing(['exec', '--intel-hpu', images.everything, 'true'], { cwd: images.folder, env })
    expect(wrong.status).toBe(255)
    expect(wrong.stderr).toContain('HABANA_VISIBLE_DEVICES is "first"')
  })

  it('cannot be had by a program that needs privilege', async () => {
    const { status, stderr } = await sing(['exec', '--nvccli', images.everything, 'true'])
    expect(status).toBe(255)
    expect(stderr).toContain('use --nv')
  })
})
