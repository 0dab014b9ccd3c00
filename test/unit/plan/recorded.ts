/** What is planned for the records in fixtures/specs: hosts, requests, and how a decision is written down. */

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defaultConfig } from '../../../src/config/schema.ts'
import type { CgroupFacts } from '../../../src/host/cgroups.ts'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { NetworkFacts } from '../../../src/host/network.ts'
import type { Image } from '../../../src/image/open.ts'
import type { OverlayLayer } from '../../../src/image/overlay.ts'
import { allCapabilities, capabilityBits } from '../../../src/plan/capabilities.ts'
import { planCgroup } from '../../../src/plan/cgroup.ts'
import { parseFuseMount } from '../../../src/plan/fusemount.ts'
import { planIdentity } from '../../../src/plan/identity.ts'
import { parseFlags as parseLimits } from '../../../src/plan/limits.ts'
import { type NetworkPlan, planHelper, planPlugins } from '../../../src/plan/network.ts'
import { type Around, plan } from '../../../src/plan/plan.ts'
import { asInstance, type LaunchRequest, toRequest, type Verb } from '../../../src/plan/request.ts'
import { decideSecurity, parseSecurity } from '../../../src/plan/security.ts'

export const fixtures = fileURLToPath(new URL('../../../fixtures/', import.meta.url))

/** What else is looked up on a machine for those who ask for it. */
type Looked = {
  readonly network: NetworkFacts
  readonly cgroups: CgroupFacts
  readonly capabilities: 'all' | readonly string[]
}

export const hosts = readdirSync(`${fixtures}hosts`).map((name) => name.replace('.json', ''))

function readHost(host: string): HostFacts & { readonly looked: Looked } {
  return { subids: undefined, ...JSON.parse(readFileSync(`${fixtures}hosts/${host}.json`, 'utf8')) }
}

export function factsOf(host: string): HostFacts {
  const { looked: _, ...facts } = readHost(host)
  return facts
}

export const sif: Image = {
  path: '/data/fortune.sif',
  name: 'fortune.sif',
  kind: 'sif',
  rootfs: { file: '/data/fortune.sif', offset: 36864, size: 1048576 },
  arch: 'amd64',
  writable: false,
  bashEnvironment: false,
}
export const sandbox: Image = {
  ...sif,
  path: '/data/tree',
  name: 'tree',
  kind: 'sandbox',
  rootfs: { directory: '/data/tree' },
  writable: true,
}
const partition = { file: sif.path, offset: 2097152, size: 1048576 }
const withOverlay: Image = { ...sif, writable: true, overlays: [{ ...partition, filesystem: 'ext3' }] }
const oci: Image = {
  ...sif,
  oci: { Entrypoint: ['/usr/bin/cowsay', '-n'], Cmd: ['hello'], Env: ['COLOUR=red'] },
}
const layer = { file: sif.path, offset: 11116, size: 1048576 }
const ociSif: Image = {
  ...oci,
  kind: 'oci-sif',
  rootfs: layer,
  overlays: [{ ...layer, offset: 1059692, filesystem: 'squashfs' }],
}

export type Flags = Parameters<typeof toRequest>[1]

type Case = {
  readonly verb?: Verb
  readonly flags?: Flags
  readonly command?: readonly string[]
  readonly image?: Image
  /** What lies behind each path of --overlay. */
  readonly layers?: readonly OverlayLayer[]
  /** It is to be the instance of this name. */
  readonly instance?: string
  /** Where the decision differs; everywhere by default. */
  readonly on?: readonly string[]
}

export const cases: Readonly<Record<string, Case>> = {
  exec: { command: ['cat', '/etc/os-release'] },
  'run-sandbox': { verb: 'run', command: ['a', 'b c'], image: sandbox },
  'run-oci': { verb: 'run', command: ['moo'], image: oci, on: ['laptop'] },
  'run-oci-sif': {
    verb: 'run',
    flags: { env: ['COLOUR=$COLOUR,blue', 'SIZE=1'] },
    image: ociSif,
    on: ['laptop', 'cluster-no-subids', 'root'],
  },
  'run-app': { verb: 'run', flags: { app: 'foo' }, on: ['laptop'] },
  'shell-contain': { verb: 'shell', flags: { contain: true, ipc: true } },
  containall: { flags: { containall: true, workdir: 'w', scratch: ['/scratch'] } },
  compat: { flags: { compat: true }, on: ['laptop', 'old-kernel', 'root'] },
  fakeroot: { flags: { fakeroot: true }, command: ['id'] },
  'fakeroot-ignore-subuid': { flags: { fakeroot: true, 'ignore-subuid': true }, command: ['id'] },
  userns: { flags: { userns: true }, on: ['root', 'root-in-container', 'namespace-one-id'] },
  binds: {
    flags: {
      bind: ['/b:/m/sub', 'a:/m:ro'],
      mount: ['type=bind,source=/c,destination=/n,nonested'],
      env: ['A=1'],
      hostname: 'node',
    },
  },
  places: {
    flags: {
      home: '/data/home:/home/me',
      'no-mount': ['sys', 'tmp', '/etc/localtime'],
      dns: ['192.0.2.1'],
      cwd: '/opt',
    },
    on: ['laptop', 'root'],
  },
  writable: { flags: { writable: true }, image: sandbox },
  'writable-overlay': {
    flags: { writable: true },
    image: withOverlay,
    on: ['laptop', 'cluster-no-subids', 'root', 'no-fuse'],
  },
  'writable-tmpfs': { flags: { 'writable-tmpfs': '1G', cleanenv: true, 'no-home': true } },
  underlay: { flags: { underlay: true }, on: ['laptop', 'root'] },
  'overlay-directory': {
    flags: { overlay: ['/data/changes'] },
    layers: [{ directory: '/data/changes', type: 0xef53 }],
    on: ['laptop', 'cluster-no-subids', 'old-kernel', 'root', 'root-in-container'],
  },
  'overlay-on-lustre': {
    flags: { overlay: ['/scratch/changes'] },
    layers: [{ directory: '/scratch/changes', type: 0x0bd00bd0 }],
    on: ['laptop', 'cluster-no-subids', 'root'],
  },
  'overlay-files': {
    flags: { overlay: ['/data/base.squashfs:ro', '/data/changes.img'] },
    layers: [
      { file: '/data/base.squashfs', offset: 0, size: 4096, filesystem: 'squashfs' },
      { file: '/data/changes.img', offset: 0, size: 67108864, filesystem: 'ext3' },
    ],
    on: ['laptop', 'cluster-no-subids', 'old-kernel', 'root', 'no-fuse'],
  },
  'net-none': { flags: { net: true }, on: ['laptop', 'root', 'namespace-one-id'] },
  'net-ports': {
    flags: { net: true, 'network-args': ['portmap=8080:80/tcp'] },
    on: ['laptop', 'cluster-no-subids', 'old-kernel', 'root'],
  },
  limits: { flags: { memory: '1G', 'pids-limit': 100 }, on: ['laptop', 'cluster-no-subids', 'root'] },
  capabilities: {
    flags: { 'add-caps': 'CAP_NET_RAW', 'drop-caps': 'CAP_CHOWN' },
    on: ['laptop', 'root', 'root-in-container'],
  },
  'capabilities-fakeroot': { flags: { fakeroot: true, 'drop-caps': 'all' }, on: ['laptop', 'root'] },
  'no-privileges': { flags: { 'no-privs': true }, on: ['laptop', 'root'] },
  'other-user': { flags: { security: ['uid:1000', 'gid:1000'] }, on: ['laptop', 'root'] },
  fusemount: { flags: { fusemount: ['container:sshfs server: /far'] }, on: ['laptop', 'root'] },
  'instance-start': {
    verb: 'start',
    command: ['a'],
    instance: 'web',
    on: ['laptop', 'cluster-no-subids', 'root'],
  },
  'instance-boot': { verb: 'start', flags: { boot: true }, instance: 'machine', on: ['root'] },
  gpu: { flags: { nv: true }, on: ['gpu-node'] },
  'gpu-contain': { flags: { nv: true, contain: true }, on: ['gpu-node'] },
}

export const casesOn = (host: string): string[] =>
  Object.keys(cases).filter((name) => cases[name]?.on?.includes(host) ?? host !== 'gpu-node')

/** Requests come to what is looked up for them on the host, as the command line does it. */
function complete(request: LaunchRequest, { flags = {}, layers }: Case, host: string): LaunchRequest {
  const facts = factsOf(host)
  const { capabilities } = readHost(host).looked
  const held = {
    capabilities: capabilityBits(capabilities === 'all' ? allCapabilities : capabilities),
    rootHasAll: true,
    modules: [],
    nameOf: () => undefined,
  }
  const overlays = request.overlays.map((overlay, index) => ({
    ...overlay,
    layers: layers?.slice(index, index + 1) ?? [],
  }))
  const { request: security } = decideSecurity(parseSecurity(flags), planIdentity(request, facts), held)
  const { fusemount } = flags
  const fuseMounts = (Array.isArray(fusemount) ? fusemount : []).map(parseFuseMount)
  return { ...request, overlays, security, ...(fuseMounts.length > 0 ? { fuseMounts } : {}) }
}

function networkOf(
  { network }: LaunchRequest,
  { looked }: { readonly looked: Looked },
): NetworkPlan | undefined {
  switch (network.kind) {
    case 'helper':
      return planHelper(network, looked.network)
    case 'plugins':
      return planPlugins(
        network,
        { configurations: ['/etc/cni/net.d'], programs: ['/usr/lib/cni'] },
        looked.network,
      )
    case 'host':
    case 'none':
    case 'join':
      return undefined
  }
}

type Surroundings = { readonly around?: Around; readonly scope?: readonly string[] }

function surroundings(request: LaunchRequest, flags: Flags, host: string): Surroundings {
  const machine = readHost(host)
  const isRoot = machine.isRoot && !machine.inUserNamespace
  const limits = planCgroup(parseLimits(flags, {}), machine.looked.cgroups, { isRoot, systemd: true })
  if (limits?.kind === 'scope') return { scope: limits.command }
  const network = networkOf(request, machine)
  return limits || network ? { around: { network, cgroups: limits } } : {}
}

/** The decision, or its refusal. */
export function decide(host: string, name: string): unknown {
  const asked = cases[name] ?? {}
  const {
    verb = 'exec',
    flags = {},
    command = verb === 'exec' ? ['true'] : [],
    image = sif,
    instance,
  } = asked
  const facts = factsOf(host)
  try {
    const wanted = toRequest(verb, flags, command, facts, [])
    const request = complete(instance ? asInstance(wanted, instance) : wanted, asked, host)
    const { around, scope } = surroundings(request, flags, host)
    const options = {
      openFiles: 1024,
      debug: false,
      supervised: around !== undefined,
      around,
      sync: { descriptor: 3 },
    }
    // Mounts by reason, environment and identity are in the spec once more.
    const {
      mounts: _,
      inside: __,
      environment: ___,
      ...decided
    } = plan(request, defaultConfig, image, facts, options)
    return scope ? { scope, ...decided } : decided
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint: string }
    return { refused: { code, message, hint } }
  }
}

type Script = { readonly name: string; readonly text: string }

/** The script in a command line: its first line belongs to the launch, the rest is the same for all that are named alike. */
function cutScript(
  word: string,
  { verb = 'exec', flags = {}, image }: Case,
): { first: string; script: Script } {
  const end = word.indexOf('\n')
  const kind = image?.kind === 'oci-sif' ? image.kind : ['compat', 'nv'].find((flag) => flags[flag] === true)
  const name = kind ? `${verb}-${kind}` : verb
  return { first: word.slice(0, end), script: { name: `${name}.sh`, text: word.slice(end + 1) } }
}

type Decision = { readonly spec?: { readonly process: { readonly programs: readonly string[][] } } }

/** A decision without the scripts in it, and the scripts, which are recorded once for all hosts. */
export function record(host: string, name: string): { decision: unknown; scripts: readonly Script[] } {
  const scripts: Script[] = []
  const decision = decide(host, name) as Decision
  const programs = decision.spec?.process.programs.map((words) =>
    words.map((word) => {
      if (!word.includes('\n')) return word
      const { first, script } = cutScript(word, cases[name] ?? {})
      scripts.push(script)
      return `${first} ... scripts/${script.name}`
    }),
  )
  const { spec } = decision
  return {
    decision: spec ? { ...decision, spec: { ...spec, process: { ...spec.process, programs } } } : decision,
    scripts,
  }
}

const widest = 180

/** JSON with as many values on one line as fit: an operation is a line that can be read, and compared. */
export function show(value: unknown, indent = ''): string {
  const flat = JSON.stringify(value, null, 1)?.replace(/\n\s*/g, ' ') ?? 'null'
  if (typeof value !== 'object' || value === null || indent.length + flat.length <= widest) return flat
  const deeper = `${indent}  `
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const entries = Array.isArray(value)
    ? value.map((entry) => deeper + show(entry, deeper))
    : Object.entries(value)
        .filter(([, entry]) => entry !== undefined)
        .map(([key, entry]) => `${deeper}${JSON.stringify(key)}: ${show(entry, deeper)}`)
  return `${open}\n${entries.join(',\n')}\n${indent}${close}`
}
