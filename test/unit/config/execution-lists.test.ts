/** Execution control lists of the peers that plainly do nothing need no parser. */

import { expect, it } from 'vitest'
import { isIdle } from '../../../src/config/execution-lists.ts'

it.each([
  ['', true],
  ['# comment\n\nactivated = false\n', true],
  ['  activated=false', true],
  ['activated = true', false],
  ['activated = false # but', false],
  ['activated = false\n[[execgroup]]', false],
  ['#activated = false\nActivated = true', false],
  ['"activated" = true', false],
])('%j does nothing: %s', (text, idle) => {
  expect(isIdle(text)).toBe(idle)
})
