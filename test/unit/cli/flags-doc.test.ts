/** The page of commands and flags says what the tables say. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { flagsPage } from '../../../.ci/flags-doc.ts'
import { projectRoot } from '../../helpers/sing.ts'

it('docs/flags.md is what the tables give; after a change of them: npm run docs', async () => {
  expect(readFileSync(join(projectRoot, 'docs/flags.md'), 'utf8')).toBe(await flagsPage())
})
