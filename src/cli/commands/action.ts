/** exec, run, shell and test. */

import type { Verb } from '../../plan/request.ts'
import type { Command } from '../command.ts'
import { launch } from '../launch.ts'
import { launchFlags, shellFlags } from '../options.ts'

type Action = Exclude<Verb, 'start'>

const examples: Record<Action, string[]> = {
  exec: [
    'sing exec fortune.sif cat /etc/os-release',
    'sing exec --bind /data:/mnt,/scratch fortune.sif ls /mnt',
  ],
  run: ['sing run fortune.sif', './fortune.sif argument'],
  shell: ['sing shell fortune.sif', 'sing shell --fakeroot --writable tree/'],
  test: ['sing test fortune.sif'],
}

function action(verb: Action, usage: string, summary: string, least: number): Command {
  return {
    usage,
    summary,
    examples: examples[verb],
    flags: verb === 'shell' ? [...launchFlags, ...shellFlags] : launchFlags,
    args: [least, Number.POSITIVE_INFINITY],
    action: true,
    run: (call) => launch(verb, call),
  }
}

export const commands: Record<Action, Command> = {
  exec: action('exec', 'exec [options] <image> <command> [argument...]', 'Run a command in a container', 2),
  run: action('run', 'run [options] <image> [argument...]', 'Run the runscript of an image', 1),
  shell: action('shell', 'shell [options] <image>', 'Open a shell in a container', 1),
  test: action('test', 'test [options] <image> [argument...]', 'Run the test of an image', 1),
}
