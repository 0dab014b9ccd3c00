/** All kinds of lists of packages. */

import type { Reader } from '../types.ts'
import { apk } from './apk.ts'
import { conda } from './conda.ts'
import { dpkg } from './dpkg.ts'
import { npm } from './npm.ts'
import { pacman } from './pacman.ts'
import { python } from './python.ts'
import { rpm } from './rpm.ts'
import { julia, r } from './science.ts'

export const readers: readonly Reader[] = [dpkg, ...rpm, apk, pacman, python, conda, npm, r, julia]
