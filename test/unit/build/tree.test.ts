import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dropSetIds, grantOwner, newestTime, removeTree } from '../../../src/build/tree.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('works in trees that are deeper than a path can be long', () => {
  const start = process.cwd()
  process.chdir(folder)
  for (let depth = 0; depth < 40; depth += 1) {
    mkdirSync('d'.repeat(200))
    process.chdir('d'.repeat(200))
  }
  writeFileSync('program', '')
  chmodSync('program', 0o4755)
  utimesSync('program', 2_000_000_000, 2_000_000_000)
  process.chdir(start)
  dropSetIds(folder)
  grantOwner(folder)
  expect(newestTime(folder)).toBe(2_000_000_000)
  removeTree(folder)
  expect(existsSync(folder)).toBe(false)
})

describe('removing a tree', () => {
  it('removes directories without permissions and names of any bytes', () => {
    const tree = join(folder, 'tree')
    mkdirSync(join(tree, 'closed/deep'), { recursive: true })
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/closed/`), Buffer.from([0xff, 0x0a, 0x80])]), '')
    chmodSync(join(tree, 'closed/deep'), 0)
    chmodSync(join(tree, 'closed'), 0o500)
    removeTree(tree)
    expect(existsSync(tree)).toBe(false)
  })

  it('removes links, not what they lead to', () => {
    const kept = join(folder, 'kept')
    mkdirSync(kept)
    writeFileSync(join(kept, 'file'), '')
    mkdirSync(join(folder, 'tree'))
    symlinkSync(kept, join(folder, 'tree/link'))
    symlinkSync('/nowhere', join(folder, 'tree/dangling'))
    removeTree(join(folder, 'tree'))
    expect(readdirSync(kept)).toEqual(['file'])
  })

  it('is content when there is nothing', () => {
    expect(() => removeTree(join(folder, 'nothing'))).not.toThrow()
  })
})

describe('--fix-perms', () => {
  it('lets the owner read, change and pass everything and leaves the others their rights', () => {
    mkdirSync(join(folder, 'closed'))
    writeFileSync(join(folder, 'closed/file'), '')
    writeFileSync(join(folder, 'closed/program'), '')
    chmodSync(join(folder, 'closed/file'), 0o040)
    chmodSync(join(folder, 'closed/program'), 0o011)
    chmodSync(join(folder, 'closed'), 0)
    symlinkSync('/nowhere', join(folder, 'dangling'))
    grantOwner(folder)
    const mode = (name: string) => statSync(join(folder, name)).mode & 0o7777
    expect([mode('closed'), mode('closed/file'), mode('closed/program')]).toEqual([0o700, 0o640, 0o711])
  })
})

describe('taking the setuid bits from a tree', () => {
  it('finds every file and changes nothing else', () => {
    const modes = { program: 0o6751, closed: 0o1000, shared: 0o2775 }
    mkdirSync(join(folder, 'closed'))
    mkdirSync(join(folder, 'shared'))
    writeFileSync(join(folder, 'closed/program'), '')
    writeFileSync(join(folder, 'shared/program'), '')
    symlinkSync('/nowhere', join(folder, 'dangling'))
    for (const path of ['closed/program', 'shared/program']) chmodSync(join(folder, path), modes.program)
    chmodSync(join(folder, 'closed'), modes.closed)
    chmodSync(join(folder, 'shared'), modes.shared)
    dropSetIds(folder)
    const mode = (name: string) => statSync(join(folder, name)).mode & 0o7777
    expect([mode('closed'), mode('shared'), mode('shared/program')]).toEqual([0o1000, 0o2775, 0o751])
    chmodSync(join(folder, 'closed'), 0o700)
    expect(mode('closed/program')).toBe(0o751)
  })
})

it('finds the newest time in a tree, in seconds', () => {
  mkdirSync(join(folder, 'a'))
  writeFileSync(join(folder, 'a/new'), '')
  utimesSync(join(folder, 'a/new'), 2_000_000_000.9, 2_000_000_000.9)
  expect(newestTime(folder)).toBe(2_000_000_000)
})
