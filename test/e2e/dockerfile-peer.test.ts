/** Dockerfiles built here and by buildah: the same files and the same configuration. */

import { createHash } from 'node:crypto'
import { cpSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openImage } from '../../src/image/open.ts'
import { can } from '../helpers/can.ts'
import { run } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { baseLayout, type Content, Context } from './dockerfiles.ts'

let layout = ''
let store = ''
beforeAll(async () => {
  store = temporaryFolder()
  // buildah takes no capital letters in the names of bases.
  layout = join(tmpdir(), `sing-layout-${process.pid}`)
  cpSync(await baseLayout(), layout, { recursive: true })
})

async function buildah(...args: string[]): Promise<string> {
  const where = ['--root', join(store, 'root'), '--runroot', join(store, 'run'), '--storage-driver', 'vfs']
  const { status, stdout, stderr } = await run(['buildah', ...where, ...args], { as: 'self', cwd: '/' })
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  return stdout.trim()
}

afterAll(async () => {
  if (can('buildah')) await buildah('rm', '--all')
  rmSync(layout, { recursive: true, force: true })
})

/** What the runtimes put into images, each of its own. */
const own =
  /^\/(\.singularity\.d|singularity|environment|\.(run|exec|test|shell)|dev|proc|sys|run|home|root|var|etc\/(hosts|hostname|resolv\.conf))(\/|$)|^\/(etc|tmp)$/

function entry(path: string): string {
  const stats = lstatSync(path)
  const mode = (stats.mode & 0o7777).toString(8)
  const who = `${stats.uid}:${stats.gid}`
  if (stats.isSymbolicLink()) return `${who} link ${readlinkSync(path)}`
  if (stats.isDirectory()) return `${who} directory ${mode}`
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
  return `${who} file ${mode} ${stats.size} ${digest.slice(0, 12)}`
}

/** Everything below a directory, by path; the links to busybox are all the same. */
function tree(root: string, path = ''): Record<string, string> {
  const names = readdirSync(root + path).map((name) => `${path}/${name}`)
  return Object.fromEntries(
    names.flatMap((name) => {
      const below = lstatSync(root + name).isDirectory() ? Object.entries(tree(root, name)) : []
      const isShown = !own.test(name) && !name.startsWith('/bin/')
      return [...(isShown ? [[name, entry(root + name)]] : []), ...below]
    }),
  )
}

type Built = { readonly files: Record<string, string>; readonly config: object }

async function peer(context: Context, name: string, flags: readonly string[]): Promise<Built> {
  await buildah(
    'bud',
    '--isolation',
    'chroot',
    '--format',
    'docker',
    '--no-cache',
    ...flags,
    '-t',
    name,
    context.directory,
  )
  const container = await buildah('from', name)
  const files = tree(await buildah('mount', container))
  const { OCIv1 } = JSON.parse(await buildah('inspect', '--type', 'image', name))
  const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', name))
  const { Labels, ...config } = OCIv1.config
  const { 'io.buildah.version': _, ...labels } = Labels ?? {}
  const { Healthcheck, OnBuild, Shell } = Docker.config
  return { files, config: defined({ ...config, Healthcheck, OnBuild, Shell, Labels: labels }) }
}

async function ours(context: Context, flags: readonly string[], as: 'user' | 'self'): Promise<Built> {
  const { status, stderr } = await context.run(['build', '--force', ...flags, 'app.sif', 'context'], { as })
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  const opened = await context.run(['build', '--force', '--sandbox', `box-${as}`, 'app.sif'], { as: 'self' })
  expect(opened.status).toBe(0)
  const { oci } = await openImage(join(context.folder, 'app.sif'))
  const { history: _, author: __, ...config } = oci as Record<string, unknown>
  return { files: tree(join(context.folder, `box-${as}`)), config: defined(config) }
}

const defined = (fields: Record<string, unknown>): object =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => value && Object.keys(value as object).length > 0)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  )

const files: Record<string, Content> = {
  'a.txt': 'a\n',
  'b.txt': { text: 'b\n', mode: 0o755 },
  '.hidden': 'h\n',
  'tree/one': '1\n',
  'tree/deep/two': { text: '2\n', mode: 0o600 },
  'tree/link': { link: 'one' },
  'tree/absolute': { link: '/etc/passwd' },
  'code/main.sh': { text: '#!/bin/sh\necho main\n', mode: 0o755 },
}

const cases: Record<string, { text: string; more?: Record<string, Content>; flags?: string[] }> = {
  'metadata alone': {
    text: 'BASE\nENV A=1 B="x y" C=$A\nLABEL l="m n" base=new\nEXPOSE 80 53/udp\nVOLUME /v\nSTOPSIGNAL 9\nUSER jane\nCMD ["c"]\n',
  },
  'entry points': {
    text: 'BASE\nENTRYPOINT echo entry\nCMD ["x", "y"]\nSHELL ["/bin/sh", "-ec"]\nHEALTHCHECK --interval=5s --retries=2 CMD true\n',
  },
  'an entry point over a command of the base': { text: 'BASE\nENTRYPOINT ["echo"]\n' },
  'copies of files': {
    text: 'BASE\nCOPY a.txt /one\nCOPY a.txt b.txt /dir/\nCOPY a.txt /data/\nCOPY a.txt /new/deep/name\nWORKDIR /w\nCOPY a.txt .\nCOPY b.txt ./c\n',
  },
  'copies of directories': {
    text: 'BASE\nCOPY tree /tree\nCOPY tree /data\nCOPY . /all\nCOPY tree/deep tree/one /mixed/\n',
  },
  patterns: { text: 'BASE\nCOPY *.txt /t/\nCOPY t*e/o?e /u/\nCOPY [ab].txt /v/\nCOPY * /w/\n' },
  'owners and modes': {
    text: 'BASE\nCOPY --chown=jane a.txt /a\nCOPY --chown=jane:staff tree /t\nCOPY --chown=12:13 a.txt /x/y/b\nCOPY --chmod=4711 a.txt /c\n',
  },
  commands: {
    text: 'BASE\nARG V=1\nENV E=e\nWORKDIR /w/x\nRUN echo "$V $E $HOME" > out && pwd >> out\nRUN ["/bin/sh", "-c", "echo exec > /exec"]\nRUN chmod 2750 /w && ln out hard && ln -s out soft && touch /tmp/t && rm /data/gone\n',
    flags: ['--build-arg', 'V=2'],
  },
  users: {
    text: 'BASE\nRUN mkdir -m 777 /open\nUSER jane\nRUN id -un > /open/me; id -gn > /open/group; echo $HOME > /open/home\nUSER 7:8\nRUN id -u > /open/number; id -g >> /open/number\nUSER root\nRUN chown jane:staff /data/added\n',
  },
  directories: {
    text: 'BASE\nWORKDIR /a\nWORKDIR b\nWORKDIR ../c/\nRUN pwd > /where\nENV D=/env\nWORKDIR $D/x\n',
  },
  stages: {
    text: 'BASE AS build\nWORKDIR /src\nCOPY code .\nRUN ./main.sh > out; chown jane out\nBASE AS unneeded\nRUN exit 1\nFROM build AS next\nRUN echo more >> out\nFROM scratch\nCOPY --from=build /src/main.sh /bin/main\nCOPY --from=next /src /src\nCOPY --from=0 /data /data\nCMD ["/bin/main"]\n',
  },
  'ignored files': {
    text: 'BASE\nCOPY . /all\nCOPY tree /tree\n',
    more: { '.dockerignore': '# no\n*.txt\n!b.txt\ntree/deep\n**/li?k\n.dockerignore\nDockerfile\n' },
  },
  arguments: {
    text:
      'ARG NAME=base\nARG OTHER=o\nFROM oci:LAYOUT:$' +
      '{NAME}\nARG OTHER\nARG D=$' +
      '{OTHER:-x}/$' +
      '{NONE:-y}$' +
      '{OTHER:+z}\nARG GIVEN=not\nCOPY a.txt /$D/\nRUN echo "$OTHER $D $GIVEN" > /out\nENV OTHER=env\nRUN echo "$OTHER" >> /out\nLABEL "$OTHER"="\\$OTHER"\n',
    flags: ['--build-arg', 'GIVEN=yes'],
  },
  'what the base wants done': {
    text: 'FROM oci:LAYOUT:triggers\nRUN echo after >> /triggered\n',
    more: { 'sources/a': 'a\n' },
  },
  'lines that go on': {
    text: '# comment\nBASE\n\nRUN echo a \\\n  # between\n\n  b \\\n  && echo "c \\\n  d" > /out\nenv lower=case\nENV OLD some   words "quoted"\n',
  },
  'replaced files': {
    text: 'BASE\nRUN rm -r /data && mkdir /data && echo x > /data/new\nCOPY a.txt /data/new\nRUN rm /data/new && ln -s /etc /data/new\nCOPY a.txt /data/new/\n',
  },
}

describe.skipIf(!can('buildah', 'userns', 'fuse'))('buildah makes the same of', () => {
  it.each(Object.entries(cases))('%s', async (name, { text, more, flags = [] }) => {
    const dockerfile = text.replaceAll('BASE', 'FROM oci:LAYOUT:base').replaceAll('LAYOUT', layout)
    const context = new Context({ ...files, ...more, Dockerfile: dockerfile })
    const expected = await peer(context, name.replaceAll(' ', '-'), flags)
    expect(await ours(context, flags, 'self')).toEqual(expected)
    if (can('subuid')) expect(await ours(context, flags, 'user')).toEqual(expected)
  })
})
