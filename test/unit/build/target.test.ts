import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BuildRequest } from '../../../src/build/request.ts'
import { makePartial, putInPlace, recoverPartials, requireTarget } from '../../../src/build/target.ts'
import { silent } from '../../../src/core/events.ts'
import { SifWriter } from '../../../src/sif/write.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

type Wish = { target: string; spec?: string; sandbox?: boolean; update?: boolean; force?: boolean }

function check(wish: Wish, confirm?: (question: string) => Promise<boolean>): Promise<void> {
  const { target, spec = join(folder, 'spec.def'), ...flags } = wish
  const request = {
    sandbox: false,
    update: false,
    force: false,
    ...flags,
    target: join(folder, target),
    spec,
  }
  return requireTarget(request as BuildRequest, confirm)
}

const refusal = (code: string) => expect.objectContaining({ code })

describe('the target of a build', () => {
  it('is replaced by --force or by consent only', async () => {
    writeFileSync(join(folder, 'x.sif'), 'precious')
    await expect(check({ target: 'x.sif' })).rejects.toMatchObject({
      code: 'EXISTS',
      hint: expect.stringContaining('--force'),
    })
    await expect(check({ target: 'x.sif' }, async () => false)).rejects.toThrowError(refusal('EXISTS'))
    await check({ target: 'x.sif' }, async () => true)
    await check({ target: 'x.sif', force: true })
  })

  it('may lie beside the Dockerfile of the directory that it is made from, not in an image', async () => {
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n')
    await check({ target: 'x.sif', spec: folder })
    mkdirSync(join(folder, '.singularity.d'))
    await expect(check({ target: 'x.sif', spec: folder })).rejects.toThrowError('inside its source')
  })

  it('as a directory that is no container needs --force, whatever the person says', async () => {
    mkdirSync(join(folder, 'work'))
    await expect(check({ target: 'work', sandbox: true }, async () => true)).rejects.toThrowError(
      refusal('EXISTS'),
    )
    await check({ target: 'work', sandbox: true, force: true })
  })

  it('as a sandbox is replaced by consent', async () => {
    mkdirSync(join(folder, 'sb/.singularity.d'), { recursive: true })
    await check({ target: 'sb', sandbox: true }, async () => true)
  })

  it('as a directory is never replaced by an image file', async () => {
    mkdirSync(join(folder, 'sb/.singularity.d'), { recursive: true })
    await expect(check({ target: 'sb', force: true })).rejects.toThrowError(refusal('EXISTS'))
  })

  it('is neither the source, nor in it, nor around it', async () => {
    mkdirSync(join(folder, 'sb/.singularity.d'), { recursive: true })
    writeFileSync(join(folder, 'sb/base.sif'), '')
    writeFileSync(join(folder, 'x.sif'), '')
    symlinkSync('x.sif', join(folder, 'link.sif'))
    const force = true
    await expect(check({ target: 'x.sif', spec: join(folder, 'x.sif'), force })).rejects.toThrowError(
      /itself/,
    )
    await expect(check({ target: 'link.sif', spec: join(folder, 'x.sif'), force })).rejects.toThrowError(
      /itself/,
    )
    await expect(check({ target: 'sb/new.sif', spec: join(folder, 'sb'), force })).rejects.toThrowError(
      /inside/,
    )
    const around = { target: 'sb', spec: join(folder, 'sb/base.sif'), force, sandbox: true }
    await expect(check(around)).rejects.toThrowError(/holds its source/)
  })

  it('needs a directory that exists', async () => {
    await expect(check({ target: 'none/x.sif' })).rejects.toThrowError(refusal('IO'))
  })

  it('may have any name that the system takes', async () => {
    const name = '像'.repeat(85)
    await check({ target: name })
    mkdirSync(join(folder, name))
    mkdirSync(join(folder, 'new'))
    expect(putInPlace(join(folder, 'new'), join(folder, name), silent)).toBe(true)
    const writer = await SifWriter.create(join(folder, name))
    expect(readdirSync(folder)).toHaveLength(2)
    await writer[Symbol.asyncDispose]()
    await expect(check({ target: `${name}x` })).rejects.toThrowError(refusal('IO'))
  })

  it('can only be updated when it is a sandbox', async () => {
    mkdirSync(join(folder, 'sb/.singularity.d'), { recursive: true })
    mkdirSync(join(folder, 'work'))
    writeFileSync(join(folder, 'file'), '')
    const update = { sandbox: true, update: true }
    await check({ target: 'sb', ...update })
    for (const target of ['work', 'file', 'none']) {
      await expect(check({ target, ...update })).rejects.toThrowError(/cannot update/)
    }
  })
})

describe('putting a tree into its place', () => {
  it('replaces the old tree and leaves nothing beside it', () => {
    mkdirSync(join(folder, 'sb'))
    writeFileSync(join(folder, 'sb/old'), '')
    mkdirSync(join(folder, 'new'))
    writeFileSync(join(folder, 'new/file'), '')
    expect(putInPlace(join(folder, 'new'), join(folder, 'sb'), silent)).toBe(true)
    expect(readdirSync(folder)).toEqual(['sb'])
    expect(readdirSync(join(folder, 'sb'))).toEqual(['file'])
  })

  it('replaces a file', () => {
    writeFileSync(join(folder, 'sb'), '')
    mkdirSync(join(folder, 'new'))
    expect(putInPlace(join(folder, 'new'), join(folder, 'sb'), silent)).toBe(true)
    expect(readdirSync(folder)).toEqual(['sb'])
  })

  it.skipIf(!existsSync('/dev/shm'))('keeps the old tree when the new one is on another file system', () => {
    const elsewhere = mkdtempSync('/dev/shm/sing-test-')
    mkdirSync(join(folder, 'sb'))
    writeFileSync(join(folder, 'sb/old'), '')
    expect(putInPlace(elsewhere, join(folder, 'sb'), silent)).toBe(false)
    expect(readdirSync(folder)).toEqual(['sb'])
    expect(readdirSync(join(folder, 'sb'))).toEqual(['old'])
    rmSync(elsewhere, { recursive: true })
  })
})

describe('what a killed build left beside its target', () => {
  const target = () => join(folder, 'x.sif')

  it('is removed by the next build of the same target', () => {
    writeFileSync(join(folder, '.x.sif.partial-0badcafe'), '')
    writeFileSync(join(folder, '.y.sif.partial-0badcafe'), '')
    recoverPartials(target(), silent)
    expect(readdirSync(folder)).toEqual(['.y.sif.partial-0badcafe'])
  })

  it('stays while somebody still writes it', () => {
    const partial = join(folder, '.x.sif.partial-0badcafe')
    const fd = openSync(partial, 'w')
    recoverPartials(target(), silent)
    expect(existsSync(partial)).toBe(true)
    closeSync(fd)
    recoverPartials(target(), silent)
    expect(existsSync(partial)).toBe(false)
  })

  it('comes back when it is the old sandbox, moved aside and not replaced', () => {
    const partial = makePartial(target())
    mkdirSync(join(partial, 'old'))
    writeFileSync(join(partial, 'old/precious'), 'work')
    recoverPartials(target(), silent)
    expect(readFileSync(join(target(), 'precious'), 'utf8')).toBe('work')
    expect(readdirSync(folder)).toEqual(['x.sif'])
  })

  it.skipIf(process.geteuid?.() !== 0)('is not believed when it belongs to somebody else', () => {
    const partial = makePartial(target())
    writeFileSync(join(partial, 'old'), 'of a stranger')
    chownSync(partial, 12345, 12345)
    recoverPartials(target(), silent)
    expect(existsSync(target())).toBe(false)
    expect(readdirSync(partial)).toEqual(['old'])
  })
})
