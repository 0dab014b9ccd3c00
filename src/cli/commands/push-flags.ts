/** The flags of `sing push` as data. */

import { type Flag, registryFlags } from '../options.ts'

/** What only fetching needs, and what a push to a daemon would need. */
const others = ['disable-cache', 'docker-host']

const layers: readonly Flag[] = [
  {
    name: 'layer-format',
    kind: 'string',
    env: ['LAYER_FORMAT'],
    placeholder: 'format',
    help: 'docker://: layers as tar, which all runtimes read, or squashfs, which sing and Singularity 4 read',
  },
  {
    name: 'compress',
    kind: 'string',
    env: ['COMPRESS'],
    placeholder: 'name',
    help: 'docker://: pack archives by gzip (default, read everywhere), zstd (quicker) or none',
  },
]

const annotations: readonly Flag[] = [
  {
    name: 'annotation',
    kind: 'list',
    split: 'never',
    env: [],
    placeholder: 'name=value',
    help: 'add this to the manifest; may be repeated',
  },
  {
    name: 'description',
    short: 'D',
    kind: 'string',
    env: [],
    placeholder: 'text',
    help: 'the annotation org.opencontainers.image.description',
  },
]

const hidden: readonly Flag[] = [
  {
    name: 'allow-unsigned',
    short: 'U',
    kind: 'boolean',
    env: ['ALLOW_UNSIGNED'],
    hidden: true,
    help: 'no effect: images are sent with and without a signature',
  },
  {
    name: 'docker-host',
    kind: 'string',
    env: ['DOCKER_HOST'],
    placeholder: 'url',
    hidden: true,
    help: 'no effect: images are sent to registries, not to a daemon',
  },
  {
    name: 'tmpdir',
    kind: 'string',
    env: ['TMPDIR'],
    placeholder: 'path',
    hidden: true,
    help: 'no effect: layers are made while they are sent',
  },
  {
    name: 'library',
    kind: 'string',
    env: ['LIBRARY'],
    placeholder: 'url',
    hidden: true,
    help: 'address of a library',
    notice: '--library has no effect: images are not sent to libraries',
  },
  {
    name: 'with-cosign',
    kind: 'boolean',
    env: ['WITH_COSIGN'],
    hidden: true,
    help: 'send the signatures of cosign too',
    refused:
      'signatures of cosign do not travel in image files; sign what was pushed: cosign sign IMAGE@DIGEST',
  },
]

export const pushFlags: readonly Flag[] = [
  ...layers,
  ...annotations,
  { name: 'json', short: 'j', kind: 'boolean', env: [], help: 'print what was sent as JSON' },
  ...registryFlags.filter(({ name }) => !others.includes(name)),
  ...hidden,
]
