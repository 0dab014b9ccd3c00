/** What a program of a spec writes comes line by line. */

import { describe, expect, it } from 'vitest'
import { run } from '../../src/runtime/launch.ts'
import { can } from '../helpers/can.ts'
import { asRoot, makeScene, makeSpec } from './starter.ts'

describe.skipIf(!can('userns'))('lines of a program', () => {
  it('keep characters that come in two pieces', async () => {
    const { root } = makeScene()
    const lines: string[] = []
    // A pipe holds 65536 bytes: behind the bracket each of its ends is in the middle of a character.
    const word = 'é'.repeat(60_000)
    const spec = makeSpec(root, ['args', word], process.getuid?.() === 0 ? asRoot : {})
    const status = await run(spec, { onLine: (line) => lines.push(line) })
    const text = lines.join('')
    expect([status, text.length, text.includes('\ufffd')]).toEqual([0, word.length + 2, false])
  })
})
