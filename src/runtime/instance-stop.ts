/** Ends instances, and waits for their end. */

import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { holdNetwork, undo } from './around.ts'
import { killInstance, signal } from './instance-start.ts'
import { type Instance, isRunning } from './instances.ts'

export type StopOptions = {
  /** Absent: what the instance says ends it. */
  readonly signal?: number | undefined
  /** Seconds until it is killed. */
  readonly timeout: number
  readonly force: boolean
  readonly report: Report
}

const LAST_SIGNAL = 64

/** `TERM`, `SIGTERM` or `15`. @throws SingError USAGE */
export function parseSignal(word: string): number {
  const number = Number(word)
  if (/^\d+$/.test(word) && number >= 1 && number <= LAST_SIGNAL) return number
  const name = `SIG${word.toUpperCase().replace(/^SIG/, '')}`
  const known = (constants.signals as Readonly<Record<string, number>>)[name]
  if (known !== undefined) return known
  throw new SingError('USAGE', `"${shown(word)}" is no signal`, {
    hint: 'Name one (TERM, SIGUSR1) or give its number; kill -l lists them',
    status: 255,
  })
}

/** Asks process 1 to end as soon as the payload has; the payload does not get it (addon/starter/instance.c). */
const END = constants.signals.SIGPWR

async function untilEnded(instance: Instance, patience: number): Promise<boolean> {
  const end = performance.now() + patience
  for (let pause = 2; isRunning(instance); pause = Math.min(pause * 2, 100)) {
    if (performance.now() >= end) return false
    await sleep(pause)
  }
  return true
}

async function end(instance: Instance, options: StopOptions): Promise<void> {
  const { mark, stopSignal, boot } = instance
  if (!options.force) {
    signal(mark, options.signal ?? stopSignal)
    if (!boot) signal(mark, END)
    if (await untilEnded(instance, options.timeout * 1000)) return
  }
  await killInstance(mark)
}

/** End an instance with all that runs in it, and take away what is around it. Resolves when it is gone. */
export async function stopInstance(instance: Instance, options: StopOptions): Promise<void> {
  const { around, mark } = instance
  // Plugins clean up in the network, which ends with its last process.
  using network = around.network?.kind === 'plugins' ? holdNetwork(mark.pid) : undefined
  await end(instance, options)
  await undo(around, options.report, network?.path)
}

/** How the payload has ended, as process 1 shows it in the list of processes; undefined while it runs. */
export function statusOf({ mark }: Instance): number | undefined {
  try {
    const title = readFileSync(`/proc/${mark.pid}/cmdline`, 'latin1')
    const status = /^sing-init: ended with (\d+)/.exec(title)?.[1]
    return status === undefined ? undefined : Number(status)
  } catch {
    return undefined
  }
}

/**
 * Wait until the payload of an instance has ended. Resolves with its status.
 * @throws SingError INSTANCE when the instance has ended before anybody could know
 */
export async function waitForStatus(instance: Instance): Promise<number> {
  for (let pause = 5; ; pause = Math.min(pause * 2, 200)) {
    const status = statusOf(instance)
    if (status !== undefined) return status
    if (!isRunning(instance)) {
      throw new SingError('INSTANCE', `instance ${instance.name} was ended before its command was`)
    }
    await sleep(pause)
  }
}
