/**
 * The launch spec: everything the starter does, in order, as a value. The contract with `addon/starter/spec.c`;
 * `docs/launch-spec.md` tells the meaning of each field and its wire form.
 */

export const specVersion = '1'

export type Namespace = 'user' | 'mount' | 'pid' | 'ipc' | 'uts' | 'net'

/** `count` ids beginning at `inside` appear for those beginning at `outside`. */
export type IdRange = { readonly inside: number; readonly outside: number; readonly count: number }

/** What to do when the place of an operation does not exist in the new root. */
export type Missing = 'create' | 'skip' | 'fail'

/** A line of a passwd-like file that must be there. */
export type RecordLine = {
  /** The whole line, fields separated by colons. */
  readonly line: string
  /** Lines that have any of these values (field index, value) are the same record. */
  readonly same: readonly (readonly [number, string])[]
  /** `replace` puts the line in place of the same records, `absent` adds it only when there is none. */
  readonly when: 'replace' | 'absent'
  /** Fields whose value in the first replaced record is kept, when it is not empty. */
  readonly keep: readonly number[]
}

export type Op =
  /** Mount the squashfs at [offset, offset+size) of a host file as the layer. */
  | {
      readonly op: 'squashfs'
      readonly layer: string
      readonly file: string
      readonly offset: number
      readonly size: number
      /** `kernel`: through a loop device, and through FUSE when the kernel refuses. */
      readonly mount: 'fuse' | 'kernel'
      /** Show every file as owned by these ids (inside the namespace) instead of the recorded owners. */
      readonly owner?: { readonly uid: number; readonly gid: number } | undefined
      /** The file belongs to a cache: a shared lock shows that it is in use. */
      readonly held?: true | undefined
      /** The descriptor of what opens it, when it is encrypted; the starter closes it before the payload runs. */
      readonly key?: number | undefined
    }
  /** Mount the ext3 at [offset, offset+size) of a host file as the layer. */
  | {
      readonly op: 'ext3'
      readonly layer: string
      readonly file: string
      readonly offset: number
      readonly size: number
      /** `read` leaves the file as it is, to the last byte; `write` excludes everybody else. */
      readonly access: 'read' | 'write'
      /** Show every file as owned by these ids (inside the namespace), and let modes not count. */
      readonly owner?: { readonly uid: number; readonly gid: number } | undefined
      /** Through a loop device, and by the program when the kernel refuses. */
      readonly kernel: boolean
      /** fuse2fs. */
      readonly program?: string | undefined
    }
  /** A host directory as the layer; `locked`: it takes changes, and those of nobody else meanwhile. */
  | {
      readonly op: 'directory'
      readonly layer: string
      readonly from: string
      readonly locked?: boolean | undefined
    }
  /** A new tmpfs as the layer; size in bytes, 0 = the kernel's default. */
  | { readonly op: 'memory'; readonly layer: string; readonly size: number }
  /**
   * The new root: an overlay of layers, topmost first; `NAME/upper` are the changes that the layer NAME keeps. `upper` names
   * a layer that takes changes.
   */
  | {
      readonly op: 'overlay'
      readonly lower: readonly string[]
      readonly upper?: string | undefined
      /** `userxattr`: needed in a user namespace (kernel 5.11). */
      readonly userxattr: boolean
      /** fuse-overlayfs; without it the kernel does it. */
      readonly program?: string | undefined
    }
  /** The new root: one layer as it is. */
  | { readonly op: 'root'; readonly layer: string }
  /** The new root: the entries of a layer, read-only, in memory that mount points can be made in. */
  | { readonly op: 'underlay'; readonly layer: string }
  /** Bind a path inside a layer: a part of a data image. */
  | {
      readonly op: 'layer-bind'
      readonly layer: string
      readonly path: string
      readonly at: string
      readonly missing: Missing
      readonly readonly: boolean
    }
  /** Bind a host path. `recursive` brings along the mounts below it. */
  | {
      readonly op: 'bind'
      readonly from: string
      readonly at: string
      readonly missing: Missing
      readonly recursive: boolean
      readonly readonly: boolean
      /** Keep setuid bits and devices of the source effective (only /dev needs this). */
      readonly trusted: boolean
      /** A failure is a warning, not the end: default mounts that an odd image cannot take. */
      readonly soft: boolean
    }
  | {
      readonly op: 'tmpfs'
      readonly at: string
      readonly missing: Missing
      readonly size: number
      readonly mode: number
    }
  | { readonly op: 'proc'; readonly at: string; readonly missing: Missing }
  | { readonly op: 'sysfs'; readonly at: string; readonly missing: Missing }
  | { readonly op: 'devpts'; readonly at: string; readonly missing: Missing }
  | { readonly op: 'mqueue'; readonly at: string; readonly missing: Missing }
  | { readonly op: 'mkdir'; readonly at: string; readonly mode: number }
  | { readonly op: 'symlink'; readonly at: string; readonly to: string }
  /** A file with this text, in memory, bound at the place. */
  | {
      readonly op: 'file'
      readonly at: string
      readonly text: string
      readonly mode: number
      readonly missing: Missing
    }
  /** The image's passwd-like file with records added or replaced, in memory, bound at the place. */
  | {
      readonly op: 'records'
      readonly at: string
      readonly missing: Missing
      readonly lines: readonly RecordLine[]
    }
  /** A file with the text that came as the answer to `sync`, in memory, bound at the place. */
  | { readonly op: 'answer'; readonly at: string; readonly mode: number; readonly missing: Missing }
  /**
   * What a program serves through FUSE. It gets the place to serve as a last argument /dev/fd/N; one of the host runs
   * outside of the mount namespace with the environment given here, one of the container inside with the payload's.
   */
  | {
      readonly op: 'fuse'
      readonly at: string
      readonly missing: Missing
      readonly side: 'host' | 'container'
      readonly words: readonly string[]
      /** `NAME=value`. */
      readonly environment: readonly string[]
    }
  /** Setuid bits at the place work: for root of the host alone. */
  | { readonly op: 'allow-setuid'; readonly at: string }
  /** Make the mount at the place read-only from here on. */
  | { readonly op: 'readonly'; readonly at: string }

export type BindOptions = {
  readonly missing?: Missing
  readonly readonly?: boolean
  readonly trusted?: boolean
  readonly soft?: boolean
  readonly recursive?: boolean
}

/** A bind that makes its place, brings the mounts below along, and gives no more rights than its source. */
export function bindOp(from: string, at: string, options: BindOptions = {}): Op {
  const { missing = 'create', readonly = false, trusted = false, soft = false, recursive = true } = options
  return { op: 'bind', from, at, missing, recursive, readonly, trusted, soft }
}

export type Filter =
  | 'none'
  /** mknod of devices succeeds without doing anything. */
  | 'devices'
  /** chown, set*id, setgroups, capset and mknod of devices succeed without doing anything. */
  | 'fakeroot'
  /** The same, but owners and devices are noted on the files themselves (docs/fakeroot.md). */
  | 'record'
  /** As with `devices`, but they are noted. */
  | 'record-devices'

/**
 * Stop when the namespaces exist, say so, and go on with the answer: an inherited socket to the engine, which sets up a
 * network or limits from outside meanwhile.
 */
export type Sync = {
  readonly descriptor: number
  /** A descriptor that the process outside of the pid namespace keeps open, so that others see the container's end. */
  readonly life?: number | undefined
}

/** A running process, told from a later one with the same pid by when it was started (clock ticks since boot). */
export type ProcessName = { readonly pid: number; readonly started: string }

/** Where processes meet that share one container: a directory of the user's, and a file in it. */
export type Share = { readonly place: string; readonly group: string }

/** A container that nobody waits for: its init outlives the payload. Descriptor 3 is a report to the engine, 4 leads back. */
export type Kept = {
  /** The instance ends with this process; 0: with none. */
  readonly job: number
  /** So many of the first programs are scripts that say by themselves when they have come to their command. */
  readonly confirming: number
}

export type LaunchSpec = {
  readonly namespaces: readonly Namespace[]
  /** Path of a network namespace to join instead of making one. */
  readonly joinNetwork?: string | undefined
  /** Enter the container of this process instead of making one. */
  readonly join?: ProcessName | undefined
  /** Make the container, or enter it when another process of the group has made it. */
  readonly share?: Share | undefined
  readonly ids: {
    readonly uids: readonly IdRange[]
    readonly gids: readonly IdRange[]
    /** Programs that write maps with more than one's own id (newuidmap, newgidmap); absent: the starter writes them. */
    readonly mapper?: { readonly newuidmap: string; readonly newgidmap: string } | undefined
    /** `deny` is what the kernel demands of a map written without privilege (user_namespaces(7)). */
    readonly setgroups: 'allow' | 'deny'
  }
  /** `new`: the ops make a root which is entered by pivot_root; `host`: the ops act on the host's tree. */
  readonly root: 'new' | 'host'
  /** What the host mounts from now on does not appear inside. */
  readonly privateMounts?: boolean | undefined
  /** An image whose signatures hold: where operations open it, it must be as it was then. */
  readonly verified?: { readonly file: string; readonly version: string } | undefined
  readonly ops: readonly Op[]
  readonly hostname?: string | undefined
  readonly process: {
    /** Command lines tried in this order; the next only when a program does not exist. */
    readonly programs: readonly (readonly string[])[]
    /** Working directories tried in this order, inside the root. */
    readonly directories: readonly string[]
    /** The first directory must be entered; others are no substitute. */
    readonly directoryRequired: boolean
    readonly environment: Readonly<Record<string, string>>
    readonly umask?: number | undefined
    /** In a new pid namespace: a small process 1 that reaps and forwards signals. */
    readonly init: boolean
    /** End with the process that started it, which has more to do afterwards. */
    readonly dieWithParent: boolean
    /** End only when all that was written is in its files. */
    readonly stay?: boolean | undefined
  }
  readonly sync?: Sync | undefined
  readonly instance?: Kept | undefined
  /** Soft limit of open files that the caller had; the engine raised it. */
  readonly openFiles?: number | undefined
  readonly security: {
    readonly noNewPrivileges: boolean
    /** `none` drops every capability for good, `all` keeps what is there, a set of the kernel's bits keeps these of it. */
    readonly capabilities: 'none' | 'all' | `0x${string}`
    readonly filter: Filter
    /** Whom to become before the payload runs, inside of the user namespace. */
    readonly user?:
      | { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
      | undefined
    /** What a security module runs the payload as. */
    readonly label?: { readonly module: 'apparmor' | 'selinux'; readonly text: string } | undefined
    /** A filter of the user's, behind our own: flags of seccomp(2), instructions in hexadecimal. */
    readonly seccomp?: { readonly flags: number; readonly program: string } | undefined
  }
  readonly debug: boolean
}

type Field = string | number | boolean

const flag = (value: boolean): string => (value ? '1' : '0')

function opFields(op: Op): Field[] {
  switch (op.op) {
    case 'squashfs':
      return [
        ...[op.layer, op.file, op.offset, op.size, op.mount, op.owner?.uid ?? '', op.owner?.gid ?? ''],
        ...(op.held || op.key !== undefined ? [op.held ?? false] : []),
        ...(op.key === undefined ? [] : [op.key]),
      ]
    case 'ext3':
      return [
        ...[op.layer, op.file, op.offset, op.size, op.access, op.owner?.uid ?? '', op.owner?.gid ?? ''],
        ...[op.kernel, op.program ?? ''],
      ]
    case 'directory':
      return [op.layer, op.from, op.locked ?? false]
    case 'memory':
      return [op.layer, op.size]
    case 'overlay':
      return [op.upper ?? '', op.userxattr, op.program ?? '', ...op.lower]
    case 'root':
    case 'underlay':
      return [op.layer]
    case 'layer-bind':
      return [op.layer, op.path, op.at, op.missing, op.readonly]
    case 'bind':
      return [op.from, op.at, op.missing, op.recursive, op.readonly, op.trusted, op.soft]
    case 'tmpfs':
      return [op.at, op.missing, op.size, op.mode.toString(8)]
    case 'proc':
    case 'sysfs':
    case 'devpts':
    case 'mqueue':
      return [op.at, op.missing]
    case 'mkdir':
      return [op.at, op.mode.toString(8)]
    case 'symlink':
      return [op.at, op.to]
    case 'file':
      return [op.at, op.missing, op.mode.toString(8), op.text]
    case 'records':
      return [
        op.at,
        op.missing,
        ...op.lines.flatMap(({ line, same, when, keep }) => [
          line,
          when,
          same.map(([index, value]) => `${index}=${value}`).join(':'),
          keep.join(':'),
        ]),
      ]
    case 'answer':
      return [op.at, op.missing, op.mode.toString(8)]
    case 'fuse':
      return [op.at, op.missing, op.side, op.words.length, ...op.words, ...op.environment]
    case 'allow-setuid':
    case 'readonly':
      return [op.at]
  }
}

/** Descriptors beside those of the user that the starter has to get. */
export const keysOf = ({ ops }: Pick<LaunchSpec, 'ops'>): number[] =>
  ops.flatMap((op) => (op.op === 'squashfs' && op.key !== undefined ? [op.key] : []))

const syncFields = ({ descriptor, life }: Sync): Field[] =>
  life === undefined ? [descriptor] : [descriptor, life]

function record(name: string, fields: readonly Field[]): string[] {
  return [
    name,
    String(fields.length),
    ...fields.map((field) => (typeof field === 'boolean' ? flag(field) : String(field))),
  ]
}

function powerRecords({ user, label, seccomp }: LaunchSpec['security']): string[] {
  return [
    ...(user ? record('user', [user.uid, user.gid, ...user.groups]) : []),
    ...(label ? record('label', [label.module, label.text]) : []),
    ...(seccomp ? record('seccomp', [seccomp.flags, seccomp.program]) : []),
  ]
}

/**
 * The wire form of a spec: the arguments of the starter, records of `name count field...` in a fixed order, closed by
 * `end 0`. The environment does not appear: it is the starter's own. No string may hold a NUL byte.
 */
export function encodeSpec(spec: LaunchSpec): string[] {
  const { ids, process, security } = spec
  const range = (name: string) => (ids: IdRange) => record(name, [ids.inside, ids.outside, ids.count])
  return [
    ...record('version', [specVersion]),
    ...record('debug', [spec.debug]),
    ...record('namespaces', spec.namespaces),
    ...(spec.joinNetwork === undefined ? [] : record('join-net', [spec.joinNetwork])),
    ...(spec.join ? record('join', [spec.join.pid, spec.join.started]) : []),
    ...(spec.share ? record('share', [spec.share.place, spec.share.group]) : []),
    ...ids.uids.flatMap(range('uid')),
    ...ids.gids.flatMap(range('gid')),
    ...(ids.mapper ? record('mapper', [ids.mapper.newuidmap, ids.mapper.newgidmap]) : []),
    ...record('setgroups', [ids.setgroups]),
    ...(spec.privateMounts ? record('private-mounts', []) : []),
    ...(spec.verified ? record('verified', [spec.verified.file, spec.verified.version]) : []),
    ...record('root', [spec.root]),
    ...spec.ops.flatMap((op) => record(op.op === 'root' ? 'layer-root' : op.op, opFields(op))),
    ...(spec.hostname === undefined ? [] : record('hostname', [spec.hostname])),
    ...(process.umask === undefined ? [] : record('umask', [process.umask.toString(8)])),
    ...record('init', [process.init]),
    ...(process.dieWithParent ? record('die-with-parent', []) : []),
    ...(process.stay ? record('stay', []) : []),
    ...(spec.sync ? record('sync', syncFields(spec.sync)) : []),
    ...(spec.instance ? record('instance', [spec.instance.job, spec.instance.confirming]) : []),
    ...(spec.openFiles === undefined ? [] : record('open-files', [spec.openFiles])),
    ...record('no-new-privileges', [security.noNewPrivileges]),
    ...record('capabilities', [security.capabilities]),
    ...record('filter', [security.filter]),
    ...powerRecords(security),
    ...record('directories', [process.directoryRequired, ...process.directories]),
    ...process.programs.flatMap((program) => record('program', program)),
    ...record('end', []),
  ]
}
