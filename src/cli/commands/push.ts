/** `sing push`: an image of this machine becomes one in a registry. */

import { SingError, shown } from '../../core/errors.ts'
import type { Compression, OutgoingOptions } from '../../image/outgoing.ts'
import { publish } from '../../image/publish.ts'
import { parseAnnotations } from '../../oci/artifact.ts'
import { isReference, parseReference, type RegistryReference } from '../../oci/reference.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { toJson } from '../../ui/json.ts'
import type { Call, Command, Flags } from '../command.ts'
import { askLogin } from '../login.ts'
import { unlockFor } from '../unlock.ts'
import { usageError, wordOf } from '../words.ts'
import { pushFlags } from './push-flags.ts'

/** One of the words that a flag takes. */
function choice<Word extends string>(flags: Flags, name: string, words: readonly Word[]): Word | undefined {
  const value = wordOf(flags, name)
  const found = words.find((one) => one === value)
  if (value === undefined || found !== undefined) return found
  throw usageError(`--${name} ${shown(value)}: expected ${words.join(' or ')}`)
}

/** The place in a registry that an argument names. */
function targetOf(text: string): RegistryReference {
  const places = 'Images are pushed to docker://REGISTRY/NAME[:TAG] or oras://REGISTRY/NAME[:TAG]'
  if (/^(library|shub):/.test(text))
    throw new SingError('UNSUPPORTED', `cannot push to ${shown(text)}: libraries cannot be used yet`, {
      hint: places,
    })
  if (!isReference(text)) throw usageError(`cannot push to ${shown(text)}: it names no registry`, places)
  const reference = parseReference(text)
  if (!('registry' in reference)) throw usageError(`cannot push to ${shown(text)}: it is no registry`, places)
  if (reference.digest !== undefined)
    throw usageError(
      `cannot push to ${shown(text)}: a digest names what is already there`,
      'Name a tag; the digest of the image is printed when it was pushed',
    )
  return reference
}

function layersOf(
  flags: Flags,
  { kind }: RegistryReference,
): Pick<OutgoingOptions, 'layerFormat' | 'compression'> {
  const layerFormat = choice(flags, 'layer-format', ['tar', 'squashfs'])
  const compression = choice<Compression>(flags, 'compress', ['gzip', 'zstd', 'none'])
  const given = layerFormat ? '--layer-format' : compression ? '--compress' : undefined
  if (kind === 'oras' && given) throw usageError(`${given} is for docker://: oras:// takes the SIF as it is`)
  if (layerFormat === 'squashfs' && compression)
    throw usageError('--compress is for archives: the file system is sent as it is')
  return { layerFormat, compression: compression ?? 'gzip' }
}

async function run(call: Call): Promise<number> {
  const { args, flags, context } = call
  const [path = '', to = ''] = args
  const { environment, report } = context
  const reference = targetOf(to)
  const annotations = parseAnnotations(
    (flags.annotation ?? []) as readonly string[],
    wordOf(flags, 'description'),
  )
  using interruption = catchInterruption('the push')
  const published = await publish(path, reference, {
    ...layersOf(flags, reference),
    annotations,
    environment,
    report,
    signal: interruption.signal,
    unlock: unlockFor(call),
    noHttps: flags['no-https'] === true,
    authFile: wordOf(flags, 'authfile'),
    username: wordOf(flags, 'docker-username'),
    password: wordOf(flags, 'docker-password'),
    ask: flags['docker-login'] === true ? askLogin : undefined,
  })
  report({ kind: 'info', text: `Pushed ${shown(path)} to ${shown(to)}` })
  context.print(flags.json === true ? toJson(published) : `${published.digest}\n`)
  return 0
}

export const command: Command = {
  usage: 'push [options] <image> <reference>',
  summary: 'Send an image to a registry',
  description:
    'oras://REGISTRY/NAME[:TAG] stores a SIF as it is, for sing, Singularity and Apptainer. docker://REGISTRY/NAME[:TAG] ' +
    'stores the files of a SIF, a squashfs or a directory as an image for all runtimes of OCI, such as docker and podman: ' +
    'its runscript or entry point, environment and labels go along. The image of an OCI-SIF is stored as it is.\n\n' +
    'The digest of what was stored is printed. The same image has the same digest each time.',
  examples: [
    'sing push solver.sif oras://registry.example/team/solver:2',
    'sing push solver.sif docker://registry.example/team/solver:2',
    'sing push --annotation org.opencontainers.image.version=2.1 solver.sif oras://registry.example/team/solver:2.1',
    'digest=$(sing --quiet push tree/ docker://localhost:5000/tools)',
  ],
  flags: pushFlags,
  args: [2, 2],
  run,
}
