/** `sing sign`: add signatures to an image. */

import type { Command } from '../command.ts'

const key = {
  name: 'key',
  kind: 'string',
  env: ['SIGN_KEY'],
  placeholder: 'file',
  help: 'sign with the private key in a PEM file instead',
  hostPath: true,
} as const

export const command: Command = {
  usage: 'sign [options] <image>',
  summary: 'Sign an image',
  description:
    'Each group of objects gets a signature; that is the whole image, as a rule. The key is the private one of your ring: the only ' +
    'one, or the one that you choose. Its passphrase is asked for, or read from standard input when that is no terminal; ' +
    'SING_KEY_PASSPHRASE may hold it.',
  examples: [
    'sing sign image.sif',
    'sing sign --keyidx ada@example.org image.sif',
    'sing sign --key private.pem image.sif',
  ],
  flags: [
    {
      name: 'keyidx',
      short: 'k',
      kind: 'string',
      placeholder: 'key',
      help: 'private key: its number in key list --secret, its fingerprint, or a part of its name',
    },
    key,
    {
      name: 'keysdir',
      short: 'd',
      kind: 'string',
      placeholder: 'path',
      help: 'directory of the keys (also SING_KEYSDIR, APPTAINER_KEYSDIR, SINGULARITY_KEYSDIR)',
    },
    {
      name: 'group-id',
      short: 'g',
      aliases: ['groupid'],
      kind: 'number',
      placeholder: 'number',
      help: 'sign this group of objects only',
    },
    {
      name: 'sif-id',
      short: 'i',
      aliases: ['id'],
      kind: 'number',
      placeholder: 'number',
      help: 'sign this object only (verify needs --sif-id then, too)',
    },
    {
      name: 'all',
      short: 'a',
      kind: 'boolean',
      hidden: true,
      help: 'sign every group, which is done anyway',
    },
    {
      name: 'cosign',
      short: 'c',
      kind: 'boolean',
      help: 'sign as cosign does',
      refused:
        'signatures of cosign are kept in registries, beside the image; sign it there: cosign sign IMAGE',
    },
  ],
  args: [1, 1],
  run: async (call) => (await import('../signing.ts')).sign(call),
}
