/**
 * What an OCI configuration becomes in an image: the environment, the runscript, the labels. POSIX sh, for any shell of an
 * image and for the interpreters inside of other runtimes. Pure.
 */

import type { ImageConfig } from '../oci/types.ts'
import { automaticLabels, type BaseImage, baseLabels, isAboutBuild, type Making } from './labels.ts'

export const ociEnvironmentFile = '/.singularity.d/env/10-docker2singularity.sh'

/** A shell word that stands for exactly this text. Not with \', which the peers' interpreter keeps whole in assignments. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'"'"'`)}'`

const words = (texts: readonly string[]): string => texts.map(quoted).join(' ')

/** A name that a shell can have; no shell can hold a NUL. */
const isVariable = (name: string, value: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes('\0')

/** Of a name that comes twice the last value counts, at its first place. */
function readVariables(environment: readonly string[]): Map<string, string | undefined> {
  const variables = new Map<string, string | undefined>()
  for (const word of environment) {
    const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (isVariable(name, value ?? '')) variables.set(name, value)
  }
  return variables
}

function exportLine(name: string, value: string | undefined): string {
  if (value === undefined) return `export ${name}="\${${name}:-}"\n`
  if (name === 'PATH') return `export PATH=${quoted(value)}\n`
  return `[ -n "\${${name}:-}" ] || ${name}=${quoted(value)}; export ${name}\n`
}

/** `10-docker2singularity.sh`: PATH is the image's, of the others what the environment has already stays. */
export function ociEnvironmentScript({ environment }: Pick<ImageConfig, 'environment'>): string {
  const lines = [...readVariables(environment)].map(([name, value]) => exportLine(name, value))
  return `#!/bin/sh\n${lines.join('')}`
}

/**
 * Arguments of the user are evaluated once, as all runtimes of the family do: variables and $(...) in them. The rest of an
 * argument stays as it is, quotes, backquotes and backslashes too, but for a backslash that keeps a dollar sign from it.
 * (In the text ~ stands for a backquote and @ for a dollar sign, which mean something in a template.)
 */
const evaluate = String.raw`oci_evaluate() {
    OCI_REST=@1 OCI_TEXT=
    while :; do
        case @OCI_REST in
        *[\\\"\~]*) ;;
        *) break ;;
        esac
        OCI_HEAD=@{OCI_REST%%[\\\"\~]*}
        OCI_REST=@{OCI_REST#"@OCI_HEAD"}
        case @OCI_REST in
        \\\@*) OCI_TEXT=@OCI_TEXT@OCI_HEAD'\@' OCI_REST=@{OCI_REST#??} ;;
        \\*) OCI_TEXT=@OCI_TEXT@OCI_HEAD'\\' OCI_REST=@{OCI_REST#?} ;;
        \"*) OCI_TEXT=@OCI_TEXT@OCI_HEAD'\"' OCI_REST=@{OCI_REST#?} ;;
        *) OCI_TEXT=@OCI_TEXT@OCI_HEAD'\~' OCI_REST=@{OCI_REST#?} ;;
        esac
    done
    command eval "OCI_ARGUMENT=\"@OCI_TEXT@OCI_REST\"" || OCI_ARGUMENT=@1
}
`
  .replaceAll('@', '$')
  .replaceAll('~', '`')

/** Runtimes of the family know by it the script that was made of ENTRYPOINT and CMD. */
export const ociMark = 'SINGULARITY_OCI_RUN'

/** Runtimes of the family know by the middle line what script this is, and run it without a shell of the image. */
const start = `SINGULARITY_OCI_RUN='-- "$@"'
eval "set \${SINGULARITY_OCI_RUN}"
unset SINGULARITY_OCI_RUN OCI_ARGUMENT OCI_REST OCI_HEAD OCI_TEXT
exec "$@"
`

/** The runscript: ENTRYPOINT with the arguments of the user, or with CMD when there are none. */
export function ociRunscript({ entrypoint, command }: Pick<ImageConfig, 'entrypoint' | 'command'>): string {
  return `#!/bin/sh
# ENTRYPOINT and CMD of an OCI image. Dollar signs in arguments are evaluated, unless --no-eval is given.
${evaluate}
if [ $# -eq 0 ]; then
    set -- ${words(command)}
elif [ -z "\${SINGULARITY_NO_EVAL:-}" ]; then
    for OCI_ARGUMENT in "$@"; do
        shift
        case $OCI_ARGUMENT in
        *\\$*) oci_evaluate "$OCI_ARGUMENT" ;;
        esac
        set -- "$@" "$OCI_ARGUMENT"
    done
fi
set -- ${words(entrypoint)} "$@"
if [ $# -eq 0 ]; then
    echo 'this image has neither ENTRYPOINT nor CMD: name a command' >&2
    exit 1
fi
${start}`
}

/** Labels of a new image: those that a base brought along, those that tell which it is, those of the configuration, those about the conversion. */
export function ociLabels(
  base: ReadonlyMap<string, string>,
  { labels }: Pick<ImageConfig, 'labels'>,
  making: Making,
  header: Readonly<Record<string, string>>,
  image?: BaseImage,
): Map<string, string> {
  return new Map([
    ...[...base].filter(([key]) => !isAboutBuild(key)),
    ...baseLabels(image),
    ...Object.entries(labels),
    ...automaticLabels(making, header),
  ])
}

/** The order in which all writers of the family store them; the last three are Docker's own. */
const storedKeys = [
  'Cmd',
  'Entrypoint',
  'Env',
  'Labels',
  'User',
  'Volumes',
  'WorkingDir',
  'ExposedPorts',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
]

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** `oci-config.json`: the `config` of the document without what is empty. `document` is JSON. */
export function ociConfigJson({ document }: Pick<ImageConfig, 'document'>): string {
  return ociConfigText((JSON.parse(document.toString()) as { config?: object | null }).config ?? {})
}

/** The same of a configuration that is no document yet; `more` of it stands behind. */
export function ociConfigText(config: object, more: object = {}): string {
  const values = new Map<string, unknown>(Object.entries(config))
  const stored = storedKeys.flatMap((key) => (isEmpty(values.get(key)) ? [] : [[key, values.get(key)]]))
  return JSON.stringify({ ...Object.fromEntries(stored), ...more })
}
