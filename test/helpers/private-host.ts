/** A machine of its own to change networks on: namespaces in which the ordinary user is root, gone with the command. */

import { join } from 'node:path'
import { type Outcome, program, type RunOptions, run } from './sing.ts'

/**
 * Network tools want to write below /run and /var/lib. `eth0` leads over 192.0.2.1, a machine outside that answers on port
 * 7000; names are resolved by a server that listens on loopback only, as systemd-resolved does.
 */
const setUp = `
set -e
mount -t tmpfs none /run
mkdir -p /run/netns /run/lock
touch /run/xtables.lock
mount -t tmpfs none /var/lib
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip link add eth0 type veth peer name far
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
ip netns add outside
ip link set far netns outside
ip netns exec outside ip addr add 192.0.2.1/24 dev far
ip netns exec outside ip link set far up
echo 'nameserver 127.0.0.53' >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
"$NODE" "$SERVERS" near >/run/near &
ip netns exec outside "$NODE" "$SERVERS" far >/run/far &
until [ -s /run/near ] && [ -s /run/far ]; do sleep 0.05; done
as_user() { unshare --user --map-user=1000 --map-group=1000 "$@"; }
set +e
`

/** Run a script of bash there, as root of the machine; \`as_user\` runs a command as nobody special. */
export function onPrivateHost(
  script: string,
  words: readonly string[] = [],
  options: RunOptions = {},
): Promise<Outcome> {
  const namespaces = [
    'unshare',
    '--user',
    '--map-root-user',
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
  ]
  const env = {
    NODE: process.execPath,
    SERVERS: join(import.meta.dirname, 'servers.mjs'),
    SING: program,
    ...options.env,
  }
  const command = [...namespaces, '--mount-proc', 'bash', '-c', setUp + script, 'bash', ...words]
  return run(command, { ...options, env })
}
