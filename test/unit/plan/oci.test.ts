import { describe, expect, it } from 'vitest'
import { ociProgram, ociVariables } from '../../../src/plan/oci.ts'

describe('an image that was made from an OCI image and has no shell', () => {
  it.each([
    [{ Entrypoint: ['/a', 'b'], Cmd: ['c'] }, [], ['/a', 'b', 'c']],
    [{ Entrypoint: ['/a', 'b'], Cmd: ['c'] }, ['x y'], ['/a', 'b', 'x y']],
    [{ Cmd: ['/c', 'd'] }, [], ['/c', 'd']],
    [{ Cmd: ['/c', 'd'] }, ['/x'], ['/x']],
    [{}, ['/x'], ['/x']],
    [{}, [], undefined],
    [{ Entrypoint: 'sh', Cmd: [1] }, [], undefined],
    [null, [], undefined],
    [undefined, ['/x'], undefined],
  ])('with %j and %j runs %j', (config, args, program) => {
    expect(ociProgram(config, args)).toEqual(program)
  })

  it('has the variables of its configuration', () => {
    const config = { Env: ['PATH=/opt/bin:/bin', 'A=b=c', 'EMPTY', '1BAD=x', 'bad-name=x'] }
    expect(ociVariables(config)).toEqual({ PATH: '/opt/bin:/bin', A: 'b=c', EMPTY: '' })
    expect(ociVariables({ Env: 'A=b' })).toEqual({})
  })
})
