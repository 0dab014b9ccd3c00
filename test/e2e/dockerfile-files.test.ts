/** Dockerfiles: archives and files of the web, hostile links, one id, pushes, equal bytes, interruptions. */

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { hostArchitecture } from '../../src/image/architecture.ts'
import { openImage } from '../../src/image/open.ts'
import { can } from '../helpers/can.ts'
import { give } from '../helpers/give.ts'
import { type Layout, uploadLayout } from '../helpers/oci.ts'
import { startRegistry } from '../helpers/registry.ts'
import { tarOf } from '../helpers/tar.ts'
import { baseLayout, Context } from './dockerfiles.ts'

let layout = ''
let digests: Layout['digests'] = {}
beforeAll(async () => {
  layout = await baseLayout()
  const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const named = manifests.map((one: { digest: string; annotations: Record<string, string> }) => [
    one.annotations['org.opencontainers.image.ref.name'],
    one.digest,
  ])
  digests = Object.fromEntries(named)
})

const from = (tag = 'base') => `FROM oci:${layout}:${tag}`

const archive = tarOf([
  { path: 'x/', type: 'directory' },
  { path: 'x/file', data: 'in the archive\n', mode: 0o640, uid: 5, gid: 6 },
  { path: 'x/link', type: 'symlink', link: 'file' },
])

/** A server of the machine with some files. */
async function serve(files: Readonly<Record<string, Uint8Array>>) {
  const server = createServer((request, response) => {
    const file = files[request.url ?? '']
    response.writeHead(file ? 200 : 404, { 'Last-Modified': 'Wed, 21 Oct 2020 07:28:00 GMT' }).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() }
}

describe.skipIf(!can('userns', 'fuse'))('ADD', () => {
  it('unpacks archives, and only those', async () => {
    const context = new Context({ Dockerfile: '' })
    for (const [name, data] of Object.entries({
      'a.tar': archive,
      'a.tar.gz': gzipSync(archive),
      'text.gz': gzipSync('only compressed'),
    }))
      writeFileSync(join(context.directory, name), data)
    context.write({
      Dockerfile: `${from()}
ADD a.tar /one
ADD a.tar.gz /two/
ADD text.gz /three/
ADD --unpack=false a.tar /four.tar
ADD --chown=7:8 a.tar /five
ADD Dockerfile /six
COPY a.tar /seven.tar
`,
    })
    await context.builds()
    expect(await context.sh('cat /one/x/link /two/x/file; ls /three; wc -c < /four.tar')).toBe(
      `in the archive\nin the archive\ntext.gz\n${archive.length}\n`,
    )
    if (can('root', 'subuid'))
      expect(await context.owners('/one/x/file', '/five/x/file', '/five/x/link')).toBe(
        '5:6 640\n7:8 640\n7:8 777',
      )
  })

  it('fetches files of the web, and compares their sums', async () => {
    const data = Buffer.from('from the web\n')
    const sum = createHash('sha256').update(data).digest('hex')
    using server = await serve({ '/dir/file.txt': data, '/a.tar': archive })
    const context = new Context({
      Dockerfile: `${from()}
ADD --checksum=sha256:${sum} ${server.url}/dir/file.txt /into/
ADD --chmod=755 ${server.url}/dir/file.txt /named
ADD ${server.url}/a.tar /kept.tar
ADD --unpack=true ${server.url}/a.tar /unpacked
`,
    })
    await context.builds()
    expect(
      await context.sh('cat /into/file.txt /named /unpacked/x/file; stat -c "%a %Y" /into/file.txt /named'),
    ).toBe('from the web\nfrom the web\nin the archive\n600 1603265280\n755 1603265280\n')
    context.write({
      Dockerfile: `${from()}\nADD --checksum=sha256:${'0'.repeat(64)} ${server.url}/a.tar /x\n`,
    })
    expect(await context.fails()).toContain(
      `Dockerfile:2: ${server.url}/a.tar should have the digest sha256:0000`,
    )
    context.write({ Dockerfile: `${from()}\nADD ${server.url}/none /x\n` })
    expect(await context.fails()).toContain(
      `Dockerfile:2: cannot download ${server.url}/none: the server answered 404`,
    )
  })

  it('refuses archives that lead out of where they are unpacked', async () => {
    const context = new Context({ Dockerfile: `${from()}\nADD a.tar /x\n` })
    const file = join(context.directory, 'a.tar')
    writeFileSync(file, tarOf([{ path: '../../out', data: 'out\n' }]))
    expect(await context.fails()).toContain('../../out: not a name that a directory may hold')
    writeFileSync(file, tarOf([{ path: 'in', type: 'hardlink', link: '/etc/passwd' }]))
    expect(await context.fails()).toContain('there is no file that it could be a hard link to')
  })
})

describe.skipIf(!can('userns', 'fuse'))('a Dockerfile with links', () => {
  it('does not copy the image that it makes, nor the one that this replaces', async () => {
    const context = new Context({
      Dockerfile: `${from()}\nCOPY . /all\nCOPY a* /some/\n`,
      'a.txt': 'a',
    })
    const build = () => context.run(['build', '--force', 'context/app.sif', 'context'])
    const list = ['exec', 'context/app.sif', 'sh', '-c', 'cd /; ls all some']
    for (const known of [0, 2]) {
      const { status, stderr } = await build()
      expect(stderr).not.toContain('FATAL')
      expect(status).toBe(0)
      expect(stderr.split('cached').length - 1).toBeGreaterThanOrEqual(known)
      const { stdout } = await context.run(list)
      expect(stdout.split(/\s+/).filter(Boolean)).toEqual(['all:', 'Dockerfile', 'a.txt', 'some:', 'a.txt'])
    }
  })

  it('takes nothing from outside of the context', async () => {
    const context = new Context({ Dockerfile: `${from()}\nCOPY out /x\n` })
    symlinkSync('/etc/passwd', join(context.directory, 'out'))
    give(context.folder)
    expect(await context.fails()).toContain('Dockerfile:2: cannot copy out: it is not in the context')
    symlinkSync('../../../../../../etc', join(context.directory, 'up'))
    context.write({ Dockerfile: `${from()}\nCOPY up/passwd /x\n` })
    expect(await context.fails()).toContain('Dockerfile:2: cannot copy up/passwd: it is not in the context')
    context.write({ Dockerfile: `${from()}\nRUN --mount=source=up,target=/up ls /up\n` })
    expect(await context.fails()).toContain('Dockerfile:2: --mount=type=bind: up is not in the context')
  })

  it('writes nothing outside of the tree', async () => {
    const context = new Context({ file: 'written\n', 'tree/file': 'written\n' })
    const outside = join(context.folder, 'outside')
    mkdirSync(outside)
    context.write({
      Dockerfile: `${from()}
RUN ln -s ${outside} /out && ln -s ${outside}/file /single && ln -s / /data/root && ln -s ../../../.. /data/up
COPY file /out/
COPY file /single
COPY tree /out
WORKDIR /out/made
RUN pwd > /where
`,
    })
    await context.builds()
    expect(readdirSync(outside)).toEqual([])
    expect(await context.sh(`cat ${outside}/file /single; cat /where`)).toBe(
      `written\nwritten\n${outside}/made\n`,
    )
  })
})

describe.skipIf(!can('userns', 'fuse'))('an image of a Dockerfile', () => {
  it('has the same bytes whenever it is built for one time', async () => {
    const context = new Context({
      a: 'a',
      Dockerfile: `${from()}\nCOPY a /\nRUN date > /dev/null; echo b > /b\nENV X=y\n`,
    })
    const env = { SOURCE_DATE_EPOCH: '1600000000' }
    for (const name of ['one.sif', 'two.sif'])
      expect((await context.run(['build', '--disable-cache', name, 'context'], { env })).status).toBe(0)
    const [one, two] = ['one.sif', 'two.sif'].map((name) => readFileSync(join(context.folder, name)))
    expect(one?.equals(two ?? Buffer.alloc(0))).toBe(true)
  })

  it.skipIf(!can('registry', 'skopeo'))('is pushed with its configuration', async () => {
    await using registry = await startRegistry()
    const context = new Context({
      Dockerfile: `${from()}
ENV A=b
USER jane
WORKDIR /w
EXPOSE 8
HEALTHCHECK CMD true
ONBUILD RUN x
ENTRYPOINT ["echo"]
CMD ["c"]
LABEL l=m
MAINTAINER Jane
`,
    })
    await context.builds()
    const target = `docker://${registry.host}/team/app:1`
    expect((await context.run(['push', '--no-https', 'app.sif', target])).status).toBe(0)
    const answer = await fetch(`http://${registry.host}/v2/team/app/manifests/1`, {
      headers: { Accept: 'application/vnd.oci.image.manifest.v1+json' },
    })
    const manifest = (await answer.json()) as { config: { digest: string } }
    const blob = await fetch(`http://${registry.host}/v2/team/app/blobs/${manifest.config.digest}`)
    const document = (await blob.json()) as {
      author: string
      config: object
      history: { created_by: string }[]
    }
    expect(document.config).toMatchObject({
      Entrypoint: ['echo'],
      Cmd: ['c'],
      Env: ['PATH=/bin', 'FROM_BASE=yes', 'A=b'],
      User: 'jane',
      WorkingDir: '/w',
      ExposedPorts: { '8/tcp': {} },
      Healthcheck: { Test: ['CMD-SHELL', 'true'] },
      OnBuild: ['RUN x'],
      Labels: { base: 'label', l: 'm' },
    })
    expect(document.author).toBe('Jane')
    expect(document.history.map(({ created_by }) => created_by)).toContain('ENTRYPOINT ["echo"]')
  })

  it.skipIf(!can('registry'))('begins with images of a registry', async () => {
    await using registry = await startRegistry()
    await uploadLayout({ folder: layout, digests }, 'base', `http://${registry.host}`, 'team/base')
    const context = new Context({
      Dockerfile: `ARG TAG=none
FROM ${registry.host}/team/base:$TAG AS build
RUN echo built > /built
FROM docker://${registry.host}/team/base:base
COPY --from=build /built /
COPY --from=${registry.host}/team/base:base /data/added /added
`,
    })
    await context.builds('--no-https', '--build-arg', 'TAG=base')
    expect(await context.sh('cat /built /added')).toBe('built\nadded\n')
    const { stdout: labels } = await context.run(['inspect', 'app.sif'])
    expect(labels).toContain(`org.opencontainers.image.base.digest: ${digests.base}\n`)
    expect(labels).toContain(`org.opencontainers.image.base.name: ${registry.host}/team/base:base\n`)
    expect(await context.fails('--no-https')).toContain('Dockerfile:2: ')
  })

  it('is made for another machine where nothing has to run', async () => {
    const context = new Context({
      a: 'a',
      Dockerfile: `ARG TARGETARCH
${from('arm')}
ARG TARGETARCH
ARG BUILDARCH
COPY a /$TARGETARCH/
LABEL build=$BUILDARCH
`,
    })
    await context.builds('--arch', 'arm64')
    const image = await openImage(join(context.folder, 'app.sif'), { anyArchitecture: true })
    expect(image).toMatchObject({ arch: 'arm64', oci: { Labels: { build: hostArchitecture() } } })
    context.write({ Dockerfile: `${from('arm')}\nRUN true\n` })
    expect(await context.fails('--arch', 'arm64')).toContain('Dockerfile:1: cannot run ')
  })

  it('is built with one id', async () => {
    const context = new Context({
      a: 'a',
      Dockerfile: `${from()}
COPY --chown=jane:staff a /a
RUN chown 12:13 /data/added && mkdir /d
USER jane
WORKDIR /w
RUN echo $HOME > /d/home
`,
    })
    await context.builds('--ignore-subuid')
    const { stdout } = await context.run(['exec', '--fakeroot', 'app.sif', 'cat', '/d/home'])
    expect(stdout).toBe('/home/jane\n')
    if (can('root')) expect(await context.owners('/a', '/data/added')).toBe('1001:50 644\n12:13 644')
  })
})
