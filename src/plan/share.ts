/** Whether a launch uses one container together with other processes, and with which: the ranks of an MPI job (pure). */

import { SingError } from '../core/errors.ts'
import type { LaunchRequest } from './request.ts'
import type { LaunchSpec } from './spec.ts'

/** The processes of one parent, or those of the job of this name. */
export type Group = { readonly kind: 'parent' } | { readonly kind: 'job'; readonly name: string }

const many = (count: string | undefined): boolean => Number(count) > 1

/** The job that a launcher of MPI programs says that this process is a rank of. */
function rankOf(environment: Readonly<Record<string, string>>): Group | undefined {
  const { PMIX_NAMESPACE, OMPI_COMM_WORLD_SIZE, OMPI_MCA_ess_base_jobid } = environment
  const { SLURM_JOB_ID, SLURM_STEP_ID, SLURM_STEP_NUM_TASKS, MPI_LOCALNRANKS } = environment
  if (PMIX_NAMESPACE) return { kind: 'job', name: `pmix ${PMIX_NAMESPACE}` }
  if (many(OMPI_COMM_WORLD_SIZE) && OMPI_MCA_ess_base_jobid)
    return { kind: 'job', name: `openmpi ${OMPI_MCA_ess_base_jobid}` }
  // Hydra, of MPICH and Intel, starts the ranks of a node from one process.
  if (many(MPI_LOCALNRANKS)) return { kind: 'parent' }
  if (SLURM_JOB_ID && SLURM_STEP_ID && many(SLURM_STEP_NUM_TASKS))
    return { kind: 'job', name: `slurm ${SLURM_JOB_ID}.${SLURM_STEP_ID}` }
  return undefined
}

/**
 * Who uses the container of this launch; undefined: nobody else.
 * @throws SingError UNSUPPORTED when sharing is asked for and cannot be
 */
export function planGroup(
  { share }: LaunchRequest,
  { namespaces, joinNetwork }: LaunchSpec,
  environment: Readonly<Record<string, string>>,
): Group | undefined {
  if (share === false) return undefined
  const single = namespaces.filter((name) => name === 'pid' || name === 'net')
  if (single.length > 0 || joinNetwork !== undefined) {
    if (share === undefined) return undefined
    throw new SingError(
      'UNSUPPORTED',
      `--sharens does not go with a ${single[0] ?? 'net'} namespace, which ends with its first process`,
      { hint: 'Leave --pid, --containall and --net out, or start an instance and use instance://NAME' },
    )
  }
  return share ? { kind: 'parent' } : rankOf(environment)
}

/** All that makes the container what it is. Processes with the same text may use the same one. */
export function describeContainer(spec: LaunchSpec): string {
  const { namespaces, ids, root, ops, hostname, verified } = spec
  return JSON.stringify([namespaces, ids, root, ops, hostname, verified])
}
