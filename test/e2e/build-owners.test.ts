/** Builds with one id: the owners and devices that scripts ask for are noted, and the image has them. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { program, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { treeOf } from '../helpers/tree.ts'

const definition = `Bootstrap: scratch

%setup
  cd "$SINGULARITY_ROOTFS"
  mkdir dir; touch dir/file plain
  chown 5:6 dir/file; chown 7 dir; mv dir moved
  mknod -m 640 disk b 8 1; chown :6 disk
  ln -s plain link; chown -h 8:9 link
  mkfifo pipe; chown 10:11 pipe
`

function folderWith(text: string): string {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'scratch'))
  writeFileSync(join(folder, 'x.def'), text)
  give(folder)
  return folder
}

/** The notes of a sandbox, one `PATH NAME=VALUE` for each. */
async function notesIn(folder: string): Promise<string[]> {
  const { stdout } = await run(['getfattr', '-R', '-h', '-d', '-m', '-', '.'], { cwd: folder })
  const blocks = stdout.trim().split('\n\n')
  return blocks.map((block) => block.replace('# file: ', '').replace('\n', ' ')).sort()
}

describe.skipIf(!can('userns'))('a build with one id', () => {
  it.skipIf(!can('xattrs'))('notes owners and devices in a sandbox', async () => {
    const folder = folderWith(definition)
    const built = await sing(['build', '--ignore-subuid', '--sandbox', 'x', 'x.def'], { cwd: folder })
    expect([built.status, built.stderr]).toEqual([0, expect.not.stringContaining('WARNING')])
    expect(await notesIn(join(folder, 'x'))).toEqual([
      'disk user.sing.stat="0:6:b:8:1"',
      expect.stringMatching(/^link security\.capability=/),
      'moved user.sing.stat="7:0"',
      'moved/file user.sing.stat="5:6"',
      expect.stringMatching(/^pipe security\.capability=/),
    ])
  })

  it('has them in the image, also when a sandbox is packed later, by whomever', async () => {
    const folder = folderWith(definition)
    const builds = [
      { target: 'direct.sif', from: 'x.def', flags: ['--ignore-subuid'] },
      { target: 'sandbox', from: 'x.def', flags: ['--ignore-subuid', '--sandbox'] },
      { target: 'packed.sif', from: 'sandbox', flags: [] },
    ]
    for (const { target, from, flags } of builds) {
      const { status, stderr } = await sing(['build', ...flags, target, from], { cwd: folder })
      expect([target, status, stderr]).toEqual([target, 0, expect.not.stringMatching('FATAL|WARNING')])
    }
    for (const name of ['direct.sif', 'packed.sif']) {
      const tree = await treeOf(join(folder, name))
      const seen = ['disk', 'link', 'moved', 'moved/file', 'pipe', 'plain'].map((path) => tree.get(path))
      expect([name, ...seen]).toEqual([
        name,
        'block 640 0:6 8:1',
        'symlink 777 8:9',
        'directory 775 7:0',
        'file 664 5:6',
        'fifo 664 10:11',
        'file 664 0:0',
      ])
    }
  })

  it('carries them on from its base, changed or not, mounted or unpacked', async () => {
    const folder = folderWith(definition)
    const next = `Bootstrap: localimage
From: base.sif

%setup
  cd "$SINGULARITY_ROOTFS"
  mv moved/file moved/renamed; chmod 600 disk; mv link link2; chown 12 plain
`
    writeFileSync(join(folder, 'next.def'), next)
    const builds = [
      { target: 'base.sif', from: 'x.def', flags: ['--ignore-subuid'] },
      { target: 'mounted.sif', from: 'next.def', flags: ['--ignore-subuid'] },
      { target: 'sandbox', from: 'next.def', flags: ['--ignore-subuid', '--sandbox'] },
      { target: 'unpacked.sif', from: 'sandbox', flags: [] },
    ]
    for (const { target, from, flags } of builds) {
      const { status, stderr } = await sing(['build', ...flags, target, from], { cwd: folder })
      expect([target, status, stderr]).toEqual([target, 0, expect.not.stringMatching('FATAL|WARNING')])
    }
    for (const name of ['mounted.sif', 'unpacked.sif']) {
      const tree = await treeOf(join(folder, name))
      const seen = ['disk', 'link2', 'moved', 'moved/renamed', 'pipe', 'plain'].map((path) => tree.get(path))
      expect([name, ...seen]).toEqual([
        name,
        'block 600 0:6 8:1',
        'symlink 777 8:9',
        'directory 775 7:0',
        'file 664 5:6',
        'fifo 664 10:11',
        'file 664 12:0',
      ])
    }
  })

  it.skipIf(!can('subuid'))('has what a range of ids gives, and root', async () => {
    const folder = folderWith(definition)
    const builds = [
      { name: 'one', flags: ['--ignore-subuid'], as: 'user' },
      { name: 'range', flags: [], as: 'user' },
      ...(can('root') ? [{ name: 'root', flags: [], as: 'self' } as const] : []),
    ] as const
    const trees = []
    for (const { name, flags, as } of builds) {
      const { status, stderr } = await sing(['build', ...flags, `${name}.sif`, 'x.def'], { cwd: folder, as })
      expect([name, status, stderr]).toEqual([name, 0, expect.not.stringMatching('FATAL|WARNING')])
      trees.push([...(await treeOf(join(folder, `${name}.sif`)))])
    }
    for (const tree of trees) expect(tree).toEqual(trees[0])
  })

  it('tells when the file system of the temporary directory keeps no notes', async () => {
    const folder = folderWith(definition)
    const script = 'mount -t ramfs none "$1" && chmod 755 "$1" && exec "$2" build --tmpdir "$1" x.sif x.def'
    const inside = ['sh', '-c', script, 'sh', join(folder, 'scratch'), program]
    const { status, stderr } = await run(['unshare', '--user', '--map-root-user', '--mount', ...inside], {
      cwd: folder,
    })
    expect(stderr).toMatch(
      /WARNING: owners are not recorded, all files of the image will be root's: \S+\/scratch\/sing-build-\S+ keeps no extended attributes; name another directory with --tmpdir\n/,
    )
    expect(status).toBe(0)
  })
})
