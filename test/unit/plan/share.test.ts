/** Which processes use one container. */

import { describe, expect, it } from 'vitest'
import type { LaunchRequest } from '../../../src/plan/request.ts'
import { describeContainer, planGroup } from '../../../src/plan/share.ts'
import type { LaunchSpec, Namespace } from '../../../src/plan/spec.ts'

const spec = (namespaces: Namespace[], more: Partial<LaunchSpec> = {}): LaunchSpec => ({
  namespaces,
  ids: { uids: [], gids: [], setgroups: 'deny' },
  root: 'new',
  ops: [{ op: 'directory', layer: 'image', from: '/tree' }],
  process: {
    programs: [['a']],
    directories: ['/'],
    directoryRequired: false,
    environment: {},
    init: false,
    dieWithParent: false,
  },
  security: { noNewPrivileges: true, capabilities: 'none', filter: 'none' },
  debug: false,
  ...more,
})
const asked = (share: boolean | undefined) => ({ share }) as LaunchRequest
const usual = spec(['user', 'mount'])

const job = (name: string) => ({ kind: 'job', name })
const parent = { kind: 'parent' }
const slurm = { SLURM_JOB_ID: '7', SLURM_STEP_ID: '0' }
const launchers: [string, Record<string, string>, unknown][] = [
  ['nobody', {}, undefined],
  ['PMIx', { PMIX_NAMESPACE: '77.1' }, job('pmix 77.1')],
  ['OpenMPI', { OMPI_COMM_WORLD_SIZE: '2', OMPI_MCA_ess_base_jobid: '5' }, job('openmpi 5')],
  ['OpenMPI with one rank', { OMPI_COMM_WORLD_SIZE: '1', OMPI_MCA_ess_base_jobid: '5' }, undefined],
  ['Hydra', { MPI_LOCALNRANKS: '4' }, parent],
  ['Hydra with one rank on this node', { MPI_LOCALNRANKS: '1' }, undefined],
  ['a Slurm step', { ...slurm, SLURM_STEP_NUM_TASKS: '2' }, job('slurm 7.0')],
  ['a Slurm step with one task', { ...slurm, SLURM_STEP_NUM_TASKS: '1' }, undefined],
  ['a Slurm batch script', { SLURM_JOB_ID: '7', SLURM_NTASKS: '2' }, undefined],
  ['mpirun in Slurm', { ...slurm, SLURM_STEP_NUM_TASKS: '2', PMIX_NAMESPACE: 'x' }, job('pmix x')],
]

describe('a container is shared', () => {
  it.each(launchers)('as %s says', (_, environment, group) => {
    expect(planGroup(asked(undefined), usual, environment)).toEqual(group)
  })

  it('among the processes of a parent when that is asked for', () => {
    expect(planGroup(asked(true), usual, { PMIX_NAMESPACE: '1' })).toEqual(parent)
  })

  it('with nobody when that is asked for', () => {
    expect(planGroup(asked(false), usual, { PMIX_NAMESPACE: '1' })).toBeUndefined()
  })

  it.each([
    [spec(['user', 'mount', 'pid'])],
    [spec(['user', 'mount', 'net'])],
    [spec(['user', 'mount'], { joinNetwork: '/run/netns/x' })],
  ])('not by itself when it ends with its first process', (single) => {
    expect(planGroup(asked(undefined), single, { PMIX_NAMESPACE: '1' })).toBeUndefined()
    expect(() => planGroup(asked(true), single, {})).toThrow(
      /--sharens does not go with a (pid|net) namespace/,
    )
  })
})

describe('the description of a container', () => {
  it('does not depend on the command, and on everything else', () => {
    const other = { ...usual, process: { ...usual.process, programs: [['b']], environment: { A: '1' } } }
    expect(describeContainer(other)).toBe(describeContainer(usual))
    const differing = [
      spec(['user', 'mount', 'ipc']),
      spec(['user', 'mount'], { hostname: 'node' }),
      spec(['user', 'mount'], { ops: [] }),
      spec(['user', 'mount'], { ids: { uids: [], gids: [], setgroups: 'allow' } }),
    ]
    for (const container of differing) expect(describeContainer(container)).not.toBe(describeContainer(usual))
  })
})
