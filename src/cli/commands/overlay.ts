/** `sing overlay`: make file systems that take the changes of containers. */

import { resolve } from 'node:path'
import { createOverlay } from '../../build/overlay.ts'
import { SingError, shown } from '../../core/errors.ts'
import { readHostFacts } from '../../host/facts.ts'
import type { Call, Command } from '../command.ts'

const MEBIBYTE = 1024 * 1024

function sizeOf(flags: Call['flags']): number {
  const mebibytes = Number(flags.size ?? 64)
  if (Number.isSafeInteger(mebibytes * MEBIBYTE) && mebibytes > 0) return mebibytes * MEBIBYTE
  throw new SingError('USAGE', `--size ${shown(String(flags.size))}: expected a number of MiB`, {
    status: 255,
  })
}

async function create({ flags, args: [path = ''], context }: Call): Promise<number> {
  const { report, environment } = context
  const target = resolve(path)
  const directories = flags['create-dir']
  const request = {
    path: target,
    size: sizeOf(flags),
    sparse: flags.sparse === true,
    directories: Array.isArray(directories) ? directories : [],
    fakeroot: flags.fakeroot === true,
    tmpdir: (typeof flags.tmpdir === 'string' && flags.tmpdir) || environment.TMPDIR || '/tmp',
  }
  await createOverlay(request, readHostFacts(environment))
  report({ kind: 'info', text: `Made the overlay ${shown(path)} (${request.size / MEBIBYTE} MiB)` })
  return 0
}

const createCommand: Command = {
  usage: 'overlay create [options] <file>',
  summary: 'Make an ext3 that keeps the changes of containers',
  description: `A new file is an overlay for --overlay FILE. An existing SIF gets it as a partition, which its containers read, and
write to with --writable. The program mke2fs (package e2fsprogs) makes it.`,
  examples: [
    'sing overlay create --size 1024 --sparse work.img',
    'sing exec --overlay work.img fortune.sif touch /new',
    'sing overlay create fortune.sif',
  ],
  flags: [
    {
      name: 'size',
      short: 's',
      kind: 'number',
      placeholder: 'MiB',
      help: 'size of the file system, at least 64 (default 64)',
    },
    { name: 'sparse', short: 'S', kind: 'boolean', env: ['SPARSE'], help: 'take space only as it is used' },
    {
      name: 'create-dir',
      kind: 'list',
      split: 'commas',
      placeholder: 'path',
      help: 'make this directory in it, for you to write to',
    },
    {
      name: 'fakeroot',
      short: 'f',
      kind: 'boolean',
      env: ['FAKEROOT'],
      help: "for containers with --fakeroot: all in it is root's",
    },
    {
      name: 'tmpdir',
      kind: 'string',
      placeholder: 'path',
      hidden: true,
      env: ['TMPDIR'],
      help: 'directory for temporary files',
    },
  ],
  args: [1, 1],
  run: create,
}

export const subcommands: Readonly<Record<string, Command>> = { create: createCommand }
