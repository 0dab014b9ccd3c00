/** A distribution of three packages of pacman in a repository of its own, made with bsdtar and repo-add. */

import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './sing.ts'

const script = `set -e
cd "$1"
files() { ls -A | grep -vx '\\.MTREE' || true; }
bsdtar -czf .MTREE --format=mtree --options='!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link' $(files)
bsdtar --uid 0 --gid 0 -cf - .MTREE $(files) | zstd -qf -o "$2"
`

const install = `post_install() {
  busybox id -u >/opt/installed-by
  busybox chown 7:8 /opt/installed-by
  busybox test -d /proc/self
}
`

/** What the tool of the keyring does, as far as an image can tell. */
const keyring = `#!/bin/sh
echo "$@" >>/opt/keys
[ "$1 $2" != "--populate archlinux" ] || [ ! -e /opt/tool ] || { echo no keys >&2; exit 3; }
`

async function must(command: readonly string[]): Promise<void> {
  const { status, stdout, stderr } = await run(command)
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stdout}${stderr}`)
}

const machine = (): string => (process.arch === 'arm64' ? 'aarch64' : 'x86_64')

async function pack(
  tree: string,
  name: string,
  version: string,
  depend: string,
  folder: string,
): Promise<string> {
  const lines = [
    `pkgname = ${name}`,
    `pkgbase = ${name}`,
    `pkgver = ${version}`,
    'pkgdesc = tiny',
    'url = none',
  ]
  const more = ['builddate = 1700000000', 'packager = nobody', 'size = 1', `arch = ${machine()}`, depend]
  writeFileSync(join(tree, '.PKGINFO'), `${[...lines, ...more].join('\n')}\n`)
  const file = join(folder, `${name}-${version}-${machine()}.pkg.tar.zst`)
  await must(['sh', '-c', script, 'sh', tree, file])
  return file
}

/** Make the repository in a folder of the ordinary user, whom the trees belong to as well. Returns a configuration for it. */
export async function makePacmanRepository(folder: string, version = '1-1'): Promise<string> {
  for (const name of ['base', 'tool', 'keys']) rmSync(join(folder, name), { recursive: true, force: true })
  const [base, tool, keys] = ['base', 'tool', 'keys'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const found = await run(['sh', '-c', 'command -v busybox'])
  for (const path of ['base/usr/bin', 'base/dev', 'base/proc', 'tool/opt'])
    mkdirSync(join(folder, path), { recursive: true })
  symlinkSync('usr/bin', join(base, 'bin'))
  for (const name of ['sh', 'bash']) symlinkSync('busybox', join(base, 'usr/bin', name))
  await must(['chmod', '755', folder])
  mkdirSync(join(keys, 'usr/share/pacman/keyrings'), { recursive: true })
  writeFileSync(join(keys, 'usr/share/pacman/keyrings/archlinux.gpg'), '')
  for (const path of ['usr/bin', 'opt']) mkdirSync(join(keys, path))
  writeFileSync(join(keys, 'usr/bin/pacman-key'), keyring, { mode: 0o755 })
  await run(['cp', found.stdout.trim(), join(base, 'usr/bin/busybox')], { as: 'self' })
  writeFileSync(join(tool, 'opt/tool'), 'tool\n')
  writeFileSync(join(tool, '.INSTALL'), install)
  await run(['chown', '-R', `--reference=${folder}`, base, tool, keys], { as: 'self' })
  chmodSync(join(tool, 'opt/tool'), 0o4755)
  const packages = [
    await pack(base, 'base', '1-1', '', folder),
    await pack(tool, 'tiny-tool', version, 'depend = base', folder),
    await pack(keys, 'tiny-keys', '1-1', 'depend = base', folder),
  ]
  await must(['repo-add', '-q', join(folder, 'tiny.db.tar.gz'), ...packages])
  return `[options]\nArchitecture = auto\nSigLevel = Never\nDownloadUser = nobody\n[tiny]\nServer = file://${folder}\n`
}
