/** Which images a site lets its users start. */

import type { Config } from '../config/load.ts'
import { SingError } from '../core/errors.ts'
import type { Image } from '../image/open.ts'

const allowances = {
  sif: 'sif',
  'oci-sif': 'sif',
  squashfs: 'squashfs',
  ext3: 'extfs',
  sandbox: 'directory',
} as const

/** The site may leave out kinds of images. */
export async function requireAllowed(image: Image, config: Config): Promise<void> {
  const { owners, groups, paths } = config.images
  if (owners.length + groups.length + paths.length > 0)
    (await import('./origin.ts')).requireOrigin(image.path, config)
  if (image.encryption && !config.images.encrypted)
    throw new SingError(
      'UNSUPPORTED',
      `cannot start ${image.path}: the site's configuration does not allow encrypted images`,
      { hint: 'Ask the administrator' },
    )
  if (config.images[allowances[image.kind]]) return
  throw new SingError(
    'UNSUPPORTED',
    `cannot start ${image.path}: the site's configuration does not allow images of this kind`,
    { hint: 'Convert it: sing build IMAGE.sif SOURCE, or ask the administrator' },
  )
}
