/** The words that the parts of this room share. Types only. */

import type { KeyObject } from 'node:crypto'
import type { PrivateKey, PublicKey } from 'openpgp'
import type { SingError } from '../core/errors.ts'

/** The ring that a key was found in, or a key server. */
export type Origin = 'local' | 'global' | 'remote'

/** A public key that may check signatures, and where it is from. */
export type FoundKey = { readonly key: PublicKey; readonly origin: Origin }

/**
 * Look a key up by the id that a signature names: 16 hex digits in upper case, of the primary key or a subkey. Undefined when
 * nobody has it. The answer of a server is not believed: whoever asks checks that the key has this id.
 */
export type FindKey = (keyId: string) => Promise<FoundKey | undefined>

/** Who signs: an unlocked key of a ring, or a private key of a PEM file. */
export type SigningKey =
  | { readonly kind: 'openpgp'; readonly key: PrivateKey }
  | { readonly kind: 'pem'; readonly key: KeyObject }

/** What may verify: keys of people, or one key (a bare one, or that of a certificate whose chain holds). */
export type Material =
  | { readonly kind: 'openpgp'; readonly find: FindKey }
  | { readonly kind: 'pem'; readonly key: KeyObject; readonly certificate?: string | undefined }

/** Who signed, once that is certain. */
export type Signer =
  | {
      readonly kind: 'openpgp'
      /** The first user id. */
      readonly name: string
      /** Of the primary key, upper case. */
      readonly fingerprint: string
      readonly origin: Origin
    }
  | {
      readonly kind: 'pem'
      /** `SHA256:` and 43 characters, as OpenSSH writes it. */
      readonly keyId: string
      /** Subject of the certificate, when one was given. */
      readonly certificate?: string | undefined
    }

/** An envelope that was opened: the signed bytes, and who signed them. */
export type Opened = { readonly message: Uint8Array; readonly signer: Signer }

/** An object that was compared with what a signature says of it. */
export type ComparedObject = {
  readonly id: number
  /** False: the descriptor is as signed, the data is not. */
  readonly isIntact: boolean
}

/** What became of one signature. */
export type SignatureFinding = {
  /** Id of the signature's object. */
  readonly id: number
  readonly group: number
  /** Undefined when the envelope could not be opened. */
  readonly signer?: Signer | undefined
  /** In the order of ids, up to the first that differs. */
  readonly objects: readonly ComparedObject[]
  /** Why it does not hold; undefined when it does. */
  readonly problem?: SingError | undefined
}

/** What a verification is about. */
export type Task = { readonly kind: 'group' | 'object'; readonly id: number }

/** The result of a verification: everything that was seen, good or bad. */
export type Verdict = {
  readonly signatures: readonly SignatureFinding[]
  /** The first reason why the image is not to be trusted; undefined: every task is signed, and all signatures hold. */
  readonly problem?: SingError | undefined
  /** What the signatures that hold say nothing about, a sentence each: objects, fields of header and descriptors, bytes. */
  readonly uncovered: readonly string[]
}
