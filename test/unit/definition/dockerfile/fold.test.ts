import { describe, expect, it } from 'vitest'
import { fold } from '../../../../src/definition/dockerfile/fold.ts'
import { parseDockerfile, parseTriggers } from '../../../../src/definition/dockerfile/parse.ts'
import {
  firstState,
  globalArguments,
  type OciConfig,
  platformArguments,
  type State,
} from '../../../../src/definition/dockerfile/state.ts'

type Options = { base?: OciConfig; build?: Record<string, string> }

/** Fold the only stage of a Dockerfile; what is above `FROM` counts. */
function folded(text: string, { base = {}, build = {} }: Options = {}) {
  const file = parseDockerfile(/^FROM/m.test(text) ? text : `FROM base\n${text}`, 'Dockerfile')
  const used = new Set<string>()
  const outside = { name: file.name, escaper: file.escaper, build, used }
  const declared = file.arguments.flatMap((one) => (one.kind === 'arg' ? [one] : []))
  const given = {
    ...outside,
    global: globalArguments(declared, outside, platformArguments('amd64', 'amd64', 'default')),
  }
  let state: State = firstState(base)
  const actions: object[] = []
  for (const instruction of file.stages[0]?.instructions ?? []) {
    const step = fold(state, instruction, given)
    state = step.state
    if (step.action) actions.push(step.action)
  }
  return { ...state, actions, used: [...used] }
}

const config = (text: string, options?: Options) => folded(text, options).config

describe('the configuration', () => {
  it.each<[string, OciConfig, OciConfig?]>([
    ['ENV A=1 B=$A\nENV B=$A', { Env: ['A=1', 'B=1'] }],
    ['ENV PATH=$PATH:/x N="a b"', { Env: ['PATH=/bin:/x', 'Z=z', 'N=a b'] }, { Env: ['PATH=/bin', 'Z=z'] }],
    ['ENV A=1\nENV A=2 B=3', { Env: ['A=2', 'B=3'] }],
    [
      'LABEL a.b="c d" $X=y',
      { Labels: { 'a.b': 'c d', x: 'y', old: '1' }, Env: ['X=x'] },
      { Labels: { old: '1' }, Env: ['X=x'] },
    ],
    ['WORKDIR /a\nWORKDIR b\nWORKDIR ../c/', { WorkingDir: '/a/c' }],
    ['USER $U:staff', { User: 'jane:staff', Env: ['U=jane'] }, { Env: ['U=jane'] }],
    ['CMD echo $X', { Cmd: ['/bin/sh', '-c', 'echo $X'] }],
    [
      'SHELL ["/b", "-e"]\nCMD x\nENTRYPOINT ["y"]',
      { Shell: ['/b', '-e'], Cmd: ['/b', '-e', 'x'], Entrypoint: ['y'] },
    ],
    ['ENTRYPOINT ["y"]', { Entrypoint: ['y'] }, { Cmd: ['of the base'] }],
    ['CMD ["z"]\nENTRYPOINT ["y"]', { Entrypoint: ['y'], Cmd: ['z'] }, { Cmd: ['of the base'] }],
    ['ENTRYPOINT []', { Entrypoint: [] }, { Entrypoint: ['x'] }],
    [
      'EXPOSE 80 53/UDP 10-12\nEXPOSE $P',
      {
        ExposedPorts: { '80/tcp': {}, '53/udp': {}, '10/tcp': {}, '11/tcp': {}, '12/tcp': {}, '7/tcp': {} },
        Env: ['P=7'],
      },
      { Env: ['P=7'] },
    ],
    ['VOLUME /a /b\nVOLUME ["/c d"]', { Volumes: { '/a': {}, '/b': {}, '/c d': {} } }],
    ['STOPSIGNAL SIGRTMIN+3', { StopSignal: 'SIGRTMIN+3' }],
    ['ONBUILD RUN a\nONBUILD RUN b', { OnBuild: ['RUN a', 'RUN b'] }],
    ['HEALTHCHECK NONE', { Healthcheck: { Test: ['NONE'] } }],
    [
      'HEALTHCHECK --interval=1m30s --timeout=500ms --retries=4 --start-period=0 CMD ["t", "u"]',
      {
        Healthcheck: { Test: ['CMD', 't', 'u'], Interval: 90e9, Timeout: 0.5e9, Retries: 4, StartPeriod: 0 },
      },
    ],
    ['HEALTHCHECK CMD t | u', { Healthcheck: { Test: ['CMD-SHELL', 't | u'] } }],
  ])('of %s', (text, expected, base) => {
    expect(config(text, base ? { base } : {})).toEqual(expected)
  })

  it('remembers the author, and what was done', () => {
    const { author, history } = folded('MAINTAINER Jane\nRUN make\nRUN ["a"]\nCMD x')
    expect(author).toBe('Jane')
    expect(history).toEqual([
      { created_by: 'MAINTAINER Jane', empty_layer: true },
      { created_by: 'RUN /bin/sh -c make' },
      { created_by: 'RUN ["a"]' },
      { created_by: 'CMD x', empty_layer: true },
    ])
  })

  it.each([
    ['EXPOSE 99999', 'EXPOSE 99999: expected a port such as 80, 53/udp or 8000-8010'],
    ['STOPSIGNAL -', 'STOPSIGNAL - is no signal'],
    ['WORKDIR $NONE', 'WORKDIR $NONE becomes empty'],
    [
      'HEALTHCHECK --interval=5 CMD x',
      'HEALTHCHECK --interval=5: expected a time of 1ms or more, such as 30s',
    ],
    ['HEALTHCHECK --retries=x CMD x', 'HEALTHCHECK --retries=x: expected a number'],
    ['RUN --network=x y', 'RUN --network=x: expected default, none or host'],
    [
      'RUN --security=insecure y',
      'RUN --security=insecure: nobody gets more than root of a user namespace has',
    ],
    ['RUN --device=x y', 'RUN --device cannot be given: give GPUs to the whole build with --nv or --rocm'],
    ['COPY --from=$x a b', '--from=$x: variables cannot be used here'],
    ['RUN --mount=type=bnid,target=/x y', '--mount=type=bnid: there is no such type'],
    ['RUN --mount=type=tmpfs y', '--mount=type=tmpfs needs a target'],
    ['RUN --mount=type=tmpfs,target=/x,sise=1 y', '--mount=type=tmpfs does not know sise'],
    [
      'RUN --mount=type=tmpfs,target=/x,size=-1 y',
      '--mount=type=tmpfs: size=-1: expected a size such as 64m',
    ],
    ['RUN --mount=type=cache,target=/x,mode=9 y', '--mount=type=cache: mode=9: expected a mode such as 0755'],
    ['RUN --mount=type=cache,target=/x,uid=a y', '--mount=type=cache: uid=a: expected a number'],
    [
      'RUN --mount=type=cache,target=/x,sharing=a y',
      '--mount=type=cache: sharing=a: expected shared, private or locked',
    ],
    [
      'RUN --mount=type=cache,target=/x,from=a y',
      '--mount=type=cache begins empty here: from and source are not supported',
    ],
    ['RUN --mount=target=/x,ro=2 y', '--mount=type=bind: readonly=2: expected true or false'],
    ['RUN --mount==x y', '--mount: expected key=value, got =x'],
    [
      `ENV ${'A B C'
        .split(' ')
        .map((name) => `${name}=${'x'.repeat(900_000)}`)
        .join(' ')}`,
      'the environment becomes larger than 2 MiB',
    ],
  ])('is refused: %s', (text, message) => {
    expect(() => folded(text)).toThrow(`Dockerfile:2: ${message}`)
  })
})

describe('arguments', () => {
  it.each<[string, string, Record<string, string>?]>([
    ['ARG A=1', '1'],
    ['ARG A=1', '2', { A: '2' }],
    ['ARG A=1\nARG A', '1'],
    ['ENV A=e\nARG A=1', 'e'],
    ['ARG A=1\nENV A=e', 'e'],
    ['ARG B=b A=$B', 'b'],
    ['ARG G=g\nFROM x\nARG A=$G', ''],
    ['ARG G=g\nFROM x\nARG G\nARG A=$G', 'g'],
    ['ARG G=g\nFROM x\nARG G=h\nARG A=$G', 'h'],
    ['ARG G=g H=$G\nFROM x\nARG H\nARG A=$H', 'g'],
    ['ARG G=g\nFROM x\nARG G\nARG A=$G', 'line', { G: 'line' }],
    ['ARG A=$TARGETARCH', ''],
    ['ARG TARGETPLATFORM\nARG A=$TARGETPLATFORM', 'linux/amd64'],
  ])('in %j: A is %j', (text, expected, build) => {
    const { actions } = folded(`${text}\nRUN x`, build ? { build } : {})
    expect((actions[0] as { environment: Record<string, string> }).environment.A ?? '').toBe(expected)
  })

  it('that are used are noted', () => {
    expect(folded('ARG A\nFROM x\nARG B=1').used).toEqual(['A', 'B'])
  })
})

describe('what is done', () => {
  const run = (text: string, base?: OciConfig) => folded(text, base ? { base } : {}).actions.at(-1)

  it('RUN: in the environment, as the user, in the directory of its place', () => {
    expect(run('ARG A=1\nUSER u\nWORKDIR /w\nRUN x $A', { Env: ['B=2'] })).toEqual({
      kind: 'run',
      words: ['/bin/sh', '-c', 'x $A'],
      script: undefined,
      textLine: undefined,
      environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', A: '1', B: '2' },
      user: 'u',
      directory: '/w',
      mounts: [],
      network: 'default',
      line: 5,
      title: 'RUN x $A',
    })
  })

  it.each([
    ['RUN <<A\na\nb\nA', { words: ['/bin/sh', '-c', 'a\nb\n'], script: undefined }],
    ['RUN <<-A\n\ta\n\tA', { words: ['/bin/sh', '-c', 'a\n'] }],
    [
      'RUN <<A\n#!/usr/bin/env x\nb\nA',
      { words: ['/.run.script'], script: { path: '/.run.script', text: '#!/usr/bin/env x\nb\n' } },
    ],
    ['RUN python3 <<"A"\n$a\nA', { words: ['/bin/sh', '-c', 'python3 <<"A"\n$a\nA'] }],
    ['RUN cat <<A - <<B\na\nA\nb\nB', { words: ['/bin/sh', '-c', 'cat <<A - <<B\na\nA\nb\nB'] }],
    ['SHELL ["/b", "-c"]\nRUN <<A\na\nA', { words: ['/b', '-c', 'a\n'] }],
  ])('%j', (text, expected) => {
    expect(run(text)).toMatchObject(expected)
  })

  it.each([
    [
      'type=bind,source=a,target=b',
      { kind: 'bind', from: undefined, source: 'a', target: '/w/b', writable: false },
    ],
    ['from=x,dst=/b,rw', { kind: 'bind', from: 'x', source: '.', target: '/b', writable: true }],
    ['target=/b,ro=false', { writable: true }],
    [
      'type=cache,target=/c',
      {
        kind: 'cache',
        id: '/c',
        target: '/c',
        readonly: false,
        sharing: 'shared',
        mode: 0o755,
        uid: 0,
        gid: 0,
      },
    ],
    [
      `'type=cache,id=apt,"target=/a,b",sharing=locked,mode=0700,uid=5,gid=6,ro'`,
      { id: 'apt', target: '/a,b', readonly: true, sharing: 'locked', mode: 0o700, uid: 5, gid: 6 },
    ],
    ['type=tmpfs,target=/t,size=64m', { kind: 'tmpfs', target: '/t', size: 64 * 1024 * 1024 }],
    ['type=secret,id=k,required', { kind: 'secret', id: 'k', required: true }],
    ['type=ssh', { kind: 'ssh', id: 'default', required: false }],
  ])('--mount=%s', (mount, expected) => {
    expect(run(`WORKDIR /w\nRUN --mount=${mount} x`)).toMatchObject({ mounts: [expected] })
  })

  it('COPY and ADD: from where, to where, as whose', () => {
    expect(
      run('ENV D=/d\nWORKDIR /w\nCOPY --from=x --chown=$D --chmod=755 --exclude=*.o --parents a $D b/'),
    ).toEqual({
      kind: 'copy',
      from: 'x',
      sources: ['a', '/d'],
      texts: [],
      destination: '/w/b/',
      owner: '/d',
      mode: '755',
      keepsParents: true,
      excluded: ['*.o'],
      checksum: undefined,
      unpacks: undefined,
      line: 4,
      title: 'COPY --from=x --chown=$D --chmod=755 --exclude=*.o --parents a $D b/',
    })
  })

  it.each([
    ['COPY a .', '/w/'],
    ['COPY a ./', '/w/'],
    ['COPY a ..', '/'],
    ['COPY a b/.', '/w/b/'],
    ['COPY a /', '/'],
    ['COPY a .x', '/w/.x'],
    ['COPY a /b/../c', '/c'],
  ])('%s goes to %s', (text, destination) => {
    expect(run(`WORKDIR /w\n${text}`)).toMatchObject({ destination })
  })

  it('COPY of a text: variables count unless its name is quoted', () => {
    expect(run('ENV X=x\nCOPY <<A <<"B" /d/\n"$X"\nA\n$X\nB')).toMatchObject({
      texts: [
        { name: 'A', text: '"x"\n' },
        { name: 'B', text: '$X\n' },
      ],
    })
  })
})

it('what a base wants done is read like a Dockerfile', () => {
  expect(parseTriggers(['RUN <<A\nx\nA', 'COPY . /s'], 'ONBUILD of base', '\\')).toMatchObject([
    { kind: 'run', texts: [{ text: 'x\n' }], line: 0 },
    { kind: 'copy', sources: ['.'], destination: '/s' },
  ])
})
