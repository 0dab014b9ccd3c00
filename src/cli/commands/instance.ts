/** `sing instance ...`: containers in the background. */

import type { Command } from '../command.ts'
import { list, logs, stats, wait } from '../instance-views.ts'
import { restart, start, stop } from '../instances.ts'
import { encryptionFlags, type Flag, launchFlags } from '../options.ts'

const checkpoints = 'there is no checkpointing here; let the program write its own state and start it again'

/** What there is no choice about, because an instance has it always. */
const settled = new Set(['no-pid', 'sharens'])

const startFlags: readonly Flag[] = [
  {
    name: 'boot',
    kind: 'boolean',
    env: ['BOOT'],
    help: "run the image's /sbin/init as process 1 (root)",
    group: 'Instance:',
  },
  {
    name: 'pid-file',
    kind: 'string',
    env: ['PID_FILE'],
    placeholder: 'file',
    help: 'write the process id of the instance to this file',
    group: 'Instance:',
  },
  {
    name: 'dmtcp-launch',
    kind: 'string',
    env: ['DMTCP_LAUNCH'],
    hidden: true,
    help: 'start under DMTCP',
    refused: checkpoints,
  },
  {
    name: 'dmtcp-restart',
    kind: 'string',
    env: ['DMTCP_RESTART'],
    hidden: true,
    help: 'restart from a checkpoint of DMTCP',
    refused: checkpoints,
  },
  ...launchFlags
    .filter(({ name }) => !settled.has(name))
    .map((flag) =>
      flag.name === 'no-init'
        ? { ...flag, notice: '--no-init has no effect: the init of an instance keeps it' }
        : flag,
    ),
]

const user: Flag = {
  name: 'user',
  short: 'u',
  kind: 'string',
  env: ['USER'],
  placeholder: 'name',
  help: 'instances of this user (root)',
}
const json: Flag = { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON' }
const stopFlags: readonly Flag[] = [
  { name: 'force', short: 'F', kind: 'boolean', env: ['FORCE'], help: 'kill at once' },
  {
    name: 'signal',
    short: 's',
    kind: 'string',
    env: ['SIGNAL'],
    placeholder: 'signal',
    help: 'send this instead of SIGINT: a name or a number',
  },
  { name: 'timeout', short: 't', kind: 'number', placeholder: 'seconds', help: 'kill after this time (10)' },
]
const onlyLogs: readonly Flag[] = [
  { name: 'follow', short: 'f', kind: 'boolean', help: 'go on until the instance ends' },
  { name: 'out', kind: 'boolean', help: 'only standard output' },
  { name: 'err', kind: 'boolean', help: 'only standard error' },
]

/** The commands below `instance`, by their word. */
export const subcommands: Record<string, Command> = {
  start: {
    usage: 'instance start [options] <image> <name> [argument...]',
    summary: 'Run the startscript of an image in the background',
    examples: ['sing instance start database.sif db', 'sing exec instance://db ps', 'sing instance stop db'],
    flags: startFlags,
    args: [2, Number.POSITIVE_INFINITY],
    action: true,
    run: (call) => start('start', call),
  },
  run: {
    usage: 'instance run [options] <image> <name> [argument...]',
    summary: 'Run the runscript of an image in the background',
    examples: ['sing instance run tool.sif job --input data'],
    flags: startFlags,
    args: [2, Number.POSITIVE_INFINITY],
    action: true,
    run: (call) => start('run', call),
  },
  list: {
    usage: 'instance list [options] [pattern]',
    summary: 'List instances that run',
    examples: ['sing instance list', "sing instance list --logs 'web*'"],
    flags: [
      { ...json, env: ['JSON'] },
      { name: 'logs', short: 'l', kind: 'boolean', env: ['LOGS'], help: 'show where their output goes' },
      { name: 'all', short: 'a', kind: 'boolean', env: ['ALL'], help: 'instances of all users (root)' },
      user,
    ],
    args: [0, 1],
    run: list,
  },
  stop: {
    usage: 'instance stop [options] <name or pattern...>',
    summary: 'End instances',
    examples: ['sing instance stop db', "sing instance stop 'web*'", 'sing instance stop --all'],
    flags: [
      { name: 'all', short: 'a', kind: 'boolean', env: ['ALL'], help: 'all of your instances' },
      ...stopFlags,
      user,
    ],
    args: [0, Number.POSITIVE_INFINITY],
    run: stop,
  },
  restart: {
    usage: 'instance restart [options] <name>',
    summary: 'End an instance and start it as it was started',
    examples: ['sing instance restart db'],
    flags: [...stopFlags, ...encryptionFlags],
    args: [1, 1],
    run: restart,
  },
  wait: {
    usage: 'instance wait <name>',
    summary: "Wait for the end of an instance's command; its exit status becomes ours",
    examples: ['sing instance run tool.sif job && sing instance wait job'],
    flags: [user],
    args: [1, 1],
    run: wait,
  },
  logs: {
    usage: 'instance logs [options] <name>',
    summary: 'Show what an instance has written',
    examples: ['sing instance logs --follow db'],
    flags: [...onlyLogs, user],
    args: [1, 1],
    run: logs,
  },
  stats: {
    usage: 'instance stats [options] <name>',
    summary: 'Show what an instance uses',
    examples: ['sing instance stats db', 'sing instance stats --json db'],
    flags: [json, { name: 'no-stream', kind: 'boolean', help: 'one look, also on a terminal' }, user],
    args: [1, 1],
    run: stats,
  },
}
