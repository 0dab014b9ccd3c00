/** The words that the rooms of OCI images share. (OCI image specification 1.1; Docker image manifest v2, schema 2.) */

import type { Buffer } from 'node:buffer'

/** `sha256:` or `sha512:` and the number in lower-case hexadecimal digits; checked by who makes one. */
export type Digest = string

/** What a machine must be to run an image, in Go's names. */
export type Platform = { readonly os: string; readonly architecture: string; readonly variant?: string }

/** What a manifest or an index tells about a blob. */
export type Descriptor = {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes; undefined where a source cannot tell before it has read them. */
  readonly size: number | undefined
  readonly annotations?: Readonly<Record<string, string>>
  /** Other places of a foreign layer. */
  readonly urls?: readonly string[]
  /** The blob itself, when the descriptor carries it. */
  readonly data?: Buffer
  readonly platform?: Platform
  readonly artifactType?: string
}

export type Manifest = {
  readonly mediaType: string
  readonly artifactType?: string
  readonly config: Descriptor
  /** Lowest first. */
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export type Index = {
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** What an image wants to be: the parts of its configuration that somebody uses. */
export type ImageConfig = {
  readonly platform: Platform
  /** Seconds since 1970; undefined when the image does not say. */
  readonly created: number | undefined
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  /** `NAME=value`, as they stand. */
  readonly environment: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly workingDirectory: string
  readonly user: string
  /** Digests of the uncompressed layers, lowest first: as many as the manifest has layers. */
  readonly diffIds: readonly Digest[]
  /** The document itself, for who carries it on. */
  readonly document: Buffer
}

/** Bytes that lie on this machine. */
export type Place = { readonly file: string; readonly offset: number; readonly size: number }

/**
 * Where an image comes from: a registry, a layout, an archive, a daemon. It hands out bytes and checks nothing: digests are
 * compared by who asks. Dispose of it after use.
 */
export interface ImageSource extends AsyncDisposable {
  /** The reference in its full and canonical form without secrets, for messages: `docker://registry.example/app:1`. */
  readonly name: string
  /** What stands in the definition of an image made from it: `{ agent: 'docker', from: 'registry.example/app' }`, without tag and digest. */
  readonly origin: { readonly agent: string; readonly from: string }
  /** The digest that the reference names: who has that document needs to ask nobody. */
  readonly pinned?: Digest | undefined
  /** The document that the reference names now. @throws SingError when there is none, or it may not be read */
  resolve(signal: AbortSignal): Promise<Descriptor>
  /** The bytes of a manifest, an index or a configuration, at most `limit` of them. */
  document(descriptor: Descriptor, limit: number, signal: AbortSignal): Promise<Buffer>
  /** The bytes of a blob from `offset` on. */
  blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** Where the blob lies, for sources on this machine: then nobody copies it. */
  locate?(descriptor: Descriptor): Place | undefined
}
