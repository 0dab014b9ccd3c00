/** Notes of what signatures are worth: one process works it out for all, and nobody believes what others could have written. */

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { remembered } from '../../src/trust/memo.ts'

let folder: string
let count: number
const { signal } = new AbortController()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-memo-'))
  count = 0
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const longAgo = 0
const ask = (part: string, changed = longAgo) =>
  remembered(
    { parts: [part], changed },
    { uid: process.geteuid?.() ?? 0, environment: { XDG_RUNTIME_DIR: folder } },
    async () => {
      count += 1
      await new Promise((resolve) => setTimeout(resolve, 50))
      return { answer: `${part} ${count}` }
    },
    signal,
  )
const place = () => join(folder, 'sing')
const notes = () => readdirSync(place()).filter((name) => name.startsWith('verified-'))

describe('an answer', () => {
  it('is found once for all who ask at the same time, and for who asks later', async () => {
    const answers = await Promise.all([ask('a'), ask('a'), ask('a')])
    expect([...answers, await ask('a')]).toEqual(Array(4).fill({ answer: 'a 1' }))
    expect(await ask('b')).toEqual({ answer: 'b 2' })
    expect(notes()).toHaveLength(2)
  })

  it('about a file that changed just now is not kept', async () => {
    await ask('a', Date.now())
    await ask('a', Date.now())
    expect(count).toBe(2)
  })

  it('is not kept for ever, and goes with the next one', async () => {
    await ask('a')
    const [name = ''] = notes()
    const before = new Date(Date.now() - 2 * 60 * 60 * 1000)
    utimesSync(join(place(), name), before, before)
    await ask('b')
    expect(notes()).not.toContain(name)
    expect(await ask('a')).toEqual({ answer: 'a 3' })
  })

  it('that is damaged is found anew', async () => {
    await ask('a')
    const [name = ''] = notes()
    writeFileSync(join(place(), name), '{"ans')
    expect(await ask('a')).toEqual({ answer: 'a 2' })
  })

  it('is neither kept nor believed where others can write', async () => {
    mkdirSync(place())
    chmodSync(place(), 0o777)
    await ask('a')
    await ask('a')
    expect([count, notes()]).toEqual([2, []])
  })

  it('that cannot be found is an error, and lets the next one try', async () => {
    const failing = () =>
      remembered(
        { parts: ['c'], changed: longAgo },
        { uid: process.geteuid?.() ?? 0, environment: { XDG_RUNTIME_DIR: folder } },
        () => Promise.reject(new Error('no')),
        signal,
      )
    await expect(failing()).rejects.toThrow('no')
    expect(await ask('c')).toEqual({ answer: 'c 1' })
  })
})
