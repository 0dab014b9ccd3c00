/**
 * What this machine can do, so that a test which needs more is skipped and says so.
 * `SING_TEST_MUST=userns,fuse` turns such skips into failures. Run as a program it lists what is missing.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { commandLine, environment, testUser } from './sing.ts'

/** Each ability, and what a machine without it lacks. */
const lacks = {
  root: 'the tests do not run as root',
  userns: 'users may not create user namespaces',
  fuse: '/dev/fuse cannot be opened by users',
  overlay: 'the kernel has no overlay in user namespaces',
  subuid: 'newuidmap or a range in /etc/subuid is missing',
  debootstrap: 'debootstrap is missing, or apt names no mirror that answers',
  dnf: 'dnf, rpmbuild, createrepo_c, gpg or a static busybox is missing',
  zypper: 'zypper, rpmbuild, createrepo_c, gpg or a static busybox is missing',
  pacman: 'pacman, repo-add (makepkg), bsdtar (libarchive-tools), zstd or a static busybox is missing',
  tun: '/dev/net/tun cannot be opened by users',
  route: 'the machine has no default route',
  pasta: 'pasta (package passt) is missing',
  slirp4netns: 'slirp4netns is missing',
  privatehost: 'users cannot make a machine of their own: ip, iptables or nested namespaces are missing',
  cni: 'the plugins of containernetworking-plugins are missing',
  cgroup2: 'there is no hierarchy of cgroup version 2 whose root we are in, with hugetlb, without systemd',
  cgroup1: 'there are no memory, pids and cpu hierarchies of cgroup version 1 that root may change',
  peer: 'SING_PEER names no program that runs the peer',
  cwltool: 'cwltool is not installed',
  snakemake: 'snakemake is not installed, or older than 7',
  toil: 'toil is not installed',
  mpi: 'mpirun or mpicc (openmpi-bin, libopenmpi-dev) is missing',
  slurm: 'Slurm or munge is not installed, or the tests do not run as root',
  ext3: 'fuse2fs, fuse-overlayfs or mke2fs is missing',
  registry: 'docker-registry, htpasswd (apache2-utils) or openssl is missing',
  openssl: 'openssl is missing',
  gocryptfs: 'gocryptfs, squashfuse or fusermount is missing',
  skopeo: 'skopeo is missing',
  umoci: 'umoci is missing',
  buildah: 'buildah is missing, or the tests do not run as root who may mount',
  docker: 'dockerd or docker (docker.io) is missing, or the tests do not run as root who may mount',
  sks: 'sks is missing',
  gpg: 'gpg is missing',
  xattrs: 'setfattr (attr) is missing',
  strace: 'strace is missing',
  sanitizers: 'gcc has no libraries of its sanitizers',
} as const

export type Ability = keyof typeof lacks

const known = new Map<Ability, boolean>()

/**
 * Whether the machine has all these abilities: `it.skipIf(!can('userns', 'fuse'))`.
 * Throws for a missing one that SING_TEST_MUST names.
 */
export function can(...abilities: readonly Ability[]): boolean {
  const missing = abilities.filter((ability) => !look(ability))
  const must = (process.env.SING_TEST_MUST ?? '').split(',')
  const owed = missing.find((ability) => must.includes(ability))
  if (owed) throw new Error(`SING_TEST_MUST names ${owed}, but ${lacks[owed]}`)
  return missing.length === 0
}

/** Whether a program is installed. */
export function hasProgram(name: string): boolean {
  return works(['sh', '-c', 'command -v "$1"', 'sh', name])
}

function look(ability: Ability): boolean {
  const found = known.get(ability) ?? probe(ability)
  known.set(ability, found)
  return found
}

function probe(ability: Ability): boolean {
  switch (ability) {
    case 'root':
      return process.getuid?.() === 0
    case 'userns':
      return works(['unshare', '--user', '--map-root-user', 'true'])
    case 'fuse':
      // Opened inside a user namespace, as the starter does it.
      return works(['unshare', '--user', '--map-root-user', 'sh', '-c', 'exec 3<>/dev/fuse'])
    case 'overlay':
      return works(['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', overlayScript])
    case 'ext3':
      return ['fuse2fs', 'fuse-overlayfs', 'mke2fs'].every(hasProgram)
    case 'subuid':
      return (
        hasProgram('newuidmap') &&
        hasProgram('newgidmap') &&
        hasRange('/etc/subuid') &&
        hasRange('/etc/subgid')
      )
    case 'debootstrap':
      return hasProgram('debootstrap') && mirrorAnswers()
    case 'dnf':
    case 'zypper':
      return [ability, 'rpmbuild', 'rpmsign', 'createrepo_c', 'gpg', 'busybox'].every(hasProgram)
    case 'pacman':
      return ['pacman', 'repo-add', 'bsdtar', 'zstd', 'busybox'].every(hasProgram)
    case 'tun':
      return works(['sh', '-c', 'exec 3<>/dev/net/tun'])
    case 'route':
      return /^\S+\t00000000\t/m.test(readFileSync('/proc/net/route', 'utf8'))
    case 'pasta':
    case 'slirp4netns':
      return hasProgram(ability)
    case 'privatehost':
      return hasProgram('iptables') && works(['unshare', '-Urnm', 'sh', '-c', privateHostScript])
    case 'cni':
      return existsSync('/usr/lib/cni/bridge') && existsSync('/usr/lib/cni/portmap')
    case 'cgroup2':
      return process.getuid?.() === 0 && hasUnifiedRoot()
    case 'cgroup1':
      return process.getuid?.() === 0 && ['memory', 'pids', 'cpu'].every(hasHierarchy)
    case 'peer':
      return isExecutable(process.env.SING_PEER)
    case 'cwltool':
      return hasProgram('cwltool')
    case 'snakemake':
      return works(['sh', '-c', 'case $(snakemake --version) in [0-6].*) false ;; *.*) ;; *) false ;; esac'])
    case 'toil':
      return hasProgram('toil-cwl-runner')
    case 'mpi':
      return ['mpirun', 'mpicc'].every(hasProgram)
    case 'slurm':
      return process.getuid?.() === 0 && ['munged', 'slurmctld', 'slurmd', 'sbatch', 'srun'].every(hasProgram)
    case 'registry':
      return ['docker-registry', 'htpasswd', 'openssl'].every(hasProgram)
    case 'gocryptfs':
      return can('fuse') && ['gocryptfs', 'squashfuse', 'fusermount3'].every(hasProgram)
    case 'openssl':
    case 'gpg':
    case 'skopeo':
    case 'strace':
    case 'umoci':
      return hasProgram(ability)
    case 'sks':
      return existsSync('/usr/sbin/sks')
    case 'buildah':
      return mayMount() && hasProgram('buildah')
    case 'docker':
      return mayMount() && hasCgroups() && ['dockerd', 'docker', 'containerd', 'runc'].every(hasProgram)
    case 'xattrs':
      return hasProgram('setfattr')
    case 'sanitizers':
      return works([
        'sh',
        '-c',
        'echo "int x;" | gcc -shared -fsanitize=address,undefined -xc - -o /dev/null',
      ])
  }
}

const overlayScript =
  'mount -t tmpfs none /tmp && cd /tmp && mkdir l u w m && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none m'

const privateHostScript =
  'mount -t tmpfs none /run && ip link add near type veth peer name far && unshare -U --map-user=1000 --map-group=1000 true'

/** Huge pages are what a machine whose other controllers are of version 1 has left for version 2. */
function hasUnifiedRoot(): boolean {
  const file = '/sys/fs/cgroup/unified/cgroup.controllers'
  const isRoot = readFileSync('/proc/self/cgroup', 'utf8').split('\n').includes('0::/')
  return isRoot && existsSync(file) && readFileSync(file, 'utf8').split(/\s/).includes('hugetlb')
}

/** Whether this process may make cgroups below its own. */
function hasHierarchy(controller: string): boolean {
  const line = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[1]?.split(',').includes(controller))
  const directory = `/sys/fs/cgroup/${controller}${line?.split(':')[2] ?? ''}`
  try {
    accessSync(`${directory}/tasks`, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Root of a container may not, as a rule. */
const mayMount = (): boolean =>
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' }).status === 0

const hasCgroups = (): boolean =>
  ['cgroup.controllers', 'devices'].some((name) => existsSync(`/sys/fs/cgroup/${name}`))

function works(command: readonly string[]): boolean {
  const [file = '', ...args] = commandLine(command)
  return (
    spawnSync(file, args, { cwd: '/', env: environment(), stdio: 'ignore', timeout: 20_000 }).status === 0
  )
}

function hasRange(file: string): boolean {
  const { name, uid } = testUser()
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name}:`) || line.startsWith(`${uid}:`))
  } catch {
    return false
  }
}

/** A release that debootstrap can make from a mirror of this machine, and that mirror; undefined without one. */
export function debootstrapRelease(): { readonly name: string; readonly mirror: string } | undefined {
  const query = ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages']
  const { stdout, status } = spawnSync('apt-get', query, { encoding: 'utf8' })
  if (status !== 0) return undefined
  for (const line of stdout.split('\n')) {
    const [name = '', mirror = ''] = line.split(' ')
    if (name && existsSync(`/usr/share/debootstrap/scripts/${name}`)) return { name, mirror }
  }
  return undefined
}

function mirrorAnswers(): boolean {
  const release = debootstrapRelease()
  if (!release) return false
  const index = `${release.mirror}dists/${release.name}/InRelease`
  return works(['wget', '-q', '-T', '10', '-t', '1', '--spider', index])
}

function isExecutable(path: string | undefined): boolean {
  if (!path) return false
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

if (import.meta.main) {
  for (const ability of Object.keys(lacks) as Ability[]) {
    if (!can(ability)) console.log(`tests that need ${ability} are skipped: ${lacks[ability]}`)
  }
}
