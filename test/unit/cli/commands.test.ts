/** Words of the program: each finds its file, and each page of help tells the truth about it. */

import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/cli/command.ts'
import {
  commandTable,
  findCommand,
  laterCommands,
  laterText,
  refusedCommands,
} from '../../../src/cli/commands.ts'
import { commandPage, generalPage, groupPage } from '../../../src/cli/help.ts'
import { globalFlags } from '../../../src/cli/options.ts'

const page = { program: 'sing', width: 100 }

async function allCommands(): Promise<[string, Command][]> {
  const loaded = await Promise.all(
    Object.entries(commandTable).map(async ([word, entry]): Promise<[string, Command][]> => {
      if ('load' in entry) return [[word, await entry.load()]]
      return Object.entries(await entry.loadGroup()).map(([second, command]) => [
        `${word} ${second}`,
        command,
      ])
    }),
  )
  return loaded.flat()
}

const everything = await allCommands()

describe.each(everything)('%s', (name, command) => {
  it('has a usage line that begins with its words', () => {
    expect(`${command.usage} `.startsWith(`${name} `)).toBe(true)
  })

  it('has no flag twice, and none that hides help', () => {
    const names = command.flags.flatMap(({ name: flag, aliases = [] }) => [flag, ...aliases])
    const letters = command.flags.flatMap(({ short = [] }) => short)
    expect(names).toEqual([...new Set(names)])
    expect(letters).toEqual([...new Set(letters)])
    expect(names).not.toContain('help')
  })

  it('has flags whose words can be typed', () => {
    for (const { name: flag, short = 'x', aliases = [], env = [] } of command.flags) {
      for (const word of [flag, ...aliases]) expect(word).toMatch(/^[a-z][a-z0-9-]+$/)
      expect(short).toMatch(/^[A-Za-z]$/)
      for (const key of env) expect(key).toMatch(/^[A-Z][A-Z0-9_]+$/)
    }
  })

  it('shows every flag that is not hidden', async () => {
    const text = await commandPage(command, page)
    expect(text).toContain(`sing ${command.usage}`)
    expect(text).toContain(command.summary)
    expect(text).toContain('-h, --help')
    for (const { name: flag, hidden } of command.flags) {
      expect(text.includes(`--${flag} `), `--${flag}`).toBe(!hidden)
    }
  })

  it('fits the width of the terminal', async () => {
    const lines = (await commandPage(command, { program: 'sing', width: 80 })).split('\n')
    expect(lines.filter((line) => line.length > 80 && !line.startsWith('  '))).toEqual([])
  })

  it('has examples that call it', () => {
    for (const example of command.examples ?? []) expect(example).toMatch(/\bsing\b|^\.\//)
  })
})

describe('the program', () => {
  it('lists the commands there are, and only those', async () => {
    const text = await generalPage(page)
    for (const [word, { hidden, summary }] of Object.entries(commandTable)) {
      expect(text.includes(`  ${word} `), word).toBe(!hidden)
      if (!hidden) expect(text).toContain(summary)
    }
    for (const word of Object.keys(laterCommands)) expect(text).not.toMatch(new RegExp(`^ {2}${word} `, 'm'))
    for (const { name, hidden } of globalFlags) expect(text.includes(`--${name} `)).toBe(!hidden)
  })

  it('gives a command the same summary in the list and on its page', () => {
    for (const [name, command] of everything) {
      const entry = commandTable[name]
      if (entry) expect(command.summary).toBe(entry.summary)
    }
  })

  it('has no word both now and later', () => {
    for (const word of Object.keys({ ...laterCommands, ...refusedCommands })) {
      expect(commandTable).not.toHaveProperty(word)
    }
  })
})

describe('a group', () => {
  it('lists its commands', async () => {
    const found = await findCommand(['sif'])
    if (found.kind !== 'group') throw new Error('sif is a group')
    const text = groupPage(found.word, found.commands, page)
    for (const word of Object.keys(found.commands)) expect(text).toMatch(new RegExp(`^ {2}${word} `, 'm'))
  })

  it('finds its command and hands on the rest', async () => {
    expect(await findCommand(['sif', 'list', '-x', 'a'])).toMatchObject({
      kind: 'command',
      words: ['sif', 'list'],
      rest: ['-x', 'a'],
    })
  })

  it('points to the command that was meant', async () => {
    await expect(findCommand(['sif', 'lst'])).rejects.toMatchObject({
      code: 'USAGE',
      hint: 'Did you mean list?',
    })
  })
})

describe('an unknown word', () => {
  it('is refused with the nearest command', async () => {
    await expect(findCommand(['exce'])).rejects.toMatchObject({
      code: 'USAGE',
      status: 1,
      hint: 'Did you mean exec?',
    })
  })

  it('of Docker is refused with the command that does it here', async () => {
    await expect(findCommand(['login'])).rejects.toMatchObject({ hint: 'Did you mean registry login?' })
  })

  it.each(['constructor', '__proto__', 'toString'])(
    'is refused when objects have such a property: %s',
    async (word) => {
      await expect(findCommand([word])).rejects.toMatchObject({ code: 'USAGE' })
      await expect(findCommand(['sif', word])).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  it('is told apart from one that comes later', async () => {
    expect(await findCommand(['search', 'x'])).toEqual({ kind: 'later', word: 'search' })
    expect(laterText('search')).toMatch(/^search is not available yet: [^\n]+$/)
  })

  it.each(Object.keys(refusedCommands))('is told apart from one that never will: %s', async (word) => {
    expect(await findCommand([word, 'x'])).toEqual({ kind: 'later', word })
    expect(laterText(word)).toMatch(new RegExp(`^${word} cannot be used: [^\\n]+$`))
  })
})
