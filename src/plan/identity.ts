/** Who the payload is: the user itself, root of a namespace, or the real root. */

import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { ImageUser } from '../image/user.ts'
import type { SecurityRequest } from './security.ts'
import type { Filter, LaunchSpec, Namespace, RecordLine } from './spec.ts'

export type Identity = {
  /** Needs a new user namespace. */
  readonly namespace: boolean
  readonly ids: LaunchSpec['ids']
  /** Ids of the payload inside. */
  readonly uid: number
  readonly gid: number
  readonly name: string
  readonly home: string
  readonly filter: Filter
  readonly capabilities: 'none' | 'all'
  readonly noNewPrivileges: boolean
  /** Every file of an image is shown as owned by these, because the recorded owners do not exist inside. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
  /** Overlays need `userxattr`. */
  readonly inUserNamespace: boolean
  /** The payload is somebody that the image may know better than we do. */
  readonly isOther?: boolean
}

export type IdentityRequest = {
  readonly fakeroot: boolean
  readonly ignoreSubids: boolean
  /** Ask for a user namespace even where root would not need one. */
  readonly userns: boolean
  /** As if there were no user namespaces. */
  readonly ignoreUserns?: boolean
  readonly security?: Pick<SecurityRequest, 'keepGroups'> | undefined
  /** Whom the image wants to be. */
  readonly imageUser?: ImageUser | undefined
}

const noIds = { uids: [], gids: [], setgroups: 'allow' } as const

/** @throws SingError USER_NAMESPACE when the machine forbids what the user needs. */
export function requireUserNamespaces(facts: HostFacts): void {
  const { allowed, reason, hint } = facts.userNamespaces
  if (allowed) return
  throw new SingError(
    'USER_NAMESPACE',
    `this machine does not let users create user namespaces (${reason})`,
    { hint },
  )
}

/** Decide who the payload is. @throws SingError USER_NAMESPACE */
export function planIdentity(request: IdentityRequest, facts: HostFacts): Identity {
  if (facts.isRoot && !request.userns) return presentRoot(facts)
  if (request.ignoreUserns) {
    throw new SingError('UNSUPPORTED', '--ignore-userns: without user namespaces nothing can be started', {
      hint: 'Leave it out; only root starts containers without them',
    })
  }
  requireUserNamespaces(facts)
  if (request.fakeroot || request.imageUser?.uid === 0) return fakeRoot(request, facts)
  if (request.imageUser) return userOfImage(request.imageUser, facts)
  const { uid, gid, user } = facts
  return {
    namespace: true,
    ids: {
      uids: [{ inside: uid, outside: uid, count: 1 }],
      gids: [{ inside: gid, outside: gid, count: 1 }],
      setgroups: 'deny',
    },
    uid,
    gid,
    name: user.name,
    home: user.home,
    filter: 'none',
    capabilities: uid === 0 ? 'all' : 'none',
    noNewPrivileges: true,
    owner: { uid, gid },
    inUserNamespace: true,
  }
}

/** The caller under the ids that the image wants; all files belong to them, as there are no others. */
function userOfImage({ uid, gid, name, home }: ImageUser, facts: HostFacts): Identity {
  return {
    namespace: true,
    ids: {
      uids: [{ inside: uid, outside: facts.uid, count: 1 }],
      gids: [{ inside: gid, outside: facts.gid, count: 1 }],
      setgroups: 'deny',
    },
    uid,
    gid,
    name,
    home,
    filter: 'none',
    capabilities: 'none',
    noNewPrivileges: true,
    owner: { uid, gid },
    inUserNamespace: true,
    isOther: true,
  }
}

/** Somebody else than who starts the container. */
export function asPayload(identity: Identity, payload: SecurityRequest['payload']): Identity {
  if (!payload) return identity
  return { ...identity, uid: payload.uid, gid: payload.gid, name: payload.name, isOther: true }
}

/** Root already, on the machine or in a namespace that somebody made. */
function presentRoot(facts: HostFacts): Identity {
  return {
    namespace: false,
    ids: noIds,
    uid: 0,
    gid: facts.gid,
    name: facts.user.name,
    home: facts.user.home,
    filter: 'none',
    capabilities: 'all',
    noNewPrivileges: facts.inUserNamespace,
    owner: facts.idsMapped === 1 ? { uid: 0, gid: 0 } : undefined,
    inUserNamespace: facts.inUserNamespace,
  }
}

function fakeRoot(request: IdentityRequest, facts: HostFacts): Identity {
  const { uid, gid, subids } = facts
  const common = {
    namespace: true,
    uid: 0,
    gid: 0,
    name: 'root',
    home: '/root',
    capabilities: 'all',
    noNewPrivileges: true,
    inUserNamespace: true,
  } as const
  if (!subids || request.ignoreSubids) {
    return {
      ...common,
      ids: {
        uids: [{ inside: 0, outside: uid, count: 1 }],
        gids: [{ inside: 0, outside: gid, count: 1 }],
        setgroups: 'deny',
      },
      filter: 'fakeroot',
      owner: { uid: 0, gid: 0 },
    }
  }
  const { uids, gids, newuidmap, newgidmap } = subids
  return {
    ...common,
    ids: {
      uids: [
        { inside: 0, outside: uid, count: 1 },
        { inside: 1, outside: uids.start, count: uids.count },
      ],
      gids: [
        { inside: 0, outside: gid, count: 1 },
        { inside: 1, outside: gids.start, count: gids.count },
      ],
      mapper: { newuidmap, newgidmap },
      setgroups: request.security?.keepGroups ? 'deny' : 'allow',
    },
    filter: 'devices',
    owner: undefined,
  }
}

/** The namespaces of a launch: always an own mount namespace. */
export function planNamespaces(identity: Identity, wanted: readonly Namespace[]): Namespace[] {
  return [...(identity.namespace ? (['user'] as const) : []), 'mount', ...wanted]
}

/** The line of /etc/passwd that makes the payload's user known; the image's login shell is kept. */
export function passwdRecords(identity: Identity, facts: HostFacts, home: string): RecordLine[] {
  const gecos = identity.uid === facts.uid ? facts.user.gecos.replace(/[:\n]/g, ' ') : identity.name
  // The format has no way to write such a path; HOME has it all the same.
  const place = /[:\n]/.test(home) ? '/' : home
  return [
    {
      line: `${identity.name}:x:${identity.uid}:${identity.gid}:${gecos}:${place}:/bin/sh`,
      same: [
        [0, identity.name],
        [2, String(identity.uid)],
      ],
      when: identity.isOther ? 'absent' : 'replace',
      keep: [6],
    },
  ]
}

/** The lines of /etc/group for the groups that the user belongs to. */
export function groupRecords(facts: HostFacts): RecordLine[] {
  return facts.groupNames.map(({ gid, name }) => ({
    line: `${name}:x:${gid}:${facts.user.name}`,
    same: [[2, String(gid)]],
    when: 'absent',
    keep: [],
  }))
}
