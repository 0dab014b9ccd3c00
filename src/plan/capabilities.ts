/** Capabilities of Linux by name, in the order of their numbers (linux/capability.h). */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'

const names =
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'

/** Every capability, as `CAP_CHOWN`. */
export const allCapabilities: readonly string[] = names.split(' ').map((name) => `CAP_${name.toUpperCase()}`)

function toCapability(flag: string, word: string): string {
  const upper = word.toUpperCase()
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
  if (allCapabilities.includes(name)) return name
  const near = suggest(name, allCapabilities)
  throw new SingError('USAGE', `${flag} ${shown(word)}: there is no capability of this name`, {
    hint: near ? `Did you mean ${near}?` : 'capabilities(7) has the names; "all" stands for all of them',
    status: 255,
  })
}

/** Names with or without `CAP_`, in any case; `all` stands for all. @throws SingError for one that does not exist */
export function parseCapabilities(flag: string, words: readonly string[]): readonly string[] {
  return words.flatMap((word) =>
    word.toLowerCase() === 'all' ? allCapabilities : [toCapability(flag, word)],
  )
}

/** A set as the kernel's bits. */
export const capabilityBits = (capabilities: Iterable<string>): bigint =>
  [...capabilities].reduce((bits, name) => bits | (1n << BigInt(allCapabilities.indexOf(name))), 0n)

/** The names of the kernel's bits. */
export const capabilitiesOf = (bits: bigint): string[] =>
  allCapabilities.filter((_, index) => ((bits >> BigInt(index)) & 1n) === 1n)
