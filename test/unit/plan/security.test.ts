/** Flags about privileges: what they mean, and who may have what. */

import { describe, expect, it } from 'vitest'
import {
  allCapabilities,
  capabilitiesOf,
  capabilityBits,
  parseCapabilities,
} from '../../../src/plan/capabilities.ts'
import type { Identity } from '../../../src/plan/identity.ts'
import { decideSecurity, type Held, parseSecurity } from '../../../src/plan/security.ts'

const common = {
  home: '/root',
  filter: 'none',
  owner: undefined,
  gid: 0,
} as const
const noIds = { uids: [], gids: [], setgroups: 'allow' } as const
const mapper = { newuidmap: '/n', newgidmap: '/n' }

const root: Identity = {
  ...common,
  namespace: false,
  ids: noIds,
  uid: 0,
  name: 'root',
  capabilities: 'all',
  noNewPrivileges: false,
  inUserNamespace: false,
}
const fakeroot: Identity = {
  ...root,
  namespace: true,
  ids: { ...noIds, mapper },
  noNewPrivileges: true,
  inUserNamespace: true,
}
const alone: Identity = { ...fakeroot, ids: noIds, filter: 'fakeroot' }
const user: Identity = { ...alone, uid: 1000, gid: 1000, name: 'me', capabilities: 'none', filter: 'none' }

const held: Held = {
  capabilities: capabilityBits(allCapabilities.filter((name) => name !== 'CAP_SYS_RESOURCE')),
  rootHasAll: true,
  modules: ['apparmor'],
  nameOf: (uid) => (uid === 33 ? 'www-data' : undefined),
}

type Flags = Parameters<typeof parseSecurity>[0]
const decide = (identity: Identity, flags: Flags) =>
  decideSecurity(parseSecurity(flags), identity, held).request
const powers = (identity: Identity, flags: Flags) => decide(identity, flags).powers

const NET_RAW = 1n << 13n
const full = (1n << 41n) - 1n
const hex = (bits: bigint) => `0x${bits.toString(16)}`

describe('capabilities', () => {
  it('have names with or without CAP_, in any case', () => {
    expect(parseCapabilities('--add-caps', ['net_raw', 'CAP_SYS_ADMIN', 'Cap_Chown'])).toEqual([
      'CAP_NET_RAW',
      'CAP_SYS_ADMIN',
      'CAP_CHOWN',
    ])
    expect(parseCapabilities('--add-caps', ['ALL'])).toHaveLength(41)
  })

  it('are the bits of the kernel', () => {
    expect(capabilityBits(['CAP_CHOWN', 'CAP_NET_RAW', 'CAP_CHECKPOINT_RESTORE'])).toBe(
      1n | NET_RAW | (1n << 40n),
    )
    expect(capabilitiesOf(NET_RAW | (1n << 60n))).toEqual(['CAP_NET_RAW'])
  })

  it('that do not exist are refused with what was meant', () => {
    const refusal = (word: string) => {
      try {
        parseCapabilities('--drop-caps', [word])
      } catch (error) {
        return error
      }
    }
    expect(refusal('NET_RAV')).toMatchObject({
      message: '--drop-caps NET_RAV: there is no capability of this name',
      hint: 'Did you mean CAP_NET_RAW?',
      status: 255,
    })
    expect(refusal('foo')).toMatchObject({ hint: expect.stringContaining('capabilities(7)') })
  })
})

describe('who', () => {
  const cases: readonly (readonly [string, Identity, Flags, unknown])[] = [
    ['root has all', root, {}, { capabilities: 'all' }],
    ['root keeps all', root, { 'keep-privs': true }, { capabilities: 'all' }],
    ['root drops one', root, { 'drop-caps': ['net_raw'] }, { capabilities: hex(full & ~NET_RAW) }],
    ['root drops all', root, { 'drop-caps': ['all'] }, { capabilities: 'none' }],
    ['root has none', root, { 'no-privs': true }, { capabilities: 'none', noNewPrivileges: true }],
    [
      'root has just one',
      root,
      { 'no-privs': true, 'add-caps': ['net_raw'] },
      { capabilities: hex(NET_RAW), noNewPrivileges: true },
    ],
    ['fakeroot drops one', fakeroot, { 'drop-caps': ['net_raw'] }, { capabilities: hex(full & ~NET_RAW) }],
    ['a user has none', user, { 'drop-caps': ['net_raw'] }, { capabilities: 'none' }],
    ['a user gets one of the namespace', user, { 'add-caps': 'net_raw' }, { capabilities: hex(NET_RAW) }],
    [
      'root becomes a user of the machine',
      root,
      { security: ['uid:33', 'gid:34:35'] },
      { capabilities: 'none', noNewPrivileges: true, user: { uid: 33, gid: 34, groups: [35] } },
    ],
    [
      'root changes the group alone',
      root,
      { security: ['gid:34'] },
      { capabilities: 'none', noNewPrivileges: true, user: { uid: 0, gid: 34, groups: [] } },
    ],
    [
      'fakeroot becomes one of its ids',
      fakeroot,
      { security: ['uid:33'], 'add-caps': ['net_raw'] },
      { capabilities: hex(NET_RAW), noNewPrivileges: true, user: { uid: 33, gid: 0, groups: [] } },
    ],
    [
      'a profile makes new privileges impossible for who has not all',
      root,
      { security: ['seccomp:/p.json'], 'drop-caps': ['sys_admin'] },
      { capabilities: hex(full & ~(1n << 21n)), noNewPrivileges: true },
    ],
    [
      'a module is told its label',
      user,
      { security: ['apparmor:unconfined'] },
      { capabilities: 'none', label: { module: 'apparmor', text: 'unconfined' } },
    ],
  ]
  it.each(cases)('%s', (_, identity, flags, expected) => {
    expect(powers(identity, flags)).toEqual(expected)
  })

  it('is known by name on the machine, by number in a namespace', () => {
    expect(decide(root, { security: ['uid:33'] }).payload?.name).toBe('www-data')
    expect(decide(root, { security: ['uid:44'] }).payload?.name).toBe('44')
    expect(decide(fakeroot, { security: ['uid:33'] }).payload?.name).toBe('33')
  })

  const refused: readonly (readonly [Identity, Flags, string])[] = [
    [user, { 'keep-privs': true }, '--keep-privs is for root of the machine alone'],
    [fakeroot, { 'keep-privs': true }, '--keep-privs is for root of the machine alone'],
    [user, { 'allow-setuid': true }, '--allow-setuid is for root of the machine alone'],
    [fakeroot, { 'allow-setuid': true }, '--allow-setuid is for root of the machine alone'],
    [root, { 'add-caps': ['sys_resource'] }, '--add-caps CAP_SYS_RESOURCE: you do not have it here yourself'],
    [user, { security: ['uid:33'] }, '--security uid:33: only root can run as somebody else'],
    [user, { security: ['gid:33'] }, '--security gid:33: only root can run as somebody else'],
    [alone, { security: ['uid:33'] }, '--security uid:33: the container has no other id than your own'],
    [user, { security: ['selinux:a_t'] }, '--security selinux:a_t: SELinux is not active here'],
    [user, { security: ['smack:x'] }, '--security smack:x: there is no "smack"'],
    [user, { security: ['seccomp'] }, '--security seccomp: there is nothing behind the colon'],
    [root, { security: ['uid:me'] }, '--security uid:me: "me" is no number of a user or group'],
    [root, { security: ['gid:4294967295'] }, 'gid:4294967295: "4294967295" is no number'],
  ]
  it.each(refused.map(([identity, flags, sentence]) => ({ identity, flags, sentence })))(
    'is refused: $sentence',
    ({ identity, flags, sentence }) => {
      expect(() => decide(identity, flags)).toThrow(sentence)
    },
  )

  it('has what the site gives to root', () => {
    const limited = { ...held, rootHasAll: false }
    const decided = (identity: Identity, flags: Flags) =>
      decideSecurity(parseSecurity(flags), identity, limited).request.powers
    expect(decided(root, {})).toEqual({ capabilities: 'none' })
    expect(decided(root, { 'add-caps': 'net_raw' })).toEqual({ capabilities: hex(NET_RAW) })
    expect(decided(root, { 'keep-privs': true })).toEqual({ capabilities: 'all' })
    expect(decided(fakeroot, {})).toEqual({ capabilities: 'all' })
    expect(decided(user, {})).toEqual({ capabilities: 'none' })
  })

  it('is not asked about capabilities that all of them include', () => {
    expect(powers(root, { 'add-caps': ['all'] })).toEqual({ capabilities: 'all' })
  })
})
