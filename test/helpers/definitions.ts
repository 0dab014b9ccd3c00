/** Definitions as people write them (fixtures/definitions/real), a folder to build them in, and the bases that they name. */

import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { packDirectory } from '../../src/native/addon.ts'
import { can, debootstrapRelease } from './can.ts'
import { copyImage, must, writeLayout } from './oci.ts'
import { projectRoot, sing } from './sing.ts'
import { tarOf } from './tar.ts'
import { give, temporaryFolder } from './temp.ts'

const fixtures = join(projectRoot, 'fixtures/definitions/real')
const image = join(projectRoot, 'fixtures/images/everything.sif')

/** Of the definitions that need more than `build IMAGE DEFINITION`: what stands before these. */
const flags: Readonly<Record<string, readonly string[]>> = {
  templates: ['--build-arg', 'NUMBER=3', '--build-arg', 'OVER=given=1'],
  quotes: ['--build-arg', 'VALUE=a given $HOME value'],
  'stage-arguments': ['--build-arg', 'COMMON=both'],
  'arguments-file': ['--build-arg-file', 'inputs/values.txt', '--build-arg', 'OTHER=on the line'],
  'test-writes': ['--writable-tmpfs'],
}

const onDebian = ['debian-apt', 'compile-stages', 'pip-wheel', 'mpi-style', 'post-bash']

/** A definition that `name.def` holds in the folder, on a base of busybox. Later ones may build on images of earlier ones. */
export const definitions: readonly string[] = [
  ...readdirSync(fixtures).flatMap((file) => (file.endsWith('.def') ? [file.slice(0, -4)] : [])),
  'long-post',
]
  .filter((name) => !onDebian.includes(name))
  .sort()

/** Those that need a Debian. */
export const debianDefinitions: readonly string[] = onDebian

/** Whether the machine can make the base of a definition. */
export function canMakeBase(name: string): boolean {
  if (name === 'base-ext3') return can('ext3')
  return name !== 'docker-archive' || can('skopeo')
}

/** The words behind `sing` and the like that build a definition in its folder. */
export function buildWords(name: string, more: readonly string[] = []): string[] {
  return ['build', '--force', ...more, ...(flags[name] ?? []), `${name}.sif`, `${name}.def`]
}

const applets =
  '[ ash yes awk cat chgrp chmod chown cp cut date dd dirname echo env false find grep head hostname id install ln ls mkdir mkfifo mv pwd readlink rm rmdir sed seq sh sleep sort stat tail tee test touch tr true truncate umount uname wc addgroup adduser basename'.split(
    ' ',
  )

const boxFiles = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/shadow': 'root:!:19000::::::\n',
  'etc/motd': 'A small base.\n',
  'etc/profile': '# for shells of logins\n',
  'usr/share/doc/base/readme': 'Documentation.\n',
}

const baseDefinition = `Bootstrap: localimage
From: bases/box

%environment
    export BASE_VALUE=base
    export BASE_UNSET=set
    export LAYERS=base

%post
    chmod 600 /etc/shadow
    ln -s busybox /bin/more
    mkdir -p /var/lib/base
    echo 'export BASE_POST=yes' >> $SINGULARITY_ENVIRONMENT

%labels
    Base yes
    Author Base

%help
    Help of the base.

%runscript
    echo "base: $@"
`

function writeTree(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

async function makeBox(folder: string): Promise<void> {
  const box = join(folder, 'bases/box')
  await must(['mkdir', '-p', `${box}/bin`, `${box}/usr/bin`, `${box}/opt`, `${box}/var`])
  writeTree(box, boxFiles)
  give(folder)
  await mustSing(['build', '--sandbox', 'unpacked', image], folder)
  await must(['cp', `${folder}/unpacked/bin/busybox`, `${box}/bin/busybox`])
  await must(['rm', '-r', join(folder, 'unpacked')])
  const links = applets.map((name) => `ln -s busybox ${box}/bin/${name}`)
  await must(['sh', '-c', `${links.join('\n')}\nln -s ../../bin/busybox ${box}/usr/bin/awk`])
}

async function mustSing(args: readonly string[], cwd: string): Promise<void> {
  const { status, stderr } = await sing(args, { cwd, timeout: 1_500_000 })
  if (status !== 0) throw new Error(`sing ${args.join(' ')}: ${stderr}`)
}

const layer = tarOf([
  { path: 'from-layer', data: 'layer\n' },
  { path: 'dir-of-layer', type: 'directory', mode: 0o2775, gid: 50 },
  { path: 'dir-of-layer/owned', data: 'x', uid: 1000, gid: 1000, mode: 0o640 },
  { path: 'etc/.wh.motd' },
])

const config = {
  Env: ['PATH=/usr/bin:/bin:/opt/tool/bin', 'FROM_IMAGE=yes', 'SPACED=a b  c'],
  Entrypoint: ['/bin/echo', 'entry point'],
  Cmd: ['default', 'command word'],
  Labels: { 'image.label': 'of the image', maintainer: 'Jane' },
  WorkingDir: '/opt',
  User: 'nobody',
}

async function makeArchives(folder: string): Promise<void> {
  const bases = join(folder, 'bases')
  const box = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@1000000000']
  await must(['tar', '-C', `${bases}/box`, ...box, '-cf', `${bases}/box.tar`, '.'])
  writeLayout(`${bases}/layout`, { it: { layers: [readFileSync(`${bases}/box.tar`), layer], config } })
  await must([
    'tar',
    '-C',
    `${bases}/layout`,
    '-cf',
    `${bases}/image.oci.tar`,
    'oci-layout',
    'index.json',
    'blobs',
  ])
  if (can('skopeo'))
    await copyImage(`oci:${bases}/layout:it`, `docker-archive:${bases}/image.docker.tar:it:latest`)
}

async function makeFilesystems(folder: string): Promise<void> {
  const bases = join(folder, 'bases')
  const fd = openSync(`${bases}/base.sqfs`, 'w')
  await packDirectory(`${bases}/box`, { fd, offset: 0, owner: { uid: 0, gid: 0 } }).finally(() =>
    closeSync(fd),
  )
  // The user's files are those of root there.
  const asRoot = ['unshare', '--user', '--map-root-user']
  const make = ['mke2fs', '-q', '-t', 'ext3', '-d', `${bases}/box`, `${bases}/base.ext3`, '16M']
  if (can('ext3')) await must([...asRoot, ...make], { as: 'user' })
}

/** A long script: assignments, conditions and files. */
const longPost = (lines: number): string =>
  Array.from({ length: lines }, (_, index) => (index % 100 === 0 ? `echo "$x" >> /long` : `x=${index}`)).join(
    '\n',
  )

/** A folder with everything, of the user that tests run as. */
export async function makeWorkplace(): Promise<string> {
  const folder = temporaryFolder()
  cpSync(fixtures, folder, { recursive: true, verbatimSymlinks: true })
  writeFileSync(
    join(folder, 'long-post.def'),
    `Bootstrap: localimage\nFrom: bases/base.sif\n\n%post\n${longPost(5000)}\n`,
  )
  await makeBox(folder)
  await makeArchives(folder)
  give(folder)
  await makeFilesystems(folder)
  writeFileSync(join(folder, 'base.def'), baseDefinition)
  give(folder)
  await mustSing(['build', 'bases/base.sif', 'base.def'], folder)
  return folder
}

/** The same folder once more, for another user. */
export async function copyWorkplace(from: string, owner: string): Promise<string> {
  const folder = temporaryFolder()
  await must(['cp', '-a', `${from}/.`, folder])
  await must(['chown', '-hR', owner, folder])
  return folder
}

/** Where the lines of the image of a definition are kept. */
export const expectedFile = (name: string): string => join(fixtures, 'expected', `${name}.txt`)

const packages = 'gcc,libc6-dev,make,python3,python3-pip'

/** Bases of Debian for the workplaces, made where they are missing: as debootstrap makes it, and with compilers and Python. */
export async function makeDebian(folder: string, workplaces: readonly string[]): Promise<void> {
  for (const [name, include] of Object.entries({ 'debian-small': '', debian: `Include: ${packages}\n` })) {
    const file = join(folder, 'bases', `${name}.sif`)
    const text = `Bootstrap: debootstrap\nOSVersion: ${debootstrapRelease()?.name}\n${include}`
    writeFileSync(join(folder, `${name}.def`), text)
    if (!existsSync(file)) await mustSing(['build', file, `${name}.def`], folder)
    for (const place of workplaces) await must(['cp', '-n', file, join(place, 'bases')])
  }
}
