/** Runs the peer, a real Apptainer, for comparison. SING_PEER names the program that does: `$SING_PEER apptainer ...`. */

import { type Outcome, type RunOptions, run } from './sing.ts'

export type PeerOptions = RunOptions & {
  /** Folders of the host that it shall see under their own names. */
  readonly folders?: readonly string[]
  /** Instead of the user that it has for this. */
  readonly root?: boolean
}

/** Run the peer with these arguments. */
export function peer(args: readonly string[], options: PeerOptions = {}): Promise<Outcome> {
  return besidePeer(['apptainer', ...args], options)
}

/** Run any program where the peer runs. */
export function besidePeer(command: readonly string[], options: PeerOptions = {}): Promise<Outcome> {
  const env = { SING_PEER_BIND: (options.folders ?? []).join(':'), ...options.env }
  const as = options.root ? ['-r'] : []
  return run([process.env.SING_PEER ?? 'peer', ...as, ...command], { ...options, env, as: 'self' })
}
