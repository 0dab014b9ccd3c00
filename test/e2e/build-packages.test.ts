/** Packages of Debian whose scripts change owners, modes and capabilities: with one id the image is what a range of ids makes it. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can, debootstrapRelease } from '../helpers/can.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { treeOf } from '../helpers/tree.ts'

const base = `Bootstrap: debootstrap
OSVersion: ${debootstrapRelease()?.name}

%post
  apt-get update
`

const packages = `Bootstrap: localimage
From: base.sif

%post
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends openssh-client man-db dbus postfix iputils-ping libcap2-bin
  useradd --create-home --user-group alice
  install -d -o alice -g mail -m 2750 /srv/alice
  mknod -m 620 /srv/alice/console c 5 1
  chown root:tty /srv/alice/console
  ln -s console /srv/alice/link; chown -h alice:alice /srv/alice/link
  mkfifo /srv/alice/pipe; chown alice: /srv/alice/pipe
  cp /bin/true /srv/bind; setcap cap_net_bind_service+ep /srv/bind; mv /srv/bind /srv/alice
  cp -a /srv/alice /srv/copy
  rm -rf /var/lib/apt/lists /var/cache/apt
`

/** Minutes: packages come over the network, and two processors have to unpack them. */
const timeout = 1_200_000
let folder = ''

async function build(target: string, definition: string, flags: readonly string[] = []): Promise<void> {
  const args = ['build', '--disable-cache', ...flags, target, definition]
  const { status, stderr } = await sing(args, { cwd: folder, env: { SINGULARITY_TMPDIR: folder }, timeout })
  expect([target, status, stderr]).toEqual([target, 0, expect.not.stringMatching('FATAL|WARNING: owners')])
}

describe.skipIf(!can('debootstrap', 'userns', 'fuse', 'subuid'))('packages of Debian', () => {
  beforeAll(async () => {
    folder = temporaryFolder()
    writeFileSync(join(folder, 'base.def'), base)
    writeFileSync(join(folder, 'packages.def'), packages)
    give(folder)
    await build('base.sif', 'base.def')
  }, timeout)

  it('have the same owners, modes, devices and capabilities with one id as with a range', {
    timeout,
  }, async () => {
    await build('range.sif', 'packages.def')
    await build('one.sif', 'packages.def', ['--ignore-subuid'])
    const [range, one] = [await treeOf(join(folder, 'range.sif')), await treeOf(join(folder, 'one.sif'))]
    const differing = [...new Set([...range.keys(), ...one.keys()])].filter(
      (path) => range.get(path) !== one.get(path),
    )
    expect(differing.map((path) => [path, range.get(path), one.get(path)])).toEqual([])
    // What there is to be equal.
    const owned = [...one.values()].filter((line) => !/ 0:0\b/.test(line))
    expect(owned.length).toBeGreaterThan(100)
    expect(one.get('etc/shadow')).toMatch(/^file 640 0:[1-9]/)
    expect(one.get('srv/copy')).toMatch(/^directory 2750 [1-9]\d*:8$/)
    expect(one.get('srv/copy/console')).toBe('character 620 0:5 5:1')
    expect(one.get('srv/copy/link')).toMatch(/^symlink 777 ([1-9]\d*):\1$/)
    expect(one.get('srv/copy/pipe')).toMatch(/^fifo \d+ ([1-9]\d*):\1$/)
    expect(one.get('srv/copy/bind')).toMatch(/ security\.capability=/)
    expect(one.get('usr/lib/dbus-1.0/dbus-daemon-launch-helper')).toMatch(/^file 4754 0:[1-9]/)
    expect(one.get('usr/sbin/postdrop')).toMatch(/^file 2555 0:[1-9]/)
    expect(one.get('usr/bin/ssh-agent')).toMatch(/^file 2755 0:[1-9]/)
    expect(one.get('var/cache/man')).toMatch(/^directory \d+ [1-9]/)
    expect(one.get('var/spool/postfix/maildrop')).toMatch(/^directory 1730 [1-9]/)
  })
})
