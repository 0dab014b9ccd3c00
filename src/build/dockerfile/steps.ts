/** Instructions that change files, as steps of a stage. */

import { SingError } from '../../core/errors.ts'
import type { Action } from '../../definition/dockerfile/actions.ts'
import { inShort } from '../../definition/dockerfile/words.ts'
import { surroundingsIdentity } from '../binds.ts'
import { makeDirectoryInside } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import type { Step } from '../steps.ts'
import { Adder } from './adder.ts'
import { Copier, type Copy, copyIdentity, type Giver, requireDirectory, sourcesOf } from './copy.ts'
import { mountsIdentity, requireGivable } from './mounts.ts'
import { modeOf } from './owner.ts'
import { performRun, type Run } from './run.ts'

export type StepSources = {
  /** The context, or the stage or image that a word names. */
  readonly give: (from: string | undefined) => Giver
  readonly buildArguments: Readonly<Record<string, string>>
}

/** The step that does what an instruction says; its errors name the line. */
export function stepOf(action: Action, sources: StepSources, tools: BuildTools): Step {
  const { line } = action
  const place = `${tools.definitionName}:${line}`
  const { identity, run } = atLine(() => performed(action, sources, place, tools), place)
  return {
    title: inShort(action.title),
    line,
    identity: () => located(identity, place),
    run: (root) => located(() => run(root), place),
  }
}

async function located<T>(work: () => Promise<T>, place: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof SingError ? withPlace(error, place) : error
  }
}

function atLine<T>(work: () => T, place: string): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof SingError ? withPlace(error, place) : error
  }
}

/** The error with the line of the Dockerfile in front, unless it names it. */
export function withPlace(error: SingError, place: string): SingError {
  if (error.message.includes(place) || error.code === 'INTERRUPTED') return error
  const { code, message, hint, status } = error
  return new SingError(code, `${place}: ${message}`, { hint, status, cause: error })
}

type Performed = Pick<Step, 'identity' | 'run'>

function performed(action: Action, sources: StepSources, place: string, tools: BuildTools): Performed {
  if ('mode' in action && action.mode !== undefined) modeOf(action.mode)
  switch (action.kind) {
    case 'workdir':
      return {
        identity: async () => ['workdir', action.path],
        run: async (root) => void makeDirectoryInside(root, action.path),
      }
    case 'run':
      requireGivable(action.mounts, place)
      return runStep(action, sources, tools)
    case 'copy':
      return copyStep(action, sources, tools)
    case 'add':
      return new Adder(action, sources, tools)
  }
}

function runStep(run: Run, { give, buildArguments }: StepSources, tools: BuildTools): Performed {
  return {
    async identity() {
      const { line: _, title: __, textLine: ___, ...words } = run
      const mounts = await mountsIdentity(run.mounts, give, tools)
      const surroundings = surroundingsIdentity(tools)
      return mounts && surroundings && ['run', JSON.stringify(words), ...mounts, ...surroundings]
    },
    run: (root) => performRun(run, root, (from) => give(from).open(), buildArguments, tools),
  }
}

function copyStep(copy: Copy, { give }: StepSources, tools: BuildTools): Performed {
  return {
    identity: () => copyIdentity(copy, give(copy.from), tools),
    async run(root) {
      const origin = await give(copy.from).open()
      const found = sourcesOf(copy, origin)
      const count = found.length + copy.texts.length
      requireDirectory(copy, count)
      const copier = new Copier(copy, root, tools)
      for (const source of found) await copier.take(source, origin, count > 1)
      for (const { name, text } of copy.texts) await copier.text(name, text, count > 1)
    },
  }
}
