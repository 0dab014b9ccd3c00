import { expect, it } from 'vitest'
import { secretOf, setForImages, splitSecrets } from '../../../src/core/secrets.ts'

it('keeps secrets apart from other variables', () => {
  const secrets = {
    SINGULARITY_ENCRYPTION_PASSPHRASE: 'a',
    APPTAINER_ENCRYPTION_PEM_DATA: 'b',
    SING_ENCRYPTION_PEM_PATH: 'c',
    SING_KEY_PASSPHRASE: 'g',
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

it('takes the strongest spelling that is set', () => {
  const secrets = {
    SINGULARITY_KEY_PASSPHRASE: 'weak',
    APPTAINER_KEY_PASSPHRASE: 'strong',
    SING_KEY_PASSPHRASE: '',
    SING_ENCRYPTION_PEM_PATH: '',
    APPTAINER_ENCRYPTION_PASSPHRASE: 'image',
  }
  expect(secretOf(secrets, 'KEY_PASSPHRASE')).toBe('strong')
  expect(secretOf(secrets, 'ENCRYPTION_PEM_PATH')).toBeUndefined()
  expect(setForImages(secrets)).toEqual(['APPTAINER_ENCRYPTION_PASSPHRASE'])
})
