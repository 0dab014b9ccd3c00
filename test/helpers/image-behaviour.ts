/** What an image does and says about itself when it is used. */

import type { Outcome } from './sing.ts'

/** Runs the runtime that uses the image. */
export type Runtime = (args: readonly string[]) => Promise<Outcome>

/** Variables of whoever runs the image, not of the image. */
const ofRuntime =
  /^(SING_|SINGULARITY_|APPTAINER_|(PROMPT_COMMAND|PS1|HOME|PWD|OLDPWD|SHLVL|USER_PATH|_|LANG|TERM|SCIF_APPS)=)/

const environmentOf = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line !== '' && !ofRuntime.test(line))
    .sort()
    .join('\n')

/** Each thing that is asked of an image or of one of its apps, and what counts of the answer. */
const questions: readonly {
  readonly args: readonly string[]
  readonly words?: readonly string[]
  readonly of?: (text: string) => string
}[] = [
  { args: ['run'], words: ['one', 'two three', '$HOME'] },
  { args: ['test'], words: ['given'] },
  { args: ['run-help'] },
  { args: ['exec', '--cleanenv'], words: ['/bin/env'], of: environmentOf },
]

/** Answers of the image, one text for each question. */
export async function behaviourOf(image: string, runtime: Runtime): Promise<string[]> {
  const { stdout } = await runtime(['inspect', '--list-apps', image])
  const apps = stdout.split('\n').filter((name) => name !== '')
  const answers: string[] = []
  for (const app of [undefined, ...apps]) {
    const which = app === undefined ? [] : ['--app', app]
    for (const { args, words = [], of = (text: string) => text } of questions) {
      const { status, stdout } = await runtime([...args, ...which, image, ...words])
      answers.push(`$ ${[...args, ...which, 'IMAGE', ...words].join(' ')}\n${of(stdout)}[${status}]`)
    }
  }
  const { stdout: all } = await runtime(['inspect', '--all', image])
  return [...answers, `$ inspect --all IMAGE\n${all}`]
}
