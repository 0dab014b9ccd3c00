/** The flags of the peers that start containers, each with its variables: none is missing, none is passed over. */

import { expect, it } from 'vitest'
import { globalFlags, launchFlags } from '../../../src/cli/options.ts'
import { parseFlags } from '../../../src/cli/parse.ts'

/** Flags whose variable is their name in capitals. */
const named = `add-caps allow-setuid apply-cgroups blkio-weight blkio-weight-device cleanenv compat contain
  containall containlibs cpu-shares cpuset-cpus cpuset-mems disable-cache dns docker-host docker-login docker-password
  docker-username drop-caps env-file fakeroot home hostname ignore-fakeroot-command ignore-subuid ignore-userns intel-hpu
  keep-layers keep-privs memory memory-reservation memory-swap mount netns-path network network-args no-compat
  no-eval no-home no-mount no-oci no-privs no-setgroups no-tmp-sandbox no-umask nv nvccli oci oom-kill-disable pids-limit
  rocm security sharens tmpdir underlay unsquash workdir writable writable-tmpfs`

/** Flags with other variables, or none. */
const others = `app=APP,APPNAME authfile=AUTH_FILE,AUTHFILE bind=BIND,BINDPATH cwd=CWD,TARGET_CWD,PWD,TARGET_PWD data= env=
  fusemount=FUSESPEC ipc=IPC,UNSHARE_IPC net=NET,UNSHARE_NET no-env=NOENV no-https=NOHTTPS,NO_HTTPS
  no-init=NOSHIMINIT,NO_INIT no-nv=NV_OFF,NO_NV no-rocm=ROCM_OFF,NO_ROCM overlay=OVERLAY,OVERLAYIMAGE passphrase= pem-path=
  pid=PID,UNSHARE_PID scratch=SCRATCH,SCRATCHDIR unsquash=TMP_SANDBOX userns=USERNS,UNSHARE_USERNS uts=UTS,UNSHARE_UTS`

const words = (text: string): string[] => text.split(/\s+/)
const peers: [string, string[]][] = [
  ...words(named).map((name): [string, string[]] => [name, [name.toUpperCase().replaceAll('-', '_')]]),
  ...words(others).map((pair): [string, string[]] => {
    const [name = '', keys = ''] = pair.split('=')
    return [name, keys ? keys.split(',') : []]
  }),
]

const flagOf = (name: string) => launchFlags.find((flag) => flag.name === name)

/** A value that a variable can give the flag, and what is read from it. */
const samples = {
  boolean: ['1', true],
  number: ['7', 7],
  string: ['a text', 'a text'],
  list: ['a', ['a']],
} as const

it.each(peers)('--%s is known', (name) => {
  expect(flagOf(name)).toBeDefined()
})

const prefixes = ['SING_', 'APPTAINER_', 'SINGULARITY_']
const variables = peers.flatMap(([name, keys]) =>
  keys.flatMap((key) => prefixes.map((prefix): [string, string] => [name, prefix + key])),
)

it.each(variables)('--%s is given by %s', async (name, variable) => {
  const flag = flagOf(name)
  if (!flag) throw new Error('it is not known')
  const [text, value] = samples[flag.kind]
  const parsed = parseFlags([], launchFlags, { [variable]: text })
  if (flag.refused ?? flag.later) await expect(parsed).rejects.toThrow(variable)
  else expect((await parsed).flags).toEqual({ [name]: value })
})

it.each(peers.filter(([, keys]) => keys.length === 0))('--%s is given by no variable', async (name) => {
  const key = name.toUpperCase().replaceAll('-', '_')
  expect((await parseFlags([], launchFlags, { [`SINGULARITY_${key}`]: '1' })).flags).toEqual({})
})

it.each([
  ['config', 'CONFIG_FILE'],
  ['debug', 'DEBUG'],
  ['nocolor', 'NOCOLOR'],
  ['quiet', 'QUIET'],
  ['silent', 'SILENT'],
  ['verbose', 'VERBOSE'],
])('--%s before the command is given by %s', async (name, key) => {
  const kind = globalFlags.find((flag) => flag.name === name)?.kind ?? 'list'
  const [text, value] = samples[kind]
  for (const prefix of prefixes)
    expect((await parseFlags([], globalFlags, { [prefix + key]: text })).flags).toEqual({ [name]: value })
})
