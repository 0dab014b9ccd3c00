import { describe, expect, it } from 'vitest'
import { additionsTo, type Description, resolvePath, type Tree } from '../../../src/image/additions.ts'
import type { Entry } from '../../../src/native/addon.ts'

/** A tree: `null` is a directory, `-> target` a link, anything else the contents of a file. */
function tree(files: Record<string, string | null>): Tree {
  const entries = Object.entries(files)
  return {
    lookup: (path) => {
      const value = files[path]
      if (value?.startsWith('-> ')) return { type: 'symlink', link: value.slice(3) }
      if (value !== undefined) return { type: value === null ? 'directory' : 'file' }
      return entries.some(([name]) => name.startsWith(`${path}/`)) ? { type: 'directory' } : undefined
    },
    captured: new Map(entries.map(([path, text]) => [path, { data: Buffer.from(text ?? '') }])),
  }
}

const config = {
  platform: { os: 'linux', architecture: 'arm64' },
  created: 1000,
  entrypoint: ['/bin/app'],
  command: [],
  environment: ['PATH=/bin'],
  labels: { a: 'b' },
  workingDirectory: '',
  user: '',
  diffIds: [],
  document: Buffer.from('{}'),
}
const description: Description = {
  definition: 'bootstrap: oci\nfrom: app\n\n',
  header: { bootstrap: 'oci', from: 'app' },
  config,
  version: '1',
  time: 1000,
}

const added = (files: Record<string, string | null>, more: Partial<typeof config> = {}) =>
  additionsTo(tree(files), { ...description, config: { ...config, ...more } })

async function textOf(entry: Entry | undefined): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry?.data ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const find = (entries: readonly Entry[], path: string) => entries.find((entry) => entry.path === path)

describe('a converted image', () => {
  it('gets all that runtimes rely on', async () => {
    const entries = added({})
    expect(find(entries, '/proc')).toMatchObject({ type: 'directory', mode: 0o755, uid: 0, mtime: 1000 })
    expect(find(entries, '/tmp')).toMatchObject({ type: 'directory', mode: 0o1777 })
    expect(find(entries, '/singularity')).toMatchObject({ type: 'symlink', link: '.singularity.d/runscript' })
    expect(find(entries, '/.singularity.d/actions/run')).toMatchObject({ type: 'file', mode: 0o755 })
    expect(await textOf(find(entries, '/.singularity.d/Singularity'))).toBe(description.definition)
    expect(await textOf(find(entries, '/.singularity.d/runscript'))).toContain("set -- '/bin/app'")
    expect(await textOf(find(entries, '/.singularity.d/labels.json'))).toContain('"a": "b"')
    const environment = find(entries, '/.singularity.d/env/10-docker2singularity.sh')
    expect(await textOf(environment)).toBe("#!/bin/sh\nexport PATH='/bin'\n")
    expect(entries.filter(({ data, size, type }) => type === 'file' && !data && size > 0)).toEqual([])
  })

  it('names every path once', () => {
    const paths = added({}).map(({ path }) => path)
    expect(new Set(paths).size).toBe(paths.length)
  })

  it('keeps what its layers have, links too', () => {
    const entries = added({
      '/etc/hosts': '-> ../run/hosts',
      '/proc': null,
      '/singularity': 'a file',
      '/.singularity.d/env/90-environment.sh': 'X=1',
    })
    const paths = entries.map(({ path }) => path)
    for (const path of [
      '/etc/hosts',
      '/proc',
      '/etc',
      '/singularity',
      '/.singularity.d/env/90-environment.sh',
    ])
      expect(paths).not.toContain(path)
    expect(paths).toContain('/etc/resolv.conf')
  })

  it('gets directories where its links lead', () => {
    const paths = added({
      '/var/tmp': '-> /data/tmp',
      '/home': '-> usr/home',
      '/etc': '-> /config',
      '/config': null,
    })
    expect(paths.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/data/tmp', '/usr/home', '/config/hosts', '/config/resolv.conf']),
    )
  })

  it('is not led astray by links in circles and files in the way', () => {
    const paths = added({ '/home': '-> home', '/var': 'a file' }).map(({ path }) => path)
    expect(paths).not.toContain('/home')
    expect(paths).not.toContain('/var/tmp')
  })

  it.each([
    ['names no program', []],
    ['names the runscript itself', ['/.singularity.d/runscript', 'x']],
    ['names the action that runs it', ['/.singularity.d/actions/run']],
  ])('keeps the runscript of an image whose configuration %s', (_, entrypoint) => {
    const before = { '/.singularity.d/runscript': 'mine' }
    expect(find(added(before, { entrypoint }), '/.singularity.d/runscript')).toBeUndefined()
    expect(find(added({}, { entrypoint }), '/.singularity.d/runscript')).toBeDefined()
    expect(find(added(before), '/.singularity.d/runscript')).toBeDefined()
  })

  it('remembers what it was', async () => {
    const before = {
      '/.singularity.d/Singularity': 'bootstrap: debootstrap',
      '/.singularity.d/bootstrap_history/Singularity0': 'older',
      '/.singularity.d/labels.json':
        '{"kept":"yes","a":"old","org.label-schema.usage.singularity.deffile.from":"x"}',
    }
    const entries = added(before)
    expect(await textOf(find(entries, '/.singularity.d/bootstrap_history/Singularity1'))).toBe(
      'bootstrap: debootstrap',
    )
    const labels = JSON.parse(await textOf(find(entries, '/.singularity.d/labels.json')))
    expect(labels).toMatchObject({
      kept: 'yes',
      a: 'b',
      'org.label-schema.usage.singularity.deffile.from': 'app',
    })
  })
})

it.each([
  ['/a/b', 'keep', '/a/b'],
  ['/link/b', 'keep', '/dir/b'],
  ['/dir/up/x', 'keep', '/x'],
  ['/link', 'keep', '/link'],
  ['/link', 'follow', '/dir'],
  ['/out', 'follow', '/etc/passwd'],
  ['/file/x', 'keep', undefined],
  ['/loop', 'follow', undefined],
] as const)('%s (%s) is at %s', (path, last, place) => {
  const files = {
    '/dir': null,
    '/link': '-> dir/.',
    '/dir/up': '-> ..',
    '/out': '-> ../../../etc/passwd',
    '/file': 'x',
    '/loop': '-> loop',
  }
  expect(resolvePath(tree(files), path, last)).toBe(place)
})
