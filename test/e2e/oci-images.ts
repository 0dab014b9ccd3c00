/** Layers for tests of the whole program: a busybox that runs, and what stands on top of it. */

import { join } from 'node:path'
import { SquashfsImage } from '../../src/native/addon.ts'
import { primaryPartition, readSif } from '../../src/sif/read.ts'
import type { ImageLike } from '../helpers/oci.ts'
import { projectRoot } from '../helpers/sing.ts'
import type { TarEntry } from '../helpers/tar.ts'

const programs = ['sh', 'cat', 'echo', 'ls', 'stat', 'id', 'env', 'printf', 'test', 'sleep', 'head', 'wc']

/** A layer with a static busybox and links to it. */
export async function busyboxLayer(): Promise<TarEntry[]> {
  const sif = await readSif(join(projectRoot, 'fixtures/images/everything.sif'))
  const { offset, size } = primaryPartition(sif)
  await using image = await SquashfsImage.open(sif.path, offset, size)
  const data = await image.read('/bin/busybox', 4 << 20)
  if (!data) throw new Error('the fixture has no busybox')
  return [
    { path: 'bin/', type: 'directory' },
    { path: 'bin/busybox', data, mode: 0o755 },
    ...programs.map((name): TarEntry => ({ path: `bin/${name}`, type: 'symlink', link: 'busybox' })),
    { path: 'data/', type: 'directory' },
    { path: 'data/change', data: 'old\n' },
    { path: 'data/gone', data: 'gone\n' },
    { path: 'data/added', data: 'added\n' },
  ]
}

/** Changes on top of it. */
export const upperLayer: readonly TarEntry[] = [
  { path: 'data/change', data: 'new\n' },
  { path: 'data/.wh.gone' },
  { path: 'data/hard', type: 'hardlink', link: 'data/change' },
]

/** An image whose program prints its arguments. */
export function printingImage(base: readonly TarEntry[], more: Partial<ImageLike> = {}): ImageLike {
  const print = { path: 'bin/print', data: `#!/bin/sh\nprintf '[%s]' "$@"; echo\n`, mode: 0o755 }
  return {
    layers: [base, upperLayer, [print]],
    config: {
      Env: ['PATH=/bin:/usr/bin', 'GREETING=hello `$(x)` "\'\\', 'EMPTY='],
      Entrypoint: ['print', 'entry'],
      Cmd: ['from cmd', `it's "$HOME"`],
      Labels: { 'org.example.label': 'two words' },
      WorkingDir: '/data',
      User: '1234',
    },
    ...more,
  }
}
