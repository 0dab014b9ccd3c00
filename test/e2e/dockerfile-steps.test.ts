/** Dockerfiles: which steps are taken from the cache, and which are not. */

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { give } from '../helpers/give.ts'
import { commandLine, environment, program } from '../helpers/sing.ts'
import { baseLayout, Context } from './dockerfiles.ts'

let layout = ''
beforeAll(async () => {
  layout = await baseLayout()
})

const from = () => `FROM oci:${layout}:base`

/** The steps that ran, out of what a build said. */
async function ran(context: Context, ...flags: string[]): Promise<string[]> {
  const said = await context.builds(...flags)
  const steps = said.split('\n').flatMap((line) => /^\[\d+\/\d+\] (.*\S) {2}[\d.]+ s$/.exec(line)?.[1] ?? [])
  return steps.filter((title) => !title.startsWith('FROM') && !title.startsWith('--from'))
}

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a step of a Dockerfile', () => {
  it('is taken from the cache when nothing about it has changed', async () => {
    const context = new Context({
      file: 'one',
      other: 'x',
      '.dockerignore': 'left-out',
      'left-out': '',
      Dockerfile: `${from()}
RUN echo first > /first
WORKDIR /w
COPY . /all
RUN cat /all/file > /seen
CMD ["cat", "/seen"]
`,
    })
    const first = ['RUN echo first > /first', 'WORKDIR /w']
    const behind = ['COPY . /all', 'RUN cat /all/file > /seen']
    expect(await ran(context)).toEqual([...first, ...behind])
    expect(await ran(context)).toEqual([])
    expect((await context.run(['run', 'app.sif'])).stdout).toBe('one')

    utimesSync(join(context.directory, 'file'), 1, 1)
    context.write({ 'left-out': 'changed' })
    expect(await ran(context)).toEqual([])

    context.write({ file: 'two' })
    expect(await ran(context)).toEqual(behind)
    expect((await context.run(['run', 'app.sif'])).stdout).toBe('two')
    chmodSync(join(context.directory, 'other'), 0o755)
    expect(await ran(context)).toEqual(behind)
    expect(await ran(context, '--no-cache')).toEqual([...first, ...behind])
  })

  it('does not depend on what only the configuration says', async () => {
    const text = (more: string) => `${from()}\n${more}\nRUN echo a > /a\nCMD ["cat", "/a"]\n`
    const context = new Context({ Dockerfile: text('') })
    expect(await ran(context)).toEqual(['RUN echo a > /a'])
    context.write({ Dockerfile: text('LABEL a=b\nEXPOSE 80\n# comment\nMAINTAINER x') })
    expect(await ran(context)).toEqual([])
    context.write({ Dockerfile: text('ENV A=b') })
    expect(await ran(context)).toEqual(['RUN echo a > /a'])
    context.write({ Dockerfile: text('USER jane').replace('RUN echo a > /a', 'RUN true') })
    expect(await ran(context)).toEqual(['RUN true'])
  })

  it('depends on the arguments that are declared above it', async () => {
    const context = new Context({
      Dockerfile: `${from()}\nRUN echo before > /before\nARG A=1\nARG B=1\nRUN echo "$A" > /a\n`,
    })
    expect(await ran(context)).toEqual(['RUN echo before > /before', 'RUN echo "$A" > /a'])
    expect(await ran(context, '--build-arg', 'A=1')).toEqual([])
    expect(await ran(context, '--build-arg', 'A=2')).toEqual(['RUN echo "$A" > /a'])
    expect(await ran(context, '--build-arg', 'HTTP_PROXY=http://127.0.0.1:9')).toEqual([])
  })

  it('depends on the stage that it copies from, and not on stages beside it', async () => {
    const context = new Context({
      one: '1',
      two: '2',
      Dockerfile: `${from()} AS one
COPY one /one
${from()} AS two
COPY two /two
${from()}
COPY --from=one /one /
COPY --from=two /two /
`,
    })
    const last = ['COPY --from=one /one /', 'COPY --from=two /two /']
    expect(await ran(context)).toEqual(['COPY one /one', 'COPY two /two', ...last])
    expect(await ran(context)).toEqual([])
    context.write({ two: 'changed' })
    expect(await ran(context)).toEqual(['COPY two /two', last[1]])
    expect(await context.sh('cat /one /two')).toBe('1changed')
  })

  it('finds again what it left in a cache mount', async () => {
    const text = (name: string) =>
      `${from()}\nRUN --mount=type=cache,target=/c,sharing=locked echo ${name} >> /c/names; cat /c/names > /names\n`
    const context = new Context({ Dockerfile: text('one') })
    await context.builds()
    context.write({ Dockerfile: text('two') })
    await context.builds()
    expect(await context.inside('cat', '/names')).toBe('one\ntwo\n')
    context.write({ Dockerfile: text('three') })
    await context.builds('--disable-cache')
    expect(await context.inside('cat', '/names')).toBe('three\n')
  })

  it('is interrupted without leaving anything', async () => {
    const context = new Context({ Dockerfile: `${from()}\nRUN touch /data/ready; sleep 60\n` })
    const shared = join(context.folder, 'shared')
    mkdirSync(shared)
    give(context.folder)
    const args = ['build', '--bind', `${shared}:/data`, 'app.sif', 'context']
    const [file = '', ...rest] = commandLine([program, ...args])
    const env = environment({
      env: { SINGULARITY_TMPDIR: context.folder, SINGULARITY_CACHEDIR: join(context.folder, 'cache') },
    })
    const child = spawn(file, rest, { cwd: context.folder, env, stdio: 'ignore' })
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
    while (!existsSync(join(shared, 'ready')) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20))
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(readdirSync(context.folder).sort()).toEqual(['cache', 'context', 'shared'])
  })
})
