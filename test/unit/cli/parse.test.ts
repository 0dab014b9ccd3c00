/** Values of flags: from the command line, and from the environment when it says nothing. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutCommand } from '../../../src/cli/argv.ts'
import { subcommands } from '../../../src/cli/commands/instance.ts'
import { globalFlags, launchFlags, registryFlags } from '../../../src/cli/options.ts'
import { type Defaults, parseFlags } from '../../../src/cli/parse.ts'

const parse = (words: readonly string[], environment: Record<string, string> = {}) =>
  parseFlags(cutCommand(words, launchFlags, globalFlags, true).ours, launchFlags, environment)

const values = async (words: readonly string[], environment: Record<string, string> = {}) =>
  (await parse(words, environment)).flags

describe('the command line', () => {
  it('gives each kind of flag its value', async () => {
    expect(await values(['-c', '--no-home', '--home', '/h', '-B', '/a', '-B', '/b', 'x.sif'])).toEqual({
      contain: true,
      'no-home': true,
      home: '/h',
      bind: ['/a', '/b'],
    })
  })

  it('counts the last word of a flag that takes one value', async () => {
    expect(await values(['--home', '/a', '--home', '/b', '-c', '--contain=false'])).toEqual({
      home: '/b',
      contain: false,
    })
  })

  it.each([
    [['--bind', '"/a"'], { bind: ['"/a"'] }],
    [['--bind', '/a,/b\\,c:/d'], { bind: ['/a,/b\\,c:/d'] }],
    [['--env', "A='x=y'"], { env: ["A='x=y'"] }],
    [['--env', 'A=1\n2'], { env: ['A=1\n2'] }],
    [['--home', '007'], { home: '007' }],
    [['--home', 'true'], { home: 'true' }],
    [['--home', ''], { home: '' }],
    [['--home', '--'], { home: '--' }],
    [['--env', '__proto__=1'], { env: ['__proto__=1'] }],
    [['--env', 'a.b=1'], { env: ['a.b=1'] }],
    [['--hostname', '1e3'], { hostname: '1e3' }],
    [['--bind='], { bind: [] }],
  ])('leaves the value of %j alone', async (words, expected) => {
    expect(await values(words)).toEqual(expected)
  })

  it('hands on any text as it is, attached or as a word of its own', async () => {
    const texts = fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(texts, fc.boolean(), async (binds, attached) => {
        const words = binds.flatMap((bind) => (attached ? [`--bind=${bind}`] : ['--bind', bind]))
        expect(await values([...words, 'a.sif'])).toEqual({ bind: binds })
      }),
    )
  })

  it('splits lists of names at commas', async () => {
    expect(await values(['--no-mount', 'home, tmp', '--no-mount=proc,', '--env-file', 'a,b'])).toEqual({
      'no-mount': ['home', 'tmp', 'proc'],
      'env-file': ['a', 'b'],
    })
  })
})

describe('the environment', () => {
  it('stands in for a flag that is not given', async () => {
    expect(
      await values([], { APPTAINER_NO_HOME: '1', SINGULARITY_CWD: '/x', SINGULARITY_UNSHARE_PID: 'T' }),
    ).toEqual({
      'no-home': true,
      cwd: '/x',
      pid: true,
    })
  })

  it('gives way to the command line', async () => {
    const environment = { SINGULARITY_CONTAIN: 'true', APPTAINER_HOME: '/env' }
    expect(await values(['--contain=false', '--home=/word'], environment)).toEqual({
      contain: false,
      home: '/word',
    })
  })

  it('is read under our own prefix first, then the newer and the older one of the peers', async () => {
    const all = { SING_HOME: '/sing', APPTAINER_HOME: '/apptainer', SINGULARITY_HOME: '/singularity' }
    expect(await values([], all)).toEqual({ home: '/sing' })
    expect(await values([], { ...all, SING_HOME: '' })).toEqual({ home: '/apptainer' })
    expect(await values([], { ...all, SING_HOME: ' ', APPTAINER_HOME: '' })).toEqual({ home: '/singularity' })
  })

  it('adds binds and mounts behind those of the command line', async () => {
    const environment = {
      APPTAINER_BIND: '/e1:/a\\,b,/e2',
      SINGULARITY_BINDPATH: '/e3',
      SINGULARITY_MOUNT: 'type=bind,source=/a,destination=/b\n\ntype=bind,source=/c,destination=/d\n',
    }
    expect(await values(['-B', '/w', '--mount', 'm'], environment)).toEqual({
      bind: ['/w', '/e1:/a\\,b,/e2', '/e3'],
      mount: ['m', 'type=bind,source=/a,destination=/b', 'type=bind,source=/c,destination=/d'],
    })
  })

  it('is split at commas and trimmed for lists', async () => {
    expect(await values([], { SINGULARITY_NO_MOUNT: ' home , tmp,' })).toEqual({
      'no-mount': ['home', 'tmp'],
    })
  })

  it.each(['yes', 'on', '2', 'tRue'])('refuses %j as a boolean and names the variable', async (word) => {
    await expect(parse([], { SINGULARITY_NO_HOME: word })).rejects.toMatchObject({
      code: 'ENVIRONMENT',
      status: 255,
      message: expect.stringContaining('SINGULARITY_NO_HOME'),
    })
  })

  it('is not looked at for a flag that the command line gives', async () => {
    expect(await values(['--no-home'], { SINGULARITY_NO_HOME: 'yes' })).toEqual({ 'no-home': true })
  })

  it('counts as unset when it is blank', async () => {
    expect(
      await values([], { SINGULARITY_NO_HOME: '', APPTAINER_BIND: '  ', SINGULARITY_PIDS_LIMIT: ' ' }),
    ).toEqual({})
  })

  it('has docker keys without prefix, which the prefixed ones beat', async () => {
    const read = async (environment: Record<string, string>) =>
      (await parseFlags([], registryFlags, environment)).flags['docker-username']
    expect(await read({ DOCKER_USERNAME: 'plain' })).toBe('plain')
    expect(await read({ DOCKER_USERNAME: 'plain', SINGULARITY_DOCKER_USERNAME: 'prefixed' })).toBe('prefixed')
  })

  it('does not give --env, which has no variable', async () => {
    expect(await values([], { SINGULARITY_ENV: 'A=1', APPTAINER_PLAN: '1' })).toEqual({})
  })
})

describe('a flag that may have a size', () => {
  it.each([
    [['--writable-tmpfs'], {}, true],
    [['--writable-tmpfs=true'], {}, true],
    [['--writable-tmpfs=2G'], {}, '2G'],
    [['--writable-tmpfs=2G', '--writable-tmpfs=false'], {}, false],
    [[], { SINGULARITY_WRITABLE_TMPFS: '64M' }, '64M'],
    [[], { APPTAINER_WRITABLE_TMPFS: '1' }, true],
    [['--writable-tmpfs'], { SINGULARITY_WRITABLE_TMPFS: '64M' }, true],
  ] as const)('is %s with %o: %s', async (words, variables, value) => {
    expect(await values([...words], variables)).toEqual({ 'writable-tmpfs': value })
  })

  it('takes nothing else', async () => {
    await expect(values(['--writable-tmpfs=much'])).rejects.toThrow(/true, false or a size/)
    await expect(values([], { SING_WRITABLE_TMPFS: 'much' })).rejects.toThrow(/true, false or a size/)
  })
})

describe('flags that have no effect', () => {
  it.each(['--nvccli', '--nvccli=true'])('are refused when they are not for users: %s', async (word) => {
    await expect(parse([word])).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      status: 255,
      hint: expect.any(String),
    })
  })

  it('are refused when they come later, and by variable too', async () => {
    const later = [{ name: 'dream', kind: 'boolean', help: '', later: 'nobody can yet' }] as const
    await expect(parseFlags(['--dream'], later, {})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      status: 255,
      message: expect.stringContaining('--dream'),
    })
    await expect(parse([], { SINGULARITY_NVCCLI: '1' })).rejects.toThrow('SINGULARITY_NVCCLI')
  })

  it('are no matter when they are turned off', async () => {
    expect(await values(['--oci=false'], { SINGULARITY_OOM_KILL_DISABLE: '0' })).toEqual({
      oci: false,
      'oom-kill-disable': false,
    })
  })

  it('get a warning where the container is right without them', async () => {
    const { flags, notices } = await parseFlags(['--no-init', 'true'], subcommands.start?.flags ?? [], {})
    expect(flags).toEqual({ 'no-init': true })
    expect(notices).toEqual(['--no-init has no effect: the init of an instance keeps it'])
  })
})

describe('a configuration file', () => {
  const configured = async (words: readonly string[], environment: Record<string, string> = {}) => {
    const { ours } = cutCommand(words, launchFlags, globalFlags, true)
    const { flags, origins } = await parseFlags(ours, launchFlags, environment, () => defaults)
    return { flags, origins }
  }
  const defaults: Defaults = new Map([
    ['bind', [{ value: ['/site'], origin: 'site' }]],
    [
      'hostname',
      [
        { value: 'weak', origin: 'site' },
        { value: 'own', origin: 'user' },
      ],
    ],
    ['no-mount', [{ value: ['tmp', 'home'], origin: 'site' }]],
    ['env', [{ value: ['A=1'], origin: 'site' }]],
  ])

  it('gives what neither the command line nor the environment says, the later one winning', async () => {
    expect(await configured(['x.sif'])).toEqual({
      flags: { bind: ['/site'], hostname: 'own', 'no-mount': ['tmp', 'home'], env: ['A=1'] },
      origins: { bind: ['site'], hostname: ['user'], 'no-mount': ['site', 'site'], env: ['site'] },
    })
  })

  it('gives way to them, or stays before them where lists add up', async () => {
    const environment = { SING_BIND: '/twin', SING_NO_MOUNT: 'proc' }
    expect(await configured(['-B', '/x', '--hostname', 'h', '--env', 'A=2', 'x.sif'], environment)).toEqual({
      flags: { bind: ['/site', '/x', '/twin'], hostname: 'h', 'no-mount': ['proc'], env: ['A=1', 'A=2'] },
      origins: {
        bind: ['site', '--bind', 'SING_BIND'],
        hostname: ['--hostname'],
        'no-mount': ['SING_NO_MOUNT'],
        env: ['site', '--env'],
      },
    })
  })

  it('cannot ask for what cannot be had', async () => {
    const refused: Defaults = new Map([['nvccli', [{ value: true, origin: 'launch.nvccli (/c:3)' }]]])
    await expect(parseFlags([], launchFlags, {}, () => refused)).rejects.toThrow(
      'launch.nvccli (/c:3) cannot be used',
    )
  })
})
