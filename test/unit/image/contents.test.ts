import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Flags } from '../../../src/cli/command.ts'
import { command as inspectCommand } from '../../../src/cli/commands/inspect.ts'
import { command as helpCommand } from '../../../src/cli/commands/run-help.ts'
import { defaultSettings } from '../../../src/config/layers.ts'
import type { Event } from '../../../src/core/events.ts'
import { inspectJson, metadata, readAttributes } from '../../../src/image/contents.ts'
import { listInside, readInside } from '../../../src/image/sandbox.ts'
import { packDirectory } from '../../../src/native/addon.ts'
import { partitionExtra } from '../../../src/sif/details.ts'
import { dataTypes } from '../../../src/sif/format.ts'
import { SifWriter } from '../../../src/sif/write.ts'
import { broken, fileOf, folder, sample } from '../sif/samples.ts'

/** A root file system with these files. */
async function tree(files: Record<string, string>): Promise<string> {
  const root = await folder()
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

const files = {
  '.singularity.d/labels.json': '{"b":"two","a":"one","n":1}',
  '.singularity.d/Singularity': 'bootstrap: scratch\n\n%post\n',
  '.singularity.d/runscript': '#!/bin/sh\n\n  echo "<run>" && true\n\n',
  '.singularity.d/startscript': '#!/bin/sh\n',
  '.singularity.d/runscript.help': '  help\n  more\n',
  '.singularity.d/env/01-base.sh': 'BASE=1\n',
  '.singularity.d/env/10-docker2singularity.sh': 'export D=1\n',
  '.singularity.d/env/90-environment.sh': 'export A=1\n',
  '.singularity.d/env/91-environment.sh': '\n',
  '.singularity.d/env/99-base.sh': 'export B=1\n',
  'scif/apps/foo/scif/labels.json': '{"SCIF_APP_NAME":"foo"}',
  'scif/apps/foo/scif/env/01-base.sh': '#\n',
  'scif/apps/foo/scif/env/90-environment.sh': 'export F=1\n',
  'scif/apps/foo/scif/runscript.help': 'foo help\n',
  'scif/apps/Bar/scif/runscript': 'bar\n',
  'scif/apps/no-app/file': '',
}

const attributes = {
  apps: {
    Bar: { runscript: 'bar' },
    foo: {
      environment: { '/scif/apps/foo/scif/env/90-environment.sh': 'export F=1' },
      labels: { SCIF_APP_NAME: 'foo' },
      helpfile: 'foo help',
    },
  },
  environment: {
    '/.singularity.d/env/10-docker2singularity.sh': 'export D=1',
    '/.singularity.d/env/90-environment.sh': 'export A=1',
  },
  labels: { a: 'one', b: 'two', n: '1' },
  runscript: '#!/bin/sh\n\n  echo "<run>" && true',
  helpfile: '  help\n  more',
  deffile: 'bootstrap: scratch\n\n%post',
  startscript: '#!/bin/sh',
}

/** A SIF whose metadata object has these bytes, and nothing else. */
async function sifWith(json: string): Promise<string> {
  const path = join(await folder(), 'a.sif')
  await using writer = await SifWriter.create(path)
  await writer.add({
    dataType: dataTypes.genericJson,
    name: 'inspect-metadata.json',
    data: Buffer.from(json),
  })
  await writer.commit()
  return path
}

describe('what an image says about itself', () => {
  it('is read from the files of a root file system', async () => {
    const read = await readAttributes(await tree(files))
    expect(JSON.stringify(read)).toBe(JSON.stringify(attributes))
  })

  it('is the same from a squashfs, alone or in a SIF without the object', async () => {
    const root = await tree(files)
    const path = join(await folder(), 'a.sif')
    await using writer = await SifWriter.create(path)
    const slot = await writer.slot({ dataType: dataTypes.partition, extra: partitionExtra(1, 2, '00') })
    slot.finish((await packDirectory(root, { fd: slot.fd, offset: slot.offset })).size)
    await writer.commit()
    expect(JSON.stringify(await metadata(path))).toBe(JSON.stringify(attributes))
    const bare = await fileOf((await readFile(path)).subarray(slot.offset))
    expect(JSON.stringify(await metadata(bare))).toBe(JSON.stringify(attributes))
  })

  it('is the same from the object in a SIF', async () => {
    const path = await sifWith(inspectJson(attributes))
    expect(JSON.stringify(await metadata(path))).toBe(JSON.stringify(attributes))
  })

  it('is nothing for an empty root file system', async () => {
    expect(await readAttributes(await folder())).toEqual({})
    expect(inspectJson({})).toBe('{"data":{"attributes":{}},"type":"container"}')
  })

  it('is written with the escapes that other writers use', () => {
    expect(inspectJson({ runscript: '<&>\u2028\u0001' })).toContain('"\\u003c\\u0026\\u003e\\u2028\\u0001"')
  })

  it.each([
    '{"data":{"attributes":{"labels":null,"runscript":5,"apps":[1,{"labels":{"a":2}}],"environment":"x"}}}',
    '{"data":null}',
    '[]',
    '5',
  ])('never is more than the format knows: %s', async (json) => {
    const read = await metadata(await sifWith(json))
    expect(Object.keys(read).every((key) => ['apps', 'environment'].includes(key))).toBe(true)
  })

  it('keeps odd names of labels', async () => {
    const root = await tree({ '.singularity.d/labels.json': '{"__proto__":"x","constructor":"y"}' })
    expect(Object.entries((await readAttributes(root)).labels ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ])
  })

  it('is refused when the labels are no JSON', async () => {
    const deep = `{"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`
    for (const labels of ['{', deep]) {
      const root = await tree({ '.singularity.d/labels.json': labels })
      await expect(readAttributes(root)).rejects.toMatchObject({ code: 'IMAGE_FORMAT' })
    }
  })

  it('is refused when it is too much', async () => {
    const apps = Array.from({ length: 9 }, (_, app) => [
      `scif/apps/${app}/scif/runscript`,
      'x'.repeat(2 << 20),
    ])
    await expect(readAttributes(await tree(Object.fromEntries(apps)))).rejects.toMatchObject({
      code: 'IMAGE_FORMAT',
      message: expect.stringMatching(/^the image says more than 16777216 bytes about itself/),
    })
  })

  it('can be read of an image without root file system, or for another machine, or encrypted', async () => {
    const tiny = await sample('tiny')
    for (const edit of [
      [5471, '01'],
      [5475, '3131'],
      [5467, '06'],
    ] as [number, string][]) {
      expect(await metadata(await fileOf(broken(tiny, { edits: [edit] })))).toEqual({ labels: { a: 'b' } })
    }
  })

  it('comes with a warning when the object in a SIF is damaged', async () => {
    const path = await fileOf(
      broken(await sample('tiny'), {
        edits: [
          [32195, 'fffe7b7b'],
          [5467, '06'],
        ],
      }),
    )
    const events: Event[] = []
    await expect(metadata(path, (event) => events.push(event))).rejects.toMatchObject({
      code: 'ENCRYPTION',
    })
    expect(events).toEqual([{ kind: 'warning', text: expect.stringContaining('cannot be read') }])
  })
})

describe('files of a sandbox', () => {
  it('are found through links as the container would find them', async () => {
    const root = await tree({ 'real/file': 'inside', 'etc/passwd': 'of the sandbox' })
    await symlink('/real', join(root, 'absolute'))
    await symlink('../../../real', join(root, 'above'))
    await symlink('absolute/file', join(root, 'chain'))
    await symlink('/etc', join(root, 'conf'))
    await symlink('loop', join(root, 'loop'))
    const read = (path: string) => readInside(root, path, 100)?.toString()
    expect(read('/absolute/file')).toBe('inside')
    expect(read('/above/file')).toBe('inside')
    expect(read('/chain')).toBe('inside')
    expect(read('/conf/passwd')).toBe('of the sandbox')
    expect(read('/../../etc/passwd')).toBe('of the sandbox')
    expect(read('/real/../conf/passwd')).toBe('of the sandbox')
    expect([read('/loop'), read('/none'), read('/real'), read('/real/file/x')]).toEqual(
      Array(4).fill(undefined),
    )
    expect(listInside(root, '/absolute')).toEqual(['file'])
    expect(listInside(root, '/real/file')).toBeUndefined()
  })

  it('are files: pipes and sockets among them are passed by', async () => {
    const root = await tree({ 'etc/hosts': '' })
    execFileSync('mkfifo', [join(root, 'etc/pipe')])
    const server = createServer().listen(join(root, 'etc/socket'))
    await once(server, 'listening')
    expect(['/etc/pipe', '/etc/socket'].map((path) => readInside(root, path, 10))).toEqual([
      undefined,
      undefined,
    ])
    server.close()
  })

  it('are not read beyond what the caller expects', async () => {
    const root = await tree({ file: '0123456789' })
    expect(() => readInside(root, '/file', 9)).toThrow(expect.objectContaining({ code: 'IO' }))
  })
})

/** What a command prints. */
async function print(command: typeof inspectCommand, path: string, flags: Flags = {}): Promise<string> {
  let printed = ''
  const context = {
    report: () => {},
    environment: {},
    openFiles: undefined,
    descriptors: [],
    settings: async () => defaultSettings,
    configFile: undefined,
    secrets: {},
    calledAs: 'sing',
    debug: false,
    verbosity: { level: 1, colour: false },
    print: (text: string | Uint8Array) => {
      printed += text
    },
  } as const
  expect(await command.run({ flags, origins: {}, args: [path], words: [], argv: [], context })).toBe(0)
  return printed
}

describe('inspect', () => {
  it.each([
    [{}, 'a: one\nb: two\nn: 1\n'],
    [{ deffile: true }, 'bootstrap: scratch\n\n%post\n'],
    [{ helpfile: true }, '  help\n  more\n'],
    [{ test: true }, ''],
    [{ 'list-apps': true }, 'Bar\nfoo\n'],
    [
      { environment: true },
      '=== /.singularity.d/env/10-docker2singularity.sh ===\nexport D=1\n\n' +
        '=== /.singularity.d/env/90-environment.sh ===\nexport A=1\n\n',
    ],
    [{ labels: true, runscript: true }, '#!/bin/sh\n\n  echo "<run>" && true\na: one\nb: two\nn: 1\n'],
    [{ app: 'foo' }, 'SCIF_APP_NAME: foo\n'],
    [{ app: 'Bar', runscript: true, deffile: true }, 'bootstrap: scratch\n\n%post\nbar\n'],
    [{ app: 'none', runscript: true }, ''],
    [{ app: 'constructor' }, ''],
  ])('with %j prints the text', async (flags, text) => {
    expect(await print(inspectCommand, await tree(files), flags)).toBe(text)
  })

  it('prints JSON with tabs', async () => {
    const root = await tree(files)
    expect(await print(inspectCommand, root, { json: true, helpfile: true })).toBe(
      '{\n\t"data": {\n\t\t"attributes": {\n\t\t\t"helpfile": "  help\\n  more"\n\t\t}\n\t},\n\t"type": "container"\n}\n',
    )
    const parsed = async (flags: Flags) =>
      JSON.parse(await print(inspectCommand, root, flags)).data.attributes
    expect(await parsed({ all: true })).toEqual(attributes)
    expect(await parsed({ json: true, app: 'foo' })).toEqual({
      apps: { foo: { labels: { SCIF_APP_NAME: 'foo' } } },
    })
    expect(await parsed({ json: true, app: 'none' })).toEqual({})
  })

  it('does not let labels command the terminal', async () => {
    const root = await tree({ '.singularity.d/labels.json': '{"a\\u001b[2J":"x\\ny"}' })
    expect(await print(inspectCommand, root)).toBe('a\\x1b[2J: x\\ny\n')
  })
})

describe('run-help', () => {
  it.each([
    [{}, '  help\n  more\n'],
    [{ app: 'foo' }, 'foo help\n'],
    [{ app: 'Bar' }, 'No help sections were defined for this image\n'],
    [{ app: 'none' }, 'No help sections were defined for this image\n'],
  ])('with %j prints what the author wrote', async (flags, text) => {
    expect(await print(helpCommand, await tree(files), flags)).toBe(text)
  })
})
