/** The bootstrap agents as data: what each needs in the header and what it understands there. */

export type Agent = {
  readonly name: string
  /** Groups of keys of which one must have a value. */
  readonly required: readonly (readonly string[])[]
  /** All keys that have a meaning for this agent, beside `bootstrap`, `stage` and `includecmd`. */
  readonly keys: readonly string[]
}

const from = [['from']]
const otherUrls = Array.from({ length: 10 }, (_, index) => `otherurl${index}`)

const table: readonly Agent[] = [
  { name: 'docker', required: from, keys: ['from', 'registry', 'namespace', 'include'] },
  { name: 'oci', required: from, keys: ['from'] },
  { name: 'oci-archive', required: from, keys: ['from'] },
  { name: 'docker-archive', required: from, keys: ['from'] },
  { name: 'docker-daemon', required: from, keys: ['from'] },
  { name: 'oras', required: from, keys: ['from', 'fingerprints'] },
  { name: 'http', required: from, keys: ['from', 'fingerprints'] },
  { name: 'https', required: from, keys: ['from', 'fingerprints'] },
  { name: 'library', required: from, keys: ['from', 'library', 'fingerprints'] },
  { name: 'shub', required: from, keys: ['from'] },
  { name: 'localimage', required: from, keys: ['from', 'fingerprints'] },
  { name: 'busybox', required: [['mirrorurl']], keys: ['mirrorurl'] },
  {
    name: 'debootstrap',
    // Without MirrorURL the builder asks the machine's apt for a mirror.
    required: [['osversion']],
    keys: ['osversion', 'mirrorurl', 'include'],
  },
  {
    name: 'yum',
    required: [['mirrorurl']],
    keys: ['mirrorurl', 'osversion', 'updateurl', 'include', 'setopt'],
  },
  {
    name: 'dnf',
    required: [['mirrorurl']],
    keys: ['mirrorurl', 'osversion', 'updateurl', 'include', 'setopt'],
  },
  {
    name: 'zypper',
    required: [['mirrorurl', 'product']],
    keys: [
      'mirrorurl',
      'updateurl',
      'osversion',
      'include',
      ...otherUrls,
      ...['product', 'user', 'regcode', 'productpgp', 'registerurl', 'modules'],
    ],
  },
  { name: 'arch', required: [], keys: ['include', 'confurl'] },
  { name: 'scratch', required: [], keys: [] },
  { name: 'buildkit', required: from, keys: ['from', 'filename', 'target', 'frontend', 'buildargs'] },
  { name: 'dockerfile', required: from, keys: ['from', 'filename', 'target', 'frontend', 'buildargs'] },
  { name: 'ipfs', required: from, keys: ['from'] },
]

/** Every agent by its name. */
export const agents: ReadonlyMap<string, Agent> = new Map(table.map((agent) => [agent.name, agent]))

/** Keys that mean something, or once did (`includecmd`), with every agent. */
export const generalKeys: readonly string[] = ['bootstrap', 'stage', 'includecmd']

/** Every key that may stand in a header. */
export const headerKeys: ReadonlySet<string> = new Set([
  ...generalKeys,
  ...table.flatMap((agent) => agent.keys),
])

/** How people write a key, for messages. */
export function shownKey(key: string): string {
  const special: Record<string, string> = {
    mirrorurl: 'MirrorURL',
    updateurl: 'UpdateURL',
    osversion: 'OSVersion',
    confurl: 'ConfURL',
    registerurl: 'RegisterURL',
    productpgp: 'ProductPGP',
    regcode: 'RegCode',
    buildargs: 'BuildArgs',
  }
  return (
    special[key] ?? key.replace(/^otherurl/, 'OtherURL').replace(/^[a-z]/, (letter) => letter.toUpperCase())
  )
}
