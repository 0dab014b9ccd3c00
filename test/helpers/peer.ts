/** Runs the peer, a real Apptainer, for comparison. SING_PEER names the program that does: `$SING_PEER apptainer ...`. */

import { type Outcome, type RunOptions, run } from './sing.ts'

/** Run the peer with these arguments; `folders` are the host's folders it shall see under their own names. */
export function peer(
  args: readonly string[],
  options: RunOptions & { readonly folders?: readonly string[] } = {},
): Promise<Outcome> {
  const env = { SING_PEER_BIND: (options.folders ?? []).join(':'), ...options.env }
  return run([process.env.SING_PEER ?? 'peer', 'apptainer', ...args], { ...options, env, as: 'self' })
}
