/** Whether the programs in the PATH of an image can be started: their machine, loader, libraries and interpreters. */

import { machineName, machineOf, type Program } from '../../core/program.ts'
import type { Item } from '../../image/inventory.ts'
import { type Facts, nameOf } from '../facts.ts'
import { Libraries } from '../libraries.ts'
import type { Check, Finding } from '../types.ts'

/** What the programs of a PATH are; each file once, whatever names it has. */
function programFiles(facts: Facts): Item[] {
  const files = facts.programDirectories
    .flatMap((directory) => facts.in(directory))
    .filter(({ type, mode }) => type === 'file' && (mode & 0o111) !== 0)
  return [...new Map(files.map((item) => [`${item.layer}:${item.inode}`, item])).values()]
}

const programsOf = (facts: Facts): { item: Item; program: Program }[] =>
  programFiles(facts).flatMap((item) => {
    const program = facts.program(item)
    return program ? [{ item, program }] : []
  })

/** Programs of 32 bits, too, run where the machine has them. */
const family: Readonly<Record<string, readonly string[]>> = {
  amd64: ['amd64', '386'],
  arm64: ['arm64', 'arm'],
}

/** What the image is for; where it does not say, what its shell is. */
function machinesOf(facts: Facts): readonly (number | undefined)[] {
  const shell = facts.file('/bin/sh')
  const program = shell && facts.program(shell)
  const name = facts.architecture ?? (program ? machineName(program.machine) : undefined)
  return name === undefined ? [] : (family[name] ?? [name]).map(machineOf)
}

function findForeign(facts: Facts): Finding[] {
  const machines = machinesOf(facts)
  if (machines.every((machine) => machine === undefined)) return []
  const isShell = (item: Item) => facts.file('/bin/sh')?.path === item.path
  return programsOf(facts)
    .filter(({ program }) => !machines.includes(program.machine))
    .map(({ item, program }) => ({
      severity: isShell(item) ? 'error' : 'warning',
      path: item.path,
      text: `a program for ${machineName(program.machine)}, in an image for ${machineName(machines[0] ?? 0)}`,
      fix: 'install the package for the architecture of the image',
    }))
}

function findLoaders(facts: Facts): Finding[] {
  return programsOf(facts).flatMap(({ item, program: { loader } }): Finding[] => {
    if (loader === undefined || facts.resolve(loader).kind !== 'missing') return []
    const musl = loader.includes('musl')
    const fix = musl
      ? 'it was made for Alpine (musl)'
      : 'it was made for glibc: install it, or a program made for musl'
    return [
      {
        severity: 'warning',
        path: item.path,
        text: `cannot be started: its loader ${loader} is not there`,
        fix,
      },
    ]
  })
}

/** One finding for each library, at the first program that lacks it. */
function findMissing(facts: Facts): Finding[] {
  const libraries = new Libraries(facts)
  const lacking = new Map<string, { neededBy: string; programs: string[] }>()
  for (const { item } of programsOf(facts)) {
    for (const { library, neededBy } of libraries.missing(item)) {
      const known = lacking.get(library) ?? { neededBy, programs: [] }
      known.programs.push(item.path)
      lacking.set(library, known)
    }
  }
  return [...lacking].map(
    ([
      library,
      {
        neededBy,
        programs: [first = '', ...others],
      },
    ]) => {
      const through = neededBy === first ? '' : ` (through ${neededBy})`
      const more = others.length === 0 ? '' : `; so do ${others.length} more`
      return {
        severity: 'warning',
        path: first,
        text: `needs ${library}${through}, which is not there${more}`,
        fix: 'install the package that has it',
      }
    },
  )
}

const line = 256

/** `#!/usr/bin/env -S NAME ...` looks for the name itself. */
function missingInterpreter(item: Item, facts: Facts): string | undefined {
  const text = facts.head(item, line).toString('latin1')
  const [, interpreter = '', rest = ''] = /^#![ \t]*(\S+)[ \t]*(.*)/.exec(text) ?? []
  if (interpreter === '') return undefined
  const resolved = facts.resolve(interpreter)
  if (resolved.kind === 'missing') return interpreter
  if (!interpreter.endsWith('/env')) return undefined
  const name = rest.split(/\s+/).find((word) => word !== '' && !word.startsWith('-') && !word.includes('='))
  if (name === undefined || name.startsWith('/') || facts.programNamed(name)) return undefined
  return name
}

const findScripts = (facts: Facts): Finding[] =>
  programFiles(facts)
    .filter((item) => facts.program(item) === undefined)
    .flatMap((item): Finding[] => {
      const interpreter = missingInterpreter(item, facts)
      if (interpreter === undefined) return []
      const name = nameOf({ path: `/${interpreter}` })
      const text = `a script for ${interpreter}, which is not there`
      return [{ severity: 'note', path: item.path, text, fix: `install ${name}` }]
    })

export const programs: readonly Check[] = [
  {
    name: 'architecture',
    tags: ['runtime'],
    summary: 'programs of the PATH that are for another architecture',
    find: findForeign,
  },
  {
    name: 'loaders',
    tags: ['runtime'],
    summary: 'programs of the PATH whose loader (glibc, musl) is missing',
    find: findLoaders,
  },
  {
    name: 'libraries',
    tags: ['runtime'],
    summary: 'libraries that programs of the PATH need and that are missing',
    find: findMissing,
  },
  {
    name: 'interpreters',
    tags: ['runtime'],
    summary: 'scripts of the PATH whose interpreter is missing',
    find: findScripts,
  },
]
