/** The drawing of the house, checked against the code: who may import whom, who may touch what. */

import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../src', import.meta.url))

type Import = { readonly from: string; readonly typeOnly: boolean; readonly lazy: boolean }
type Source = {
  readonly path: string
  readonly code: string
  readonly text: string
  readonly imports: readonly Import[]
}

/** The code without comments, so that words in them are no finding. Strings stay: imports are strings. */
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;,{}()])\/\/.*$/gm, '$1')

function readImports(code: string): Import[] {
  const fixed = [...code.matchAll(/^(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+\sfrom\s+)?'([^']+)'/gm)]
  const lazy = [...code.matchAll(/\bimport\(\s*'([^']+)'/g)]
  return [
    ...fixed.map(([, type, from = '']) => ({ from, typeOnly: type !== undefined, lazy: false })),
    ...lazy.map(([, from = '']) => ({ from, typeOnly: false, lazy: true })),
  ]
}

function readSource(path: string): Source {
  const text = readFileSync(posix.join(root, path), 'utf8')
  const code = withoutComments(text)
  return { path, text, code, imports: readImports(code) }
}

const sources = (readdirSync(root, { recursive: true }) as string[])
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .map(readSource)
const byPath = new Map(sources.map((source) => [source.path, source]))

/** The file in `src` that an import names, or undefined for a package or a module of the engine. */
function target({ path }: Source, { from }: Import): string | undefined {
  return from.startsWith('.') ? posix.join(posix.dirname(path), from) : undefined
}

const roomOf = (path: string): string => (path.includes('/') ? (path.split('/')[0] ?? '') : path)

/** Rooms by floor, the lowest first. An import goes down or stays in its room. */
const floors = [
  ['core'],
  ['native', 'ui'],
  ['store', 'host', 'plan', 'definition', 'config'],
  ['sif', 'oci', 'library', 'endpoints'],
  ['image'],
  ['check', 'sbom'],
  ['build', 'trust', 'runtime'],
  ['cli'],
  ['main.ts'],
]
const floorOf = (room: string): number => floors.findIndex((rooms) => rooms.includes(room))
const neighbours = new Set(['build -> runtime', 'build -> trust'])
/** The terminal is no business of the rooms that work. */
const mayShow = new Set(['cli', 'main.ts', 'ui'])

const isPure = (path: string): boolean =>
  ['core', 'plan', 'definition'].includes(roomOf(path)) ||
  [
    'cli/argv.ts',
    'cli/options.ts',
    'cli/rows.ts',
    'cli/completion.ts',
    'config/schema.ts',
    'config/document.ts',
    'config/layers.ts',
    'config/edit.ts',
    'config/confedit.ts',
    'config/subids.ts',
    'config/signers.ts',
  ].includes(path) ||
  /^sif\/(consequences|details|format|integrity|layout)\.ts$/.test(path) ||
  /^oci\/(types|json|platform|reference|manifest|config|artifact|challenge)\.ts$/.test(path) ||
  /^check\/(checks\/.*|facts|libraries|report|secrets|sizes|types)\.ts$/.test(path) ||
  /^trust\/(types|der|x509|ocsp-message|hkp|ecl|evidence|listing|packets|public-part)\.ts$/.test(path) ||
  /^endpoints\/(address|document|document-text|edit|known)\.ts$/.test(path) ||
  /^sbom\/(types|spdx|cyclonedx|licences|licence-list|purl|rows|unique|readers\/.*)\.ts$/.test(path) ||
  /^image\/(labels|texts|oci-scripts|oci-config|assignments)\.ts$/.test(path)
const pureModules = new Set(['node:path', 'node:path/posix', 'node:buffer', 'node:url'])

/** Files whose code has the pattern, without those that may. */
const offenders = (pattern: RegExp, allowed: (path: string) => boolean): string[] =>
  sources.filter(({ path, code }) => pattern.test(code) && !allowed(path)).map(({ path }) => path)

describe('the rooms', () => {
  it('all have a floor', () => {
    expect(sources.map(({ path }) => roomOf(path)).filter((room) => floorOf(room) < 0)).toEqual([])
  })

  it('import downwards only', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ typeOnly }) => !typeOnly)
        .flatMap((found) => target(source, found) ?? [])
        .filter((path) => {
          const [here, there] = [roomOf(source.path), roomOf(path)]
          if (there === 'ui' && !mayShow.has(here)) return true
          return here !== there && floorOf(there) >= floorOf(here) && !neighbours.has(`${here} -> ${there}`)
        })
        .map((path) => `${source.path} -> ${path}`),
    )
    expect(wrong).toEqual([])
  })

  it('import files that exist', () => {
    const missing = sources.flatMap((source) =>
      source.imports
        .map((found) => target(source, found))
        .filter((path) => path !== undefined && !byPath.has(path))
        .map((path) => `${source.path} -> ${path}`),
    )
    expect(missing).toEqual([])
  })

  it('that decide touch nothing: no module of the engine, no clock, no environment, no chance', () => {
    const modules = sources
      .filter(({ path }) => isPure(path))
      .flatMap((source) =>
        source.imports
          .filter((found) => !found.typeOnly)
          .filter((found) => {
            const path = target(source, found)
            return path === undefined ? !pureModules.has(found.from) : !isPure(path)
          })
          .map(({ from }) => `${source.path} -> ${from}`),
      )
    expect(modules).toEqual([])
    const touching =
      /\b(process\.(env|argv|cwd|pid|getuid|platform|arch|stdin|nextTick)\b|Date\.now|new Date\(\)|Math\.random|performance\.|setTimeout|fetch\()/
    expect(offenders(touching, (path) => !isPure(path))).toEqual([])
  })
})

describe('there is one', () => {
  it('writer of the terminal', () => {
    const writes = /\bprocess\.(stdout|stderr)\b|\bwriteSync\(\s*(1|2|STDOUT|STDERR)\b/
    expect(offenders(writes, (path) => roomOf(path) === 'ui' || path === 'main.ts')).toEqual([])
    expect(offenders(/\bconsole\./, () => false)).toEqual([])
  })

  it('reader of the environment', () => {
    expect(offenders(/\bprocess\.env\b/, (path) => path === 'main.ts' || path === 'host/facts.ts')).toEqual(
      [],
    )
  })

  it('exit', () => {
    expect(offenders(/\bprocess\.(exit|exitCode|abort|reallyExit)\b/, (path) => path === 'main.ts')).toEqual(
      [],
    )
  })

  it('door to native code', () => {
    expect(offenders(/\.node['"`]/, (path) => roomOf(path) === 'native')).toEqual([])
  })

  it('client of the network', () => {
    expect(offenders(/\bfetch\(|'node:https?'/, (path) => roomOf(path) === 'store')).toEqual([])
  })
})

describe('a start', () => {
  /** Everything that is loaded when a file is, lazy imports left aside. */
  function loadedBy(path: string, seen = new Set<string>()): Set<string> {
    const source = byPath.get(path)
    if (!source || seen.has(path)) return seen
    seen.add(path)
    for (const found of source.imports.filter(({ typeOnly, lazy }) => !typeOnly && !lazy)) {
      const next = target(source, found)
      if (next) loadedBy(next, seen)
      else seen.add(found.from)
    }
    return seen
  }
  const launch = [...loadedBy('cli/commands/action.ts', loadedBy('main.ts'))]

  it('of a container loads nothing of building, and no package', () => {
    expect(
      launch.filter((path) => ['build', 'trust', 'oci', 'library', 'store'].includes(roomOf(path))),
    ).toEqual([])
    expect(launch.filter((name) => !name.endsWith('.ts') && !name.startsWith('node:'))).toEqual([])
    expect(launch).not.toContain('cli/help.ts')
  })

  it('of anything loads one command', () => {
    expect([...loadedBy('main.ts')].filter((path) => path.startsWith('cli/commands/'))).toEqual([])
  })
})

describe('each file', () => {
  it('says at its top what it is for', () => {
    expect(sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path)).toEqual([])
  })

  it('has no end left open', () => {
    expect(sources.filter(({ text }) => /\b(TODO|FIXME|XXX)\b/.test(text)).map(({ path }) => path)).toEqual(
      [],
    )
  })
})
