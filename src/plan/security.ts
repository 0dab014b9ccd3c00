/** What the payload may do beyond or short of what its user could: the flags about privileges as a decision. */

import { SingError, shown } from '../core/errors.ts'
import { allCapabilities, capabilitiesOf, capabilityBits, parseCapabilities } from './capabilities.ts'
import type { Identity } from './identity.ts'
import type { LaunchSpec } from './spec.ts'

/** Whom the payload shall be instead. */
export type Payload = {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  readonly name: string
}

/** The decision, as part of a request. */
export type SecurityRequest = {
  /** Nobody inside can leave groups that the caller has. */
  readonly keepGroups: boolean
  readonly allowSetuid: boolean
  readonly payload: Payload | undefined
  /** What of the spec becomes different from what the identity alone asks for. */
  readonly powers: Partial<LaunchSpec['security']>
  readonly warnings: readonly string[]
}

/** The words of the user as values. */
export type SecurityWishes = {
  readonly add: readonly string[]
  readonly drop: readonly string[]
  readonly privileges: 'default' | 'keep' | 'none'
  readonly keepGroups: boolean
  readonly allowSetuid: boolean
  readonly uid: number | undefined
  readonly gids: readonly number[]
  readonly label: LaunchSpec['security']['label']
  /** File of a seccomp profile. */
  readonly profile: string | undefined
}

type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

const words = (value: Flags[string]): string[] =>
  [value ?? []]
    .flat()
    .flatMap((entry) => String(entry).split(','))
    .map((word) => word.trim())
    .filter(Boolean)

const MOST_ID = 4294967294

function parseId(word: string, text: string): number {
  const id = Number(text)
  if (/^\d+$/.test(text) && id <= MOST_ID) return id
  throw new SingError(
    'USAGE',
    `--security ${shown(word)}: "${shown(text)}" is no number of a user or group`,
    {
      status: 255,
    },
  )
}

type Words = Pick<SecurityWishes, 'uid' | 'gids' | 'label' | 'profile'>

function parseWord(word: string): Partial<Words> {
  const at = word.indexOf(':')
  const [kind, text] = at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)]
  const refuse = (reason: string) =>
    new SingError('USAGE', `--security ${shown(word)}: ${reason}`, {
      hint: 'Write seccomp:FILE, apparmor:PROFILE, selinux:CONTEXT, uid:NUMBER or gid:NUMBER[:NUMBER...]',
      status: 255,
    })
  if (!text) throw refuse('there is nothing behind the colon')
  switch (kind) {
    case 'seccomp':
      return { profile: text }
    case 'apparmor':
    case 'selinux':
      return { label: { module: kind, text } }
    case 'uid':
      return { uid: parseId(word, text) }
    case 'gid':
      return { gids: text.split(':').map((part) => parseId(word, part)) }
    default:
      throw refuse(`there is no "${shown(kind ?? '')}"`)
  }
}

/** Read the flags about privileges. @throws SingError for words that mean nothing */
export function parseSecurity(flags: Flags): SecurityWishes {
  const none: Words = { uid: undefined, gids: [], label: undefined, profile: undefined }
  const last: Words = Object.assign({}, none, ...words(flags.security).map(parseWord))
  return {
    ...last,
    add: parseCapabilities('--add-caps', words(flags['add-caps'])),
    drop: parseCapabilities('--drop-caps', words(flags['drop-caps'])),
    privileges: flags['no-privs'] === true ? 'none' : flags['keep-privs'] === true ? 'keep' : 'default',
    keepGroups: flags['no-setgroups'] === true,
    allowSetuid: flags['allow-setuid'] === true,
  }
}

/** What of the machine the decision depends on. */
export type Held = {
  /** Capabilities that root of the machine has itself. */
  readonly capabilities: bigint
  /** Root of the machine has them in containers without asking: the site's to say. */
  readonly rootHasAll: boolean
  /** Security modules that are active. */
  readonly modules: readonly string[]
  /** The name of a user of the machine, where it has one. */
  readonly nameOf: (uid: number) => string | undefined
}

/** Root of the machine itself, not of a namespace. */
const isRealRoot = (identity: Identity): boolean => identity.uid === 0 && !identity.inUserNamespace

function requireRealRoot(flag: string, identity: Identity, hint: string): void {
  if (isRealRoot(identity)) return
  throw new SingError('UNSUPPORTED', `${flag} is for root of the machine alone`, { hint })
}

function requireModule(label: SecurityWishes['label'], { modules }: Held): void {
  if (!label || modules.includes(label.module)) return
  const name = label.module === 'apparmor' ? 'AppArmor' : 'SELinux'
  throw new SingError(
    'UNSUPPORTED',
    `--security ${label.module}:${shown(label.text)}: ${name} is not active here`,
    {
      hint: `Leave it out, or ask the administrator to enable ${name}`,
    },
  )
}

function choosePayload(
  { uid, gids }: SecurityWishes,
  identity: Identity,
  { nameOf }: Held,
): Payload | undefined {
  if (uid === undefined && gids.length === 0) return undefined
  const word = uid === undefined ? `gid:${gids.join(':')}` : `uid:${uid}`
  if (identity.uid !== 0) {
    throw new SingError('UNSUPPORTED', `--security ${word}: only root can run as somebody else`, {
      hint: 'With --fakeroot and a range of subordinate ids you are root inside',
    })
  }
  if (identity.namespace && identity.ids.mapper === undefined) {
    throw new SingError('FAKEROOT', `--security ${word}: the container has no other id than your own`, {
      hint: 'Ask the administrator for subordinate ids: a line in /etc/subuid and /etc/subgid',
    })
  }
  const [gid = identity.gid, ...groups] = gids
  const id = uid ?? 0
  const name = id === 0 ? identity.name : (!identity.inUserNamespace && nameOf(id)) || String(id)
  return { uid: id, gid, groups, name }
}

/** Capabilities of the payload as bits of the kernel. */
function chooseCapabilities(
  wishes: SecurityWishes,
  identity: Identity,
  held: Held,
  payload: Payload | undefined,
): bigint {
  const { add, drop, privileges } = wishes
  const given = held.rootHasAll || privileges === 'keep' || !isRealRoot(identity)
  const full = identity.capabilities === 'all' && given && privileges !== 'none' && payload === undefined
  const base = full ? capabilityBits(allCapabilities) : 0n
  return (base | capabilityBits(add)) & ~capabilityBits(drop)
}

function requireHeld({ add }: SecurityWishes, identity: Identity, held: Held): void {
  const missing = isRealRoot(identity)
    ? add.filter((name) => (capabilityBits([name]) & held.capabilities) === 0n)
    : []
  // Who asks for all of them means all there are.
  if (missing.length === 0 || add.length >= allCapabilities.length) return
  throw new SingError('UNSUPPORTED', `--add-caps ${missing.join(',')}: you do not have it here yourself`)
}

const spelled = (bits: bigint): LaunchSpec['security']['capabilities'] => {
  if (bits === 0n) return 'none'
  return bits === capabilityBits(allCapabilities) ? 'all' : `0x${bits.toString(16)}`
}

export type SecurityDecision = { readonly request: SecurityRequest; readonly capabilities: readonly string[] }

/**
 * Decide what flags about privileges come to.
 * @throws SingError for what this user or this machine cannot have
 */
export function decideSecurity(wishes: SecurityWishes, identity: Identity, held: Held): SecurityDecision {
  if (wishes.privileges === 'keep')
    requireRealRoot('--keep-privs', identity, 'A user has no privileges on the host that could be kept')
  if (wishes.allowSetuid) {
    const hint = 'Programs of an image never gain privileges of the host; --fakeroot makes you root inside'
    requireRealRoot('--allow-setuid', identity, hint)
  }
  requireModule(wishes.label, held)
  requireHeld(wishes, identity, held)
  const payload = choosePayload(wishes, identity, held)
  const bits = chooseCapabilities(wishes, identity, held, payload)
  // Who has less than all for good, and who brings a filter, gets nothing back by programs with a setuid bit either.
  const limited = wishes.privileges === 'none' || payload !== undefined
  const filtered = wishes.profile !== undefined && spelled(bits) !== 'all'
  return {
    capabilities: capabilitiesOf(bits),
    request: {
      keepGroups: wishes.keepGroups,
      allowSetuid: wishes.allowSetuid,
      payload,
      warnings: [],
      powers: {
        capabilities: spelled(bits),
        ...(limited || filtered ? { noNewPrivileges: true } : {}),
        ...(payload && { user: { uid: payload.uid, gid: payload.gid, groups: payload.groups } }),
        ...(wishes.label && { label: wishes.label }),
      },
    },
  }
}
