/** Variables of the environment whose values open encrypted images. */

const names = /^(SING|APPTAINER|SINGULARITY)_ENCRYPTION_(PASSPHRASE|PEM_PATH|PEM_DATA)$/

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
