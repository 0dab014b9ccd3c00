/** Drivers of the host for %post, %test and RUN (--nv, --rocm). Nothing of them stays in the image. */

import { lstatSync, rmdirSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { readImageLibraries } from '../image/libraries.ts'
import { libraryDirectory, noDevices, planDevices } from '../plan/devices.ts'
import type { Op } from '../plan/spec.ts'
import { look, resolveInside, toBytes } from './inside.ts'
import type { BuildTools } from './request.ts'

/** Dispose of it when the section has ended. */
export type SectionDevices = Disposable & {
  readonly ops: readonly Op[]
  /** Where libraries come in; the loader has to be told. */
  readonly libraryPath: string
}

/** A mount point that the launch makes in the tree, with the directories above it that are not there either. */
type Place = { readonly at: string; readonly directories: readonly string[] }

const exists = (path: string): boolean => look(toBytes(path)) !== undefined

function placeOf(root: string, path: string): Place[] {
  const at = resolveInside(root, path)
  if (exists(at)) return []
  const directories: string[] = []
  for (let above = dirname(at); !exists(above); above = dirname(above)) directories.push(above)
  return [{ at, directories }]
}

/** The places of single files beside the directories that are mounted whole. */
function placesToMake(root: string, ops: readonly Op[]): Place[] {
  const covered = [`${libraryDirectory}/`, '/dev/', '/proc/', '/sys/']
  return ops.flatMap((op) => {
    if (op.op !== 'bind' || op.missing !== 'create') return []
    return covered.some((prefix) => op.at.startsWith(prefix)) ? [] : placeOf(root, op.at)
  })
}

/** Remove an empty mount point; what a script put in its place stays. */
function removePlace({ at, directories }: Place): void {
  const stats = lstatSync(at, { throwIfNoEntry: false })
  try {
    if (stats?.isFile() && stats.size === 0) unlinkSync(at)
    for (const directory of [...(stats?.isDirectory() ? [at] : []), ...directories]) rmdirSync(directory)
  } catch {
    // A script put something into it.
  }
}

/** What brings the drivers into a section that runs in `root`. */
export async function sectionDevices(root: string, tools: BuildTools): Promise<SectionDevices> {
  const { gpus, facts, environment, definitionName, report } = tools
  if (gpus.length === 0) return { ops: [], libraryPath: '', [Symbol.dispose]() {} }
  const names = gpus.flatMap(({ libraries }) => libraries.map(({ name }) => name))
  const image = await readImageLibraries({ rootfs: { directory: root } }, names)
  const { ops, hasLibraries, warnings } = planDevices(
    noDevices,
    { gpus, libraries: [], ...(image ? { image } : {}) },
    {
      missing: 'create',
      ownDev: false,
      imageName: `the image of ${definitionName}`,
      environment,
      groups: [facts.gid, ...facts.groups],
      isRoot: facts.isRoot,
    },
  )
  for (const text of warnings) report({ kind: 'warning', text })
  const places = placesToMake(root, ops)
  return {
    ops,
    libraryPath: hasLibraries ? libraryDirectory : '',
    [Symbol.dispose]() {
      for (const place of places) removePlace(place)
    },
  }
}
