/** Networks of root: CNI plugins, connected before the payload and taken away after it, whatever happens in between. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { onPrivateHost } from '../helpers/private-host.ts'
import { give } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
/** A configuration whose networks and plugins lie in the folder of the images. */
let site: string

beforeAll(async () => {
  images = await makeImages()
  const networks = join(images.folder, 'networks')
  const plugins = join(images.folder, 'plugins')
  for (const directory of [networks, plugins]) mkdirSync(directory)
  const list = (name: string, ...types: object[]) =>
    writeFileSync(
      join(networks, `${name}.conflist`),
      JSON.stringify({ name, cniVersion: '1.0.0', plugins: types }),
    )
  const plugin = (name: string, script: string) => {
    writeFileSync(join(plugins, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(plugins, name), 0o755)
  }
  const dns = {
    nameservers: ['192.0.2.53'],
    domain: 'site.example',
    search: ['a.example', 'b c'],
    options: ['ndots:2'],
  }
  list('named', { type: 'ptp', ipam: { type: 'host-local', subnet: '10.99.0.0/24' }, dns })
  list('broken', { type: 'ptp', ipam: { type: 'host-local', subnet: '10.98.0.0/24' } }, { type: 'breaks' })
  list('angry', { type: 'says', text: 'not\u001b[2J today' })
  list('mute', { type: 'mute' })
  list('absent', { type: 'no-such-plugin' })
  list('typeless', {})
  writeFileSync(join(networks, 'single.conf'), JSON.stringify({ name: 'single', type: 'says' }))
  writeFileSync(join(networks, 'notes.txt'), 'no network')
  plugin('breaks', '[ "$CNI_COMMAND" = DEL ] || { echo "out of luck" >&2; exit 9; }')
  plugin(
    'says',
    'cat >&2; echo \'{ "code": 7, "msg": "not\\u001b[2J today", "details": "maybe tomorrow" }\'; exit 1',
  )
  plugin('mute', ':')
  site = join(images.folder, 'site.conf')
  writeFileSync(site, `cni configuration path = ${networks}\ncni plugin path = ${plugins}:/usr/lib/cni\n`)
  give(images.folder)
})

/** What is left of a network when everything is cleaned up: nothing but the bridge. */
const leftOver = `
  ip -o link | grep -c veth
  iptables-save | grep -c sing-
  find /var/lib/cni -name '[0-9]*' | wc -l`
const nothingLeft = '0\n0\n0\n'

const onHost = (script: string) =>
  onPrivateHost(`IMAGE=$1 SITE=$2\n${script}`, [images.everything, site], { timeout: 60_000 })

describe.skipIf(!can('userns', 'fuse', 'overlay', 'privatehost', 'cni'))('networks of plugins', () => {
  it('connect the container, map ports, and are gone afterwards', async () => {
    const { stdout, stderr } = await onHost(`
      "$SING" exec --net --network bridge --network-args 'portmap=8080:80/tcp;IP=10.22.0.77' "$IMAGE" sh -c '
        ip -o -4 addr show eth0 | grep -o "10[.0-9]*/16"
        cat /etc/resolv.conf
        nc -w 5 192.0.2.1 7000 </dev/null | head -n 1
        echo inside | nc -l -p 80' & container=$!
      until text=$(busybox nc -w 5 10.22.0.1 8080 </dev/null 2>/dev/null) && [ "$text" ]; do sleep 0.05; done
      wait $container; echo "$?, the client got: $text"
      ${leftOver}`)
    expect(stdout).toBe(
      `10.22.0.77/16\nnameserver 127.0.0.53\nfrom far away\n0, the client got: inside\n${nothingLeft}`,
    )
    expect(stderr).toBe('')
  })

  it('may be several, and are gone when the payload was killed', async () => {
    const { stdout } = await onHost(`
      "$SING" exec --network ptp,bridge --network-args 'bridge:IP=10.22.0.9' "$IMAGE" sh -c '
        ip -o -4 addr | grep -o "10[.0-9]*/16"; kill -9 $$'; echo $?
      ${leftOver}`)
    expect(stdout).toBe(`10.23.0.2/16\n10.22.0.9/16\n137\n${nothingLeft}`)
  })

  it('are there although somebody else keeps a folder of networks closed', async () => {
    // Of root when root runs the tests: the ordinary user cannot look into it, in no namespace.
    const closed = join(images.folder, 'closed')
    mkdirSync(closed, { mode: 0o700 })
    const { stdout, stderr } = await onHost(`
      echo "cni configuration path = ${closed}" >/run/site.conf
      "$SING" --config /run/site.conf exec --network bridge "$IMAGE" true; echo $?`)
    expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' })
  })

  it('name servers', async () => {
    const { stdout } = await onHost(`
      "$SING" --config "$SITE" exec --network named "$IMAGE" cat /etc/resolv.conf
      "$SING" --config "$SITE" exec --network named --dns 192.0.2.99 "$IMAGE" cat /etc/resolv.conf`)
    expect(stdout).toBe(
      'nameserver 192.0.2.53\ndomain site.example\nsearch a.example\noptions ndots:2\nnameserver 192.0.2.99\n',
    )
  })

  it('are taken away when one of them fails', async () => {
    const { stdout, stderr } = await onHost(`
      "$SING" --config "$SITE" exec --network named,broken "$IMAGE" echo started; echo $?
      ${leftOver}`)
    expect(stderr).toBe('FATAL:   the network plugin breaks of broken failed: out of luck\n')
    expect(stdout).toBe(`255\n${nothingLeft}`)
  })

  const refused: [words: string, sentence: RegExp][] = [
    ['--network angry', /plugin says of angry failed: not\\x1b\[2J today: maybe tomorrow$/m],
    ['--network single', /plugin says of single failed/],
    ['--network mute', /plugin mute of mute gave no result/],
    ['--network absent', /no-such-plugin is not installed: it is not in .*\n.*containernetworking-plugins/],
    ['--network typeless', /typeless\.conflist is no network configuration: a plugin of it has no type/],
    ['--network nope', /no network of that name\n.*There are .*named.* bridge, ptp, macvlan, ipvlan/],
    ['--network named --network-args portmap=1:1/tcp', /the network named has no plugin for portmap/],
    ['--network named --network-args ipRange=10.0.0.0/8', /the network named has no plugin for ipRange/],
    ['--network bridge --network-args IP=192.0.2.77', /plugin bridge of bridge failed: .*192\.0\.2\.77/],
    ['--netns-path /run/none', /cannot join the network \/run\/none: No such file or directory/],
    ['--netns-path /run/near', /cannot join the network \/run\/near: it is no network namespace/],
  ]
  it.each(refused)('are refused: %s', async (words, sentence) => {
    const { stdout, stderr } = await onHost(
      `"$SING" --config "$SITE" exec ${words} "$IMAGE" echo started; echo $?`,
    )
    expect(stderr).toMatch(sentence)
    expect(stdout).toBe('255\n')
  })

  it('are refused where a file is none', async () => {
    const { stderr } = await onHost(`
      mkdir /run/networks; echo "cni configuration path = /run/networks" >/run/site.conf
      try() { "$SING" --config /run/site.conf exec --network x "$IMAGE" true; }
      echo '{' >/run/networks/x.conf; try
      echo '[]' >/run/networks/x.conf; try
      echo '{"name":"x","plugins":[]}' >/run/networks/x.conf; try
      echo '{"name":"x","cniVersion":1,"type":"ptp"}' >/run/networks/x.conf; try
      echo '{"name":"x","type":"../ptp"}' >/run/networks/x.conf; try
      head -c 300000 /dev/zero >/run/networks/x.conf; try
      rm -r /run/networks; : >/run/networks; try`)
    expect(stderr.match(/^FATAL: {3}.*$/gm)).toEqual([
      'FATAL:   cannot read the network configuration /run/networks/x.conf: it is no JSON',
      'FATAL:   cannot read the network configuration /run/networks/x.conf: it is no JSON object',
      'FATAL:   /run/networks/x.conf is no network configuration: it lists no plugins',
      'FATAL:   /run/networks/x.conf is no network configuration: its cniVersion is no version',
      'FATAL:   /run/networks/x.conf is no network configuration: a plugin of it has no type',
      'FATAL:   /run/networks/x.conf is no network configuration: it is larger than 256 KiB',
      'FATAL:   cannot read the network configurations in /run/networks: not a directory',
    ])
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay', 'privatehost'))('a network that is there', () => {
  it('is joined', async () => {
    const { stdout, stderr } = await onHost(`
      ip netns exec outside readlink /proc/self/ns/net
      "$SING" exec --netns-path /run/netns/outside "$IMAGE" sh -c 'readlink /proc/self/ns/net; ls /sys/class/net'`)
    const [outside, inside, ...devices] = stdout.trim().split('\n')
    expect(stderr).toBe('')
    expect(inside).toBe(outside)
    expect(devices).toEqual(['far', 'lo'])
  })

  it('excludes another', async () => {
    const { stderr } = await onHost(
      '"$SING" exec --netns-path /run/netns/outside --network none "$IMAGE" true',
    )
    expect(stderr).toMatch(/--netns-path and --network exclude each other/)
  })
})
