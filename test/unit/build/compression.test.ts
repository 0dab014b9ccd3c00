import { describe, expect, it } from 'vitest'
import { parsePacking } from '../../../src/build/compression.ts'
import { silent } from '../../../src/core/events.ts'

const packing = (compress?: string, mksquashfs?: string) => parsePacking(compress, mksquashfs, silent)

describe('the compressor of a new image', () => {
  it('is zstd at a quick level unless one is asked for', () => {
    expect(packing()).toEqual({ compression: { kind: 'zstd', level: 5 }, allRoot: false })
  })

  it.each([
    ['zstd', { kind: 'zstd', level: 5 }],
    ['zstd:19', { kind: 'zstd', level: 19 }],
    ['gzip', { kind: 'gzip' }],
    ['gzip:9', { kind: 'gzip', level: 9 }],
    ['xz', { kind: 'xz' }],
    ['xz:3', { kind: 'xz', level: 3 }],
    ['lz4', { kind: 'lz4' }],
  ])('--compress %s is understood', (value, compression) => {
    expect(packing(value).compression).toEqual(compression)
  })

  it.each(['brotli', 'zstd:0', 'zstd:23', 'zstd:x', 'xz:10', 'lz4:0', 'gzip:1:2', 'toString'])(
    '--compress %s is refused',
    (value) => {
      expect(() => packing(value)).toThrowError(expect.objectContaining({ code: 'USAGE' }))
    },
  )

  it.each([
    ['-comp zstd', { compression: { kind: 'zstd', level: 5 }, allRoot: false }],
    ['-comp gzip -Xcompression-level 3', { compression: { kind: 'gzip', level: 3 }, allRoot: false }],
    ['-Xcompression-level 9', { compression: { kind: 'gzip', level: 9 }, allRoot: false }],
    [' -b 1M  -all-root', { compression: { kind: 'zstd', level: 5 }, blockSize: 1048576, allRoot: true }],
    ['-comp lz4 -Xhc -reproducible', { compression: { kind: 'lz4', level: 12 }, allRoot: false }],
    ['-processors 2 -mem 1G', { compression: { kind: 'zstd', level: 5 }, workers: 2, allRoot: false }],
  ])('--mksquashfs-args "%s" is understood', (value, expected) => {
    expect(packing(undefined, value)).toEqual(expected)
  })

  it.each([
    '-comp',
    '-comp lzo',
    '-b 100',
    '-b 3M',
    '-no-xattrs',
    '-e x',
    '-Xhc',
    '-comp zstd -Xhc',
    '-processors none',
  ])('--mksquashfs-args "%s" is refused by name', (value) => {
    expect(() => packing(undefined, value)).toThrowError(/--mksquashfs-args/)
  })

  it('is not asked for in two ways at once', () => {
    expect(() => packing('zstd', '-comp xz')).toThrowError(/cannot be given together/)
  })
})
