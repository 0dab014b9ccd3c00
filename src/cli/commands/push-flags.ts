/** The flags of `sing push` as data. */

import { encryptionFlags, type Flag, registryFlags } from '../options.ts'
import { grouped, list, path, text, toggle } from '../rows.ts'

const layerFlags = grouped('Layers at docker://:', [
  text('layer-format', 'tar, which all runtimes read, or squashfs, which sing and Singularity 4 read', {
    placeholder: 'format',
  }),
  text('compress', 'pack tar by gzip (default, read everywhere), zstd (quicker) or none', {
    // COMPRESS is that of builds, with other values.
    env: ['PUSH_COMPRESS'],
    placeholder: 'name',
  }),
])

const manifestFlags = grouped('Manifest:', [
  list('annotation', 'add this to the manifest; may be repeated', {
    split: 'never',
    env: [],
    placeholder: 'name=value',
    once: true,
  }),
  text('description', 'the annotation org.opencontainers.image.description', {
    short: 'D',
    env: [],
    once: true,
  }),
  toggle('json', 'print what was sent as JSON', { short: 'j', env: [] }),
])

const otherFlags = grouped('Others:', [
  toggle('allow-unsigned', 'no effect: images are sent with and without a signature', {
    short: 'U',
    hidden: true,
  }),
  text('docker-host', 'no effect: images are sent to registries, not to a daemon', { hidden: true }),
  path('tmpdir', 'no effect: layers are made while they are sent', { hidden: true }),
  text('library', 'address of a library', {
    hidden: true,
    notice: '--library has no effect: images are not sent to libraries',
  }),
  toggle('with-cosign', 'send the signatures of cosign too', {
    hidden: true,
    refused:
      'signatures of cosign do not travel in image files; sign what was pushed: cosign sign IMAGE@DIGEST',
  }),
])

/** What only fetching needs, and what a push to a daemon would need. */
const foreign = ['disable-cache', 'docker-host']

export const pushFlags: readonly Flag[] = [
  ...layerFlags,
  ...manifestFlags,
  ...encryptionFlags,
  ...registryFlags.filter(({ name }) => !foreign.includes(name)),
  ...otherFlags,
]
