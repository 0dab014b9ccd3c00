/** What flags and configuration ask of the signatures of an image that is to be started, and what that makes of opening it. */

import { readExecutionTexts } from '../config/execution-lists.ts'
import type { Settings } from '../config/layers.ts'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type Image, openImage } from '../image/open.ts'
import { readSif } from '../sif/read.ts'
import type { Demands } from '../trust/policy.ts'
import type { Call } from './command.ts'

/** A key of the configuration with its value and where that stands. */
function told(key: string, value: string, { origins }: Settings): string {
  const origin = origins.get(key)
  return `${key}: ${value}${origin ? ` (${origin.file}:${origin.line})` : ''}`
}

/** @throws SingError POLICY for --no-verify against the will of the site */
function verifyOf({ flags, origins }: Call, settings: Settings): Pick<Demands, 'verify' | 'verifyFrom'> {
  const { verify } = settings.config
  const verifyFrom = told('verify', verify, settings)
  if (flags['no-verify'] !== true)
    return flags.verify === true
      ? { verify: 'always', verifyFrom: origins.verify?.[0] ?? '--verify' }
      : { verify, verifyFrom }
  if (verify !== 'always' || settings.origins.get('verify')?.scope !== 'site')
    return { verify: 'never', verifyFrom }
  throw new SingError('POLICY', '--no-verify has no effect: the site verifies the signatures of all images', {
    hint: verifyFrom,
  })
}

/** Undefined where nobody asks for anything, as on most machines: then nothing about signatures is loaded. */
function demandsOf(call: Call, settings: Settings): Omit<Demands, 'signal'> | undefined {
  const { signers } = settings.config.images
  const lists = readExecutionTexts()
  const wish = verifyOf(call, settings)
  if (wish.verify === 'never' && signers.length === 0 && lists.length === 0) return undefined
  const signersFrom = settings.origins.get('images.signers')?.file ?? ''
  const { environment, report } = call.context
  return { ...wish, signers, signersFrom, lists, environment, report, fetched: call.fetched?.name }
}

/** Open the image; where somebody asks for signatures, only if it has them. */
export async function openWanted(path: string, call: Call): Promise<Image> {
  const demands = demandsOf(call, await call.context.settings())
  if (!demands) return openImage(path, { ext3: true, unlock: 'keep' })
  const { openVerified } = await import('../trust/policy.ts')
  const { catchInterruption } = await import('../runtime/interrupt.ts')
  using interruption = catchInterruption('verifying the image')
  return await openVerified(path, { ...demands, signal: interruption.signal })
}

/** A signed overlay in an image is no longer what was signed once a container has written to it. */
export async function warnOfWriting({ path, kind, overlays = [] }: Image, report: Report): Promise<void> {
  if (kind !== 'sif' || !overlays.some(({ filesystem }) => filesystem === 'ext3')) return
  const { consequences } = await import('../sif/consequences.ts')
  const texts = consequences((await readSif(path)).objects, { kind: 'overlay' })
  for (const text of texts) report({ kind: 'warning', text: `${shown(path)}: ${text}` })
}
