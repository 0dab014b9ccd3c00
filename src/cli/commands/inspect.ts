/** `sing inspect`: what an image says about itself, as text or JSON. */

import { SingError, shown } from '../../core/errors.ts'
import { type AppAttributes, type Attributes, inspectJson, metadata, sorted } from '../../image/contents.ts'
import type { Call, Command, Flags } from '../command.ts'
import type { Flag } from '../options.ts'
import { unlockFor } from '../unlock.ts'

type Part = keyof Attributes & string

/** In the order of the text output. */
const parts: readonly (readonly [flag: string, part: Part])[] = [
  ['list-apps', 'apps'],
  ['deffile', 'deffile'],
  ['runscript', 'runscript'],
  ['startscript', 'startscript'],
  ['test', 'test'],
  ['helpfile', 'helpfile'],
  ['environment', 'environment'],
  ['labels', 'labels'],
]

const flags: readonly Flag[] = [
  { name: 'all', kind: 'boolean', help: 'show everything of the image and its apps, as JSON' },
  { name: 'app', kind: 'string', placeholder: 'name', help: 'show what belongs to an app' },
  { name: 'deffile', short: 'd', kind: 'boolean', help: 'show the definition file' },
  { name: 'environment', short: 'e', kind: 'boolean', help: 'show the environment scripts' },
  { name: 'helpfile', short: 'H', kind: 'boolean', help: 'show the help text' },
  { name: 'json', short: 'j', kind: 'boolean', help: 'print JSON instead of text' },
  { name: 'labels', short: 'l', kind: 'boolean', help: 'show the labels (default)' },
  { name: 'list-apps', kind: 'boolean', help: 'list the apps' },
  { name: 'runscript', short: 'r', kind: 'boolean', help: 'show the runscript' },
  {
    name: 'sbom',
    kind: 'boolean',
    optionalValue: ['spdx', 'cyclonedx'],
    help: 'list the packages in the image; with --json the document (spdx or cyclonedx)',
  },
  {
    name: 'sbom-files',
    kind: 'boolean',
    help: 'with --sbom: the files of packages, too, where no list is stored',
  },
  { name: 'startscript', short: 's', kind: 'boolean', help: 'show the startscript' },
  { name: 'test', short: 't', kind: 'boolean', help: 'show the test script' },
]

async function run(call: Call): Promise<number> {
  const {
    args: [path = ''],
    flags,
    context,
  } = call
  if (flags.app === '') throw new SingError('USAGE', '--app needs the name of an app')
  if (flags.sbom) {
    await (await import('../inspect-sbom.ts')).inspectSbom(call)
    return 0
  }
  const attributes = await metadata(path, context.report, unlockFor(call))
  const wanted = wantedParts(flags)
  if (flags.json || flags.all) {
    const chosen = flags.all ? attributes : select(attributes, wanted, flags)
    context.print(`${inspectJson(chosen, '\t')}\n`)
  } else {
    context.print(wanted.map((part) => text(ownerOf(attributes, part, flags), part)).join(''))
  }
  return 0
}

function wantedParts(flags: Flags): Part[] {
  const chosen = parts.filter(([flag]) => flags[flag]).map(([, part]) => part)
  return chosen.length > 0 ? chosen : ['labels']
}

/** An app has these of its own; the definition and the list of apps are the image's even when an app is asked for. */
const appParts: readonly Part[] = ['runscript', 'startscript', 'test', 'helpfile', 'environment', 'labels']

/** Where a part is found; an app that is not there has none. */
function ownerOf(attributes: Attributes, part: Part, { app }: Flags): Attributes {
  if (typeof app !== 'string' || !appParts.includes(part)) return attributes
  return new Map(Object.entries(attributes.apps ?? {})).get(app) ?? {}
}

function select(attributes: Attributes, wanted: readonly Part[], flags: Flags): Attributes {
  const chosen = (owner: Attributes | AppAttributes, from: readonly Part[]) =>
    Object.fromEntries(Object.entries(owner).filter(([part]) => from.includes(part as Part)))
  if (typeof flags.app !== 'string') return chosen(attributes, wanted)
  const ofImage = wanted.filter((part) => !appParts.includes(part))
  const ofApp = wanted.filter((part) => appParts.includes(part))
  const app = chosen(ownerOf(attributes, 'labels', flags), ofApp)
  const apps = Object.keys(app).length > 0 ? { apps: Object.fromEntries([[flags.app, app]]) } : {}
  return { ...apps, ...chosen(attributes, ofImage) }
}

function text(owner: Attributes, part: Part): string {
  switch (part) {
    case 'apps':
      return lines(sorted(Object.keys(owner.apps ?? {})).map(shown))
    case 'labels': {
      const labels = new Map(Object.entries(owner.labels ?? {}))
      return lines(sorted([...labels.keys()]).map((key) => `${shown(key)}: ${shown(labels.get(key) ?? '')}`))
    }
    case 'environment': {
      const scripts = new Map(Object.entries(owner.environment ?? {}))
      return lines(
        sorted([...scripts.keys()]).map((path) => `=== ${shown(path)} ===\n${scripts.get(path) ?? ''}\n`),
      )
    }
    case 'deffile':
    case 'runscript':
    case 'startscript':
    case 'test':
    case 'helpfile':
      return lines(owner[part] === undefined ? [] : [owner[part]])
  }
}

const lines = (texts: readonly string[]) => texts.map((line) => `${line}\n`).join('')

export const command: Command = {
  usage: 'inspect [options] <image>',
  summary: 'Show what an image says about itself',
  description:
    'Labels are shown unless other parts are asked for. Nothing of the image is run; what a SIF stores about itself is ' +
    'enough, so encrypted images can be inspected too.',
  examples: [
    'sing inspect fortune.sif',
    'sing inspect --deffile fortune.sif',
    'sing inspect --json --app foo fortune.sif',
  ],
  flags,
  args: [1, 1],
  run,
}
