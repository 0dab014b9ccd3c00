/**
 * The flags of the program as data: names, environment twins and help. Who reads them is `argv`, `parse` and
 * `help`.
 */

import { grouped, list, number, path, text, toggle } from './rows.ts'

export type Flag = {
  /** Long name without dashes. */
  readonly name: string
  readonly short?: string
  readonly kind: 'boolean' | 'string' | 'list' | 'number'
  /**
   * Keys of the environment twin without prefix: `BIND` stands for SING_BIND, APPTAINER_BIND,
   * SINGULARITY_BIND.
   */
  readonly env?: readonly string[]
  /** The keys are also read without prefix, after the others. */
  readonly unprefixed?: boolean
  readonly help: string
  readonly placeholder?: string
  /** A boolean that may also have a value, attached by `=`: a size, or one of these words. */
  readonly optionalValue?: 'size' | readonly string[]
  readonly hidden?: boolean
  /** Other long names of the same flag. */
  readonly aliases?: readonly string[]
  /** Values of the environment come after those of the command line instead of giving way to them. */
  readonly append?: boolean
  /**
   * Where one word of a list holds several values. Without it an environment variable is split at commas and
   * a word of the command line is one value; `commas` splits both, `lines` the variable at line ends, `never`
   * neither.
   */
  readonly split?: 'commas' | 'lines' | 'never'
  /**
   * The flag is not for a program of users: giving it is an error, this is the reason and what to use
   * instead.
   */
  readonly refused?: string
  /** Not there yet: giving it is an error, this says what is missing. */
  readonly later?: string
  /** The flag is accepted without effect; this warning says so. */
  readonly notice?: string
  /** The heading of the help page it stands below. */
  readonly group?: string
  /** Its value begins with a path of the host: `./` in a configuration file is the folder of that file. */
  readonly hostPath?: boolean
  /** Commas, colons and backslashes of a path are written with a backslash. */
  readonly escapes?: boolean
  /**
   * The file of a project may not set it: it could run a program of the host or give secrets away.
   */
  readonly personal?: boolean
  /** No configuration file may set it: it is about one call. */
  readonly once?: boolean
  /** Values of configuration files stay when the command line has some too; they come first. */
  readonly adds?: boolean
}

/** Flags before the command. */
export const globalFlags: readonly Flag[] = [
  path('config', 'read this configuration file', { short: 'c', env: ['CONFIG_FILE'], placeholder: 'file' }),
  toggle('debug', 'tell every step, and where an error came from', { short: 'd' }),
  toggle('nocolor', 'no colours'),
  toggle('quiet', 'no INFO lines', { short: 'q' }),
  toggle('silent', 'errors only', { short: 's' }),
  toggle('verbose', 'tell more', { short: 'v' }),
  toggle('build-config', 'the built-in configuration, no file', { hidden: true, env: [] }),
]

/** Credentials and transport of registries, shared by every command that may fetch an image. */
export const registryFlags: readonly Flag[] = grouped('Registries:', [
  path('authfile', 'credentials of registries', {
    env: ['AUTH_FILE', 'AUTHFILE'],
    placeholder: 'file',
    personal: true,
    hostPath: true,
  }),
  toggle('disable-cache', 'neither read nor write the image cache'),
  text('docker-host', 'address of the docker daemon', {
    unprefixed: true,
    placeholder: 'url',
    personal: true,
  }),
  toggle('docker-login', 'ask for user and password of the registry', { personal: true }),
  text('docker-username', 'user name at the registry', { unprefixed: true, hidden: true, personal: true }),
  text('docker-password', 'password at the registry', { unprefixed: true, hidden: true, personal: true }),
  toggle('no-https', 'plain HTTP to registries', {
    env: ['NOHTTPS', 'NO_HTTPS'],
    aliases: ['nohttps'],
    personal: true,
  }),
  list('layer-limits', 'the most that layers may hold: entries=5000000, bytes=1T, ratio=2000, xattrs=64M', {
    split: 'commas',
    placeholder: 'limits',
    hidden: true,
  }),
])

/** Keys of encrypted images. */
export const encryptionFlags: readonly Flag[] = grouped('Encryption:', [
  toggle('passphrase', 'ask for the passphrase of an encrypted image', {
    env: [],
    once: true,
  }),
  path('pem-path', 'key of an encrypted image', {
    env: [],
    placeholder: 'file',
    personal: true,
    hostPath: true,
  }),
])

/** Ways to be root that a machine may lack; for trying what happens without them. */
export const fakerootFlags: readonly Flag[] = [
  toggle('ignore-subuid', 'as if no subordinate ids were assigned', { hidden: true }),
  toggle('ignore-userns', 'refuse to use user namespaces', { hidden: true }),
  toggle('ignore-fakeroot-command', 'no effect: the fakeroot program is never used', { hidden: true }),
]

const fileFlags = grouped('Files:', [
  list('bind', 'bring a host path in: source[:destination[:ro]]', {
    short: 'B',
    env: ['BIND', 'BINDPATH'],
    append: true,
    split: 'never',
    placeholder: 'specs',
    hostPath: true,
    escapes: true,
  }),
  list('mount', 'the same in words: type=bind,source=/a,destination=/b,ro', {
    append: true,
    split: 'lines',
    placeholder: 'spec',
    hostPath: true,
  }),
  text('home', 'home directory: source[:destination]', {
    short: 'H',
    placeholder: 'spec',
    hostPath: true,
  }),
  toggle('no-home', 'do not bring the home directory in'),
  list('no-mount', 'leave out proc, sys, dev, devpts, home, tmp, cwd, bind-paths or a path', {
    split: 'commas',
    placeholder: 'names',
  }),
  list('scratch', 'an empty directory at this path', {
    short: 'S',
    env: ['SCRATCH', 'SCRATCHDIR'],
    split: 'commas',
    placeholder: 'path',
  }),
  path('workdir', 'host directory behind /tmp, /var/tmp, home and scratch of --contain', {
    short: 'W',
    hostPath: true,
  }),
  path('cwd', 'working directory of the command', {
    env: ['CWD', 'TARGET_CWD', 'PWD', 'TARGET_PWD'],
    aliases: ['pwd'],
  }),
  toggle('writable', 'change the image itself: a directory, an ext3, or the overlay in a SIF', {
    short: 'w',
  }),
  toggle('writable-tmpfs', 'changes are kept in memory, at most =SIZE of them, and forgotten', {
    optionalValue: 'size',
  }),
  list('overlay', 'keep changes in this directory or ext3, or add a squashfs; :ro only reads it', {
    short: 'o',
    env: ['OVERLAY', 'OVERLAYIMAGE'],
    split: 'commas',
    placeholder: 'path',
    hostPath: true,
  }),
  toggle('underlay', 'make missing mount points by binds, without an overlay', { hidden: true }),
  list('fusemount', 'what a FUSE program serves: host:PROGRAM ARGUMENTS /MOUNTPOINT', {
    env: ['FUSESPEC'],
    personal: true,
    split: 'never',
    placeholder: 'spec',
  }),
  list('data', 'bring the files of a data container in, read-only: image:destination', {
    env: [],
    split: 'commas',
    placeholder: 'specs',
    hostPath: true,
  }),
  list('containlibs', 'libraries of the host to bring in', {
    hidden: true,
    split: 'commas',
    placeholder: 'paths',
    hostPath: true,
  }),
])

const isolationFlags = grouped('Isolation:', [
  toggle('contain', 'own /dev, /tmp and home instead of those of the host', { short: 'c' }),
  toggle('containall', 'contain, and own processes, IPC and environment', { short: 'C' }),
  toggle('compat', 'as Docker does: containall, no-init, no-umask, no-eval, writable-tmpfs'),
  toggle('no-compat', 'with --oci: files, environment and processes as without it', { hidden: true }),
  toggle('pid', 'own process ids', { short: 'p', env: ['PID', 'UNSHARE_PID'] }),
  toggle('no-pid', 'share process ids in spite of --containall'),
  toggle('no-init', 'the command itself is process 1', { env: ['NOSHIMINIT', 'NO_INIT'] }),
  toggle('ipc', 'own System V IPC and message queues', { short: 'i', env: ['IPC', 'UNSHARE_IPC'] }),
  toggle('uts', 'own host name', { env: ['UTS', 'UNSHARE_UTS'] }),
  text('hostname', 'host name inside', { placeholder: 'name' }),
  toggle('net', 'own network: loopback only, a bridge for root', { short: 'n', env: ['NET', 'UNSHARE_NET'] }),
  text('network', 'kind of the own network: none, pasta, slirp4netns; for root bridge, ptp, ... (CNI)', {
    placeholder: 'name',
  }),
  list('network-args', 'for the own network: portmap=8080:80/tcp, as root also IP=10.22.0.5', {
    split: 'commas',
    placeholder: 'arguments',
  }),
  path('netns-path', 'join this network namespace (root)'),
  list('dns', 'name servers', { split: 'commas', placeholder: 'addresses' }),
  toggle('no-umask', 'umask 0022 instead of the one of the caller'),
  toggle(
    'sharens',
    'one container for all processes of one parent (MPI ranks have it by themselves; =false: not)',
  ),
])

const identityFlags = grouped('Identity:', [
  toggle('fakeroot', 'be root inside', { short: 'f' }),
  toggle('userns', 'use a user namespace, also as root', { short: 'u', env: ['USERNS', 'UNSHARE_USERNS'] }),
  ...fakerootFlags,
  toggle('no-setgroups', 'nobody inside can leave the supplementary groups of the caller', { hidden: true }),
  toggle('keep-privs', 'root keeps all capabilities, which is the rule', { hidden: true, personal: true }),
  toggle('no-privs', 'root has no capabilities'),
  list('add-caps', 'capabilities to add', { split: 'commas', placeholder: 'names', personal: true }),
  list('drop-caps', 'capabilities to drop', { split: 'commas', placeholder: 'names' }),
  toggle('allow-setuid', 'setuid programs of the image work (root only)', { hidden: true, personal: true }),
  list('security', 'seccomp:FILE, apparmor:PROFILE, selinux:CONTEXT, uid:N or gid:N', {
    split: 'commas',
    placeholder: 'specs',
    personal: true,
  }),
])

const environmentFlags = grouped('Environment and command:', [
  list('env', 'set NAME=value', { env: [], split: 'never', placeholder: 'NAME=value', adds: true }),
  list('env-file', 'set what this file assigns', {
    split: 'commas',
    placeholder: 'file',
    hostPath: true,
    personal: true,
    adds: true,
  }),
  toggle('cleanenv', 'do not pass the environment on', { short: 'e' }),
  list('no-env', 'variables not to pass on', {
    env: ['NOENV', 'NO_ENV'],
    split: 'commas',
    placeholder: 'names',
  }),
  toggle('no-eval', 'take values and arguments as they are, without the shell'),
  text('app', 'an application of the image (SCIF)', { env: ['APP', 'APPNAME'], placeholder: 'name' }),
  text('runscript-timeout', 'no effect: the runscript may take as long as it needs', {
    hidden: true,
    notice: '--runscript-timeout has no effect: the runscript may take as long as it needs',
  }),
])

const deviceFlags = grouped('Devices:', [
  toggle('nv', 'NVIDIA GPUs: libraries, programs and devices of the driver'),
  toggle('rocm', 'AMD GPUs: libraries, programs and devices of the driver'),
  toggle('no-nv', 'take --nv back', { env: ['NV_OFF', 'NO_NV'], hidden: true }),
  toggle('no-rocm', 'take --rocm back', { env: ['ROCM_OFF', 'NO_ROCM'], hidden: true }),
  toggle('nvccli', 'GPUs by nvidia-container-cli', {
    hidden: true,
    refused: 'that program works only with privilege; use --nv, or --device with a CDI file',
    personal: true,
  }),
  toggle('intel-hpu', 'Intel Gaudi accelerators: those of HABANA_VISIBLE_DEVICES'),
  list('device', 'devices of CDI files: vendor.com/class=name', {
    env: [],
    split: 'commas',
    placeholder: 'names',
  }),
  list('cdi-dirs', 'directories of CDI files instead of /etc/cdi and /var/run/cdi', {
    env: [],
    split: 'commas',
    placeholder: 'paths',
    personal: true,
    hostPath: true,
  }),
])

export const resourceFlags = grouped('Resources:', [
  path('apply-cgroups', 'limits from a file of OCI resources (TOML)', { placeholder: 'file' }),
  number('blkio-weight', 'weight of block input and output, 10 to 1000'),
  list('blkio-weight-device', 'the same for a device: /dev/sda:500', { placeholder: 'device:weight' }),
  number('cpu-shares', 'weight of processor time, 1024 is usual'),
  // The peers read CPU_SHARES here too, a slip that gives one variable two meanings.
  text('cpus', 'number of processors, such as 1.5', { placeholder: 'number' }),
  text('cpuset-cpus', 'processors to run on, such as 0-3,7', { placeholder: 'numbers' }),
  text('cpuset-mems', 'memory nodes to use', { placeholder: 'numbers' }),
  text('memory', 'memory, such as 512M', { placeholder: 'size' }),
  text('memory-reservation', 'memory that is always left', { placeholder: 'size' }),
  text('memory-swap', 'memory and swap together; -1: as much swap as there is', { placeholder: 'size' }),
  toggle('oom-kill-disable', 'wait instead of ending processes when memory runs out (cgroup v1)'),
  number('pids-limit', 'number of processes'),
])

const imageFlags = grouped('Image:', [
  path('tmpdir', 'directory for temporary files', { hidden: true, hostPath: true }),
  toggle('unsquash', 'unpack the image into a temporary directory first', {
    env: ['UNSQUASH', 'TMP_SANDBOX'],
    aliases: ['tmp-sandbox'],
  }),
  toggle('no-tmp-sandbox', 'never unpack the image'),
  toggle('sif-fuse', 'no effect: images are always mounted through FUSE', { hidden: true }),
  path('proot', 'no effect: proot is never used', {
    hidden: true,
    personal: true,
    notice: '--proot has no effect: proot is never used',
  }),
  toggle('keep-layers', 'no effect: a container sees all layers as one', {
    hidden: true,
    notice: '--keep-layers has no effect here: a container sees all layers as one; it is for sing pull',
  }),
  toggle('oci', 'as an OCI runtime does: --compat, and the working directory and user that the image names'),
  toggle('no-oci', 'take --oci back', { hidden: true }),
])

const trustFlags = grouped('Signatures:', [
  toggle('verify', 'start the image only if its signatures hold and are by keys of your rings'),
  toggle('no-verify', 'take --verify and the configuration back', { personal: true }),
])

const configurationFlags = grouped('Configuration:', [
  list('profile', 'use the flags of these profiles of the configuration', {
    split: 'commas',
    placeholder: 'names',
    once: true,
  }),
  toggle('plan', 'print what would be done, and why, and do nothing (also --dry-run)', {
    env: [],
    once: true,
    aliases: ['dry-run'],
  }),
  toggle('json', 'print the plan as JSON', { env: [], once: true }),
])

/** Whoever has this flag has defaults from the configuration. */
export const profileFlag = configurationFlags[0] as Flag

/** Flags of exec, run, shell and test. */
export const launchFlags: readonly Flag[] = [
  ...fileFlags,
  ...isolationFlags,
  ...identityFlags,
  ...environmentFlags,
  ...deviceFlags,
  ...resourceFlags,
  ...imageFlags,
  ...trustFlags,
  ...configurationFlags,
  ...encryptionFlags,
  ...registryFlags,
]

/** Flags of shell alone. */
export const shellFlags: readonly Flag[] = grouped('Environment and command:', [
  path('shell', 'the program to use as shell', { short: 's' }),
])

/** Flags that a launch may have by any of its commands; those that configuration files know. */
export const allLaunchFlags: readonly Flag[] = [...launchFlags, ...shellFlags]
