import { describe, expect, it } from 'vitest'
import type { Inventory, Item } from '../../../src/image/inventory.ts'
import { scan } from '../../../src/sbom/scan.ts'

/** An inventory of files by their texts; `-> target` is a link. */
function inventoryOf(
  files: Readonly<Record<string, string | number>>,
  closed: readonly string[] = [],
): Inventory {
  const items = Object.entries(files).map(([path, text]): Item => {
    const target = typeof text === 'string' && text.startsWith('-> ') ? text.slice(3) : undefined
    const type = target === undefined ? 'file' : 'symlink'
    const size = typeof text === 'number' ? text : text.length
    return {
      path,
      type,
      target,
      size,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: 0,
      inode: 1,
      links: 1,
      capable: false,
      layer: 0,
      place: 0,
    }
  })
  return {
    items,
    closed,
    read: ({ path }, offset, length) => Buffer.from(String(files[path])).subarray(offset, offset + length),
    [Symbol.dispose]: () => {},
  }
}

const names = (inventory: Inventory): string[] =>
  scan(inventory, { withFiles: false }).packages.map(
    ({ ecosystem, name, place }) => `${ecosystem} ${name} ${place}`,
  )
const described = (name: string): string => JSON.stringify({ name, version: '1' })

describe('what is found', () => {
  it('comes in one order, whatever the order of the files', () => {
    const files = {
      '/b/node_modules/x/package.json': described('x'),
      '/a/node_modules/x/package.json': described('x'),
      '/a/node_modules/b/package.json': described('b'),
      '/var/lib/dpkg/status': 'Package: z\nVersion: 1\n',
    }
    const expected = [
      'deb z /var/lib/dpkg/status',
      'npm b /a/node_modules/b/package.json',
      'npm x /a/node_modules/x/package.json',
      'npm x /b/node_modules/x/package.json',
    ]
    expect(names(inventoryOf(files))).toEqual(expected)
    expect(names(inventoryOf(Object.fromEntries(Object.entries(files).reverse())))).toEqual(expected)
  })

  it('is in files of the image, never behind a link', () => {
    expect(
      names(
        inventoryOf({ '/var/lib/dpkg/status': '-> /etc/passwd', '/etc/passwd': 'Package: z\nVersion: 1\n' }),
      ),
    ).toEqual([])
  })
})

describe('what is not read', () => {
  it('is said', () => {
    const files = {
      '/var/lib/rpm/Packages': 'x',
      '/var/lib/rpm/rpmdb.sqlite-journal': 'x',
      '/a/node_modules/big/package.json': 5 * 1024 * 1024,
      '/a/node_modules/short/package.json': 100,
    }
    expect(scan(inventoryOf(files, ['/root']), { withFiles: false }).notes).toEqual([
      '/root cannot be looked into',
      'the database of rpm /var/lib/rpm/Packages is not read: it is no hash of Berkeley DB',
      'the database of rpm was being written to: what is in /var/lib/rpm/rpmdb.sqlite-journal is not read',
      'the description of a package of npm /a/node_modules/big/package.json is not read: it has 5242880 bytes, more than 4194304',
      'the description of a package of npm /a/node_modules/short/package.json is not read: it cannot be opened',
    ])
  })

  it('is counted where it is much', () => {
    const files = Object.fromEntries(
      Array.from({ length: 150 }, (_, index) => [`/node_modules/${index}/package.json`, '[']),
    )
    const { notes } = scan(inventoryOf(files), { withFiles: false })
    expect(notes).toHaveLength(101)
    expect(notes.at(-1)).toBe('50 more lists are not read')
  })

  it('is the whole image where it would be too much', () => {
    const status = (count: number): string => 'Package: a\nVersion: 1\n\n'.repeat(count)
    expect(() =>
      scan(inventoryOf({ '/var/lib/dpkg/status': status(200_001) }), { withFiles: false }),
    ).toThrow('the image has more than 200000 packages')
    const many = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`/var/lib/dpkg/status.d/${index}`, 256 * 1024 * 1024]),
    )
    expect(() => scan(inventoryOf(many), { withFiles: false })).toThrow(
      'the image has lists of packages with more than 4294967296 bytes',
    )
  })
})
