/** What an image tells runtimes of OCI about itself: the configuration it came with, or one made of its scripts. Pure. */

import { Buffer } from 'node:buffer'
import type { ExtraFile } from '../native/export.ts'
import { addAssignments, type Variables } from './assignments.ts'
import type { Attributes } from './contents.ts'
import { ociEnvironmentFile, ociMark } from './oci-scripts.ts'
import { loadEnvironment, noRunscript } from './texts.ts'

export type Described = {
  readonly architecture: string
  /** Seconds since 1970. */
  readonly created: number
  /** `config` of the OCI image that it was made from. */
  readonly oci: Readonly<Record<string, unknown>> | undefined
  readonly attributes: Attributes
  /** Names of the scripts in `/.singularity.d/actions`. */
  readonly actions: readonly string[]
  /** Files can be added to it. */
  readonly isOpen: boolean
}

const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** The runscripts of who has none. */
const emptyScripts = [noRunscript.trim(), 'There is no runscript defined for this container']

type Program = { readonly Entrypoint?: unknown; readonly Cmd?: unknown }

const given = (key: string, value: unknown): Record<string, unknown> => (value ? { [key]: value } : {})

const isOwn = (runscript: string): boolean =>
  runscript !== '' && !emptyScripts.some((text) => runscript.includes(text))

/** What runs is the runscript of a definition, and not what OCI says. */
function runsScript({ oci, attributes: { runscript = '' } }: Described): boolean {
  return isOwn(runscript) && !(oci && runscript.includes(ociMark))
}

const folder = '/.singularity.d'
const starter = `${folder}/oci-run`
const copy = `${folder}/oci-runscript`

/**
 * Files that an image needs to run its runscript elsewhere. Where the image becomes a SIF again, the runscript becomes one that
 * runs the entry point: this must not be one that runs the runscript.
 */
export function starterFiles(described: Described): ExtraFile[] {
  if (!described.isOpen || !runsScript(described)) return []
  const common = { mode: 0o755, mtime: Math.max(0, described.created) }
  return [
    { path: starter.slice(1), data: `${loadEnvironment}exec ${copy} "$@"\n`, ...common },
    { path: copy.slice(1), data: `${described.attributes.runscript}\n`, ...common },
  ]
}

/** What runs: `docker run IMAGE ARGUMENTS` does what `sing run IMAGE ARGUMENTS` does. */
function programOf(described: Described): Program {
  const { oci, actions, isOpen } = described
  const runner = actions.includes('run') ? `${folder}/actions/run` : `${folder}/runscript`
  if (runsScript(described)) return { Entrypoint: [isOpen ? starter : runner] }
  if (oci) return { ...given('Entrypoint', oci.Entrypoint), ...given('Cmd', oci.Cmd) }
  // No runscript: any command, in the environment of the image.
  return { ...given('Entrypoint', actions.includes('exec') && [`${folder}/actions/exec`]), Cmd: ['/bin/sh'] }
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === 'string') : []

function variablesOf({ oci, attributes }: Described): string[] {
  const variables: Variables = new Map([['PATH', usualPath]])
  for (const word of texts(oci?.Env)) {
    const [, name = word, value = ''] = /^([^=]*)=(.*)$/s.exec(word) ?? []
    variables.set(name, value)
  }
  for (const [file, script] of Object.entries(attributes.environment ?? {}))
    if (!oci || file !== ociEnvironmentFile) addAssignments(variables, script)
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function labelsOf({ oci, attributes }: Described): Record<string, unknown> {
  const labels: Record<string, unknown> = { ...(oci?.Labels ?? {}), ...attributes.labels }
  return Object.fromEntries(
    Object.keys(labels)
      .sort()
      .map((key) => [key, labels[key]]),
  )
}

const kept = [
  'User',
  'WorkingDir',
  'ExposedPorts',
  'Volumes',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
] as const

/** What made the files, which are all in the layers that are sent now. */
function historyOf({ oci }: Described, created: string): object[] {
  const entries: unknown[] = Array.isArray(oci?.history) ? oci.history : []
  return entries.flatMap((entry) => {
    const text = (entry as { created_by?: unknown } | null)?.created_by
    return typeof text === 'string' ? [{ created, created_by: text, empty_layer: true }] : []
  })
}

/** The configuration document for layers with these digests of their tars, the lowest first. */
export function imageConfig(described: Described, diffIds: readonly string[]): Buffer {
  const { architecture, created, oci } = described
  const labels = labelsOf(described)
  const config = {
    ...Object.fromEntries(kept.flatMap((key) => (oci?.[key] ? [[key, oci[key]]] : []))),
    Env: variablesOf(described),
    ...programOf(described),
    ...(Object.keys(labels).length > 0 ? { Labels: labels } : {}),
  }
  const time = new Date(Math.max(0, created) * 1000).toISOString().replace('.000Z', 'Z')
  const document = {
    created: time,
    ...(typeof oci?.author === 'string' ? { author: oci.author } : {}),
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: [
      ...historyOf(described, time),
      ...diffIds.map(() => ({ created: time, created_by: 'sing push' })),
    ],
  }
  return Buffer.from(JSON.stringify(document))
}
