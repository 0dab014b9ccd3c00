/** What the files of an image are, whoever may read them: types, modes, owners, devices, attributes. */

import { SquashfsImage } from '../../src/native/addon.ts'
import { objectWindow, primaryPartition, readSif } from '../../src/sif/read.ts'

/** `TYPE MODE UID:GID`, then the numbers of a device, then the attributes, by the path without a slash in front. */
export async function treeOf(sif: string): Promise<Map<string, string>> {
  const opened = await readSif(sif)
  const { offset, size } = objectWindow(opened, primaryPartition(opened))
  await using image = await SquashfsImage.open(sif, offset, size)
  const tree = new Map<string, string>()
  const look = async (path: string): Promise<void> => {
    for (const name of (await image.list(path || '/')) ?? []) {
      const child = path === '' ? name : `${path}/${name}`
      const line = await lineOf(image, child)
      tree.set(child, line)
      if (line.startsWith('directory')) await look(child)
    }
  }
  await look('')
  return tree
}

async function lineOf(image: SquashfsImage, path: string): Promise<string> {
  const stat = await image.stat(path, false)
  if (!stat) throw new Error(`${path} is listed and not there`)
  const { type, mode, uid, gid, major, minor } = stat
  const device = major || minor ? ` ${major}:${minor}` : ''
  // Those of a link would be those of the file that it leads to.
  const attributes = type === 'symlink' ? {} : await image.xattrs(path)
  const values = Object.entries(attributes).map(([name, value]) => ` ${name}=${value.toString('hex')}`)
  return `${type} ${mode.toString(8)} ${uid}:${gid}${device}${values.sort().join('')}`
}
