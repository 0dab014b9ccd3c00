/** Where the processes meet that use one container: a file in a directory of the user's, named by what the container is. */

import { createHash } from 'node:crypto'
import type { HostFacts } from '../host/facts.ts'
import { markOf } from '../host/mark.ts'
import { sessionPlace } from '../host/session.ts'
import { describeContainer, type Group } from '../plan/share.ts'
import type { LaunchSpec } from '../plan/spec.ts'

/** The spec with its group: processes of the same machine, user and group whose containers are the same. */
export function shareContainer(spec: LaunchSpec, group: Group, facts: HostFacts): LaunchSpec {
  const parent = markOf(process.ppid)
  const place = [parent?.boot, parent?.host, parent?.pidNamespace, facts.uid, facts.gid, facts.groups]
  const key = group.kind === 'parent' ? ['parent', process.ppid, parent?.started] : ['job', group.name]
  const text = JSON.stringify([place, key, describeContainer(spec)])
  const name = createHash('sha256').update(text).digest('hex')
  return { ...spec, share: { place: sessionPlace(facts), group: name } }
}
