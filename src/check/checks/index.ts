/** All checks of an image, in the order in which they are told. */

import type { Check } from '../types.ts'
import { leftovers } from './leftovers.ts'
import { links } from './links.ts'
import { programs } from './programs.ts'
import { rights } from './rights.ts'
import { runtime } from './runtime.ts'
import { secrets } from './secrets.ts'

export const allChecks: readonly Check[] = [
  ...secrets,
  ...rights,
  ...runtime,
  ...programs,
  ...links,
  ...leftovers,
]
