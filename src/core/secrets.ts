/** Variables of the environment that hold secrets: what opens encrypted images, and the passphrase of the key that signs. */

const prefixes = ['SING_', 'APPTAINER_', 'SINGULARITY_'] as const
const names = /^(SING|APPTAINER|SINGULARITY)_(ENCRYPTION_(PASSPHRASE|PEM_PATH|PEM_DATA)|KEY_PASSPHRASE)$/

export type SecretName =
  | 'ENCRYPTION_PASSPHRASE'
  | 'ENCRYPTION_PEM_PATH'
  | 'ENCRYPTION_PEM_DATA'
  | 'KEY_PASSPHRASE'

type Secrets = Readonly<Record<string, string>>

/** The strongest of the three spellings that is set. */
export const variableOf = (secrets: Secrets, name: SecretName): string | undefined =>
  prefixes.map((prefix) => `${prefix}${name}`).find((one) => secrets[one])

/** What it says. */
export function secretOf(secrets: Secrets, name: SecretName): string | undefined {
  const variable = variableOf(secrets, name)
  return variable === undefined ? undefined : secrets[variable]
}

/** The variables that are about images, and set. */
export const setForImages = (secrets: Readonly<Record<string, string>>): string[] =>
  Object.keys(secrets).filter((name) => name.includes('_ENCRYPTION_') && secrets[name])

/** The values that are set, apart from the variables that everybody may see. */
export function splitSecrets(variables: Readonly<Record<string, string>>): {
  readonly environment: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, string>>
} {
  const entries = Object.entries(variables)
  return {
    environment: Object.fromEntries(entries.filter(([name]) => !names.test(name))),
    secrets: Object.fromEntries(entries.filter(([name]) => names.test(name))),
  }
}
