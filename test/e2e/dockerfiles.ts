/** A directory with a Dockerfile for each test, and the images that are built of it. */

import { lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import { give } from '../helpers/give.ts'
import { writeLayout } from '../helpers/oci.ts'
import { type Outcome, type RunOptions, sing } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer } from './oci-images.ts'

const more = [
  'mkdir',
  'touch',
  'chmod',
  'chown',
  'ln',
  'rm',
  'cp',
  'mv',
  'find',
  'sort',
  'pwd',
  'tr',
  'grep',
  'date',
]

export type Content = string | { readonly link: string } | { readonly text: string; readonly mode: number }

/** An image with a busybox, users and a configuration, in an OCI layout: its folder. */
export async function baseLayout(): Promise<string> {
  const links = more.map((name) => ({ path: `bin/${name}`, type: 'symlink' as const, link: 'busybox' }))
  const files = [
    { path: 'etc/', type: 'directory' as const },
    { path: 'etc/passwd', data: 'root:x:0:0:root:/root:/bin/sh\njane:x:1001:100:Jane:/home/jane:/bin/sh\n' },
    { path: 'etc/group', data: 'root:x:0:\nusers:x:100:\nstaff:x:50:jane\n' },
    { path: 'tmp/', type: 'directory' as const, mode: 0o1777 },
  ]
  const layers = [await busyboxLayer(), [...links, ...files]]
  const config = { Env: ['PATH=/bin', 'FROM_BASE=yes'], Cmd: ['echo', 'base'], Labels: { base: 'label' } }
  const triggers = {
    ...config,
    OnBuild: ['COPY sources /built', 'RUN echo triggered $(cat /built/a) > /triggered'],
  }
  const { folder } = writeLayout(join(temporaryFolder(), 'layout'), {
    base: { layers, config },
    triggers: { layers, config: triggers },
    arm: { layers: [[{ path: 'etc/', type: 'directory' }]], platform: { architecture: 'arm64' } },
  })
  return folder
}

export class Context {
  readonly folder = temporaryFolder()
  readonly directory = join(this.folder, 'context')

  constructor(files: Readonly<Record<string, Content>> = {}) {
    mkdirSync(this.directory)
    this.write(files)
  }

  /** Files of the context; those that are there are replaced. */
  write(files: Readonly<Record<string, Content>>): void {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.directory, name)
      mkdirSync(dirname(path), { recursive: true })
      rmSync(path, { force: true })
      if (typeof content === 'string') writeFileSync(path, content, { mode: 0o644 })
      else if ('link' in content) symlinkSync(content.link, path)
      else writeFileSync(path, content.text, { mode: content.mode })
    }
    give(this.folder)
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const env = {
      SINGULARITY_CACHEDIR: join(this.folder, 'cache'),
      SINGULARITY_TMPDIR: this.folder,
      ...options.env,
    }
    return sing(args, { cwd: this.folder, ...options, env })
  }

  build(...flags: string[]): Promise<Outcome> {
    return this.run(['build', '--force', ...flags, 'app.sif', 'context'])
  }

  /** Build what must succeed; resolves with all that was said. */
  async builds(...flags: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.build(...flags)
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    return stdout + stderr
  }

  /** Build what must fail; resolves with what was said about it. */
  async fails(...flags: string[]): Promise<string> {
    const { status, stderr } = await this.build(...flags)
    expect(status).toBe(255)
    return stderr
  }

  /** What a command in the image prints. */
  async inside(...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run([
      'exec',
      '--cleanenv',
      '--no-mount',
      'tmp,cwd',
      'app.sif',
      ...command,
    ])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  }

  /** Owners and permissions of files, as the image has them: for tests that run as root. */
  async owners(...paths: string[]): Promise<string> {
    const box = join(this.folder, 'box')
    const { status, stderr } = await this.run(['build', '--force', '--sandbox', box, 'app.sif'], {
      as: 'self',
    })
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    return paths
      .map((path) => lstatSync(join(box, path)))
      .map(({ uid, gid, mode }) => `${uid}:${gid} ${(mode & 0o7777).toString(8)}`)
      .join('\n')
  }

  /** What a script in the image prints. */
  sh(script: string): Promise<string> {
    return this.inside('/bin/sh', '-c', script)
  }
}
