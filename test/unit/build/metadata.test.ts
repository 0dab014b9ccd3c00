import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resolveInside } from '../../../src/build/inside.ts'
import {
  appInstall,
  type MetadataOptions,
  prepareApps,
  prepareRootfs,
  writeMetadata,
} from '../../../src/build/metadata.ts'
import type { Event } from '../../../src/core/events.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'
import { labelDate } from '../../../src/image/labels.ts'

let folder = ''
let root = ''
let events: Event[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
  root = join(folder, 'root')
  mkdirSync(root)
  events = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const report = (event: Event) => events.push(event)
const read = (path: string) => readFileSync(resolveInside(root, path), 'utf8')
const mode = (path: string) => lstatSync(join(root, path)).mode & 0o7777

function write(path: string, text: string): void {
  mkdirSync(join(root, path, '..'), { recursive: true })
  writeFileSync(join(root, path), text)
}

const usual = {
  force: false,
  builder: { version: '4.3.0-test' },
  time: new Date('2026-11-23T06:48:15Z'),
  arch: 'amd64',
  extraLabels: [],
  report,
}

/** Do with a root file system what a build does for a definition of one stage. */
async function build(
  sections: string,
  options: Partial<MetadataOptions> = {},
): Promise<Record<string, string>> {
  const { stages, text } = parseDefinition(`Bootstrap: localimage\nFrom: base\n${sections}`, { name: 'd' })
  const [stage] = stages
  if (!stage) throw new Error('no stage')
  await prepareRootfs(root)
  await prepareApps(root, stage, { cwd: folder, name: 'd', report })
  await writeMetadata(root, stage, { ...usual, definitionText: text, ...options })
  return JSON.parse(read('.singularity.d/labels.json'))
}

/** Run a command on the host that uses the scripts of the root file system, whose paths are made to lead into it. */
function inRoot(command: string, variables: Record<string, string> = {}) {
  const rooted = (text: string) => text.replace(/(?<![\w}])\/(\.singularity\.d|scif)/g, `${root}/$1`)
  const scripts = (readdirSync(root, { recursive: true }) as string[]).filter((name) =>
    /(env|actions)\/[^/]+$/.test(name),
  )
  for (const name of scripts) writeFileSync(join(root, name), rooted(read(name)))
  return spawnSync('sh', ['-c', rooted(command)], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', ...variables },
  })
}

describe('an empty tree', () => {
  it('gets the directories, links and scripts that runtimes rely on', async () => {
    const umask = process.umask(0o077)
    try {
      await prepareRootfs(root)
    } finally {
      process.umask(umask)
    }
    for (const directory of ['dev', 'proc', 'root', 'etc', 'sys', 'home', '.singularity.d/libs']) {
      expect(mode(directory), directory).toBe(0o755)
    }
    expect(mode('tmp')).toBe(0o1777)
    expect(mode('var/tmp')).toBe(0o1777)
    expect(readlinkSync(join(root, 'singularity'))).toBe('.singularity.d/runscript')
    expect(readlinkSync(join(root, 'environment'))).toBe('.singularity.d/env/90-environment.sh')
    expect(readlinkSync(join(root, '.shell'))).toBe('.singularity.d/actions/shell')
    expect(readdirSync(join(root, '.singularity.d/actions')).sort()).toEqual([
      'exec',
      'run',
      'shell',
      'start',
      'test',
    ])
    expect(readdirSync(join(root, '.singularity.d/env')).sort()).toEqual([
      '01-base.sh',
      '90-environment.sh',
      '95-apps.sh',
      '99-base.sh',
      '99-runtimevars.sh',
    ])
    expect(mode('.singularity.d/runscript')).toBe(0o755)
    expect(read('etc/hosts')).toBe('')
    expect(mode('etc/resolv.conf')).toBe(0o644)
  })

  it('keeps everything that is there, links that lead nowhere too', async () => {
    write('.singularity.d/env/99-base.sh', 'mine')
    mkdirSync(join(root, 'etc'))
    symlinkSync('/run/stub', join(root, 'etc/resolv.conf'))
    symlinkSync('/elsewhere', join(root, 'singularity'))
    await prepareRootfs(root)
    expect(read('.singularity.d/env/99-base.sh')).toBe('mine')
    expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('/run/stub')
    expect(readlinkSync(join(root, 'singularity'))).toBe('/elsewhere')
  })

  it('gets a directory where a link of the base wants one, inside the tree', async () => {
    mkdirSync(join(root, 'var'))
    symlinkSync('/mnt/var-tmp', join(root, 'var/tmp'))
    await prepareRootfs(root)
    expect(statSync(join(root, 'mnt/var-tmp')).isDirectory()).toBe(true)
    expect(existsSync('/mnt/var-tmp')).toBe(false)
  })

  it('is not left through a link in the place of /.singularity.d', async () => {
    const outside = join(folder, 'outside')
    mkdirSync(outside)
    symlinkSync(outside, join(root, '.singularity.d'))
    await build('%runscript\n true\n')
    expect(readdirSync(outside)).toEqual([])
    expect(existsSync(join(root, outside, 'runscript'))).toBe(true)
  })
})

describe('the scripts of an image', () => {
  it.each(['dash', 'bash', 'busybox sh'])('are understood by %s', async (shell) => {
    await build('%environment\n export A=1\n%apprun tool\n true\n')
    const [program = '', ...words] = shell.split(' ')
    if (spawnSync('which', [program]).status !== 0) return
    for (const directory of ['env', 'actions']) {
      for (const name of readdirSync(join(root, '.singularity.d', directory))) {
        const { stderr, status } = spawnSync(
          program,
          [...words, '-n', join(root, '.singularity.d', directory, name)],
          {
            encoding: 'utf8',
          },
        )
        expect([name, stderr, status]).toEqual([name, '', 0])
      }
    }
  })

  it('run what the definition says, with its environment', async () => {
    await build(
      '%environment\n export GREETING=hello\n%runscript\n echo "$GREETING $*"\n%startscript\n echo started $1\n%test\n exit 3\n',
    )
    expect(inRoot('/.singularity.d/actions/run a b').stdout).toBe('hello a b\n')
    expect(inRoot('/.singularity.d/actions/start a').stdout).toBe('started a\n')
    expect(inRoot('/.singularity.d/actions/test').status).toBe(3)
    expect(inRoot('/.singularity.d/actions/exec printenv GREETING').stdout).toBe('hello\n')
    expect(inRoot('/.singularity.d/actions/shell -c "echo \\$GREETING"').stdout).toBe('hello\n')
  })

  it('say so when there is no runscript, and pass when there is no test', async () => {
    await build('')
    expect(inRoot('/.singularity.d/runscript').stdout).toContain('no runscript')
    expect(inRoot('/.singularity.d/actions/test').status).toBe(0)
  })

  it('set paths as the caller wants', async () => {
    await build('')
    const path = (variables: Record<string, string>) =>
      inRoot('/.singularity.d/actions/exec printenv PATH LD_LIBRARY_PATH', variables)
        .stdout.trim()
        .split('\n')
    const libs = '/.singularity.d/libs'
    expect(path({ SING_USER_DEFINED_PREPEND_PATH: '/p', SING_USER_DEFINED_APPEND_PATH: '/a' })).toEqual([
      '/p:/usr/bin:/bin:/a',
      libs,
    ])
    expect(path({ SING_USER_DEFINED_PATH: '/usr/bin', LD_LIBRARY_PATH: '/x' })).toEqual([
      '/usr/bin',
      `/x:${libs}`,
    ])
  })

  it('set the prompt when nobody did', async () => {
    await build('')
    expect(inRoot('unset PS1; . /.singularity.d/env/99-base.sh; echo "$PS1"').stdout).toBe('Singularity> \n')
    expect(inRoot('. /.singularity.d/env/99-base.sh; echo "$PS1"', { PS1: '% ' }).stdout).toBe('% \n')
  })
})

describe('what a stage says', () => {
  it('is written with the modes of scripts and texts', async () => {
    await build('%help\nHelp.\n%runscript -e\n true\n%test\n true\n')
    expect(read('.singularity.d/runscript.help')).toBe('Help.\n')
    expect(read('.singularity.d/runscript')).toBe('#!/bin/sh -e\n\n true\n')
    expect(mode('.singularity.d/test')).toBe(0o755)
    expect(mode('.singularity.d/runscript.help')).toBe(0o644)
    expect(read('.singularity.d/Singularity')).toContain('From: base\n%help\n')
  })

  it('leaves scripts of the base that it does not mention', async () => {
    write('.singularity.d/runscript', 'of the base')
    await build('%environment\n export A=1\n')
    expect(read('.singularity.d/runscript')).toBe('of the base')
    expect(existsSync(join(root, '.singularity.d/test'))).toBe(false)
  })

  it('adds to the environment of the base, byte for byte and once', async () => {
    mkdirSync(join(root, '.singularity.d/env'), { recursive: true })
    writeFileSync(join(root, '.singularity.d/env/90-environment.sh'), Buffer.from([0x23, 0xff, 0x0a]))
    await build('%environment\n export A=1\n')
    await build('%environment\n export A=1\n')
    const bytes = readFileSync(join(root, '.singularity.d/env/90-environment.sh'))
    expect(bytes).toEqual(Buffer.concat([Buffer.from([0x23, 0xff, 0x0a]), Buffer.from('\n export A=1\n')]))
  })

  it('has no generation for the conversion of its layers', async () => {
    const conversion = 'bootstrap: docker\nfrom: r.example/app@sha256:1\n\n'
    const described = async (agent: string) => {
      write('.singularity.d/Singularity', conversion)
      const [stage] = parseDefinition(`Bootstrap: ${agent}\nFrom: app\n`, { name: 'd' }).stages
      if (!stage) throw new Error('no stage')
      await writeMetadata(root, stage, { ...usual, definitionText: agent })
      return existsSync(join(root, '.singularity.d/bootstrap_history'))
    }
    expect([await described('docker'), await described('localimage')]).toEqual([false, true])
  })

  it('makes the definitions of the base its history', async () => {
    write('.singularity.d/Singularity', 'first')
    write('.singularity.d/bootstrap_history/Apptainer0', 'zeroth')
    await build('')
    await build('%help\nx\n')
    expect(readdirSync(join(root, '.singularity.d/bootstrap_history')).sort()).toEqual([
      'Apptainer0',
      'Singularity1',
      'Singularity2',
    ])
    expect(read('.singularity.d/bootstrap_history/Singularity1')).toBe('first')
    expect(read('.singularity.d/bootstrap_history/Singularity2')).toBe('Bootstrap: localimage\nFrom: base\n')
  })
})

describe('labels', () => {
  it('describe the build, in an order of bytes, indented with tabs', async () => {
    await build('%help\nx\n%labels\n Zeta 1\n Alpha <a> & "b"\n')
    expect(read('.singularity.d/labels.json')).toBe(`{
\t"Alpha": "<a> & \\"b\\"",
\t"Zeta": "1",
\t"org.label-schema.build-arch": "amd64",
\t"org.label-schema.build-date": "Monday_23_November_2026_6:48:15_UTC",
\t"org.label-schema.schema-version": "1.0",
\t"org.label-schema.usage": "/.singularity.d/runscript.help",
\t"org.label-schema.usage.singularity.deffile.bootstrap": "localimage",
\t"org.label-schema.usage.singularity.deffile.from": "base",
\t"org.label-schema.usage.singularity.runscript.help": "/.singularity.d/runscript.help",
\t"org.label-schema.usage.singularity.version": "4.3.0-test"
}`)
  })

  it('of the base stay, and win against the definition unless forced', async () => {
    write('.singularity.d/labels.json', '{"Kept": "old", "Number": 1}')
    const labels = await build('%labels\n Kept new\n Added x\n')
    expect(labels).toMatchObject({ Kept: 'old', Number: '1', Added: 'x' })
    expect(events).toContainEqual({
      kind: 'warning',
      text: 'The base has a label Kept (old), which stays; --force replaces it',
    })
    expect(await build('%labels\n Kept new\n', { force: true })).toMatchObject({ Kept: 'new' })
  })

  it('that %post wrote replace those of the base, and win against the definition unless forced', async () => {
    const extraLabels = Object.entries({ Kept: 'post', A: '2' })
    write('.singularity.d/labels.json', '{"Kept": "old"}')
    expect(await build('%labels\n A 1\n', { extraLabels })).toMatchObject({ Kept: 'post', A: '2' })
    expect(events).toContainEqual({
      kind: 'warning',
      text: '%post wrote a label A (2), which stays; --force replaces it',
    })
    expect(await build('%labels\n A 1\n', { extraLabels, force: true })).toMatchObject({
      Kept: 'post',
      A: '1',
    })
  })

  it('about the build of the base go', async () => {
    write(
      '.singularity.d/labels.json',
      JSON.stringify({
        'org.label-schema.usage.singularity.deffile.osversion': '9',
        'org.label-schema.usage.apptainer.version': '1.4.5',
        'org.label-schema.build-arch': 'arm64',
      }),
    )
    const labels = await build('')
    expect(labels['org.label-schema.build-arch']).toBe('amd64')
    expect(Object.keys(labels)).not.toContain('org.label-schema.usage.singularity.deffile.osversion')
    expect(Object.keys(labels)).not.toContain('org.label-schema.usage.apptainer.version')
  })

  it('that are no JSON are lost with a warning', async () => {
    write('.singularity.d/labels.json', '{"a": ')
    expect(await build('%labels\n A 1\n')).toMatchObject({ A: '1' })
    expect(events[0]).toMatchObject({ kind: 'warning', text: expect.stringContaining('they are no JSON') })
  })

  it('tell times without leading zeros', () => {
    expect(labelDate(new Date(0))).toBe('Thursday_1_January_1970_0:0:0_UTC')
  })
})

describe('apps', () => {
  const sections = `%appinstall my-app
 echo installed > here
%appfiles my-app
 host.txt
 host.txt share/
%appenv my-app
 export MINE=1
%apprun my-app
 echo "$SCIF_APPNAME $MINE $*"
%applabels my-app
 Kind tool
%apphelp my-app
 Help of it.
`

  it('have their directories, scripts and files', async () => {
    writeFileSync(join(folder, 'host.txt'), 'from the host')
    await build(sections)
    for (const path of ['bin', 'lib', 'scif/env', 'host.txt', 'share/host.txt', 'scif/runscript.help']) {
      expect(existsSync(join(root, 'scif/apps/my-app', path)), path).toBe(true)
    }
    expect(readdirSync(join(root, 'scif/data/my-app')).sort()).toEqual(['input', 'output'])
    expect(read('scif/apps/my-app/scif/labels.json')).toBe(
      '{\n\t"Kind": "tool",\n\t"SCIF_APP_NAME": "my-app"\n}',
    )
    expect(existsSync(join(root, 'scif/apps/my-app/scif/test'))).toBe(false)
    expect(mode('scif/apps/my-app/scif/runscript')).toBe(0o755)
  })

  it('are run with their variables and paths', async () => {
    writeFileSync(join(folder, 'host.txt'), '')
    await build(sections)
    const { stdout } = inRoot('/.singularity.d/actions/run a b', { SINGULARITY_APPNAME: 'my-app' })
    expect(stdout).toBe('my-app 1 a b\n')
    const paths = inRoot('/.singularity.d/actions/exec printenv PATH LD_LIBRARY_PATH SCIF_APPROOT', {
      SINGULARITY_APPNAME: 'my-app',
    }).stdout.replaceAll(root, '')
    expect(paths).toBe(
      '/scif/apps/my-app/bin:/scif/apps/my-app:/usr/bin:/bin\n/scif/apps/my-app/lib:/.singularity.d/libs\n/scif/apps/my-app\n',
    )
  })

  it('that are not there are refused', async () => {
    await build(sections.replaceAll(' host.txt\n', '').replace(' host.txt share/\n', ''))
    const unknown = inRoot('/.singularity.d/actions/run', { SINGULARITY_APPNAME: 'other' })
    expect(unknown).toMatchObject({ status: 1, stderr: 'there is no app other in this image\n' })
    const test = inRoot('/.singularity.d/actions/test', { SINGULARITY_APPNAME: 'my-app' })
    expect(test).toMatchObject({ status: 1, stderr: 'the app my-app has no test\n' })
  })

  it('make their places known to every container, those of the base too', async () => {
    mkdirSync(join(root, 'scif/apps/old/scif'), { recursive: true })
    writeFileSync(join(root, 'scif/apps/old/scif/runscript'), '')
    mkdirSync(join(root, 'scif/apps/bad"name/scif'), { recursive: true })
    await build('%apprun b\n true\n%apprun a-1\n true\n')
    expect(
      read('.singularity.d/env/94-appsbase.sh')
        .split('\n')
        .filter((line) => line.includes('ROOT')),
    ).toEqual([
      'export SCIF_APPROOT_old="/scif/apps/old"',
      'export SCIF_APPROOT_b="/scif/apps/b"',
      'export SCIF_APPROOT_a_1="/scif/apps/a-1"',
    ])
    expect(read('.singularity.d/env/94-appsbase.sh')).toContain(
      'export SCIF_APPRUN_old="/scif/apps/old/scif/runscript"\n',
    )
    expect(read('.singularity.d/env/94-appsbase.sh')).not.toContain('bad')
    expect(read('.singularity.d/env/94-appsbase.sh')).not.toContain('SCIF_APPENV')
  })

  it('install in their own directory, with the variables of what ran before', () => {
    const { stages } = parseDefinition(
      'Bootstrap: scratch\n%appinstall a\n X=1\n%appinstall b\n echo "$X $SCIF_APPNAME"\n%apprun c\n',
      {
        name: 'd',
      },
    )
    const [a, b, c] = stages[0]?.apps ?? []
    if (!a || !b || !c) throw new Error('an app is missing')
    expect(appInstall(c).text).toBe('')
    const script = appInstall(a).text + appInstall(b).text
    for (const name of ['a', 'b']) mkdirSync(join(root, 'scif/apps', name), { recursive: true })
    const rooted = script.replaceAll('cd "/scif', `cd "${root}/scif`)
    const { stdout } = spawnSync('sh', ['-exc', `${rooted}pwd`], { encoding: 'utf8' })
    expect(stdout).toBe('1 b\n/\n')
  })

  it('keep the parts that a new definition does not mention', async () => {
    await build('%apprun a\n echo old\n%applabels a\n Old 1\n')
    await build('%apphelp a\n New.\n%applabels a\n New 1\n')
    expect(read('scif/apps/a/scif/runscript')).toContain('echo old')
    expect(JSON.parse(read('scif/apps/a/scif/labels.json'))).toEqual({
      SCIF_APP_NAME: 'a',
      Old: '1',
      New: '1',
    })
  })
})

it('a tree that cannot be written to is named', async () => {
  if (process.getuid?.() === 0) {
    write('.singularity.d/labels.json/x', '')
    await expect(build('')).rejects.toMatchObject({
      code: 'BUILD',
      message: expect.stringContaining('/.singularity.d/labels.json'),
    })
    return
  }
  chmodSync(root, 0o500)
  await expect(build('')).rejects.toMatchObject({
    code: 'BUILD',
    message: expect.stringContaining('permission denied'),
  })
})
