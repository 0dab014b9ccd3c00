/** Definitions that come through a pipe. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { base, buildFolder, header, leftBy } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { type Outcome, program, run, sing } from '../helpers/sing.ts'

const text = `${header}%labels\n  Streamed yes\n%post\n  echo {{ WORD }} >/opt/word\n`

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a definition', () => {
  const place = buildFolder()
  const file = place.write('given.def', text)
  const values = place.write('values', 'WORD=said\n')
  const bash = (line: string, input?: string): Promise<Outcome> =>
    run(['bash', '-c', `set -o pipefail; ${line}`, program, file, values, base], {
      cwd: place.path,
      env: place.env,
      ...(input === undefined ? {} : { input }),
    })

  it.each([
    ['of a process', '"$0" build --force --build-arg WORD=said x.sif <(cat "$1")'],
    ['on standard input', 'cat "$1" | "$0" build --force --build-arg WORD=said x.sif /dev/stdin'],
    ['of a named pipe', 'mkfifo p; cat "$1" >p & "$0" build --force --build-arg WORD=said x.sif p; rm p'],
    ['and its values of a process', '"$0" build --force --build-arg-file <(cat "$2") x.sif <(cat "$1")'],
  ])('%s is built', async (_, line) => {
    const { status, stderr } = await bash(line)
    expect({ status, stderr }).toMatchObject({ status: 0 })
    const image = join(place.path, 'x.sif')
    expect((await sing(['exec', image, 'cat', '/opt/word'])).stdout).toBe('said\n')
    expect((await sing(['inspect', '--deffile', image])).stdout).toBe(
      readFileSync(file, 'utf8').replace('{{ WORD }}', 'said'),
    )
    expect(await leftBy(place, ['given.def', 'values', 'x.sif'])).toEqual([])
  })

  it('comes from a socket too', async () => {
    // What Node gives a child as a pipe is a pair of sockets.
    const script = `const { stderr, status } = require('child_process').spawnSync(process.argv[1], ['build', '--force', 'x.sif', '/dev/stdin'], { input: process.argv[2], encoding: 'utf8' }); process.stderr.write(stderr); process.exit(status)`
    const { status, stderr } = await run([process.execPath, '-e', script, program, header], {
      cwd: place.path,
      env: place.env,
    })
    expect({ status, stderr }).toMatchObject({ status: 0 })
  })

  it.each([
    ['with a mistake', `${header}%psot\n`, '/dev/stdin:3: unknown section %psot'],
    ['that is a Dockerfile', 'FROM scratch\n', '/dev/stdin: a Dockerfile cannot come through a pipe'],
    ['that is an image', `${'\0'.repeat(64)}`, '/dev/stdin: an image cannot come through a pipe'],
    ['that does not end', '#'.repeat(17 * 1024 * 1024), '/dev/stdin: more than 16777216 bytes come from it'],
    ['of nothing', '', '/dev/stdin'],
  ])('%s is refused', async (_, input, message) => {
    const { status, stderr } = await bash('cat | "$0" build y.sif /dev/stdin', input)
    expect({ status, stderr }).toMatchObject({ status: 255, stderr: expect.stringContaining(message) })
    expect(await leftBy(place, ['given.def', 'values', 'x.sif'])).toEqual([])
  })
})
