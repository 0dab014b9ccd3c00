/** What a package is, wherever its manager wrote it down, and what was found in a tree. Types alone. */

import type { Buffer } from 'node:buffer'

/** Kinds of packages, by their word in a package URL. */
export const ecosystems = ['deb', 'rpm', 'apk', 'alpm', 'pypi', 'conda', 'npm', 'cran', 'julia'] as const
export type Ecosystem = (typeof ecosystems)[number]

export type Algorithm = 'MD5' | 'SHA1' | 'SHA256' | 'SHA384' | 'SHA512'

/** A digest in lower-case hexadecimal digits. */
export type Checksum = { readonly algorithm: Algorithm; readonly value: string }

/** A file of a package, with the digests that are known of it. */
export type PackagedFile = {
  readonly path: string
  readonly checksums: readonly Checksum[]
  /** It is not what its package brought. */
  readonly isChanged?: boolean
}

export type Package = {
  readonly ecosystem: Ecosystem
  /** With its scope, where there are scopes: `@scope/name`. */
  readonly name: string
  readonly version: string
  readonly architecture?: string | undefined
  /** As the package says it. */
  readonly licence?: string | undefined
  /** `Name <address>`, or a name alone. */
  readonly supplier?: string | undefined
  readonly summary?: string | undefined
  readonly homepage?: string | undefined
  readonly download?: string | undefined
  /** More parts of the package URL. */
  readonly qualifiers?: Readonly<Record<string, string | undefined>>
  /** Of the archive that it came in. */
  readonly checksums?: readonly Checksum[]
  readonly files?: readonly PackagedFile[]
  /** A digest of those of all its files, as SPDX makes it. */
  readonly verification?: string
  /** The file of the tree that says so. */
  readonly place: string
}

/** What the tree says it is, in the words of os-release(5). */
export type System = {
  readonly id: string
  readonly version: string | undefined
  readonly name: string
}

export type Found = {
  /** In a fixed order. */
  readonly packages: readonly Package[]
  readonly system: System | undefined
  /** What could not be read, and is missing in the list. */
  readonly notes: readonly string[]
}

/** What a document is about. */
export type Subject = {
  /** Of the image. */
  readonly name: string
  /** Seconds since 1970. */
  readonly time: number
  /** Of this program. */
  readonly version: string
}

/** The tree that packages are looked for in. */
export type Tree = {
  /** The bytes of a regular file, links followed inside the tree; undefined when there is none that is small enough. */
  read(path: string, limit: number): Buffer | undefined
  /** Files of packages are wanted, too. */
  readonly withFiles: boolean
}

/** How one kind of package is noted in files. */
export type Reader = {
  /** What leads to others, in words. */
  readonly what: string
  /** Which files, by their paths. */
  readonly matches: RegExp
  /** The most bytes of such a file. */
  readonly limit: number
  /** @throws SingError IMAGE_FORMAT when the file is damaged */
  read(bytes: Buffer, path: string, tree: Tree): Iterable<Package>
}
