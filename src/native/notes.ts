/** Notes of owners on files, as they are made where a build has one id only. */

import { addon } from './load.ts'

type Addon = { readonly noteOwner: (path: string) => number }

/** Note on a file of ours that it is root's, which says nothing new. False where the file system keeps no such notes. */
export const noteOwner = (path: string): boolean => addon<Addon>().noteOwner(path) === 0
