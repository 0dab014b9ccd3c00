/** The flags of `sing sif add` and what they say about the new object. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../../core/errors.ts'
import { hashNames, partitionExtra, sbomExtra, sbomFormats, signatureExtra } from '../../sif/details.ts'
import { architectures, dataTypes } from '../../sif/format.ts'
import type { Description } from '../../sif/write.ts'
import type { Flags } from '../command.ts'
import type { Flag } from '../options.ts'

// Keys that look like numbers come first in an object: 10 before 01.
const architectureHelp = Object.entries(architectures)
  .toSorted(([one], [other]) => Number(one) - Number(other))
  .map(([code, name]) => `${Number(code)} ${name}`)
  .join(', ')

export const addFlags: readonly Flag[] = [
  {
    name: 'datatype',
    kind: 'number',
    placeholder: 'number',
    help:
      'what is added (needed): 1 definition, 2 environment, 3 labels, 4 partition, 5 signature, 6 JSON, ' +
      '7 anything, 8 cryptographic message, 9 SBOM, 10 OCI root index, 11 OCI blob',
  },
  {
    name: 'groupid',
    kind: 'number',
    placeholder: 'number',
    help: 'group of the object, 0 for none (default 0)',
  },
  {
    name: 'link',
    kind: 'number',
    placeholder: 'number',
    help: 'number of the object it belongs to, 0 for none (default 0)',
  },
  {
    name: 'alignment',
    kind: 'number',
    placeholder: 'number',
    help: 'start at a multiple of so many bytes (default 4096 for partitions, else 1)',
  },
  { name: 'filename', kind: 'string', placeholder: 'name', help: 'name of the object (default none)' },
  {
    name: 'partfs',
    kind: 'number',
    placeholder: 'number',
    help: 'file system of a partition: 1 squashfs, 2 ext3, 3 archive, 4 raw, 5 LUKS, 6 gocryptfs',
  },
  {
    name: 'parttype',
    kind: 'number',
    placeholder: 'number',
    help: 'use of a partition: 1 system, 2 primary system, 3 data, 4 overlay',
  },
  {
    name: 'partarch',
    kind: 'number',
    placeholder: 'number',
    help: `architecture of a partition: ${architectureHelp}`,
  },
  {
    name: 'signhash',
    kind: 'number',
    placeholder: 'number',
    help: 'hash of a signature: 1 SHA256, 2 SHA384, 3 SHA512, 4 BLAKE2s, 5 BLAKE2b',
  },
  { name: 'signentity', kind: 'string', help: 'fingerprint of the signer, 40 hex digits' },
  { name: 'sbomformat', kind: 'string', help: `format of an SBOM: ${Object.values(sbomFormats).join(', ')}` },
]

/** The object that the flags describe. Throws USAGE naming the flag that is missing or wrong. */
export function describeAddition(flags: Flags): Description {
  const dataType = 0x4000 + wholeNumber(flags, 'datatype', 1, 11)
  const link = wholeNumber(flags, 'link', 0, 0x0fffffff, 0)
  const alignment = wholeNumber(flags, 'alignment', 0, 1 << 30, 0)
  const extra = describeExtra(dataType, flags)
  return {
    dataType,
    group: wholeNumber(flags, 'groupid', 0, 0x0fffffff, 0),
    link: link === 0 ? { kind: 'none' } : { kind: 'object', id: link },
    ...(typeof flags.filename === 'string' ? { name: flags.filename } : {}),
    ...(alignment > 0 ? { alignment } : {}),
    ...(extra ? { extra } : {}),
  }
}

function describeExtra(dataType: number, flags: Flags): Uint8Array | undefined {
  switch (dataType) {
    case dataTypes.partition: {
      const arch = String(wholeNumber(flags, 'partarch', 1, Object.keys(architectures).length))
      return partitionExtra(
        wholeNumber(flags, 'partfs', 1, 6),
        wholeNumber(flags, 'parttype', 1, 4),
        arch.padStart(2, '0'),
      )
    }
    case dataTypes.signature:
      return signatureExtra(
        wholeNumber(flags, 'signhash', 1, Object.keys(hashNames).length),
        fingerprint(flags),
      )
    case dataTypes.sbom:
      return sbomExtra(sbomFormat(flags))
    default:
      return undefined
  }
}

/** A flag's number within limits; `fallback` when it is absent, and without one the flag is needed. */
function wholeNumber(flags: Flags, name: string, least: number, most: number, fallback?: number): number {
  const value = flags[name] ?? fallback
  if (value === undefined) throw new SingError('USAGE', `--${name} is needed (${least} to ${most})`, hint)
  const number = Number(value)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw new SingError(
    'USAGE',
    `--${name} ${shown(String(value))}: expected a whole number from ${least} to ${most}`,
    hint,
  )
}

const hint = { hint: 'The numbers and their meaning: sing sif add --help' }

function fingerprint({ signentity }: Flags): Buffer {
  if (typeof signentity === 'string' && /^[0-9a-f]{40}$/i.test(signentity))
    return Buffer.from(signentity, 'hex')
  throw new SingError(
    'USAGE',
    '--signentity is needed for a signature: the fingerprint of the signer, 40 hex digits',
    hint,
  )
}

function sbomFormat({ sbomformat }: Flags): number {
  const code = Object.keys(sbomFormats).find((key) => sbomFormats[Number(key)] === sbomformat)
  if (code !== undefined) return Number(code)
  throw new SingError(
    'USAGE',
    `--sbomformat is needed for an SBOM: one of ${Object.values(sbomFormats).join(', ')}`,
    hint,
  )
}
