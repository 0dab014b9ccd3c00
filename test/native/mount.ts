/** Packs trees with mksquashfs and serves them with sing-squashfs, without the starter. */

import { execFileSync, spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type Outcome, projectRoot, type RunOptions, run } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'

/** A squashfs image in a file. */
export type Packed = { readonly path: string; readonly offset: number; readonly size: number }

export type MountOptions = RunOptions & {
  /** Instead of the built server. */
  readonly server?: string
  /** Of the server. */
  readonly flags?: readonly string[]
  /** The container goes away with the command, instead of being taken down after it. */
  readonly detached?: boolean
}

/** The server under test: the checkout's, or the one that SING_TEST_SERVER names. */
export const builtServer =
  process.env.SING_TEST_SERVER ?? join(projectRoot, 'build', 'Release', 'sing-squashfs')

/** Compile the stand-in for the starter into `folder`. */
export function buildMounter(folder: string): string {
  const program = join(folder, 'mount-squashfs')
  const source = join(import.meta.dirname, 'mount-squashfs.c')
  execFileSync('cc', ['-std=c11', '-O1', '-Wall', '-Wextra', '-D_GNU_SOURCE', source, '-o', program])
  return program
}

/** Compile the server with the address and undefined behaviour sanitizers into `folder`. */
export function buildSanitizedServer(folder: string): string {
  const program = join(folder, 'sing-squashfs-sanitized')
  const flags = ['-std=c11', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  const defines = ['-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64']
  const shared = [
    ...['window', 'decompressor', 'mark', 'record'],
    ...['plain', 'pieces', 'cipher', 'seal', 'failure'],
  ].map((name) => `addon/squashfs/${name}.c`)
  const sources = ['addon/fuse/*.c', ...shared].join(' ')
  const libraries =
    '$(pkg-config --cflags --libs fuse3) -lsquashfs -lnettle -lzstd -llz4 -llzma -lz -llzo2 -lpthread'
  const line = ['cc', ...flags, ...defines, sources, libraries, '-o', program].join(' ')
  execFileSync('sh', ['-c', line], { cwd: projectRoot, stdio: ['ignore', 'ignore', 'inherit'] })
  return program
}

/** Pack `tree` into a squashfs file. */
export function pack(tree: string, path: string, ...flags: string[]): Packed {
  const common = ['-noappend', '-quiet', '-no-progress', '-processors', '1', '-all-root']
  const { status, stdout, stderr } = spawnSync('mksquashfs', [tree, path, ...common, ...flags], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`mksquashfs: ${stdout}${stderr}`)
  give(path)
  return { path, offset: 0, size: statSync(path).size }
}

/** Run a shell script that sees `image` at `directory`, which is its working directory. */
export function withMount(
  mounter: string,
  image: Packed,
  directory: string,
  script: string,
  options: MountOptions = {},
): Promise<Outcome> {
  return run(mountLine(mounter, image, directory, script, options), options)
}

/** The command line that does it. */
export function mountLine(
  mounter: string,
  { path, offset, size }: Packed,
  directory: string,
  script: string,
  { server = builtServer, flags = [], detached = false }: MountOptions = {},
): string[] {
  const how = detached ? [] : ['--wait']
  const what = [server, path, String(offset), String(size), directory, ...flags]
  return [mounter, ...how, ...what, '--', 'sh', '-c', `cd '${directory}' || exit 98; ${script}`]
}
