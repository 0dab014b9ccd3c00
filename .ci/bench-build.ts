/** `npm run bench build`: an image with packages on top of a Debian root, made anew, and made again after small changes. */

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandLine, environment, program } from '../test/helpers/sing.ts'
import {
  bound,
  compare,
  emptyFolder,
  inPeerRoot,
  median,
  must,
  output,
  peerEnvironment,
  time,
  work,
} from './bench-measure.ts'

/** What differs between two builds. */
type Words = { readonly said: string; readonly written: string }

const first: Words = { said: 'one', written: 'one' }

function writeDefinition(base: string, { said, written }: Words): string {
  const path = join(work, 'build.def')
  const lines = [
    `Bootstrap: localimage\nFrom: ${base}\n%post`,
    'echo ran-packages\napt-get update -qq',
    'apt-get install -y -qq --no-install-recommends fortune-mod > /dev/null 2>&1\napt-get clean',
    '# ---',
    `echo ran-last\necho ${written} > /etc/written`,
    `%runscript\n  echo ${said}`,
  ]
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

const target = join(work, 'build.sif')

function peersBuild(base: string): number {
  rmSync(target, { force: true })
  const definition = writeDefinition(base, first)
  return time(inPeerRoot(['apptainer', '-s', 'build', '--fakeroot', target, definition]), peerEnvironment)
}

/** Where our steps are kept. */
class Steps {
  readonly #env: NodeJS.ProcessEnv

  constructor() {
    const folder = emptyFolder('build')
    must(commandLine(['mkdir', join(folder, 'cache'), join(folder, 'tmp')]))
    const variables = { SINGULARITY_CACHEDIR: join(folder, 'cache'), SINGULARITY_TMPDIR: join(folder, 'tmp') }
    this.#env = environment({ env: variables })
  }

  build(base: string, words: Words): number {
    rmSync(target, { force: true })
    const definition = writeDefinition(base, words)
    return time(commandLine([program, '-s', 'build', target, definition]), this.#env)
  }

  /** The parts of %post that run, seen in what they write. */
  ran(base: string, words: Words): string {
    const definition = writeDefinition(base, words)
    return output(commandLine([program, '-q', 'build', '-F', target, definition]), this.#env)
      .split('\n')
      .filter((line) => line.startsWith('ran-'))
      .join(' ')
  }
}

function requireRan(found: string, expected: string): void {
  if (found !== expected) throw new Error(`of %post ran "${found}", not "${expected}"`)
}

/** @param bases the same root as images, of the peer and of ours */
export function measureBuild(bases: { readonly peers: string; readonly ours: string }): void {
  const [peers, ours]: [number[], number[]] = [[], []]
  let steps = new Steps()
  for (let round = 0; round < 2; round += 1) {
    peers.push(peersBuild(bases.peers))
    steps = new Steps()
    ours.push(steps.build(bases.ours, first))
  }
  compare('build with apt-get on a Debian image', median(ours), median(peers), 0.5)
  const again = ['two', 'three', 'four'].map((said) => steps.build(bases.ours, { ...first, said }))
  bound('again with another %runscript (limit 1.5 s)', median(again), 1.5, undefined, median(peers))
  const last = ['two', 'three', 'four'].map((written) => steps.build(bases.ours, { ...first, written }))
  bound('again with another last line of %post (limit 3 s)', median(last), 3, undefined, median(peers))
  requireRan(steps.ran(bases.ours, { ...first, said: 'five' }), '')
  requireRan(steps.ran(bases.ours, { ...first, written: 'five' }), 'ran-last')
  rmSync(target)
  emptyFolder('build')
}
