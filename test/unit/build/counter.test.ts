/** Steps counted aloud, and the end of what their programs wrote. */

import { describe, expect, it } from 'vitest'
import { StepCounter } from '../../../src/build/counter.ts'
import { LastLines } from '../../../src/build/script.ts'

const takesKnown = { takeKnown: true, fromStep: undefined }

function count(work: (steps: StepCounter) => Promise<unknown>): Promise<string[]> {
  const said: string[] = []
  const steps = new StepCounter(takesKnown, (event) => {
    if (event.kind === 'step') said.push(`${event.number}/${event.total} ${event.title} ${event.state}`)
  })
  return work(steps).then(() => said)
}

const nothing = async () => {}

describe('the counter of steps', () => {
  it('goes over all stages', async () => {
    const said = await count(async (steps) => {
      steps.expect(['base', '%post', '%test'])
      await steps.run('base', nothing)
      steps.cached('%post')
      await steps.run('', nothing)
      await expect(steps.run('%test', () => Promise.reject(new Error('x')))).rejects.toThrow('x')
    })
    expect(said).toEqual([
      '1/3 base begun',
      '1/3 base done',
      '2/3 %post cached',
      '3/3 %test begun',
      '3/3 %test failed',
    ])
  })

  it('takes what a step does as part of it', async () => {
    const said = await count(async (steps) => {
      steps.expect(['debootstrap trixie', 'debootstrap trixie'])
      await steps.run('debootstrap trixie', async () => steps.cached('made'))
      await steps.run('debootstrap trixie', () => steps.run('made', nothing))
    })
    expect(said.filter((line) => !line.endsWith('begun'))).toEqual([
      '1/2 debootstrap trixie cached',
      '2/2 debootstrap trixie done',
    ])
  })

  it('never counts past the end', async () => {
    expect(await count(async (steps) => steps.cached('more'))).toEqual(['1/1 more cached'])
  })
})

describe('steps that must run', () => {
  const titles = ['docker debian', '%files', '%post (1 of 2)', '%post (2 of 2)']

  /** Which of the steps must run; the first has a nameless one within. */
  async function must(options: { takeKnown?: boolean; fromStep?: string }): Promise<string> {
    const steps = new StepCounter({ ...takesKnown, ...options }, () => {})
    steps.expect(titles)
    const told: boolean[] = []
    await steps.run(titles[0] ?? '', async () => {
      steps.mustRun(titles[0] ?? '')
      told.push(steps.mustRun(''))
    })
    for (const title of titles.slice(1)) {
      told.push(steps.mustRun(title))
      steps.cached(title)
    }
    return told.map((isAnew) => (isAnew ? 'x' : '-')).join('')
  }

  it.each([
    [{}, '----'],
    [{ takeKnown: false }, 'xxxx'],
    [{ fromStep: '1' }, 'xxxx'],
    [{ fromStep: 'docker' }, 'xxxx'],
    [{ fromStep: '2' }, '-xxx'],
    [{ fromStep: '%post' }, '--xx'],
    [{ fromStep: '%post (2 of 2)' }, '---x'],
    [{ fromStep: '4' }, '---x'],
  ])('with %o are these: %s', async (options, expected) => {
    expect(await must(options)).toBe(expected)
  })

  it.each(['0', '5', '%pos', ''])('cannot begin with %o', async (fromStep) => {
    await expect(must({ fromStep })).rejects.toThrow(`--from-step ${fromStep}: there is no such step`)
  })
})

describe('the last lines of a program', () => {
  function last(...streams: ['stdout' | 'stderr', number][]): string | undefined {
    const lines = new LastLines()
    for (const [stream, count] of streams) {
      for (let number = 1; number <= count; number += 1) lines.push(stream, `${stream} ${number}`)
    }
    return lines.again
  }

  it.each([
    {
      name: 'few lines',
      streams: [
        ['stdout', 10],
        ['stderr', 10],
      ],
      first: undefined,
      last: undefined,
      count: 0,
    },
    { name: 'one stream', streams: [['stderr', 30]], first: 'stderr 11', last: 'stderr 30', count: 20 },
    {
      name: 'two',
      streams: [
        ['stdout', 30],
        ['stderr', 30],
      ],
      first: 'stdout 21',
      last: 'stderr 30',
      count: 20,
    },
    {
      name: 'much and little',
      streams: [
        ['stdout', 30],
        ['stderr', 2],
      ],
      first: 'stdout 13',
      last: 'stderr 2',
      count: 20,
    },
    {
      name: 'little and much',
      streams: [
        ['stdout', 1],
        ['stderr', 30],
      ],
      first: 'stdout 1',
      last: 'stderr 30',
      count: 20,
    },
  ] as const)('are told again for $name', ({ streams, first, last: end, count: lines }) => {
    const told =
      last(...(streams as unknown as ['stdout' | 'stderr', number][]))
        ?.split('\n')
        .slice(1) ?? []
    expect(told.length).toBe(lines)
    expect(told[0]?.trim()).toBe(first)
    expect(told.at(-1)?.trim()).toBe(end)
  })

  it('cannot command the terminal', () => {
    const lines = new LastLines()
    for (let number = 0; number < 30; number += 1) lines.push('stderr', `\u001b[2J${'x'.repeat(9999)}\u0007`)
    expect(lines.again).not.toMatch(/[\u001b\u0007]/)
    expect(lines.again?.length).toBeLessThan(20 * 510)
  })
})
