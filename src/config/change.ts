/** `config set` and `unset`: one key of a YAML file, checked before anything is written. */

import { isDeepStrictEqual } from 'node:util'
import { errnoOf, SingError, shown } from '../core/errors.ts'
import { type Node, type Place, readDocument } from './document.ts'
import { changed, editText, meaning, type Path } from './edit.ts'
import {
  currentDirectory,
  findFile,
  findProjectFile,
  homeOf,
  projectFileName,
  readText,
  readTrusted,
  siteFile,
  userFile,
} from './files.ts'
import type { Scope } from './schema.ts'
import { writeConfig } from './write.ts'
import { parseYaml } from './yaml.ts'

/** The file of a scope: the one that is read, or the one that would be. */
export function fileOf(
  scope: Scope,
  environment: Readonly<Record<string, string>>,
  siteConfig: string | undefined,
): string {
  switch (scope) {
    case 'site':
      return siteConfig ?? siteFile
    case 'user': {
      const file = userFile(environment)
      if (file !== undefined) return file
      throw new SingError('USAGE', 'there is no place for a file of your own: HOME is not set', {
        status: 255,
      })
    }
    case 'project': {
      const folder = currentDirectory() ?? '/'
      return findProjectFile(folder, homeOf(environment)) ?? `${folder}/${projectFileName}`
    }
  }
}

/** The text of the file; nothing where there is none. */
function oldText({ file, scope }: Place): string {
  if (findFile(file) === undefined) return ''
  if (scope === 'site') return readText(file)
  const read = readTrusted(file, { links: scope === 'user' })
  if ('text' in read) return read.text
  throw new SingError('USAGE', `${shown(file)} is not changed: ${read.distrusted}`, { status: 255 })
}

const modes = {
  site: { mode: 0o644, folderMode: 0o755 },
  user: { mode: 0o600, folderMode: 0o700 },
  project: { mode: 0o644, folderMode: 0o755 },
} as const

/** Whether a text is read as the tree. */
function means(text: string, tree: Node, place: Place): boolean {
  try {
    const read = parseYaml(text, place.file)
    readDocument(read, place)
    return isDeepStrictEqual(meaning(read), meaning(tree))
  } catch (error) {
    if (error instanceof SingError) return false
    throw error
  }
}

/**
 * Set a key of a file, or take it out where there is no value. Comments and order of the file stay.
 * @throws SingError for a value that is not allowed there, and for a file whose layout is beyond us
 */
export function changeKey(place: Place, path: Path, value: Node | undefined): void {
  const { file, scope } = place
  // A value that may not be there is refused by itself, before lines of the file come in.
  readDocument(changed(undefined, path, value), place)
  const before = oldText(place)
  const root = parseYaml(before, file)
  readDocument(root, place)
  const after = editText(before, root, path, value)
  if (!means(after, changed(root, path, value), place)) {
    throw new SingError(
      'UNSUPPORTED',
      `cannot change ${path.join('.')} in ${shown(file)}: its layout is too unusual`,
      {
        hint: 'Change it with an editor',
      },
    )
  }
  if (after === before) return
  try {
    writeConfig(file, after, modes[scope])
  } catch (cause) {
    if (!(cause instanceof SingError) || scope !== 'site' || errnoOf(cause.cause) !== 'EACCES') throw cause
    throw new SingError(cause.code, cause.message, {
      hint: 'The file of the site is changed by root; without --site it is your own',
      cause,
    })
  }
}
