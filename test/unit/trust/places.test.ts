/** Where keys lie. */

import { describe, expect, it } from 'vitest'
import { keyPlaces, placesWith } from '../../../src/trust/places.ts'

const home = { HOME: '/home/ada' }
const directories = (environment: Record<string, string>, named?: string) =>
  placesWith(keyPlaces(environment, named)).map(({ directory }) => directory)

describe('keys lie', () => {
  it.each([
    [
      'below the home directory, beside those of the peers',
      home,
      ['/home/ada/.local/share/sing/keys', '/home/ada/.apptainer/keys', '/home/ada/.singularity/sypgp'],
    ],
    [
      'where the XDG directory for data is',
      { ...home, XDG_DATA_HOME: '/data' },
      ['/data/sing/keys', '/home/ada/.apptainer/keys', '/home/ada/.singularity/sypgp'],
    ],
    [
      'below home when that is no absolute path',
      { ...home, XDG_DATA_HOME: 'data' },
      ['/home/ada/.local/share/sing/keys', '/home/ada/.apptainer/keys', '/home/ada/.singularity/sypgp'],
    ],
    [
      'where the peers were told to have theirs',
      { ...home, APPTAINER_CONFIGDIR: '/a', SINGULARITY_CONFIGDIR: '/s' },
      ['/home/ada/.local/share/sing/keys', '/a/keys', '/s/sypgp'],
    ],
    ['in SING_KEYSDIR alone', { ...home, SING_KEYSDIR: '/k', APPTAINER_KEYSDIR: '/x' }, ['/k']],
    ['in APPTAINER_KEYSDIR', { ...home, APPTAINER_KEYSDIR: '/k', SINGULARITY_KEYSDIR: '/x' }, ['/k']],
    ['in SINGULARITY_KEYSDIR', { ...home, SINGULARITY_KEYSDIR: '/k', SINGULARITY_SYPGPDIR: '/x' }, ['/k']],
    ['in SINGULARITY_SYPGPDIR', { ...home, SINGULARITY_SYPGPDIR: '/k' }, ['/k']],
    ['in APPTAINER_SYPGPDIR', { ...home, APPTAINER_SYPGPDIR: '/k', SING_KEYSDIR: '' }, ['/k']],
  ])('%s', (_, environment, wanted) => {
    expect(directories(environment)).toEqual(wanted)
  })

  it('where --keysdir says, from here', () => {
    expect(directories({ ...home, SING_KEYSDIR: '/k' }, 'rel')).toEqual([`${process.cwd()}/rel`])
  })

  it('in files of the names that the peers use', () => {
    const { own, global } = keyPlaces({}, '/k')
    expect(own).toMatchObject({ public: '/k/pgp-public', secret: '/k/pgp-secret', owner: 'own' })
    expect(global.map((place) => place.public)).toEqual([
      '/etc/sing/global-pgp-public',
      '/etc/apptainer/global-pgp-public',
      '/etc/singularity/global-pgp-public',
    ])
  })

  it('nowhere without a home directory', () => {
    expect(() => keyPlaces({ HOME: 'relative' })).toThrow('there is no place for keys')
  })
})
