/** `--layer-limits`: how much the layers of an image may cost before it is refused. */

import { SingError, shown } from '../core/errors.ts'
import { parseSize } from '../core/units.ts'
import type { LayerLimits } from '../native/layers.ts'

/** How each limit is written. */
const readers: Readonly<Record<keyof LayerLimits, (text: string) => number | undefined>> = {
  entries: readCount,
  bytes: parseSize,
  ratio: readCount,
  xattrs: parseSize,
}

function readCount(text: string): number | undefined {
  return /^[1-9]\d{0,11}$/.test(text) ? Number(text) : undefined
}

const isLimit = (name: string): name is keyof LayerLimits => Object.hasOwn(readers, name)

/**
 * The limits of words like `bytes=4T`.
 * @throws SingError USAGE naming the word that is none
 */
export function parseLayerLimits(words: readonly string[]): Partial<LayerLimits> {
  const limits = words.map((word): [string, number] => {
    const [name = '', text = ''] = word.split('=', 2)
    const value = isLimit(name) ? readers[name](text) : undefined
    if (value) return [name, value]
    throw new SingError('USAGE', `--layer-limits ${shown(word)}: expected a limit and its value`, {
      hint: 'entries=5000000, bytes=1T, ratio=2000 or xattrs=64M; these are the values without the flag',
      status: 255,
    })
  })
  return Object.fromEntries(limits)
}
