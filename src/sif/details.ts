/** What the type-specific bytes of a SIF object say, both directions, and the words tools print for types and codes. */

import { Buffer } from 'node:buffer'
import { architectures, dataTypes, filesystems, partitionKinds, type SifObject } from './format.ts'

const typeNames: Record<number, string> = {
  [dataTypes.definition]: 'Def.FILE',
  [dataTypes.environment]: 'Env.Vars',
  [dataTypes.labels]: 'JSON.Labels',
  [dataTypes.partition]: 'FS',
  [dataTypes.signature]: 'Signature',
  [dataTypes.genericJson]: 'JSON.Generic',
  [dataTypes.generic]: 'Generic/Raw',
  [dataTypes.cryptoMessage]: 'Cryptographic Message',
  [dataTypes.sbom]: 'SBOM',
  [dataTypes.ociRootIndex]: 'OCI.RootIndex',
  [dataTypes.ociBlob]: 'OCI.Blob',
}

const filesystemNames: Record<number, string> = {
  [filesystems.squashfs]: 'Squashfs',
  [filesystems.ext3]: 'Ext3',
  [filesystems.archive]: 'Archive',
  [filesystems.raw]: 'Raw',
  [filesystems.encryptedSquashfs]: 'Encrypted squashfs',
  [filesystems.gocryptfs]: 'Gocryptfs squashfs',
}

const partitionNames: Record<number, string> = {
  [partitionKinds.system]: 'System',
  [partitionKinds.primary]: '*System',
  [partitionKinds.data]: 'Data',
  [partitionKinds.overlay]: 'Overlay',
}

/** Hash algorithms of signature objects, by code. */
export const hashNames: Readonly<Record<number, string>> = {
  1: 'SHA-256',
  2: 'SHA-384',
  3: 'SHA-512',
  4: 'BLAKE2s-256',
  5: 'BLAKE2b-256',
}

const cryptoFormatNames: Record<number, string> = { 1: 'OpenPGP', 2: 'PEM' }
const cryptoMessageNames: Record<number, string> = { 256: 'Clear Signature', 512: 'RSA-OAEP' }

/** Formats of software bills of materials, by code; the names are also those of `sif add --sbomformat`. */
export const sbomFormats: Readonly<Record<number, string>> = {
  1: 'cyclonedx-json',
  2: 'cyclonedx-xml',
  3: 'github-json',
  4: 'spdx-json',
  5: 'spdx-rdf',
  6: 'spdx-tag-value',
  7: 'spdx-yaml',
  8: 'syft-json',
}

const name = (names: Readonly<Record<number, string>>, code: number) => names[code] ?? 'Unknown'

/** `Def.FILE`, `FS` and so on; `Unknown` for a code nobody knows. */
export function typeName(dataType: number): string {
  return name(typeNames, dataType)
}

/** The Go name of an architecture's code, or `unknown`. */
export function architectureName(code: string): string {
  return architectures[code] ?? 'unknown'
}

/** What the extra bytes of an object say: labels and words, in the order tools print them. */
export function details(object: SifObject): readonly (readonly [label: string, value: string])[] {
  const extra = Buffer.from(object.extra)
  switch (object.dataType) {
    case dataTypes.partition:
      return [
        ['Filesystem Type', name(filesystemNames, extra.readInt32LE(0))],
        ['Partition Type', name(partitionNames, extra.readInt32LE(4))],
        ['Architecture', architectureName(extra.toString('latin1', 8, 10))],
      ]
    case dataTypes.signature: {
      const signature = decodeSignature(extra)
      const hash = ['Hash Type', name(hashNames, signature.hash)] as const
      return signature.entity === '' ? [hash] : [hash, ['Entity', signature.entity]]
    }
    case dataTypes.cryptoMessage:
      return [
        ['Format Type', name(cryptoFormatNames, extra.readInt32LE(0))],
        ['Message Type', name(cryptoMessageNames, extra.readInt32LE(4))],
      ]
    case dataTypes.sbom:
      return [['Format', name(sbomFormats, extra.readInt32LE(0))]]
    case dataTypes.ociRootIndex:
    case dataTypes.ociBlob:
      return [['Digest', ociDigest(object)]]
    default:
      return []
  }
}

/** The digest that an OCI object carries: `sha256:` and 64 hex digits in sound files. */
export function ociDigest({ extra }: SifObject): string {
  return Buffer.from(extra).toString('latin1').replace(/\0.*$/s, '')
}

/** The type as lists show it: `FS (Squashfs/*System/amd64)`, `Signature (SHA-256)`, `Def.FILE`. */
export function typeWithDetails(object: SifObject): string {
  const hidden = ['Entity', 'Digest']
  const words = details(object).flatMap(([label, value]) => (hidden.includes(label) ? [] : [value]))
  const type = typeName(object.dataType)
  return words.length === 0 ? type : `${type} (${words.join('/')})`
}

/** Hash code and signer of a signature object; the signer is an upper-case fingerprint, or empty without one. */
export function decodeSignature(extra: Uint8Array): { hash: number; entity: string } {
  const bytes = Buffer.from(extra)
  const entity = bytes.subarray(4, 24)
  return {
    hash: bytes.readInt32LE(0),
    entity: entity.every((byte) => byte === 0) ? '' : entity.toString('hex').toUpperCase(),
  }
}

/** Extra bytes of a partition: `filesystems`, `partitionKinds`, two-digit architecture code. */
export function partitionExtra(filesystem: number, kind: number, arch: string): Buffer {
  const bytes = Buffer.alloc(11)
  bytes.writeInt32LE(filesystem, 0)
  bytes.writeInt32LE(kind, 4)
  bytes.write(arch, 8, 2, 'latin1')
  return bytes
}

/** Extra bytes of a signature: a code of `hashNames` and the signer's 20-byte fingerprint, none for a bare key. */
export function signatureExtra(hash: number, fingerprint?: Uint8Array): Buffer {
  const bytes = Buffer.alloc(260)
  bytes.writeInt32LE(hash, 0)
  if (fingerprint) bytes.set(fingerprint.subarray(0, 20), 4)
  return bytes
}

/** Extra bytes of a sealed passphrase: PEM with RSA-OAEP inside. */
export function sealedKeyExtra(): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(2, 0)
  bytes.writeInt32LE(0x200, 4)
  return bytes
}

/** Extra bytes of a bill of materials: a code of `sbomFormats`. */
export function sbomExtra(format: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(format, 0)
  return bytes
}

/** Extra bytes of an OCI object: `sha256:` and 64 hex digits. */
export function digestExtra(digest: string): Buffer {
  return Buffer.from(digest, 'latin1')
}
