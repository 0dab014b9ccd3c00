/** Whether an image was signed, as a whole, by everybody whom somebody names; and whether it still is what was signed. */

import { SingError, shown } from '../core/errors.ts'
import type { OpenSif } from '../sif/edit.ts'
import { dataTypes } from '../sif/format.ts'
import { objection } from './ecl.ts'
import { evidenceOf, toSigned } from './evidence.ts'
import { findAnywhere, findLocally } from './find.ts'
import type { AskOptions } from './keyserver.ts'
import { verifyOpen } from './verify.ts'

const isSigned = ({ sif }: OpenSif): boolean =>
  sif.objects.some(({ dataType }) => dataType === dataTypes.signature)

/** Say so when the open image is signed, and its signatures do not hold or their keys are in no ring. */
export async function warnOfFlaws(
  source: OpenSif,
  options: Pick<AskOptions, 'environment' | 'report' | 'signal'>,
): Promise<void> {
  if (!isSigned(source)) return
  const { report, signal } = options
  const material = { kind: 'openpgp', find: findLocally(options) } as const
  const { problem } = await verifyOpen(source, { material, report, signal })
  const text = `${shown(source.sif.path)} is not verified: ${problem?.message}`
  if (problem) report({ kind: 'warning', text })
}

/**
 * Verify the open image.
 * @throws SingError SIGNATURE when one of these keys has not signed all of it
 */
export async function requireSigners(
  source: OpenSif,
  fingerprints: readonly string[],
  options: AskOptions,
): Promise<void> {
  const { sif } = source
  const refuse = (reason: string, hint: string): SingError =>
    new SingError('SIGNATURE', `cannot use ${shown(sif.path)}: ${reason}`, { hint })
  if (!isSigned(source)) {
    throw refuse(
      'it is not signed',
      `Nothing is made of it, because it has to be signed by ${fingerprints.join(', ')}`,
    )
  }
  const { report, signal } = options
  const material = { kind: 'openpgp', find: findAnywhere(options) } as const
  const verdict = await verifyOpen(source, { material, report, signal, every: true })
  const evidence = evidenceOf(sif.objects, verdict, ['global', 'local', 'remote'])
  const rule = { mode: 'whitestrict', directory: undefined, below: false, fingerprints } as const
  const reason = evidence.flaw ?? objection(rule, toSigned(evidence))
  if (reason === undefined) return
  const { problem } = verdict
  throw refuse(
    reason,
    problem ? `${problem.message}${problem.hint ? `: ${problem.hint}` : ''}` : 'See: sing verify IMAGE',
  )
}
