/** Which C library an image has, and which other libraries its loader finds. Read only when libraries of the host come in. */

import { highestGlibc, type LibcVersion, parseElf } from '../core/elf.ts'
import { SingError } from '../core/errors.ts'
import { hostArchitecture } from './architecture.ts'
import { type Contents, openContents } from './reader.ts'

export type ImageLibraries = {
  readonly libc:
    | { readonly kind: 'glibc'; readonly version: LibcVersion }
    | { readonly kind: 'musl' }
    | undefined
  /** Those of the names asked for that the image has itself. */
  readonly present: readonly string[]
  /** Version of the driver whose libraries the image has for older drivers (CUDA's `compat`). */
  readonly cudaCompat: string | undefined
}

const libcLimit = 64 * 1024 * 1024

const triples: Readonly<Record<string, string>> = {
  amd64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  ppc64le: 'powerpc64le-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  s390x: 's390x-linux-gnu',
}

/** Where the loaders of distributions look by themselves. */
function libraryDirectories(): string[] {
  const triple = triples[hostArchitecture()]
  return [
    ...(triple ? [`/lib/${triple}`, `/usr/lib/${triple}`] : []),
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
  ]
}

type Directory = { readonly path: string; readonly names: ReadonlySet<string> }

async function readLibc(
  contents: Contents,
  directories: readonly Directory[],
): Promise<ImageLibraries['libc']> {
  for (const { path, names } of directories) {
    if (!names.has('libc.so.6')) continue
    const bytes = await contents.read(`${path}/libc.so.6`, libcLimit)
    const elf = bytes && parseElf((offset, length) => bytes.subarray(offset, offset + length))
    const version = highestGlibc(elf?.defines ?? [])
    if (version) return { kind: 'glibc', version }
  }
  const isMusl = directories.some(({ names }) => [...names].some((name) => /^ld-musl-.*\.so\.1$/.test(name)))
  return isMusl ? { kind: 'musl' } : undefined
}

async function readCudaCompat(contents: Contents): Promise<string | undefined> {
  const names = (await contents.list('/usr/local/cuda/compat')) ?? []
  return names.map((name) => /^libcuda\.so\.(\d+\.\d+(?:\.\d+)?)$/.exec(name)?.[1]).find(Boolean)
}

/** Look into an image for its C library and for libraries of these names; undefined when it cannot be read. */
export async function readImageLibraries(
  image: Parameters<typeof openContents>[0],
  wanted: readonly string[],
): Promise<ImageLibraries | undefined> {
  try {
    await using contents = await openContents(image)
    const directories: Directory[] = []
    for (const path of libraryDirectories()) {
      directories.push({ path, names: new Set(await contents.list(path)) })
    }
    return {
      libc: await readLibc(contents, directories),
      present: wanted.filter((name) => directories.some(({ names }) => names.has(name))),
      cudaCompat: await readCudaCompat(contents),
    }
  } catch (error) {
    // A damaged image is the start's to tell of.
    if (error instanceof SingError) return undefined
    throw error
  }
}
