/** Dockerfiles: what their instructions do, and what becomes of them. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openImage } from '../../src/image/open.ts'
import { can } from '../helpers/can.ts'
import { baseLayout, Context } from './dockerfiles.ts'

let layout = ''
beforeAll(async () => {
  layout = await baseLayout()
})

const from = (tag = 'base') => `FROM oci:${layout}:${tag}`

describe.skipIf(!can('userns', 'fuse'))('a Dockerfile', () => {
  it('becomes an image with its configuration', async () => {
    const context = new Context({
      Dockerfile: `${from()}
ENV A="a b" B=$FROM_BASE
LABEL own=here base=replaced
WORKDIR /work/here
USER jane
EXPOSE 80
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN echo later
SHELL ["/bin/sh", "-ec"]
MAINTAINER Jane
ENTRYPOINT ["echo", "entry"]
CMD ["command"]
`,
    })
    await context.builds()
    const { oci } = await openImage(join(context.folder, 'app.sif'))
    expect(oci).toEqual({
      Cmd: ['command'],
      Entrypoint: ['echo', 'entry'],
      Env: ['PATH=/bin', 'FROM_BASE=yes', 'A=a b', 'B=yes'],
      Labels: { base: 'replaced', own: 'here' },
      User: 'jane',
      Volumes: { '/data': {} },
      WorkingDir: '/work/here',
      ExposedPorts: { '80/tcp': {} },
      StopSignal: 'SIGINT',
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 5e9 },
      OnBuild: ['RUN echo later'],
      Shell: ['/bin/sh', '-ec'],
      author: 'Jane',
      history: expect.arrayContaining([{ created_by: 'WORKDIR /work/here' }]),
    })
    expect((await context.run(['run', 'app.sif'])).stdout).toBe('entry command\n')
    expect((await context.run(['run', 'app.sif', 'x'])).stdout).toBe('entry x\n')
    expect(await context.sh('echo "$A $B"; ls -d /work/here')).toBe('a b yes\n/work/here\n')
    const { stdout } = await context.run(['inspect', '--labels', 'app.sif'])
    expect(stdout).toContain('base: replaced\n')
    expect(stdout).toContain('own: here\n')
    const { stdout: text } = await context.run(['inspect', '--deffile', 'app.sif'])
    expect(text).toContain('ENTRYPOINT ["echo", "entry"]')
  })

  it('runs commands in the environment, directory and shell of their place', async () => {
    const context = new Context({
      Dockerfile: `ARG OUT=outside
${from()}
ARG OUT
ARG GIVEN=not
ARG EMPTY
ENV SET=env
WORKDIR /w
RUN echo "$OUT $GIVEN [$EMPTY] $SET $HOME" > a; pwd >> a; umask >> a
RUN ["/bin/sh", "-c", "echo \\"exec $SET\\" > b"]
SHELL ["/bin/sh", "-xc"]
RUN <<EOF
echo one > c
echo two >> c
EOF
RUN <<EOF
#!/bin/cat
script
EOF
RUN cat <<ONE - <<"TWO" > d
$SET
ONE
$SET
TWO
RUN echo kept > /tmp/kept
`,
    })
    await context.builds('--build-arg', 'GIVEN=line')
    expect(await context.sh('cd /w; cat a b c d /tmp/kept')).toBe(
      'outside line [] env /root\n/w\n0022\nexec env\none\ntwo\n$SET\nkept\n',
    )
    expect(await context.sh('ls -A /')).not.toContain('run.script')
  })

  it('copies files, directories, patterns and texts', async () => {
    const context = new Context({
      'a.txt': 'a',
      'b.txt': { text: 'b', mode: 0o755 },
      '.hidden.txt': 'h',
      'tree/one': '1',
      'tree/deep/two': '2',
      'tree/link': { link: 'one' },
      'tree/out': { link: '/etc/passwd' },
      toplink: { link: 'a.txt' },
      Dockerfile: `${from()}
COPY a.txt /single
COPY a.txt /into/
COPY *.txt /many/
COPY tree /tree
COPY tree/ /data/
COPY --chmod=640 a.txt /mode
COPY toplink /followed
COPY --parents tree/deep/two /parents/
COPY --exclude=deep tree /less
COPY <<A <<"B" /texts/
$FROM_BASE
A
$FROM_BASE
B
WORKDIR /w
COPY a.txt ./
COPY a.txt renamed
COPY ["a.txt", "/with blank"]
`,
    })
    await context.builds()
    const files = '/single /into/a.txt /followed /parents/tree/deep/two /w/a.txt /w/renamed "/with blank"'
    expect(await context.sh(`cat ${files}`)).toBe('aaa2aaa')
    expect(await context.sh('ls -A /many /tree /data /less')).toBe(
      `/data:\nadded\nchange\ndeep\ngone\nlink\none\nout\n\n/less:\nlink\none\nout\n\n/many:\n.hidden.txt\na.txt\nb.txt\n\n/tree:\ndeep\nlink\none\nout\n`,
    )
    expect(await context.sh('cat /texts/A /texts/B; stat -c %a /many/b.txt /mode')).toBe(
      'yes\n$FROM_BASE\n755\n640\n',
    )
    expect(await context.sh('ls -l /tree/link /tree/out')).toMatch(/link -> one\n.*out -> \/etc\/passwd\n$/)
  })

  it('makes an image of the stage that --target names', async () => {
    const Dockerfile = `${from()} AS first\nRUN echo 1 > /stage\nFROM first AS second\nRUN echo 2 > /stage\n`
    const context = new Context({ Dockerfile, 'x.def': 'Bootstrap: scratch\n' })
    await context.builds('--target', 'first')
    expect((await context.run(['exec', 'app.sif', 'cat', '/stage'])).stdout).toBe('1\n')
    const refused = await context.build('--target', 'frst')
    expect(refused).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(/no stage "?frst"?.*\n.*first/),
    })
    const definition = await context.run(['build', '--target', 'first', 'y.sif', 'context/x.def'])
    expect(definition).toMatchObject({ status: 255, stderr: expect.stringContaining('Target: STAGE') })
  })

  it('builds only the stages that it needs, and copies from them', async () => {
    const context = new Context({
      tool: 'echo made\n',
      Dockerfile: `${from()} AS build
COPY tool /src/tool
RUN sh /src/tool > /out
${from()} AS unneeded
RUN exit 1
FROM build AS middle
RUN echo more >> /out
FROM scratch AS files
COPY --from=build /out /first
COPY --from=2 /out /second
${from()}
COPY --from=files / /
COPY --from=oci:${layout}:base /data/added /added
`,
    })
    await context.builds()
    expect(await context.sh('cat /first /second /added')).toBe('made\nmade\nmore\nadded\n')
    expect(await context.sh('ls /')).not.toContain('out')
  })

  it('leaves out what .dockerignore names', async () => {
    const context = new Context({
      '.dockerignore': '# comment\n*.log\n!keep.log\ndir\n!dir/kept\n**/cache\n',
      'x.log': '',
      'keep.log': '',
      'dir/gone': '',
      'dir/kept': '',
      'deep/cache/y': '',
      'deep/z': '',
      Dockerfile: `${from()}\nCOPY . /all\n`,
    })
    await context.builds()
    expect(await context.sh('cd /all; find . | sort')).toBe(
      '.\n./.dockerignore\n./Dockerfile\n./deep\n./deep/z\n./dir\n./dir/kept\n./keep.log\n',
    )
    context.write({ Dockerfile: `${from()}\nCOPY x.log /\n` })
    expect(await context.fails()).toContain('Dockerfile:2: cannot copy x.log: it is not in the context')
  })

  it('does what its base wants done', async () => {
    const context = new Context({
      'sources/a': 'source',
      Dockerfile: `${from('triggers')}\nRUN cat /triggered > /seen\n`,
    })
    await context.builds()
    expect(await context.inside('cat', '/seen')).toBe('triggered source\n')
    const { oci } = await openImage(join(context.folder, 'app.sif'))
    expect(oci).not.toHaveProperty('OnBuild')
  })

  it('gives commands mounts that do not stay', async () => {
    const context = new Context({
      input: 'from the context\n',
      '.dockerignore': 'secret',
      secret: 'hidden',
      Dockerfile: `${from()} AS other
RUN echo stage > /made
${from()}
RUN --mount=type=bind,target=/in --mount=from=other,source=/made,target=/made \\
    --mount=type=tmpfs,target=/t --mount=type=secret,id=none \\
    cat /in/input /made > /seen; ls /in >> /seen; touch /t/x; ! touch /in/x
RUN --mount=type=bind,target=/in,rw touch /in/new && ls /in/new >> /seen
RUN --mount=type=cache,target=/cache echo cached > /cache/file
RUN --mount=type=cache,target=/cache cat /cache/file >> /seen
RUN ls /t /in /cache >> /seen
`,
    })
    await context.builds()
    expect(await context.sh('cat /seen')).toBe(
      'from the context\nstage\nDockerfile\ninput\n/in/new\ncached\n/cache:\n\n/in:\n\n/t:\n',
    )
    context.write({ Dockerfile: `${from()}\nRUN --mount=type=secret,id=key,required true\n` })
    expect(await context.fails()).toContain(
      'Dockerfile:2: --mount=type=secret: there is no way to give key to a build',
    )
  })

  it('keeps what commands cache until the cache is cleaned', async () => {
    const text = (name: string, sharing: string) =>
      `${from()}\nRUN --mount=type=cache,target=/c,sharing=${sharing} echo ${name} >> /c/names; cat /c/names > /names\n`
    const context = new Context({ Dockerfile: text('one', 'shared') })
    await context.builds()
    context.write({ Dockerfile: text('two', 'locked') })
    await context.builds()
    expect(await context.inside('cat', '/names')).toBe('one\ntwo\n')
    expect((await context.run(['cache', 'clean', '--force'])).status).toBe(0)
    context.write({ Dockerfile: text('three', 'private') })
    await context.builds()
    expect(await context.inside('cat', '/names')).toBe('three\n')
  })

  it('runs commands as a user of the image', async () => {
    const context = new Context({
      Dockerfile: `${from()}
WORKDIR /w
RUN chmod 777 .
USER jane
RUN id -un > who; echo $HOME >> who
`,
    })
    await context.builds()
    const isMapped = can('subuid')
    expect(await context.sh('cat /w/who')).toBe(isMapped ? 'jane\n/home/jane\n' : 'root\n/home/jane\n')
  })

  it('is the base of a definition', async () => {
    const context = new Context({
      'Dockerfile.own': `${from()} AS one
ARG V
ENV V=$V
RUN echo "$V" > /one
CMD ["cat", "/one"]
FROM one
RUN exit 1
`,
      'x.def': `Bootstrap: dockerfile
From: context
Filename: Dockerfile.own
Target: one
BuildArgs: V=3
%post
  echo "post $V" >> /one
%files
  context/x.def /x.def
`,
    })
    const { status, stderr } = await context.run(['build', 'app.sif', 'context/x.def'])
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    expect((await context.run(['run', 'app.sif'])).stdout).toBe('3\npost 3\n')
    const { oci } = await openImage(join(context.folder, 'app.sif'))
    expect(oci).toMatchObject({ Cmd: ['cat', '/one'] })
    expect((await context.run(['inspect', '--deffile', 'app.sif'])).stdout).toContain('Target: one')
    expect(await context.sh('cat /.singularity.d/bootstrap_history/*')).toContain('AS one')
  })

  it.each([
    ['From: context\nTarget: none\n', 'Dockerfile: there is no stage none'],
    ['From: context/Dockerfile\n', 'x.def:2: From: context/Dockerfile is no directory'],
    ['From: context\nFilename: none\n', 'cannot read the Dockerfile '],
    ['From: context\nFrontend: gateway.v0\n', 'x.def:3: Frontend: gateway.v0: only dockerfile.v0'],
    ['From: context\nBuildArgs: A\n', 'x.def:3: BuildArgs: expected NAME=value, got A'],
  ])('that a definition does not have is refused: %j', async (header, message) => {
    const context = new Context({
      Dockerfile: from(),
      'x.def': `Bootstrap: buildkit\n${header}`,
    })
    const { status, stderr } = await context.run(['build', 'app.sif', 'context/x.def'])
    expect(stderr).toContain(message)
    expect(status).toBe(255)
  })

  it('is known by its name, or by how it begins', async () => {
    const context = new Context({ recipe: `# comment\n${from()}\nCMD true\n`, 'x.Dockerfile': 'FORM x\n' })
    expect((await context.run(['build', 'app.sif', 'context/recipe'])).status).toBe(0)
    const { stderr } = await context.run(['build', 'app.sif', 'context/x.Dockerfile'])
    expect(stderr).toContain('x.Dockerfile:1: unknown instruction FORM')
  })

  it.each([
    [['--update', '--sandbox'], '--update needs a definition file'],
    [['--section', 'post'], '--section: a Dockerfile has no sections to choose'],
    [['--oci', '--keep-layers'], '--keep-layers: what a Dockerfile makes is one layer'],
  ])('is not built with %j', async (flags, message) => {
    const context = new Context({ Dockerfile: from() })
    expect(await context.fails(...flags)).toContain(message)
  })

  it.each([
    [2, 'buld', 'there is no stage called "buld", and as an image: ', 'did you mean build?'],
    [2, 'nope', 'there is no stage called "nope", and as an image: ', 'stages: build, tools'],
    [2, '7', 'there is no stage called "7", and as an image: ', 'stages: build, tools'],
    [2, 'last', 'the stage "last" is not above this line, and as an image: ', 'move it up'],
    [2, 'example.invalid/build', 'cannot reach ', ''],
    [0, 'nope', 'there is no stage called "nope", and as an image: ', ''],
  ])('with %i stages does not copy from %s', async (above, word, message, hint) => {
    const stages = [`${from()} AS build`, `${from()} AS tools`].slice(0, above)
    const copying = [
      from(),
      'ENV A=b',
      `COPY --from=${word} /x /`,
      `${from()} AS last`,
      `COPY --from=${above} / /`,
    ]
    const context = new Context({ Dockerfile: [...stages, ...copying, ''].join('\n') })
    const { status, stderr } = await context.run(['build', 'app.sif', 'context'], {
      env: { HTTPS_PROXY: 'http://127.0.0.1:1' },
    })
    expect(stderr).toContain(`Dockerfile:${above + 3}: ${message}`)
    expect(stderr).toContain(hint)
    expect(status).toBe(255)
  })

  it('warns of arguments that nothing declares', async () => {
    const context = new Context({ Dockerfile: `${from()}\nARG A\n` })
    const said = await context.builds(
      '--build-arg',
      'A=1',
      '--build-arg',
      'B=2',
      '--build-arg',
      'HTTP_PROXY=x',
    )
    expect(said).toContain('Dockerfile: no ARG declares B, which --build-arg gives')
  })

  it('becomes an OCI-SIF', async () => {
    const context = new Context({
      Dockerfile: `${from()}\nWORKDIR /w\nUSER jane\nRUN id -u > /tmp/id\nENV A=b\nENTRYPOINT ["/bin/echo"]\nCMD ["x"]\n`,
    })
    await context.builds('--oci')
    expect(await openImage(join(context.folder, 'app.sif'))).toMatchObject({
      kind: 'oci-sif',
      oci: {
        Entrypoint: ['/bin/echo'],
        Cmd: ['x'],
        Env: ['PATH=/bin', 'FROM_BASE=yes', 'A=b'],
        User: 'jane',
      },
    })
    expect((await context.run(['run', 'app.sif'])).stdout).toBe('x\n')
    expect((await context.run(['exec', '--oci', 'app.sif', 'pwd'])).stdout).toBe('/w\n')
  })

  it('warns of a syntax that nobody is asked about', async () => {
    const context = new Context({ Dockerfile: `# syntax=example.org/other:1\n${from()}\n` })
    const said = await context.builds()
    expect(said).toContain('Dockerfile: # syntax=example.org/other:1 is not asked')
    context.write({ Dockerfile: `# syntax=docker/dockerfile:1.7\n${from()}\n` })
    expect(await context.builds()).not.toContain('syntax')
  })

  it('becomes a sandbox', async () => {
    const context = new Context({ Dockerfile: `${from()}\nRUN echo made > /made\n` })
    expect((await context.run(['build', '--sandbox', 'box', 'context'])).status).toBe(0)
    expect((await context.run(['exec', 'box', 'cat', '/made'])).stdout).toBe('made\n')
  })

  it('tells the line of what fails, and leaves nothing', async () => {
    const context = new Context({ Dockerfile: `${from()}\n\nRUN echo said && \\\n  exit 7\n` })
    expect(await context.fails()).toContain('RUN echo said && exit 7 failed with status 7 (Dockerfile:3)')
    expect(readdirSync(context.folder).sort()).toEqual(['cache', 'context'])
    context.write({ Dockerfile: `${from()}\nRUN <<A\nset -ex\necho fine\n\ncat /missing\necho on\nA\n` })
    expect(await context.fails()).toContain('RUN <<A failed with status 1 (Dockerfile:6)')
  })

  it.each([
    ['FROM', 'Dockerfile:1: FROM needs something behind it'],
    ['FROM $' + '{NONE}', 'Dockerfile:1: FROM $' + '{NONE} becomes empty'],
    ['FROM No/Name', 'Dockerfile:1: '],
    ['FROM ./missing.sif', 'Dockerfile:1: cannot open '],
    ['FROM library://x', 'there is no library to ask'],
    [
      'FROM --platform=linux/mips64 LAYOUT',
      'Dockerfile:1: --platform=linux/mips64: this build is for linux/',
    ],
    ['BASE\nCOPY none /', 'Dockerfile:2: cannot copy none: it is not in the context'],
    ['BASE\nCOPY *.none /', 'Dockerfile:2: cannot copy *.none: nothing matches it'],
    ['BASE\nCOPY ../x /', 'Dockerfile:2: ../x leads out of the context'],
    [
      'BASE\nCOPY Dockerfile Dockerfile /x',
      'Dockerfile:2: COPY of 2 sources needs a directory as its destination',
    ],
    [
      'BASE\nCOPY --chown=nobody Dockerfile /x',
      'Dockerfile:2: there is no nobody in /etc/passwd of the image',
    ],
    [
      'BASE\nCOPY --chown=jane:no Dockerfile /x',
      'Dockerfile:2: there is no jane:no in /etc/group of the image',
    ],
    [
      'BASE\nCOPY --chmod=u+x Dockerfile /x',
      'Dockerfile:2: --chmod=u+x: expected an octal number such as 755',
    ],
    [
      'BASE\nADD https://example.org/x.git /x',
      'Dockerfile:2: ADD https://example.org/x.git: repositories of git cannot be added',
    ],
    ['BASE\nADD --checksum=md5:1 https://127.0.0.1/x /x', 'Dockerfile:2: --checksum=md5:1: expected sha256:'],
    ['BASE\nADD https://127.0.0.1:1/x /x', 'Dockerfile:2: cannot download https://127.0.0.1:1/x: '],
    ['BASE\nADD https://127.0.0.1:1/ /x', 'Dockerfile:2: ADD https://127.0.0.1:1/: the address ends without'],
    ['BASE\nUSER none\nRUN true', 'Dockerfile:3: there is no none in /etc/passwd of the image'],
    [
      'BASE\nRUN --mount=source=none,target=/x true',
      'Dockerfile:2: --mount=type=bind: none is not in the context',
    ],
  ])('is refused: %s', async (text, message) => {
    const context = new Context({
      Dockerfile: text.replace('BASE', from()).replace('LAYOUT', `oci:${layout}:base`),
    })
    expect(await context.fails()).toContain(message)
    expect(readdirSync(context.folder)).not.toContain('app.sif')
  })
})
