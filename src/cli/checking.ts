/** What checks are asked for, and a new image looked at before it has its name (`build --check`). */

import type { Examine } from '../build/request.ts'
import { isFailed, parseLevel, parseTags } from '../check/report.ts'
import { SingError } from '../core/errors.ts'
import type { Call } from './command.ts'
import { unlockFor } from './unlock.ts'

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : [])

/** Directories with checks of the site: of the configuration, then of the command line. */
export async function checkDirectories({ flags, context }: Call): Promise<string[]> {
  const { config } = await context.settings()
  return [...(config.check.directory ? [config.check.directory] : []), ...words(flags.checks)]
}

/** How findings are told. */
const kinds = { error: 'error', warning: 'warning', note: 'info' } as const

export const levelOf = (value: unknown, flag?: string) =>
  parseLevel(typeof value === 'string' ? value : undefined, flag)

/** What refuses an image in which a check has found something; undefined without --check. @throws SingError USAGE */
export function examinerOf(
  call: Call,
  signal: AbortSignal = new AbortController().signal,
): Examine | undefined {
  const { flags, context } = call
  const level = levelOf(flags['check-level'], '--check-level')
  if (flags.check !== true) {
    if (flags['check-level'] === undefined) return undefined
    throw new SingError('USAGE', '--check-level says when --check refuses: give --check too', { status: 255 })
  }
  return async (path, unlock = unlockFor(call)) => {
    const [{ check }, { findingLine }] = await Promise.all([
      import('../check/check.ts'),
      import('./check-text.ts'),
    ])
    const { report } = context
    const { SING_REENTERED: _, ...environment } = context.environment
    const directories = await checkDirectories(call)
    const { findings } = await check(path, {
      tags: parseTags([]),
      directories,
      environment,
      report,
      signal,
      unlock,
    })
    for (const finding of findings.filter(({ severity }) => severity !== 'note' || level === 'note'))
      report({ kind: kinds[finding.severity], text: `check: ${findingLine(finding)}` })
    if (!isFailed(findings, level)) return
    throw new SingError('BUILD', 'the image is refused: a check has found what is not to be in it', {
      hint: 'Correct the definition, or build it without --check and see: sing check IMAGE',
    })
  }
}
