/** SCIF apps: their directories and scripts below /scif, and the variables by which an image makes them known. */

import { readdirSync } from 'node:fs'
import type { Report } from '../core/events.ts'
import { parseLabels } from '../definition/labels.ts'
import { joinPieces, ownPiece, type Piece } from '../definition/pieces.ts'
import { imageScript } from '../definition/script.ts'
import { isAppName } from '../definition/sections.ts'
import type { App, Stage } from '../definition/types.ts'
import { copyFiles } from './files.ts'
import { existsInside, failure, makeDirectoryInside, resolveInside, writeInside } from './inside.ts'
import { readLabels, writeLabels } from './labels.ts'

const globalsFile = '/.singularity.d/env/94-appsbase.sh'

export type AppOptions = {
  /** Where relative sources of %appfiles begin. */
  readonly cwd: string
  /** How messages call the definition. */
  readonly name?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly report: Report
}

/**
 * Make the places, environments and files of the apps: to be done before %post, which their installation is part of.
 * Parts of an app of the base that the stage does not mention stay.
 */
export async function prepareApps(root: string, stage: Stage, options: AppOptions): Promise<void> {
  for (const app of stage.apps) {
    prepareApp(root, app)
    await copyFiles(app.files, { ...options, root, base: `/scif/apps/${app.name}` })
  }
  writeAppGlobals(root, stage)
}

function prepareApp(root: string, app: App): void {
  const home = `/scif/apps/${app.name}`
  for (const part of ['bin', 'lib', 'scif/env']) makeDirectoryInside(root, `${home}/${part}`)
  for (const part of ['input', 'output']) makeDirectoryInside(root, `/scif/data/${app.name}/${part}`)
  writeInside(root, `${home}/scif/env/01-base.sh`, `#!/bin/sh\n${appVariables(app.name)}`, 0o755)
  if (app.environment) writeInside(root, `${home}/scif/env/90-environment.sh`, app.environment.text, 0o755)
}

/** What decides what `prepareApps` does, besides the files. */
export function preparedParts({ apps }: Stage): readonly Partial<App>[] {
  return apps.map(({ name, environment, files }) => ({
    name,
    ...(environment ? { environment } : {}),
    files,
  }))
}

/** Write what the stage says about its apps into a tree, once %post is done: what no installation needs. */
export function describeApps(root: string, stage: Stage, report: Report): void {
  for (const app of stage.apps) describeApp(root, app, report)
  writeAppGlobals(root, stage)
}

function describeApp(root: string, app: App, report: Report): void {
  const home = `/scif/apps/${app.name}`
  const scripts = { runscript: app.run, startscript: app.start, test: app.test }
  for (const [file, section] of Object.entries(scripts)) {
    if (section) writeInside(root, `${home}/scif/${file}`, imageScript(section), 0o755)
  }
  if (app.help) writeInside(root, `${home}/scif/runscript.help`, app.help.text, 0o644)
  const labels = readLabels(root, `${home}/scif/labels.json`, report)
  labels.set('SCIF_APP_NAME', app.name)
  for (const [key, value] of parseLabels(app.labels?.text ?? '')) labels.set(key, value)
  writeLabels(root, `${home}/scif/labels.json`, labels)
}

/** The variables of an app while it is the active one. */
function appVariables(name: string): string {
  const values = {
    SCIF_APPNAME: name,
    SCIF_APPROOT: `/scif/apps/${name}`,
    SCIF_APPMETA: `/scif/apps/${name}/scif`,
    SCIF_DATA: '/scif/data',
    SCIF_APPDATA: `/scif/data/${name}`,
    SCIF_APPINPUT: `/scif/data/${name}/input`,
    SCIF_APPOUTPUT: `/scif/data/${name}/output`,
  }
  const lines = Object.entries(values).map(([key, value]) => `${key}="${value}"\n`)
  return `${lines.join('')}export ${Object.keys(values).join(' ')}\n`
}

/**
 * What %appinstall adds to the script of %post: the app's variables, its directory, its text. Not a subshell, since
 * definitions rely on variables of %post and of the apps before.
 */
export function appInstall(app: App): Piece {
  if (!app.install) return ownPiece('')
  const begin = `\n${appVariables(app.name)}cd "/scif/apps/${app.name}"\n`
  return joinPieces([ownPiece(begin), app.install, ownPiece('\ncd /\n')])
}

/** Apps of the stage in their order, before them those that the base brought along. */
function appNames(root: string, stage: Stage): string[] {
  const own = stage.apps.map((app) => app.name)
  let found: string[] = []
  if (existsInside(root, '/scif/apps')) {
    try {
      found = readdirSync(resolveInside(root, '/scif/apps')).sort()
    } catch (error) {
      throw failure('cannot read /scif/apps in the image', error)
    }
  }
  const known = found.filter((name) => isAppName(name) && existsInside(root, `/scif/apps/${name}/scif`))
  return [...known.filter((name) => !own.includes(name)), ...own]
}

/** Write the variables that every container of the image has for every app. */
function writeAppGlobals(root: string, stage: Stage): void {
  const texts = appNames(root, stage).map((name) => appGlobals(root, name))
  writeInside(root, globalsFile, `#!/bin/sh\n${texts.join('')}`, 0o755)
}

function appGlobals(root: string, name: string): string {
  const id = name.replace(/[^A-Za-z0-9_]/g, '_')
  const home = `/scif/apps/${name}`
  const files = {
    ENV: `${home}/scif/env/90-environment.sh`,
    LABELS: `${home}/scif/labels.json`,
    RUN: `${home}/scif/runscript`,
    START: `${home}/scif/startscript`,
  }
  const values = [
    ['DATA', `/scif/data/${name}`],
    ['META', `${home}/scif`],
    ['ROOT', home],
    ['BIN', `${home}/bin`],
    ['LIB', `${home}/lib`],
    ...Object.entries(files).filter(([, path]) => existsInside(root, path)),
  ]
  return values.map(([key, value]) => `export SCIF_APP${key}_${id}="${value}"\n`).join('')
}
