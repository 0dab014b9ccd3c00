/** Contents of files, copied. */

import { spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { copyContents } from '../../../src/build/contents.ts'

const folder = mkdtempSync(join(tmpdir(), 'sing-contents-'))
afterAll(() => rmSync(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

describe('the contents of a file', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a little', Buffer.from('text')],
    ['several pieces', Buffer.alloc(9_000_001, 'abc')],
    ['zeros at the end', Buffer.concat([Buffer.alloc(5_000_000, 1), Buffer.alloc(5_000_000)])],
  ])('are copied: %s', async (name, bytes) => {
    writeFileSync(at(name), bytes)
    await copyContents(at(name), at(`${name}.copy`), bytes.length, undefined)
    expect(readFileSync(at(`${name}.copy`)).equals(bytes)).toBe(true)
  })

  const isRoot = process.getuid?.() === 0
  it.skipIf(!isRoot).each(['node', 'bun'])('do not bring their owner along in %s', (engine) => {
    writeFileSync(at('owned'), 'text')
    chownSync(at('owned'), 1234, 4321)
    const module = join(import.meta.dirname, '../../../src/build/contents.ts')
    const copy = `(await import(${JSON.stringify(module)})).copyContents`
    const script = `await ${copy}(${JSON.stringify(at('owned'))}, ${JSON.stringify(at(engine))}, 4)`
    const { stderr } = spawnSync(engine, ['-e', script], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(statSync(at(engine))).toMatchObject({ uid: 0, gid: 0 })
  })

  it('keep their holes', async () => {
    writeFileSync(at('holes'), 'begin')
    truncateSync(at('holes'), 64 * 1024 * 1024)
    await copyContents(at('holes'), at('holes.copy'), 64 * 1024 * 1024, undefined)
    const { size, blocks } = statSync(at('holes.copy'))
    expect(size).toBe(64 * 1024 * 1024)
    expect(blocks * 512).toBeLessThan(8 * 1024 * 1024)
  })

  it('are not copied to the end when nobody wants them any more', async () => {
    writeFileSync(at('stopped'), '')
    truncateSync(at('stopped'), 64 * 1024 * 1024)
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(copyContents(at('stopped'), at('stopped.copy'), 64 * 1024 * 1024, signal)).rejects.toThrow(
      'enough',
    )
  })
})
