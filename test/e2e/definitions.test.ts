/**
 * Definitions as people write them, built by us: the files of the image and what it does are those of the image that Apptainer
 * builds. Its results are kept in fixtures/definitions/real/expected; definitions-peer.test.ts compares, and writes them anew.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import {
  buildWords,
  canMakeBase,
  copyWorkplace,
  definitions,
  expectedFile,
  makeWorkplace,
} from '../helpers/definitions.ts'
import { behaviourLines, fileLines, filesOf } from '../helpers/definitions-compared.ts'
import type { Tree } from '../helpers/image-tree.ts'
import { sing } from '../helpers/sing.ts'

const ways = [
  { ids: 'subordinate ids', flags: [], as: 'user', hasGroups: true, needs: can('subuid') },
  { ids: 'a single id', flags: ['--ignore-subuid'], as: 'user', hasGroups: false, needs: true },
  { ids: 'all ids, for root', flags: [], as: 'self', hasGroups: true, needs: can('root') },
] as const

/** Made in directories that give their group to what is made there, which the kernel does without asking. */
const ofGroups = /^\/(srv\/science\/note|usr\/local\/lib\/R\/site-library\/tidy|dir-of-layer\/more)\b/

/** Owners that a single id cannot give. */
const withoutGroup = (line: string): string => (ofGroups.test(line) ? line.replace(/\d+$/, '') : line)

describe.skipIf(!can('userns', 'fuse'))('definitions of real style', () => {
  let folder = ''
  let base: Tree = new Map()
  beforeAll(async () => {
    folder = await makeWorkplace()
    base = await filesOf(join(folder, 'bases/base.sif'))
  })

  describe.each(ways)('with $ids', ({ flags, as, hasGroups, needs }) => {
    let here = ''
    beforeAll(async () => {
      here = as === 'self' && needs ? await copyWorkplace(folder, '0:0') : folder
    })

    const mustBuild = async (name: string): Promise<void> => {
      const { status, stderr } = await sing(buildWords(name, flags), { cwd: here, as })
      expect(status, stderr).toBe(0)
    }

    it.skipIf(!needs).each(definitions.filter(canMakeBase))('%s', async (name) => {
      const image = join(here, `${name}.sif`)
      await mustBuild(name)
      const shown = (lines: readonly string[]) => (hasGroups ? lines : lines.map(withoutGroup))
      const expected = readFileSync(expectedFile(name), 'utf8').trimEnd().split('\n')
      const first = expected.findIndex((line) => line.startsWith('$ '))
      expect(shown(await fileLines(image, base, true))).toEqual(shown(expected.slice(0, first)))
      // The second time its steps are known.
      await mustBuild(name)
      expect(shown(await fileLines(image, base, true))).toEqual(shown(expected.slice(0, first)))
      // What an image does has nothing to do with the ids that it was built with.
      if (flags.length > 0 || as === 'self') return
      const does = await behaviourLines(image, here, (args) => sing(args, { cwd: here, as }))
      expect(does).toEqual(expected.slice(first))
    })
  })
})
