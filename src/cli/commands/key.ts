/** `sing key ...`: the keys that sign images and check signatures. */

import { SingError } from '../../core/errors.ts'
import type { Call, Command } from '../command.ts'
import type { Flag } from '../options.ts'

const keysdir: Flag = {
  name: 'keysdir',
  short: 'd',
  kind: 'string',
  placeholder: 'path',
  help: 'directory of the keys (also SING_KEYSDIR, APPTAINER_KEYSDIR, SINGULARITY_KEYSDIR)',
}
const global: Flag = { name: 'global', short: 'g', kind: 'boolean', help: 'the public keys of the site' }
const secret = (help: string, more: Partial<Flag> = {}): Flag => ({
  name: 'secret',
  short: 's',
  kind: 'boolean',
  aliases: ['private'],
  help,
  ...more,
})
const passwordStdin: Flag = {
  name: 'password-stdin',
  kind: 'boolean',
  help: 'read the passphrase from standard input',
}
const text = (name: string, short: string, help: string): Flag => ({
  name,
  short,
  kind: 'string',
  placeholder: 'text',
  help,
})

const url: Flag = {
  name: 'url',
  short: 'u',
  kind: 'string',
  env: ['URL'],
  placeholder: 'url',
  help: 'the key server, in the place of the first of: sing keyserver list',
}

const pairFlags: readonly Flag[] = [
  text('name', 'N', 'name of the owner'),
  text('email', 'E', 'address of the owner'),
  text('comment', 'C', 'what the key is for'),
  text('password', 'P', 'passphrase, which others can see in the list of processes'),
  passwordStdin,
  {
    name: 'push',
    short: 'U',
    kind: 'boolean',
    help: 'send the public key to a key server',
  },
  { name: 'type', kind: 'string', placeholder: 'rsa|ed25519', help: 'kind of key (rsa)' },
  {
    name: 'bit-length',
    short: 'b',
    kind: 'number',
    placeholder: 'bits',
    help: 'length of an RSA key (4096)',
  },
  { ...url, help: 'with --push: the key server' },
  keysdir,
]

const refuseCosign = (_: Call): Promise<number> => {
  throw new SingError('UNSUPPORTED', 'pairs of keys for cosign cannot be made', {
    hint:
      'Make a PEM key, which sign --key and verify --key take: openssl genpkey -algorithm ed25519 -out key.pem\n' +
      'For cosign itself: cosign generate-key-pair',
  })
}

/** The commands below `key`, by their word. */
export const subcommands: Record<string, Command> = {
  newpair: {
    usage: 'key newpair [options]',
    summary: 'Make a pair of keys',
    description:
      'What the flags do not say is asked for. The passphrase protects all parts of the private key; SING_KEY_PASSPHRASE may ' +
      'hold it.',
    examples: [
      'sing key newpair',
      'sing key newpair --name "Ada Example" --email ada@example.org --comment "" --password-stdin < passphrase',
    ],
    flags: pairFlags,
    args: [0, 0],
    run: async (call) => (await import('../key/newpair.ts')).newpair(call),
  },
  list: {
    usage: 'key list [options]',
    summary: 'List the keys that you have',
    description:
      'Keys of Apptainer and Singularity in your home directory are listed, too; they are only read.',
    examples: ['sing key list', 'sing key list --secret', 'sing key list --global --json'],
    flags: [
      secret('private keys', { env: ['SECRET'] }),
      global,
      { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON' },
      keysdir,
    ],
    args: [0, 0],
    run: async (call) => (await import('../key/list.ts')).list(call),
  },
  search: {
    usage: 'key search [options] <words>',
    summary: 'Look for keys on a key server',
    description:
      'By a part of a name or an address, or by a fingerprint or an id. What a server tells of a key is not proved: compare ' +
      'the whole fingerprint with its owner.',
    examples: [
      'sing key search ada@example.org',
      'sing key search --long-list --url hkps://keys.example.org Ada',
    ],
    flags: [
      { name: 'long-list', short: 'l', kind: 'boolean', help: 'whole fingerprints, dates and states' },
      { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON' },
      url,
    ],
    args: [1, 1],
    run: async (call) => (await import('../key/search.ts')).search(call),
  },
  pull: {
    usage: 'key pull [options] <fingerprint>',
    summary: 'Fetch a key from a key server',
    description:
      'The key is then trusted to check signatures: compare its fingerprint with its owner before. One that you have is brought ' +
      'up to date.',
    examples: ['sing key pull 2B2876D50ACDE5369DF7C79AB29A9DF827D1FF30'],
    flags: [url, global, keysdir],
    args: [1, 1],
    run: async (call) => (await import('../key/pull.ts')).pull(call),
  },
  push: {
    usage: 'key push [options] <fingerprint>',
    summary: 'Send a public key to a key server',
    description:
      'Everybody can see it there, with the names and addresses in it, and nobody can take it back.',
    examples: ['sing key push 2B2876D50ACDE5369DF7C79AB29A9DF827D1FF30'],
    flags: [url, global, keysdir],
    args: [1, 1],
    run: async (call) => (await import('../key/push.ts')).push(call),
  },
  import: {
    usage: 'key import [options] <file>',
    summary: 'Take keys from a file, or - for standard input',
    description:
      'A key that you have is brought up to date: with new dates, signatures, and its revocation. A file with a revocation ' +
      'certificate alone revokes the key that it is of.',
    examples: ['sing key import ada.asc', 'gpg --export ada@example.org | sing key import -'],
    flags: [
      { name: 'new-password', kind: 'boolean', help: 'give private keys another passphrase' },
      global,
      keysdir,
    ],
    args: [1, 1],
    run: async (call) => (await import('../key/import.ts')).importFile(call),
  },
  export: {
    usage: 'key export [options] <file> [key]',
    summary: 'Write a key into a file, or - for standard output',
    description:
      'The key is named by its number in the list, its fingerprint, or a part of its name; without that you are asked. ' +
      'Private keys keep their passphrase.',
    examples: [
      'sing key export --armor ada.asc ada@example.org',
      'sing key export --secret --armor backup.asc 0',
    ],
    flags: [
      { name: 'armor', short: 'a', kind: 'boolean', help: 'as text' },
      secret('the private key'),
      global,
      keysdir,
    ],
    args: [1, 2],
    run: async (call) => (await import('../key/export.ts')).exportFile(call),
  },
  remove: {
    usage: 'key remove [options] <fingerprint>',
    summary: 'Remove a key that you have',
    examples: ['sing key remove 2B2876D50ACDE5369DF7C79AB29A9DF827D1FF30'],
    flags: [
      { name: 'public', short: 'p', kind: 'boolean', help: 'the public key (default)' },
      secret('the private key'),
      { name: 'both', short: 'b', kind: 'boolean', help: 'both' },
      global,
      keysdir,
    ],
    args: [1, 1],
    run: async (call) => (await import('../key/remove.ts')).remove(call),
  },
  'generate-cosign-key-pair': {
    usage: 'key generate-cosign-key-pair',
    summary: 'Not here: says how to make a PEM key instead',
    flags: [
      {
        name: 'output-key-prefix',
        kind: 'string',
        placeholder: 'prefix',
        hidden: true,
        help: 'beginning of the names of the files',
      },
    ],
    args: [0, 0],
    run: refuseCosign,
  },
}
