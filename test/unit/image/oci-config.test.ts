import { describe, expect, it } from 'vitest'
import { type Described, imageConfig, starterFiles } from '../../../src/image/oci-config.ts'
import { ociRunscript } from '../../../src/image/oci-scripts.ts'
import { noRunscript } from '../../../src/image/texts.ts'

const plain: Described = {
  architecture: 'arm64',
  created: 1_600_000_000,
  oci: undefined,
  attributes: {},
  actions: ['exec', 'run', 'shell'],
  isOpen: true,
}
const diffIds = [`sha256:${'a'.repeat(64)}`]
const usualPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const configOf = (more: Partial<Described>) =>
  JSON.parse(imageConfig({ ...plain, ...more }, diffIds).toString())

describe('the configuration of an image', () => {
  it('tells what it is', () => {
    expect(configOf({})).toMatchObject({
      created: '2020-09-13T12:26:40Z',
      architecture: 'arm64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: [{ created: '2020-09-13T12:26:40Z', created_by: 'sing push' }],
    })
  })

  it('of a time before 1970 is from then', () => {
    expect(configOf({ created: -62135596800 }).created).toBe('1970-01-01T00:00:00Z')
  })

  const oci = {
    Entrypoint: ['/bin/echo'],
    Cmd: ['hello'],
    Env: ['PATH=/bin', 'A=b=c', 'EMPTY'],
    Labels: { maintainer: 'somebody', version: '1' },
    User: 'nobody',
    WorkingDir: '/srv',
    ExposedPorts: { '80/tcp': {} },
  }
  const fromOci = ociRunscript({ entrypoint: oci.Entrypoint, command: oci.Cmd })

  it('that was one is kept', () => {
    const { config } = configOf({
      oci,
      attributes: { runscript: fromOci, labels: { version: '2', own: 'yes' } },
    })
    expect(config).toEqual({
      User: 'nobody',
      WorkingDir: '/srv',
      ExposedPorts: { '80/tcp': {} },
      Env: ['PATH=/bin', 'A=b=c', 'EMPTY='],
      Entrypoint: ['/bin/echo'],
      Cmd: ['hello'],
      Labels: { maintainer: 'somebody', own: 'yes', version: '2' },
    })
  })

  it('that was one gives way to a runscript of the definition, and keeps the rest', () => {
    const environment = { '/.singularity.d/env/90-environment.sh': 'export B=2\nexport PATH=/opt:$PATH' }
    const { config } = configOf({ oci, attributes: { runscript: '#!/bin/sh\nexec mine "$@"', environment } })
    expect(config.Entrypoint).toEqual(['/.singularity.d/oci-run'])
    expect(config.Cmd).toBeUndefined()
    expect(config.Env).toEqual(['PATH=/opt:/bin', 'A=b=c', 'EMPTY=', 'B=2'])
    expect(config.User).toBe('nobody')
  })

  const programs: [string, Partial<Described>, object][] = [
    [
      'runs a copy of the runscript in the environment of the image',
      { attributes: { runscript: '#!/bin/sh\nexec x "$@"' } },
      { Entrypoint: ['/.singularity.d/oci-run'] },
    ],
    [
      'runs the runscript itself where nothing can be added',
      { attributes: { runscript: '#!/bin/sh\nexec x "$@"' }, isOpen: false },
      { Entrypoint: ['/.singularity.d/actions/run'] },
    ],
    [
      'runs the runscript alone where there is no such action',
      { attributes: { runscript: '#!/bin/sh\nexec x "$@"' }, actions: [], isOpen: false },
      { Entrypoint: ['/.singularity.d/runscript'] },
    ],
    [
      'runs any command where there is no runscript',
      { attributes: { runscript: noRunscript } },
      { Entrypoint: ['/.singularity.d/actions/exec'], Cmd: ['/bin/sh'] },
    ],
    [
      'runs any command where the peer put a runscript that says there is none',
      {
        attributes: { runscript: '#!/bin/sh\n\necho "There is no runscript defined for this container\\n";' },
      },
      { Entrypoint: ['/.singularity.d/actions/exec'], Cmd: ['/bin/sh'] },
    ],
    ['starts a shell in a bare tree', { actions: [] }, { Cmd: ['/bin/sh'] }],
    ['starts what OCI says in a bare tree', { actions: [], oci: { Cmd: ['/x'] } }, { Cmd: ['/x'] }],
  ]
  it.each(programs)('%s', (_, described, program) => {
    const { Entrypoint, Cmd } = configOf(described).config
    expect({ Entrypoint, Cmd }).toEqual({ Entrypoint: undefined, Cmd: undefined, ...program })
  })

  it('comes with the files that it needs to run the runscript', () => {
    const files = starterFiles({ ...plain, attributes: { runscript: '#!/usr/bin/python3\nprint(1)' } })
    expect(files.map(({ path, mode, mtime }) => [path, mode, mtime])).toEqual([
      ['.singularity.d/oci-run', 0o755, 1_600_000_000],
      ['.singularity.d/oci-runscript', 0o755, 1_600_000_000],
    ])
    expect(files[0]?.data).toContain('exec /.singularity.d/oci-runscript "$@"\n')
    expect(files[1]?.data).toBe('#!/usr/bin/python3\nprint(1)\n')
    expect(starterFiles(plain)).toEqual([])
    expect(starterFiles({ ...plain, oci, attributes: { runscript: fromOci } })).toEqual([])
  })

  it('has a PATH, and the plain variables of the environment scripts', () => {
    const environment = {
      '/.singularity.d/env/10-docker2singularity.sh': '[ -n "${A:-}" ] || A=\'1\'; export A',
      '/.singularity.d/env/90-environment.sh': 'B=2\nC=$(date)',
    }
    expect(configOf({ attributes: { environment } }).config.Env).toEqual([usualPath, 'A=1', 'B=2'])
  })

  it('has the same bytes each time', () => {
    const one = imageConfig({ ...plain, oci, attributes: { labels: { b: '1', a: '2' } } }, diffIds)
    const two = imageConfig({ ...plain, oci, attributes: { labels: { a: '2', b: '1' } } }, diffIds)
    expect(one.equals(two)).toBe(true)
  })
})
