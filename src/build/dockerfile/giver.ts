/** What is said when neither a stage nor an image is behind `--from=`. */

import { SingError, shown } from '../../core/errors.ts'
import type { Giver } from '../../definition/dockerfile/needs.ts'
import { stageNamed, stagesHint } from '../../definition/dockerfile/parse.ts'
import type { Dockerfile } from '../../definition/dockerfile/types.ts'
import { withPlace } from './steps.ts'

/** Names and numbers of stages look like this, paths and references with a registry, a scheme or a tag do not. */
const isName = (word: string): boolean => /^[\w.-]+$/.test(word) && word !== 'scratch'

/** The failure of an image that only files are taken from, where a word may as well be a mistyped stage. */
export function noSuchGiver(error: SingError, { word, line, below }: Giver, file: Dockerfile): SingError {
  const place = `${file.name}:${line}`
  if (!isName(word) || error.code === 'INTERRUPTED') return withPlace(error, place)
  const { code, message, status } = error
  const isBelow = stageNamed(file.stages, word, file.stages.length, true) !== undefined
  const text = isBelow
    ? `the stage ${shown(`"${word}"`)} is not above this line`
    : `there is no stage called ${shown(`"${word}"`)}`
  const hint = isBelow
    ? 'Only stages above can be copied from: move it up'
    : (stagesHint(file.stages.slice(0, below), word) ?? error.hint)
  return new SingError(code, `${place}: ${text}, and as an image: ${message}`, {
    hint,
    status,
    cause: error,
  })
}
