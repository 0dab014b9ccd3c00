/** Flags that cannot be had say so in one sentence, each of them, before anything is done. */

import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { buildFlags } from '../../src/cli/commands/build-flags.ts'
import { type Flag, launchFlags } from '../../src/cli/options.ts'
import { sing } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const sentence = ({ refused, later }: Flag): string => refused ?? later ?? ''
const missing = [
  ...launchFlags.map((flag): [string, Flag] => ['exec', flag]),
  ...buildFlags.map((flag): [string, Flag] => ['build', flag]),
].filter(([, flag]) => sentence(flag))

it.each(missing.map(([command, flag]) => [command, flag.name, flag] as const))(
  '%s --%s is refused with a reason',
  async (command, name, flag) => {
    const cwd = temporaryFolder()
    const word = flag.kind === 'boolean' ? `--${name}` : `--${name}=1`
    const { status, stdout, stderr } = await sing([command, word, 'a.sif', 'b'], { cwd })
    expect(stderr).toMatch(new RegExp(`^FATAL: {3}--${name} (cannot be used|is not available yet: )`))
    // Its first letter is a capital where it is a sentence of its own.
    expect(stderr.replace(/\s+/g, ' ')).toContain(sentence(flag).slice(1))
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(readdirSync(cwd)).toEqual([])
  },
)
