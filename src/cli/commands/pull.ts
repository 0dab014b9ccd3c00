/** `sing pull`: an image of a registry, a daemon, an archive or the web becomes a file or a directory. */

import { resolve } from 'node:path'
import { placeSandbox, requirePlace } from '../../build/place.ts'
import { SingError, shown } from '../../core/errors.ts'
import { suggest } from '../../core/suggest.ts'
import { fetchImage } from '../../image/fetch.ts'
import { placeImage } from '../../image/place.ts'
import { requireSource } from '../../image/refused.ts'
import { schemeOf, schemeWords } from '../../image/scheme.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { toJson } from '../../ui/json.ts'
import type { Call, Command } from '../command.ts'
import { fetchingOptions } from '../fetching.ts'
import { formOf, usualName } from '../names.ts'
import { unlockFor } from '../unlock.ts'
import { wordOf } from '../words.ts'
import { pullFlags } from './pull-flags.ts'

/** What somebody who named no place may have meant. Names of Docker Hub are what people type without thinking of a scheme. */
function placeHint(text: string, before: string | undefined): string {
  if (before !== undefined && schemeOf(before) !== undefined)
    return `The new image stands first: sing pull ${shown(text)} ${shown(before)}`
  const [, word = '', rest = ''] = /^([A-Za-z-]+):\/\/(.*)$/s.exec(text) ?? []
  const near = word && suggest(word.toLowerCase(), schemeWords)
  if (near) return `Did you mean ${near}://${shown(rest)}?`
  return !word && /^[a-z0-9][\w.:/@-]*$/.test(text)
    ? `For a registry: docker://${text}`
    : 'For example docker://alpine:3.20, oci:DIRECTORY, https://...'
}

function requireReference(text: string, before: string | undefined): void {
  requireSource(text)
  if (schemeOf(text) !== undefined) return
  const hint = placeHint(text, before)
  throw new SingError('REFERENCE', `${shown(text)}: it does not say where the image is`, {
    hint,
    status: 255,
  })
}

/** Where the image will be. */
function targetOf(call: Call): { target: string; reference: string } {
  const { args, flags } = call
  const reference = args.at(-1) ?? ''
  const given = args.length > 1 ? args[0] : wordOf(flags, 'name')
  requireReference(reference, given)
  const usual = () =>
    flags.sandbox === true ? usualName(reference).replace(/\.sif$/, '') : usualName(reference, formOf(call))
  const name = given ?? usual()
  return { reference, target: resolve(wordOf(flags, 'dir') ?? '', name) }
}

/** What is fetched as the file that somebody made, perhaps with signatures. */
const asIs = /^(oras|https?):/

/** The configuration asks for signatures where images are started; whoever fetches one learns of it now. */
async function tellSignatures(call: Call, path: string, name: string, signal: AbortSignal): Promise<void> {
  const { flags, context } = call
  if (flags['allow-unsigned'] === true || flags['allow-unauthenticated'] === true) return
  const { config } = await context.settings()
  if (config.verify === 'never') return
  const { warnUnverified } = await import('../../trust/policy.ts')
  const { environment, report } = context
  await warnUnverified(path, name, { environment, report, signal })
}

async function run(call: Call): Promise<number> {
  const { flags, context } = call
  const { report } = context
  const { target, reference } = targetOf(call)
  const sandbox = flags.sandbox === true
  using interruption = catchInterruption('the pull')
  const { signal } = interruption
  const place = { force: flags.force === true, report, signal, unlock: unlockFor(call) }
  const options = { ...(await fetchingOptions(call, signal)), form: formOf(call) }
  using _cache = options.cache
  requirePlace(target, sandbox, place)
  const { path, digest, name } = await fetchImage(reference, options)
  if (asIs.test(reference)) await tellSignatures(call, path, name, signal)
  await (sandbox ? placeSandbox(path, target, place) : placeImage(path, target, signal))
  report({ kind: 'info', text: `${shown(name)} is in ${shown(target)}` })
  if (digest !== undefined) report({ kind: 'info', text: `Digest: ${digest}` })
  if (flags.json === true) context.print(toJson({ image: target, reference: name, digest }))
  return 0
}

export const command: Command = {
  usage: 'pull [options] [new image] <reference>',
  summary: 'Fetch an image from a registry, a daemon, an archive or the web',
  description:
    'The new image is a SIF file, or a directory with --sandbox. It appears under its name only when it is whole; without ' +
    'a name it is called after the reference, as in alpine_3.20.sif. What was fetched stays in the cache (sing cache).\n\n' +
    'References: docker://NAME[:TAG|@DIGEST] and oras:// (registries), oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG], ' +
    'docker-archive:FILE[:NAME], docker-daemon:NAME:TAG, http:// and https:// (SIF files).',
  examples: [
    'sing pull docker://alpine:3.20',
    'sing pull --arch arm64 tools.sif docker://registry.example/tools@sha256:...',
    'sing pull --sandbox tree/ oci-archive:image.tar',
    'sing pull --oci alpine.oci.sif docker://alpine:3.20',
    'sing pull --force solver.sif oras://registry.example/solver:2',
    'digest=$(sing pull --json tools.sif docker://registry.example/tools | jq -r .digest)',
  ],
  flags: pullFlags,
  args: [1, 2],
  run,
}
