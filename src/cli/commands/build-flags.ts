/** The flags of `sing build` as data. */

import { type Flag, fakerootFlags, registryFlags } from '../options.ts'
import { grouped, list, path, text, toggle } from '../rows.ts'

const targetFlags = grouped('New image:', [
  toggle('sandbox', 'make a directory instead of a SIF file', { short: 's' }),
  toggle('update', 'run the definition in an existing sandbox (with --sandbox)', { short: 'u' }),
  toggle('force', 'replace what exists, and labels of the base', { short: 'F' }),
  text('compress', 'zstd (default), gzip, xz or lz4, with a level: zstd:15', { placeholder: 'name[:level]' }),
  text('mksquashfs-args', 'the same in words of mksquashfs: -comp, -Xcompression-level, -b, ...', {
    placeholder: 'words',
  }),
  toggle('lock', 'write what was resolved beside the image: NAME.lock.yaml', { env: [] }),
  toggle('locked', 'refuse what differs from NAME.lock.yaml', { env: [] }),
  toggle('reproducible', 'equal input makes equal bytes; SOURCE_DATE_EPOCH names the time'),
  text('arch', 'architecture of the image; scripts need a machine that runs its programs', {
    env: ['BUILD_ARCH'],
    placeholder: 'name',
  }),
  text('arch-variant', 'variant of the architecture, such as v7', {
    env: ['BUILD_ARCH_VARIANT'],
    placeholder: 'name',
  }),
  toggle('check', 'refuse the image when a check finds an error in it (see sing check)', { env: [] }),
  text('check-level', 'with --check: what refuses it: error (default), warning, note, never', {
    env: [],
    placeholder: 'severity',
  }),
  toggle('sbom', 'list the packages in the image in an object of it: spdx (default) or cyclonedx', {
    env: [],
    optionalValue: ['spdx', 'cyclonedx'],
  }),
  toggle('sbom-files', 'with --sbom: list the files of packages, too', { env: [] }),
  toggle('data', 'an image that holds only data: a directory, a file, or the files of an image, for binds'),
])

export const encryptionFlags = grouped('Encryption:', [
  toggle(
    'encrypt',
    'encrypt the image: with --passphrase, for --pem-path, or with what the environment has',
    {
      short: 'e',
      env: [],
      once: true,
    },
  ),
  toggle('passphrase', 'ask for the passphrase that will open it', { env: [], once: true }),
  path('pem-path', 'public key of RSA; the private one will open it', {
    env: [],
    placeholder: 'file',
    once: true,
  }),
])

const definitionFlags = grouped('Definition:', [
  list('build-arg', 'value of {{ NAME }} in the definition, or of ARG in the Dockerfile', {
    env: [],
    split: 'never',
    placeholder: 'NAME=value',
  }),
  text('build-arg-file', 'file of NAME=value lines', { env: [], placeholder: 'file' }),
  toggle('warn-unused-build-args', 'an argument that is not used is no error', { env: [] }),
  list('section', 'run only these sections: setup, post, files, environment, test, labels, ..., none', {
    split: 'commas',
    placeholder: 'names',
  }),
  toggle('notest', 'do not run %test', { short: 'T' }),
  toggle('json', 'the definition is JSON'),
  text('target', 'the stage of a Dockerfile that becomes the image', { env: [], placeholder: 'stage' }),
])

const runFlags = grouped('Sections:', [
  toggle('fakeroot', 'be root while building; a definition implies it', { short: 'f' }),
  // A definition is always built as root of a user namespace, so this asks for nothing more.
  toggle('userns', 'build in a user namespace', {}),
  ...fakerootFlags,
  toggle('ignore-proot', 'no effect: proot is never used', { hidden: true }),
  // Bind variables that are meant for running containers must not break builds, where destinations have to exist.
  list('bind', 'bring a host path in during %post and %test: source[:destination[:ro]]', {
    short: 'B',
    env: [],
    split: 'never',
    placeholder: 'specs',
  }),
  list('mount', 'the same in words: type=bind,source=/a,destination=/b,ro', {
    append: true,
    split: 'lines',
    placeholder: 'spec',
  }),
  toggle('writable-tmpfs', 'let %test write; the changes are forgotten'),
  toggle('fix-perms', 'let the owner read and change everything in the base', { env: ['FIXPERMS'] }),
  toggle('no-setgroups', 'nobody inside can leave the supplementary groups of the caller', { hidden: true }),
])

const failureFlags = grouped('Failures:', [
  text('on-error', 'when a script fails: stop, or shell to look around first', { placeholder: 'what' }),
  toggle('resume', 'go on with what the failed build left, as it was left in that shell'),
])

const deviceFlags = grouped('Devices:', [
  toggle('nv', 'NVIDIA GPUs during %post and %test', { env: [] }),
  toggle('rocm', 'AMD GPUs during %post and %test', { env: [] }),
  toggle('nvccli', 'GPUs by nvidia-container-cli', {
    hidden: true,
    refused: 'that program works only with privilege; use --nv',
  }),
])

const stepFlags = grouped('Steps:', [
  toggle('no-cache', 'run all steps, although results of the same ones are kept'),
  text('from-step', 'run the steps from this one on: its number, or its title', { placeholder: 'step' }),
])

const temporaryFlags = grouped('Temporary files:', [
  text('tmpdir', 'directory for temporary files', { placeholder: 'path' }),
  toggle('no-cleanup', 'keep the temporary files'),
])

const remote = 'building on another machine is not supported; build here, no privilege is needed'
const otherFlags = grouped('Others:', [
  toggle('remote', 'build elsewhere', { hidden: true, refused: remote }),
  text('builder', 'address of a build service', { hidden: true, refused: remote }),
  toggle('detached', 'build elsewhere and return', { short: 'd', hidden: true, refused: remote }),
  text('buildkit-host', 'address of buildkitd', {
    hidden: true,
    unprefixed: true,
    notice: '--buildkit-host has no effect: Dockerfiles are built here, without a daemon',
  }),
  text('library', 'address of a library', {
    hidden: true,
    notice: '--library has no effect: there is no library to ask',
  }),
  toggle('oci', 'from docker:// and other OCI sources, or a Dockerfile: write an OCI-SIF', { hidden: true }),
  toggle('keep-layers', 'with --oci: one file system for each layer instead of one for all', {
    hidden: true,
  }),
  toggle('no-oci', 'take --oci back', { hidden: true }),
])

export const buildFlags: readonly Flag[] = [
  ...targetFlags,
  ...encryptionFlags,
  ...definitionFlags,
  ...runFlags,
  ...failureFlags,
  ...deviceFlags,
  ...stepFlags,
  ...temporaryFlags,
  ...registryFlags,
  ...otherFlags,
]
