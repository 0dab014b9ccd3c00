/** Definitions whose base is elsewhere: what they keep of it, and what %post sees. */

import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openImage } from '../../src/image/open.ts'
import { can } from '../helpers/can.ts'
import { copyImage, type Layout, uploadLayout, writeLayout } from '../helpers/oci.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { type Outcome, projectRoot, type RunOptions, sing } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

/** What an image says about its own base. */
const labels = (name: string) => ({
  'org.opencontainers.image.base.name': name,
  'org.opencontainers.image.base.digest': name,
})

let layout: Layout
let folder = ''
beforeAll(async () => {
  const base = await busyboxLayer()
  layout = writeLayout(join(temporaryFolder(), 'layout'), {
    app: printingImage(base),
    based: printingImage(base, { config: { Labels: labels('old') } }),
    other: printingImage(base, { config: { Labels: labels('other') } }),
    arm: printingImage(base, { platform: { architecture: 'arm64' } }),
  })
})
beforeEach(() => {
  folder = temporaryFolder()
})

function our(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = { SINGULARITY_CACHEDIR: join(folder, 'cache'), SINGULARITY_TMPDIR: folder, ...options.env }
  return sing(args, { cwd: folder, ...options, env })
}

async function succeeds(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await our(args, options)
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

function build(text: string, ...flags: string[]): Promise<string> {
  writeFileSync(join(folder, 'x.def'), text)
  return succeeds(['build', '--force', ...flags, 'x.sif', 'x.def'])
}

const inImage = (...command: string[]) => succeeds(['exec', 'x.sif', ...command])
const post = '%post\n  cat /data/change > /seen; echo "$GREETING" >> /seen; id -u >> /seen\n'
const seen = 'new\nhello `$(x)` "\'\\\n0\n'

describe.skipIf(!can('userns', 'fuse'))('a definition', () => {
  it('begins with an image of a layout, in whose environment %post runs', async () => {
    await build(`Bootstrap: oci\nFrom: ${layout.folder}:app\n${post}`)
    expect(await inImage('cat', '/seen')).toBe(seen)
    expect(readdirSync(folder).sort()).toEqual(['cache', 'x.def', 'x.sif'])
  })

  it('keeps what the image says about itself', async () => {
    await build(`Bootstrap: oci\nFrom: ${layout.folder}:app\n%labels\n  Mine here\n`)
    expect(await succeeds(['run', 'x.sif'])).toBe(`[entry][from cmd][it's "$HOME"]\n`)
    const labels = await succeeds(['inspect', 'x.sif'])
    expect(labels).toContain('org.example.label: two words\n')
    expect(labels).toContain('Mine: here\n')
    const { oci } = await openImage(join(folder, 'x.sif'))
    expect(oci).toMatchObject({ Entrypoint: ['print', 'entry'], WorkingDir: '/data' })
  })

  it('says which image it began with, and does not change when nothing does', async () => {
    const name = 'org.opencontainers.image.base.name'
    const digest = 'org.opencontainers.image.base.digest'
    const about = [`${digest}: ${layout.digests.based}\n`, `${name}: oci:layout:based\n`]
    const text = `Bootstrap: oci\nFrom: ${layout.folder}:based\n${post}`
    const bytes = async (...flags: string[]) => {
      await build(text, '--reproducible', ...flags)
      return readFileSync(join(folder, 'x.sif'))
    }
    const first = await bytes()
    for (const line of about) expect(await succeeds(['inspect', 'x.sif'])).toContain(line)
    expect((await bytes()).equals(first)).toBe(true)
    expect((await bytes('--disable-cache')).equals(first)).toBe(true)
    renameSync(join(folder, 'x.sif'), join(folder, 'base.sif'))
    await build('Bootstrap: localimage\nFrom: base.sif\n%labels\n  Mine here\n')
    for (const line of about) expect(await succeeds(['inspect', 'x.sif'])).toContain(line)
    await build(`${text}%labels\n  ${name} mine\n`)
    expect(await succeeds(['inspect', 'x.sif'])).toContain(`${name}: mine\n`)
    await build(`${text.replace(':based', ':other')}`)
    expect(await succeeds(['inspect', 'x.sif'])).toContain(`${digest}: ${layout.digests.other}\n`)
  })

  it('says it of the image of a Dockerfile, unless that has labels of its own', async () => {
    const text = `FROM oci:${layout.folder}:based AS first\nFROM first\n`
    const inspect = async (dockerfile: string) => {
      writeFileSync(join(folder, 'Dockerfile'), dockerfile)
      await succeeds(['build', '--force', 'x.sif', 'Dockerfile'])
      return await succeeds(['inspect', 'x.sif'])
    }
    const said = await inspect(text)
    expect(said).toContain(`org.opencontainers.image.base.digest: ${layout.digests.based}\n`)
    expect(said).toContain('org.opencontainers.image.base.name: oci:layout:based\n')
    const own = await inspect(`${text}LABEL org.opencontainers.image.base.name=mine\n`)
    expect(own).toContain('org.opencontainers.image.base.name: mine\n')
    expect(await inspect('FROM scratch\nCOPY Dockerfile /\n')).not.toContain('image.base')
  })

  it('says nothing of the sort of an image that is taken as it is', async () => {
    await succeeds(['build', 'x.sif', `oci:${layout.folder}:app`])
    expect(await succeeds(['inspect', 'x.sif'])).not.toContain('image.base')
  })

  it('keeps its own runscript, and stages that copy from another', async () => {
    const first = `Bootstrap: oci\nFrom: ${layout.folder}:app\nStage: one\n%post\n  echo made > /made\n`
    const second = `Bootstrap: oci\nFrom: ${layout.folder}:app\n%files from one\n  /made\n%runscript\n  cat /made\n`
    await build(`${first}\n${second}`)
    expect(await succeeds(['run', 'x.sif'])).toBe('made\n')
  })

  it('becomes a sandbox', async () => {
    writeFileSync(join(folder, 'x.def'), `Bootstrap: oci\nFrom: ${layout.folder}:app\n${post}`)
    await succeeds(['build', '--sandbox', 'box', 'x.def'])
    expect(readFileSync(join(folder, 'box/seen'), 'utf8')).toBe(seen)
  })

  it('needs no cache', async () => {
    await build(`Bootstrap: oci\nFrom: ${layout.folder}:app\n${post}`, '--disable-cache')
    expect(await inImage('cat', '/seen')).toBe(seen)
    expect(readdirSync(folder).sort()).toEqual(['x.def', 'x.sif'])
  })

  it('runs nothing of a base for another machine', async () => {
    writeFileSync(join(folder, 'x.def'), `Bootstrap: oci\nFrom: ${layout.folder}:arm\n${post}`)
    const { status, stderr } = await our(['build', 'x.sif', 'x.def'])
    expect(stderr).toContain('arm64')
    expect(status).toBe(255)
  })

  it.each([
    ['Bootstrap: docker\nFrom: No/Name\n', 'is no name of a repository'],
    ['Bootstrap: library\nFrom: alpine\n', 'there is no library to ask'],
    ['Bootstrap: oci\nFrom: /nowhere\n', 'no such file'],
  ])('that names no image is refused: %j', async (text, reason) => {
    writeFileSync(join(folder, 'x.def'), text)
    const { status, stderr } = await our(['build', 'x.sif', 'x.def'])
    expect(stderr).toContain(reason)
    expect(status).toBe(255)
    expect(readdirSync(folder)).not.toContain('x.sif')
  })

  it('begins with a SIF of the web', async () => {
    const sif = readFileSync(join(projectRoot, 'fixtures/images/everything.sif'))
    const server = createServer((_, response) => response.end(sif))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      await build(`Bootstrap: http\nFrom: 127.0.0.1:${port}/app.sif\n%post\n  echo web > /seen\n`)
      expect(await inImage('cat', '/seen')).toBe('web\n')
    } finally {
      server.close()
    }
  })

  it.skipIf(!can('skopeo'))('begins with archives', async () => {
    const from = `oci:${layout.folder}:app`
    for (const [agent, target] of [
      ['oci-archive', 'one.tar'],
      ['docker-archive', 'two.tar'],
    ]) {
      await copyImage(from, `${agent}:${join(folder, target ?? '')}:app:1`)
      await build(`Bootstrap: ${agent}\nFrom: ${target}\n${post}`)
      expect(await inImage('cat', '/seen')).toBe(seen)
    }
  })
})

describe.skipIf(!can('userns', 'fuse', 'registry'))('a definition with a base in a registry', () => {
  let registry: Registry
  beforeAll(async () => {
    registry = await startRegistry()
    await uploadLayout(layout, 'app', `http://${registry.host}`, 'team/tools/app')
  })
  afterAll(() => registry?.[Symbol.asyncDispose]())

  it.each(['From: HOST/team/tools/app:app\n', 'From: app:app\nNamespace: team/tools\nRegistry: HOST\n'])(
    'is built: %j',
    async (header) => {
      await build(`Bootstrap: docker\n${header.replace('HOST', registry.host)}${post}`, '--no-https')
      expect(await inImage('cat', '/seen')).toBe(seen)
    },
  )

  it('fetches the base of its stages once', async () => {
    const stage = `Bootstrap: docker\nFrom: ${registry.host}/team/tools/app:app\n${post}`
    registry.proxy.requests.length = 0
    await build(`${stage}\n${stage}`, '--no-https')
    const blobs = registry.proxy.requests.filter(({ path }) => path.includes('/blobs/'))
    expect(blobs.length).toBe(new Set(blobs.map(({ path }) => path)).size)
  })

  it('says that an image is not there', async () => {
    writeFileSync(join(folder, 'x.def'), `Bootstrap: docker\nFrom: ${registry.host}/none:1\n`)
    const { status, stderr } = await our(['build', '--no-https', 'x.sif', 'x.def'])
    expect(stderr).toContain(`${registry.host} has no repository none`)
    expect(status).toBe(255)
    expect(readdirSync(folder)).not.toContain('x.sif')
  })
})
