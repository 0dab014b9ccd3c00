/** The page of the configuration says what the table of directives says. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { configurationPage } from '../../../.ci/configuration-doc.ts'
import { projectRoot } from '../../helpers/sing.ts'

it('docs/configuration.md has the tables that the schema gives; after a change of it: npm run docs', () => {
  const page = readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8')
  expect(configurationPage(page)).toBe(page)
  expect(page.match(/<!-- table \w+ -->\n\n\|? ?\S/g)).toHaveLength(4)
})
