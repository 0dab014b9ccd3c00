/** Workflow engines that others wrote run their steps through `sing`, which they find in PATH as `singularity`. */

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { type Outcome, program, projectRoot, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const containers = can('userns', 'fuse', 'overlay')

/** The workflows with their inputs, an image under the name that its reference has in a cache, and home and /tmp. */
function makeWork(): string {
  const folder = temporaryFolder()
  cpSync(join(projectRoot, 'fixtures/workflows'), folder, { recursive: true })
  for (const name of ['bin', 'home', 'images', 'temporary', 'inputs']) mkdirSync(join(folder, name))
  for (const name of ['singularity', 'run-singularity'])
    symlinkSync(join(dirname(program), name), join(folder, 'bin', name))
  copyFileSync(join(projectRoot, 'fixtures/images/everything.sif'), join(folder, 'images', 'suite_linux.sif'))
  writeFileSync(join(folder, 'one'), 'a\nb\n')
  writeFileSync(join(folder, 'two'), 'c\nd\ne\n')
  writeFileSync(join(folder, 'table.txt'), 'first\n')
  writeFileSync(join(folder, 'inputs', 'note'), 'from the folder\n')
  give(folder)
  return folder
}

/** Run the engine in the folder: it must come to a good end. */
async function work(folder: string, command: readonly string[]): Promise<Outcome> {
  const outcome = await run(command, {
    cwd: folder,
    timeout: 280_000,
    env: {
      PATH: `${join(folder, 'bin')}:/usr/bin:/bin:/usr/sbin:/sbin`,
      HOME: join(folder, 'home'),
      TMPDIR: join(folder, 'temporary'),
      CWL_SINGULARITY_CACHE: join(folder, 'images'),
    },
  })
  expect(outcome).toMatchObject({ status: 0 })
  const left = readdirSync(join(folder, 'temporary')).filter((name) => name.includes('sing'))
  expect(left).toEqual([])
  return outcome
}

const textOf = (folder: string, ...path: string[]): string => readFileSync(join(folder, ...path), 'utf8')
const counting = ['count.cwl', '--texts', 'one', '--texts', 'two']
const counted = 'NAME="Suite Linux"\nall "of" them 5\n'

describe.skipIf(!containers || !can('cwltool'))('cwltool --singularity', () => {
  const cwltool = (folder: string, ...words: string[]) =>
    work(folder, ['cwltool', '--no-doc-cache', '--singularity', '--outdir', 'out', ...words])

  it('runs the steps of a workflow without network, and finds that user namespaces work', async () => {
    const folder = makeWork()
    const { stderr } = await cwltool(folder, ...counting)
    expect(textOf(folder, 'out', 'total.txt')).toContain(counted)
    expect(textOf(folder, 'out', 'total.txt')).toMatch(/^lo\n$/m)
    expect(stderr).toMatch(/^ +--userns/m)
    expect(stderr).not.toMatch(/WARNING|ERROR/)
  })

  it('lays out inputs as a tool wants them', async () => {
    const folder = makeWork()
    const inputs = ['--table', 'table.txt', '--size', '3', '--folder', 'inputs']
    await cwltool(folder, 'staging.cwl', ...inputs)
    expect(textOf(folder, 'out', 'made', 'all')).toBe(
      'the input is read-only\nfirst\nchanged\nsize 3\nfrom the folder\n',
    )
    expect(textOf(folder, 'table.txt')).toBe('first\n')
    expect(existsSync(join(folder, 'inputs', 'new'))).toBe(false)
  })
})

describe.skipIf(!containers || !can('snakemake'))('snakemake --use-singularity', () => {
  it('runs the rules of a workflow, with arguments for the container', async () => {
    const folder = makeWork()
    const extra = `--bind ${join(folder, 'inputs')}:/extra:ro --cleanenv`
    await work(folder, ['snakemake', '--use-singularity', '-j2', '--singularity-args', extra])
    expect(textOf(folder, 'total.txt')).toBe('NAME="Suite Linux"\nit\'s 5 lines\nfrom the folder\n')
  })
})

describe.skipIf(!containers || !can('toil'))('toil-cwl-runner --singularity', () => {
  it('runs the steps of a workflow', { timeout: 300_000 }, async () => {
    const folder = makeWork()
    const places = ['--jobStore', join(folder, 'jobs'), '--outdir', join(folder, 'out')]
    await work(folder, ['toil-cwl-runner', '--singularity', ...places, ...counting])
    expect(textOf(folder, 'out', 'total.txt')).toContain(counted)
  })
})
