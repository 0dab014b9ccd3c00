/** A program of MPI ranks, and an image that holds it with the libraries of this machine: no distribution is needed. */

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { program, projectRoot, type RunOptions, run } from './sing.ts'

const shell = (script: string): string[] =>
  execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean)

/** Libraries that programs and plugins were linked with, where the loader finds them. */
function librariesOf(files: readonly string[]): string[] {
  const lines = shell(`ldd ${files.join(' ')} 2>/dev/null | grep -o '/[^ :]*' | sort -u`)
  return lines.filter((path) => existsSync(path) && !files.includes(path))
}

async function must(command: readonly string[], options: RunOptions): Promise<void> {
  const { status, stderr } = await run(command, options)
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}

export type MpiImage = {
  readonly image: string
  /** The same program on the host. */
  readonly ring: string
}

/** Build the ring, and an image with it, in a folder of the test user's. */
export async function makeMpiImage(folder: string): Promise<MpiImage> {
  const ring = join(folder, 'ring')
  await must(['mpicc', '-O1', '-o', ring, join(projectRoot, 'fixtures/mpi/ring.c')], { cwd: folder })
  const plugins = shell(
    'find /usr/lib/*-linux-gnu/openmpi /usr/lib/*-linux-gnu/pmix* -name "*.so" 2>/dev/null',
  )
  const trees = shell(
    'ls -d /usr/lib/*-linux-gnu/openmpi /usr/lib/*-linux-gnu/pmix2 /usr/share/openmpi /etc/openmpi',
  )
  const files = [...librariesOf([ring, ...plugins]), ...trees]
  const definition = [
    'Bootstrap: localimage',
    `From: ${join(projectRoot, 'fixtures/images/everything.sif')}`,
    '%files',
    ...files.map((path) => `  ${path} ${path}`),
    `  ${ring} /usr/bin/ring`,
  ]
  writeFileSync(join(folder, 'mpi.def'), `${definition.join('\n')}\n`)
  const image = join(folder, 'mpi.sif')
  await must([program, 'build', image, 'mpi.def'], { cwd: folder })
  return { image, ring }
}

/** The launcher, on a machine that may have fewer processors than ranks. */
export const launcher = (ranks: number): string[] => ['mpirun', '--oversubscribe', '-np', String(ranks)]
