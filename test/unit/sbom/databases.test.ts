import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { bdbHeaders } from '../../../src/sbom/readers/bdb.ts'
import { ndbHeaders } from '../../../src/sbom/readers/ndb.ts'
import { rpm } from '../../../src/sbom/readers/rpm.ts'
import { Header } from '../../../src/sbom/readers/rpm-header.ts'
import { tableRows } from '../../../src/sbom/readers/sqlite.ts'
import { temporaryFolder } from '../../helpers/temp.ts'
import { headerOf, ndbOf } from './rpm-files.ts'
import { said, treeOf } from './trees.ts'

const folder = temporaryFolder()

function makeDatabase(name: string, pageSize: number, fill: (database: DatabaseSync) => void): Buffer {
  const path = join(folder, name)
  const database = new DatabaseSync(path)
  database.exec(`PRAGMA synchronous=off; PRAGMA page_size=${pageSize}; BEGIN`)
  fill(database)
  database.exec('COMMIT')
  database.close()
  return readFileSync(path)
}

describe('a table of SQLite', () => {
  it.each([512, 1024, 4096, 65536])('is read in pages of %i bytes, whatever its rows hold', (pageSize) => {
    const blobs = [0, 1, 100, 400, 489, 4000, 70_000].map((size) => randomBytes(size))
    const file = makeDatabase(`pages-${pageSize}`, pageSize, (database) => {
      database.exec(`CREATE TABLE other (x); CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)`)
      const insert = database.prepare('INSERT INTO t VALUES (?, ?, ?)')
      for (const blob of blobs) insert.run(null, blob, 'text é')
      for (const value of [0, 1, -1, 127, -32768, 8388607, -2147483648, 140737488355327, 2 ** 53, 1.5, null])
        insert.run(null, value, null)
      for (let count = 0; count < 2000; count += 1) insert.run(null, count, 'x'.repeat(count % 50))
    })
    const rows = [...tableRows(file, 't')]
    expect(rows.slice(0, 7)).toEqual(blobs.map((blob) => [null, Buffer.from(blob), 'text é']))
    expect(rows.slice(7, 18).map(([, value]) => value)).toEqual([
      0,
      1,
      -1,
      127,
      -32768,
      8388607,
      -2147483648,
      140737488355327,
      2 ** 53,
      1.5,
      null,
    ])
    expect(rows.slice(18).map(([, value]) => value)).toEqual(
      Array.from({ length: 2000 }, (_, index) => index),
    )
    expect([...tableRows(file, 'other')]).toEqual([])
  })

  const good = makeDatabase('good', 512, (database) => {
    database.exec('CREATE TABLE t (a)')
    for (let count = 0; count < 200; count += 1)
      database.prepare('INSERT INTO t VALUES (?)').run(randomBytes(900))
  })

  it.each([
    ['nothing', Buffer.alloc(0), 'it is no database of SQLite'],
    ['another file', Buffer.alloc(4096, 'x'), 'it is no database of SQLite'],
    [
      'pages of no bytes',
      Buffer.concat([good.subarray(0, 16), Buffer.alloc(4096)]),
      'its pages have 0 bytes',
    ],
    ['a file that is cut', good.subarray(0, good.length / 2), 'it ends before page'],
  ])('is not in %s', (_, file, reason) => {
    expect(() => [...tableRows(file, 't')]).toThrow(reason)
  })

  it('is missed by its name', () => {
    expect(() => [...tableRows(good, 'Packages')]).toThrow('it has no table Packages')
  })

  it('that leads round in a circle ends', () => {
    const file = Buffer.from(good)
    // The inner page that is the root of t: its rightmost child becomes itself.
    const root =
      Array.from({ length: file.length / 512 }, (_, index) => index).find(
        (page) => page > 0 && file[page * 512] === 5,
      ) ?? 0
    file.writeUInt32BE(root + 1, root * 512 + 8)
    expect(() => [...tableRows(file, 't')]).toThrow(`page ${root + 1} is used twice`)
  })

  it('that is damaged anywhere ends with rows or a reason', () => {
    for (let round = 0; round < 800; round += 1) {
      const file = Buffer.from(good)
      const at = (round * 7919) % file.length
      file[at] = (file[at] ?? 0) ^ (1 << (round % 8))
      try {
        for (const _ of tableRows(file, 't'));
      } catch (error) {
        expect(error).toMatchObject({ code: 'IMAGE_FORMAT' })
      }
    }
  })
})

const tiny = headerOf({
  1000: 'tiny',
  1001: '1.0',
  1002: '2.el8',
  1003: [1],
  1014: 'GPLv2+',
  1011: 'Example',
  1022: 'x86_64',
  1044: 'tiny-1.0-2.el8.src.rpm',
  5096: 'tools:8:1:x',
})
const key = headerOf({ 1000: 'gpg-pubkey', 1001: 'a', 1002: 'b' })

describe('a header of rpm', () => {
  it('has texts and numbers', () => {
    const header = new Header(tiny)
    expect([
      header.text('name'),
      header.numbers('epoch'),
      header.text('url'),
      header.numbers('name'),
    ]).toEqual(['tiny', [1], undefined, []])
  })

  it.each([
    ['nothing', Buffer.alloc(3), 'has no header'],
    ['less than it says', tiny.subarray(0, 100), 'longer than what there is'],
    ['no end of a text', headerOf({ 1000: 'x' }).fill('x', 24), 'has no end'],
  ])('of %s is refused', (_, bytes, reason) => {
    expect(() => new Header(bytes).text('name')).toThrow(reason)
  })

  it('with more numbers than there are is refused', () => {
    const bytes = headerOf({ 1003: [1] })
    bytes.writeUInt32BE(1000, 8 + 12)
    expect(() => new Header(bytes).numbers('epoch')).toThrow('numbers of a package have no end')
    bytes.writeUInt32BE(6, 8 + 4)
    bytes.writeUInt32BE(0xffffffff, 8 + 12)
    expect(() => new Header(bytes).texts('epoch')).toThrow('more texts than one can have')
  })
})

describe('the packages of rpm', () => {
  it('in an ndb are all but imported keys', () => {
    const reader = rpm.find(({ matches }) => matches.test('/usr/lib/sysimage/rpm/Packages.db'))
    const found = [...(reader?.read(ndbOf([tiny, key]), '/x', treeOf({})) ?? [])]
    expect(found.map(said)).toEqual([
      {
        ecosystem: 'rpm',
        name: 'tiny',
        version: '1.0-2.el8',
        architecture: 'x86_64',
        licence: 'GPLv2+',
        supplier: 'Example',
        qualifiers: { epoch: '1', upstream: 'tiny-1.0-2.el8.src.rpm', rpmmod: 'tools:8:1:x' },
        place: '/x',
      },
    ])
  })

  const ndb = ndbOf([tiny])
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(ndb)
    bytes.writeUInt32LE(value, at)
    return bytes
  }
  /** The third slot is that of the only package. */
  const twice = (): Buffer => {
    const bytes = Buffer.from(ndb)
    bytes.copy(bytes, 48, 32, 48)
    return bytes
  }
  it.each([
    ['no ndb', Buffer.alloc(5000), 'it is no database of rpm'],
    ['a list that names a package twice', twice(), 'package 1 is there twice'],
    ['a list longer than the file', changed(12, 99), 'it ends in its list of packages'],
    ['a slot that is none', changed(32, 0), 'its list of packages is damaged'],
    ['a package elsewhere', changed(40, 1), 'package 1 is not where it should be'],
    ['a package that is too long', changed(4096 + 12, 1 << 20), 'package 1 ends behind the file'],
  ])('in %s are refused', (_, file, reason) => {
    expect(() => [...ndbHeaders(file)]).toThrow(reason)
  })

  const meta = (pages: number, pageSize = 512): Buffer => {
    const bytes = Buffer.alloc(512 * pages)
    bytes.writeUInt32LE(0x061561, 12)
    bytes.writeUInt32LE(pageSize, 20)
    return bytes
  }
  /** One page of a hash with an entry that leads to page 2. */
  const hash = (length: number, next = 0, used = 400): Buffer => {
    const bytes = meta(3)
    bytes[512 + 25] = 13
    bytes.writeUInt16LE(2, 512 + 20)
    bytes.writeUInt16LE(100, 512 + 28)
    bytes[612] = 3
    bytes.writeUInt32LE(2, 616)
    bytes.writeUInt32LE(length, 620)
    bytes.writeUInt32LE(next, 1024 + 16)
    bytes.writeUInt16LE(used, 1024 + 22)
    return bytes
  }
  it('in a hash lie in chains of pages', () => {
    expect([...bdbHeaders(hash(300))].map(({ length }) => length)).toEqual([300])
    expect([...bdbHeaders(meta(3))]).toEqual([])
  })
  it.each([
    ['no hash', Buffer.alloc(600), 'it is no hash of Berkeley DB'],
    ['pages of 7 bytes', meta(2, 7), 'its pages have 7 bytes'],
    ['a package longer than the file', hash(5000), 'a package in it has 5000 bytes'],
    ['a chain that ends', hash(900), 'page 0 is not where it should be'],
    ['a chain in a circle', hash(900, 2), 'page 2 is not where it should be'],
    ['a page that is too full', hash(900, 0, 501), 'page 2 is damaged'],
    ['an empty page', hash(900, 0, 0), 'page 2 is damaged'],
  ])('in %s are refused', (_, file, reason) => {
    expect(() => [...bdbHeaders(file)]).toThrow(reason)
  })
})
