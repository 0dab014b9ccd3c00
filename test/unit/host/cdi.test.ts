import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { readCdi } from '../../../src/host/cdi.ts'
import { hasProgram } from '../../helpers/can.ts'
import { makeLibrary } from '../../helpers/libraries.ts'

const folder = mkdtempSync(join(tmpdir(), 'sing-cdi-'))
afterAll(() => rmSync(folder, { recursive: true }))

let directory: string
let count = 0
beforeEach(() => {
  directory = join(folder, String(count++))
  mkdirSync(directory)
})

const write = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const yaml = `---
cdiVersion: 0.6.0
kind: vendor.com/gpu
devices:
  - name: 0
    containerEdits:
      deviceNodes:
        - path: /dev/null
          permissions: rw
        - {path: /dev/vendor0, hostPath: /no/such/node, type: c, major: 195, minor: 0, fileMode: 438}
      additionalGids: [44]
      intelRdt: {closID: fast}
  - name: all
containerEdits:
  env: ["VENDOR_VISIBLE=void", "EMPTY="]
  mounts:
    - {hostPath: /etc, containerPath: /opt/vendor, options: [ro, nosuid, nodev, bind]}
  hooks:
    - {hookName: createContainer, path: /usr/bin/vendor-hook, args: [vendor-hook, run]}
`

const nothing = { environment: [], nodes: [], mounts: [], hooks: [], groups: [], privileged: [] }

describe('a CDI file', () => {
  it('is read as YAML', async () => {
    const file = write('vendor.yaml', yaml)
    const { specs, broken } = await readCdi([directory])
    expect(broken).toEqual([])
    expect(specs).toEqual([
      {
        file,
        level: 0,
        kind: 'vendor.com/gpu',
        edits: {
          ...nothing,
          environment: [
            ['VENDOR_VISIBLE', 'void'],
            ['EMPTY', ''],
          ],
          mounts: [
            {
              hostPath: '/etc',
              containerPath: '/opt/vendor',
              readonly: true,
              recursive: false,
              directory: true,
              soname: undefined,
            },
          ],
          hooks: [{ name: 'createContainer', path: '/usr/bin/vendor-hook', args: ['vendor-hook', 'run'] }],
        },
        devices: [
          {
            name: '0',
            edits: {
              ...nothing,
              nodes: [
                { path: '/dev/null', hostPath: '/dev/null', present: true },
                { path: '/dev/vendor0', hostPath: '/no/such/node', present: false },
              ],
              groups: [44],
              privileged: ['intelRdt'],
            },
          },
          { name: 'all', edits: nothing },
        ],
      },
    ])
  })

  it('is read as JSON, and knows the names of libraries', async (context) => {
    if (!hasProgram('gcc')) return context.skip('gcc is missing')
    const library = makeLibrary(directory, 'libx.so.5.1', { soname: 'libx.so.5', symbol: 'x' })
    const mounts = [{ hostPath: library, containerPath: '/usr/lib/libx.so.5.1' }]
    write('a.json', JSON.stringify({ cdiVersion: '1.0.0', kind: 'a.b/c', containerEdits: { mounts } }))
    const { specs } = await readCdi([directory])
    expect(specs[0]?.edits.mounts[0]).toMatchObject({ soname: 'libx.so.5', readonly: false, recursive: true })
  })

  it('counts by the place of its directory; others are passed over', async () => {
    write('vendor.yaml', yaml)
    write('notes.txt', 'nothing')
    const { specs } = await readCdi([join(folder, 'none'), directory, '/etc/passwd'])
    expect(specs.map(({ level }) => level)).toEqual([1])
  })

  const edits = (text: string) => `{"cdiVersion": "0.6.0", "kind": "a.b/c", "containerEdits": ${text}}`
  it.each([
    ['{', /JSON/],
    ['[]', /expected a mapping/],
    ['{"kind": "a.b/c"}', /cdiVersion: expected a version/],
    ['{"cdiVersion": "7.0.0", "kind": "a.b/c"}', /cdiVersion: expected a version/],
    ['{"cdiVersion": "0.6.0", "kind": "gpu"}', /kind: expected vendor\/class/],
    ['{"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": {}}', /devices: expected a list/],
    [
      '{"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": [{"name": "a=b"}]}',
      /devices\[0\]\.name: expected a name/,
    ],
    [edits('[]'), /containerEdits: expected a mapping/],
    [edits('{"env": ["A"]}'), /containerEdits\.env\[0\]: expected NAME=value/],
    [edits('{"deviceNodes": [{"path": "dev/x"}]}'), /deviceNodes\[0\]\.path: expected an absolute path/],
    [
      edits('{"deviceNodes": [{"path": "/dev/x", "type": "z"}]}'),
      /deviceNodes\[0\]\.type: expected b, c, u or p/,
    ],
    [
      edits('{"deviceNodes": [{"path": "/x", "permissions": "all"}]}'),
      /permissions: expected letters of rwm/,
    ],
    [edits('{"mounts": [{"hostPath": "/etc"}]}'), /mounts\[0\]\.containerPath: expected an absolute path/],
    [edits('{"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "nfs"}]}'), /type: expected bind/],
    [
      edits('{"mounts": [{"hostPath": "/a", "containerPath": "/b", "options": ["x"]}]}'),
      /an option of bind mounts/,
    ],
    [edits('{"hooks": [{"hookName": "x"}]}'), /hooks\[0\]\.path: expected an absolute path/],
    [edits('{"additionalGids": [-1]}'), /additionalGids\[0\]: expected a number/],
  ])('that is wrong hides no other: %s', async (text, reason) => {
    const file = write('a.json', text)
    write('b.yaml', yaml)
    const { specs, broken } = await readCdi([directory])
    expect(specs).toHaveLength(1)
    expect(broken).toEqual([{ file, reason: expect.stringMatching(reason) }])
  })

  it('may not be endless', async () => {
    const entries = Array.from({ length: 2000 }, (_, index) => `A${index}=1`)
    const devices = Array.from(
      { length: 2000 },
      (_, index) => `  - {name: d${index}, containerEdits: *edits}`,
    )
    const head = `cdiVersion: 0.6.0\nkind: a.b/c\ncontainerEdits: &edits {env: [${entries.join(', ')}]}\n`
    write('a.yaml', `${head}devices:\n${devices.join('\n')}\n`)
    write('b.json', ' '.repeat(5 * 1024 * 1024))
    write('c.yaml', `a: ${'['.repeat(100)}`)
    mkdirSync(join(directory, 'd.json'))
    const { specs, broken } = await readCdi([directory])
    expect(specs).toEqual([])
    expect(broken.map(({ reason }) => reason)).toEqual([
      'it has too many values',
      'it is larger than 4 MiB',
      expect.stringMatching(/depth|nest/i),
      'it is no file',
    ])
  })
})
