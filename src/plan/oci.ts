/** The OCI configuration of an image, for those that have no scripts made of it, or no shell to run these. */

import type { Image } from '../image/open.ts'

type Config = { readonly entrypoint: readonly string[]; readonly command: readonly string[] }

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string') ? value : []
}

function member(config: unknown, key: string): unknown {
  return typeof config === 'object' && config !== null ? (config as Record<string, unknown>)[key] : undefined
}

function readConfig(config: unknown): Config {
  return { entrypoint: strings(member(config, 'Entrypoint')), command: strings(member(config, 'Cmd')) }
}

/** The configuration alone says what the image runs: there are no scripts that repeat it. */
export const isConfigured = ({ kind }: { readonly kind?: Image['kind'] | undefined }): boolean =>
  kind === 'oci-sif'

/**
 * What `run` starts: the entry point with the arguments, or with the default command when there are none. Undefined when the
 * configuration names no program. (OCI image specification, config.md: Entrypoint, Cmd.)
 */
export function ociProgram(config: unknown, args: readonly string[]): string[] | undefined {
  if (typeof config !== 'object' || config === null) return undefined
  const { entrypoint, command } = readConfig(config)
  const program = [...entrypoint, ...(args.length > 0 ? args : command)]
  return program.length > 0 && program[0] !== '' ? program : undefined
}

/** The variables of the configuration (`Env`, words of `NAME=value`); names that no shell could have are left out. */
export function ociVariables(config: unknown): Record<string, string> {
  const pairs = strings(member(config, 'Env')).map((word): [string, string] => {
    const at = word.indexOf('=')
    return at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)]
  })
  return Object.fromEntries(pairs.filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)))
}

/** A text of the configuration, such as `WorkingDir`; empty when it is not there. */
export function ociText(config: unknown, key: 'User' | 'WorkingDir'): string {
  const value = member(config, key)
  return typeof value === 'string' ? value : ''
}
