/** `sing verify`: who signed an image, and whether it is still what they signed. */

import { SingError, shown } from '../../core/errors.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { openFile, parseSif, readOnly, type Sif } from '../../sif/read.ts'
import { withNextStep } from '../../trust/no-sif.ts'
import type { Signer, Task, Verdict } from '../../trust/types.ts'
import { verifyOpen } from '../../trust/verify.ts'
import type { Call, Command, Flags } from '../command.ts'
import type { Flag } from '../options.ts'
import { grouped, number, path, text, toggle } from '../rows.ts'
import { materialOf } from '../verify-material.ts'
import { verdictJson, verdictText } from '../verify-text.ts'

const flags: readonly Flag[] = [
  ...grouped('What has to be signed:', [
    toggle('all', 'say all that signatures never cover; with --legacy-insecure: every object', {
      short: 'a',
      env: [],
    }),
    number('group-id', 'only this group of objects', { short: 'g', env: [], aliases: ['groupid'] }),
    number('sif-id', 'only this object', { short: 'i', env: [], aliases: ['id'] }),
    toggle('legacy-insecure', 'old signatures, which are about the bytes of objects only', {
      env: [],
      personal: true,
    }),
  ]),
  ...grouped('Whose signatures count:', [
    toggle('local', 'keys of the keyrings only: ask no key server', { short: 'l', env: ['LOCAL_VERIFY'] }),
    text('url', 'ask this key server', { short: 'u', env: ['URL'], placeholder: 'url', personal: true }),
    path('key', 'the public key in this PEM file', {
      env: ['VERIFY_KEY'],
      placeholder: 'file',
      personal: true,
      hostPath: true,
    }),
    path('certificate', 'the key of the certificate in this PEM file', {
      env: ['VERIFY_CERTIFICATE'],
      placeholder: 'file',
      personal: true,
      hostPath: true,
    }),
    path('certificate-intermediates', 'certificates between it and the roots', {
      env: ['VERIFY_INTERMEDIATES'],
      placeholder: 'file',
      personal: true,
      hostPath: true,
    }),
    path('certificate-roots', 'roots to trust instead of those of the system', {
      env: ['VERIFY_ROOTS'],
      placeholder: 'file',
      personal: true,
      hostPath: true,
    }),
    toggle('ocsp-verify', 'ask the issuers whether they revoked a certificate', { env: ['VERIFY_OCSP'] }),
    toggle('cosign', 'not for SIF: signatures of cosign', {
      short: 'c',
      env: [],
      refused: 'signatures of cosign lie in registries, not in a SIF: use cosign verify REFERENCE',
    }),
  ]),
  toggle('json', 'print JSON', { short: 'j', env: [] }),
]

/** The peers take both at once: the group first. */
function tasksOf(given: Flags): Task[] | undefined {
  const tasks = (['group', 'object'] as const).flatMap((kind) => {
    const name = kind === 'group' ? 'group-id' : 'sif-id'
    const id = given[name]
    if (id === undefined) return []
    if (typeof id === 'number' && Number.isInteger(id) && id > 0 && id <= 0xffffffff) return [{ kind, id }]
    throw new SingError('USAGE', `--${name} ${String(id)} is no number that a SIF can have`, { status: 255 })
  })
  return tasks.length > 0 ? tasks : undefined
}

/** Only SIF images can be signed, and other things have a way to become one. */
function parse(fd: number, image: string): Sif {
  try {
    return parseSif(fd, image)
  } catch (error) {
    throw withNextStep(image, error)
  }
}

const openImage = (image: string): ReturnType<typeof openFile> =>
  openFile(image, readOnly).catch((error: unknown) => {
    throw withNextStep(image, error)
  })

async function run(call: Call): Promise<number> {
  const { args, flags: given, context } = call
  const [image = ''] = args
  const tasks = tasksOf(given)
  using interruption = catchInterruption('the verification')
  const { signal } = interruption
  const material = await materialOf(call, signal)
  await using file = await openImage(image)
  const sif = parse(file.fd, image)
  const isJson = given.json === true
  const verdict = await verifyOpen(
    { fd: file.fd, sif },
    {
      material,
      tasks,
      legacy: given['legacy-insecure'] === true,
      all: given.all === true || isJson,
      report: context.report,
      signal,
    },
  )
  context.print(isJson ? verdictJson(verdict, sif.objects) : verdictText(verdict, sif.objects))
  return conclude(verdict, image, isJson, call)
}

function conclude(
  { signatures, problem, uncovered }: Verdict,
  image: string,
  isJson: boolean,
  call: Call,
): number {
  if (problem) {
    throw new SingError(problem.code, `cannot verify ${shown(image)}: ${shown(problem.message)}`, {
      hint: problem.hint,
      cause: problem,
    })
  }
  if (isJson) return 0
  const say = (sentence: string) => call.context.report({ kind: 'info', text: sentence })
  for (const sentence of new Set(signatures.flatMap(({ signer }) => bareText(signer)))) say(sentence)
  for (const sentence of uncovered) say(`Not covered by signatures: ${shown(sentence)}`)
  say(`Verified signature(s) from image '${shown(image)}'`)
  return 0
}

/** Where the peers print nothing about a signer. */
function bareText(signer: Signer | undefined): string[] {
  if (signer?.kind !== 'pem') return []
  const { keyId, certificate } = signer
  return [`Signed by the key ${keyId}${certificate === undefined ? '' : ` of ${shown(certificate)}`}`]
}

export const command: Command = {
  usage: 'verify [options] <image>',
  summary: 'Check who signed an image, and that it is what they signed',
  description:
    'Every group of objects has to be signed, and every signature has to hold: by a key that is known, neither expired nor revoked, ' +
    'over what is in the file now. The exit status is 0 then, and 255 otherwise. What signatures do not cover is told, too.',
  examples: [
    'sing verify fortune.sif',
    'sing verify --local --json fortune.sif',
    'sing verify --key signer.pem fortune.sif',
    'sing verify --certificate signer.crt --certificate-roots our-ca.crt fortune.sif',
    'sing verify --sif-id 3 fortune.sif',
  ],
  flags,
  args: [1, 1],
  run,
}
