/** Images for the tests of the whole program: one SIF made by Apptainer, and a sandbox unpacked from it. */

import { join } from 'node:path'
import { projectRoot, sing } from '../helpers/sing.ts'
import { copyInto, temporaryFolder } from '../helpers/temp.ts'

export type Images = {
  /** A folder of the user of `sing()`. */
  readonly folder: string
  /** SIF with every section, apps, odd links and modes, made by Apptainer (gzip). */
  readonly everything: string
  /** The same tree as a directory. */
  readonly sandbox: string
}

/** A folder with both images; the sandbox is made by `sing` itself. */
export async function makeImages(): Promise<Images> {
  const folder = temporaryFolder()
  const everything = copyInto(folder, join(projectRoot, 'fixtures/images/everything.sif'))
  const sandbox = join(folder, 'sandbox')
  const { status, stderr } = await sing(['build', '--sandbox', sandbox, everything], { cwd: folder })
  if (status !== 0) throw new Error(`cannot make the sandbox: ${stderr}`)
  return { folder, everything, sandbox }
}
