/** The flags of `sing pull` as data. */

import { type Flag, registryFlags } from '../options.ts'
import { grouped, text, toggle } from '../rows.ts'

const targetFlags = grouped('New image:', [
  text('dir', 'directory for the new image', {
    env: ['PULLDIR', 'PULLFOLDER'],
    placeholder: 'path',
    hostPath: true,
  }),
  text('name', 'name of the new image', { env: ['PULL_NAME'], hidden: true, placeholder: 'file' }),
  toggle('force', 'replace what exists', { short: 'F' }),
  toggle('sandbox', 'make a directory instead of a SIF file', { short: 's' }),
  toggle('oci', 'write an OCI-SIF, which holds the OCI image as it is'),
  toggle('keep-layers', 'with --oci: one file system for each layer instead of one for all'),
  toggle('no-oci', 'take --oci back', { hidden: true }),
  toggle('json', 'print where the image is and what it is as JSON', { short: 'j', env: [] }),
  toggle('reproducible', 'no effect: the same image always becomes the same bytes', { hidden: true }),
])

const platformFlags = grouped('Platform:', [
  text('arch', 'architecture of the image, such as arm64', {
    env: ['PULL_ARCH', 'ARCH'],
    placeholder: 'name',
  }),
  text('arch-variant', 'variant of the architecture, such as v7', {
    env: ['PULL_ARCH_VARIANT'],
    placeholder: 'name',
  }),
  text('platform', 'both in one: linux/arm64/v8', { placeholder: 'os/name[/variant]' }),
])

const temporaryFlags = grouped('Temporary files:', [
  text('tmpdir', 'directory for temporary files', { placeholder: 'path', hostPath: true }),
  toggle('no-cleanup', 'no effect: what has arrived stays in the cache', { hidden: true }),
])

const otherFlags = grouped('Others:', [
  text('library', 'address of a library', {
    hidden: true,
    notice: '--library has no effect: there is no library to ask',
  }),
  toggle('allow-unsigned', 'do not say that signatures do not hold, where the configuration asks for them', {
    short: 'U',
    hidden: true,
  }),
  toggle('allow-unauthenticated', 'the same', { hidden: true }),
  toggle('with-cosign', 'fetch the signatures of cosign too', {
    hidden: true,
    refused: 'signatures of cosign have no place in a SIF',
  }),
])

export const pullFlags: readonly Flag[] = [
  ...targetFlags,
  ...platformFlags,
  ...temporaryFlags,
  ...registryFlags,
  ...otherFlags,
]
