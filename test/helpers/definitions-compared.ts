/** Images of one definition as lines of text: what counts of them, and what may differ between builders and why. */

import { behaviourOf, type Runtime } from './image-behaviour.ts'
import { differences, type Tree, treeOf } from './image-tree.ts'

/** Files whose words each builder chooses; that they mean the same is seen when the image is used. */
const ownTexts = [
  // Fallbacks for chroots; runtimes bring their own.
  /^\/\.singularity\.d\/actions\//,
  /^\/\.singularity\.d\/env\/(01-base|10-docker2singularity|94-appsbase|95-apps|99-base|99-runtimevars)\.sh$/,
  /^\/scif\/apps\/[^/]+\/scif\/env\/01-base\.sh$/,
  // Looked at by `inspect`: version and date stand there.
  /^\/\.singularity\.d\/labels\.json$/,
]

/** What definitions say: comments and empty lines at its rims are each builder's own. */
const saidTexts = /^\/(\.singularity\.d\/([^/]*|env\/9[01]-environment\.sh)|scif\/apps\/[^/]+\/scif\/.*)$/

const essence = (text: string): string =>
  text
    .replaceAll('\r', '')
    .split('\n')
    .filter((line, index) => index === 0 || !/^\s*(#|$)/.test(line))
    .join('\n')

/** Words that are not the same in two builds of whatever builder, and names that the builders have for the same. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/\b(Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day_\d+_\w+_\d+_[\d:]+_\w+/g, 'DATE'],
  [/usage\.apptainer\.runscript/g, 'usage.singularity.runscript'],
  [/bootstrap_history\/Apptainer/g, 'bootstrap_history/Singularity'],
]

const normalised = (text: string): string =>
  replacements.reduce((now, [from, to]) => now.replace(from, to), text)

/**
 * Labels of versions and headers, of which those of the base go here and stay there, what younger ones say of the base, and a
 * script that is each builder's own.
 */
const ownNames =
  /usage\.(apptainer|singularity)\.version$|deffile\.(include|osversion)$|^org\.opencontainers\.image\.base\.(name|digest)$|\/10-docker2singularity\.sh$/

/** JSON with sorted names, and only what counts of its texts. */
function sortedJson(text: string): string {
  const sort = (value: unknown): unknown => {
    if (typeof value === 'string') return essence(value)
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).filter(([name]) => !ownNames.test(name))
    const sorted = entries.sort(([one], [other]) => (one < other ? -1 : 1))
    return Object.fromEntries(sorted.map(([name, one]) => [name, sort(one)]))
  }
  return JSON.stringify(sort(JSON.parse(text)), undefined, 1)
}

function judged(answer: string): string[] {
  const [question = '', ...rest] = normalised(answer).split('\n')
  return question.startsWith('$ inspect')
    ? [question, ...sortedJson(rest.join('\n')).split('\n')]
    : [question, ...rest]
}

/** The files of an image, ready to be compared. */
export async function filesOf(image: string): Promise<Tree> {
  const tree = await treeOf(image, {
    isOwnText: (path) => ownTexts.some((own) => own.test(path)),
    contentOf: (text, path) => (saidTexts.test(path) ? essence(text) : text),
  })
  return new Map([...tree].map(([path, line]) => [normalised(path), line]))
}

/** Files of the image that are not as in `base`, a line each. */
export async function fileLines(image: string, base: Tree, withOwners: boolean): Promise<string[]> {
  return differences(await filesOf(image), base, withOwners)
}

/** What the image does and says, line after line; the folder that it lies in does not count. */
export async function behaviourLines(image: string, folder: string, runtime: Runtime): Promise<string[]> {
  return (await behaviourOf(image, runtime)).flatMap((answer) => judged(answer.replaceAll(folder, 'FOLDER')))
}

/** Lines that Apptainer's image has otherwise, or in one of a few definitions. */
const explained: readonly { readonly in?: RegExp; readonly lines: RegExp; readonly why: string }[] = [
  {
    lines: /^\/(var\/)?tmp directory /,
    why: 'directories for everybody have the mode 1777, where Apptainer makes them 0755',
  },
  {
    in: /^(files|compile)-stages$/,
    lines: /^\/(both|by-link|out|second|opt\/answer) directory /,
    why: 'a directory from a stage keeps its mode',
  },
  {
    in: /^(debian-apt|compile-stages|pip-wheel|mpi-style|post-bash)$/,
    lines: /^\/dev\/|^\/etc\/resolv\.conf file/,
    why: 'what a base has in /dev stays, and so does the mode of its resolv.conf',
  },
  {
    in: /^history-3$/,
    lines: /^SCIF_APP\w+_(old|new)=/,
    why: 'apps of the base keep the variables that they have in it',
  },
  {
    in: /^headers$/,
    lines: /^\/\.singularity\.d\/Singularity |^ +"deffile": /,
    why: 'comments before the first header stay in the stored definition',
  },
  {
    in: /^interpreters$/,
    lines: /^\/scif\/apps\/plain\/scif\/runscript |"runscript": /,
    why: 'scripts of apps may name their interpreter too',
  },
  {
    in: /^oci-archive$/,
    lines: /^\/\.singularity\.d\/runscript |"runscript": /,
    why: 'the script that runs ENTRYPOINT and CMD has its own words',
  },
  {
    in: /-archive$/,
    lines: /^\/dir-of-layer/,
    why: 'owners that layers give are kept, not only those of root',
  },
  {
    in: /^hard-links$/,
    lines: /^\/links\/busybox /,
    why: 'a new name of a file of the base is a file of its own',
  },
]

/** The lines of an image of a definition without those that may differ from Apptainer's. */
export const comparable = (name: string, lines: readonly string[]): string[] =>
  lines.filter((line) => !explained.some((one) => (one.in?.test(name) ?? true) && one.lines.test(line)))

/** Definitions that Apptainer 1.4 refuses, or fails to build in a test, and why. */
export const refusedByPeer: Readonly<Record<string, string>> = {
  bom: 'it takes the mark for a part of the first keyword',
  'templates-nested': 'it does not fill in defaults that name other arguments',
  'base-ext3': 'it needs a loop device',
}

/** The same with one id alone: it cannot change owners where no fakeroot(1) can run. */
export const refusedWithOneId: readonly string[] = ['modes', 'users']
