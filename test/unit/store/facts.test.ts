import { appendFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { Facts } from '../../../src/store/facts.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const [one, two] = ['1'.repeat(64), '2'.repeat(64)]
let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
})

describe('facts', () => {
  it('are known to the next process', () => {
    new Facts(folder).note(one, '/a', '7')
    const facts = new Facts(folder)
    expect(facts.recall('/a', '7')).toBe(one)
    expect(facts.recall('/a', '8')).toBeUndefined()
    expect(facts.recall('/a 7')).toBeUndefined()
  })

  it('are what was noted last', () => {
    const facts = new Facts(folder)
    facts.note(one, 'a')
    expect(facts.recall('a')).toBe(one)
    facts.note(two, 'a')
    expect(facts.recall('a')).toBe(two)
    expect(new Facts(folder).recall('a')).toBe(two)
  })

  it('are not believed when they are something else', () => {
    new Facts(folder).note(one, 'a')
    const path = join(folder, 'facts')
    const key = readFileSync(path, 'latin1').slice(0, 64)
    appendFileSync(path, `${key} short\n${key} ${two} more\n\n${key}`)
    expect(new Facts(folder).recall('a')).toBe(one)
  })

  it('lose their older half when there are many', () => {
    const facts = new Facts(folder)
    facts.note(one, 'old')
    appendFileSync(join(folder, 'facts'), `${`${two} ${two}`}\n`.repeat(8100))
    facts.note(one, 'new')
    expect(statSync(join(folder, 'facts')).size).toBeLessThan(600_000)
    expect(new Facts(folder).recall('old')).toBeUndefined()
    expect(new Facts(folder).recall('new')).toBe(one)
  })

  it('are forgotten where nothing can be written', () => {
    const facts = new Facts(join(folder, 'missing'))
    facts.note(one, 'a')
    expect(facts.recall('a')).toBeUndefined()
  })
})
