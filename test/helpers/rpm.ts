/** A distribution of three RPM packages in a repository of its own, made with rpmbuild and createrepo_c; signed when asked. */

import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './sing.ts'

/** What every distribution has, by the names that builds ask for: a release, a shell, and a directory for all. */
const release = (busybox: string): string => `Name: tiny-release
Version: 1
Release: 1
Summary: The smallest distribution
License: none
AutoReqProv: no
Provides: coreutils aaa_base
%description
%install
mkdir -p %{buildroot}/bin %{buildroot}/etc %{buildroot}/usr/lib/rpm %{buildroot}/tmp
cp ${busybox} %{buildroot}/bin/busybox
ln -s busybox %{buildroot}/bin/sh
echo tiny >%{buildroot}/etc/redhat-release
printf '%%%%_usr /usr\\n%%%%_db_backend sqlite\\n%%%%_dbpath\\t\\t%%%%{_usr}/lib/sysimage/rpm\\n' >%{buildroot}/usr/lib/rpm/macros
%files
/bin/busybox
/bin/sh
/etc/redhat-release
/usr/lib/rpm/macros
%attr(1777,root,root) %dir /tmp
`

/** A package with one file below /opt, and a script that runs behind it. */
const scripted = (
  name: string,
  version: string,
  file: string,
  mode: string,
  script: string,
): string => `Name: tiny-${name}
Version: ${version.split('-')[0]}
Release: ${version.split('-')[1]}
Summary: A package with a script
License: none
AutoReqProv: no
Requires(post): tiny-release
%description
%install
mkdir -p %{buildroot}/opt
echo ${file} >%{buildroot}/opt/${file}
%post
${script}
%files
${mode}/opt/${file}
`

/** Its script needs a shell, a device and the right to give files away. */
const tool = scripted(
  'tool',
  '2-3',
  'tool',
  '%attr(4755,root,root) ',
  '/bin/busybox id -u >/opt/installed-by\n/bin/busybox chown 7:8 /opt/installed-by\necho nothing >/dev/null',
)

/** Its script fails behind its files. */
const broken = scripted('broken', '1-1', 'broken', '', 'exit 3')

export type RpmRepository = {
  /** The directory. */
  readonly path: string
  /** The file with the key that all is signed with. */
  readonly key: string
}

async function must(command: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const { status, stdout, stderr } = await run(command, { env })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stdout}${stderr}`)
}

async function build(spec: string, name: string, folder: string): Promise<void> {
  const file = join(folder, `${name}.spec`)
  writeFileSync(file, spec)
  const defines = [
    `_topdir ${folder}/top`,
    `_rpmdir ${folder}/packages`,
    '_build_id_links none',
    '__os_install_post %{nil}',
  ]
  await must(['rpmbuild', '-bb', ...defines.flatMap((define) => ['-D', define]), file])
}

async function sign(folder: string, key: string): Promise<void> {
  const env = { GNUPGHOME: join(folder, 'gnupg') }
  const gpg = ['gpg', '--batch', '--pinentry-mode=loopback', '--passphrase=']
  try {
    await must(['install', '-d', '-m', '700', env.GNUPGHOME])
    await must([...gpg, '--quick-generate-key', 'tiny', 'rsa3072', 'sign', 'never'], env)
    await must([...gpg, '--armor', '--output', key, '--export', 'tiny'], env)
    const sign = ['rpmsign', '-D', '__gpg /usr/bin/gpg', '-D', '_gpg_name tiny', '--addsign']
    await must([...sign, ...packagePaths(folder)], env)
    await must(['createrepo_c', '-q', join(folder, 'packages')])
    const metadata = join(folder, 'packages/repodata/repomd.xml')
    await must([...gpg, '--armor', '--detach-sign', metadata], env)
    copyFileSync(key, `${metadata}.key`)
  } finally {
    await run(['gpgconf', '--kill', 'all'], { env })
  }
}

const machine = (): string => (process.arch === 'arm64' ? 'aarch64' : 'x86_64')

const packagePaths = (folder: string): string[] =>
  ['tiny-release-1-1', 'tiny-tool-2-3', 'tiny-broken-1-1'].map((name) =>
    join(folder, 'packages', machine(), `${name}.${machine()}.rpm`),
  )

/** Make the packages in a folder of the ordinary user. Returns their paths. */
export async function makeRpmPackages(folder: string): Promise<string[]> {
  const { stdout } = await run(['sh', '-c', 'command -v busybox'])
  await build(release(stdout.trim()), 'tiny-release', folder)
  await build(tool, 'tiny-tool', folder)
  await build(broken, 'tiny-broken', folder)
  return packagePaths(folder)
}

/** Make the repository in a folder of the ordinary user. */
export async function makeRpmRepository(
  folder: string,
  options: { signed?: boolean } = {},
): Promise<RpmRepository> {
  await makeRpmPackages(folder)
  const [path, key] = [join(folder, 'packages'), join(folder, 'packages.key')]
  if (options.signed) await sign(folder, key)
  else await must(['createrepo_c', '-q', path])
  return { path, key }
}
