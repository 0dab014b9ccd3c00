/** Check an image of any kind: look at everything in it, and say what is wrong. Nothing in it is started. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { takeInventory } from '../image/inventory.ts'
import { type Image, openImage, type Unlock } from '../image/open.ts'
import { Facts } from './facts.ts'
import { type Examined, examine } from './report.ts'
import type { Tag } from './types.ts'

export type CheckOptions = {
  readonly tags: ReadonlySet<Tag>
  /** Directories with checks of the site. */
  readonly directories: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly report: Report
  readonly signal: AbortSignal
  /** Opens an encrypted image. */
  readonly unlock?: Unlock | undefined
}

export type Checked = Examined & Pick<Image, 'kind' | 'path' | 'arch'>

function requireReadable({ rootfs }: Image, path: string): void {
  if (!('file' in rootfs) || rootfs.filesystem !== 'ext3') return
  throw new SingError('IMAGE_FORMAT', `cannot look into ${shown(path)}: its root file system is an ext3`, {
    hint: `Make a SIF of it first: sing build NEW.sif ${shown(path)}`,
  })
}

/** @throws SingError when the image cannot be read */
export async function check(path: string, options: CheckOptions): Promise<Checked> {
  const image = await openImage(path, { anyArchitecture: true, ext3: true, unlock: options.unlock })
  requireReadable(image, path)
  if (image.overlays?.some(({ filesystem }) => filesystem === 'ext3'))
    options.report({
      kind: 'info',
      text: `The changes in the ext3 overlay of ${shown(path)} are not checked`,
    })
  const examined = await examineImage(image, options)
  const findings = [...examined.findings]
  if (options.tags.has('site') && options.directories.length > 0) {
    const { runSiteChecks } = await import('./site.ts')
    const { environment, signal } = options
    for (const directory of options.directories)
      findings.push(
        ...(await runSiteChecks(directory, { image: image.path, kind: image.kind, environment, signal })),
      )
  }
  return { ...examined, findings, kind: image.kind, path: image.path, arch: image.arch }
}

async function examineImage(image: Image, { tags, report }: CheckOptions): Promise<Examined> {
  using inventory = await takeInventory(image)
  for (const directory of inventory.closed)
    report({ kind: 'warning', text: `cannot look into ${shown(directory)}: permission denied` })
  const facts = new Facts(
    inventory.items,
    (item, offset, length) => inventory.read(item, offset, length),
    image.arch,
  )
  return examine(facts, tags)
}
