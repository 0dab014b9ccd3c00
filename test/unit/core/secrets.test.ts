import { expect, it } from 'vitest'
import { splitSecrets } from '../../../src/core/secrets.ts'

it('keeps what opens images apart from other variables', () => {
  const secrets = {
    SINGULARITY_ENCRYPTION_PASSPHRASE: 'a',
    APPTAINER_ENCRYPTION_PEM_DATA: 'b',
    SING_ENCRYPTION_PEM_PATH: 'c',
  }
  const environment = {
    PATH: '/bin',
    ENCRYPTION_PASSPHRASE: 'd',
    SINGULARITY_ENCRYPTION: 'e',
    SINGULARITYENV_ENCRYPTION_PASSPHRASE: 'f',
    SING_BIND: '/x',
  }
  expect(splitSecrets({ ...environment, ...secrets })).toEqual({ environment, secrets })
})
