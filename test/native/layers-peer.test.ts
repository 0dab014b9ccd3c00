/** The tree that layers make is the one that umoci unpacks as root. */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { must, unpackImage, writeLayout } from '../helpers/oci.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { packLayers } from './layers.ts'
import { randomLayers, tortureLayers } from './layers-torture.ts'

const folder = temporaryFolder()

const start = Date.now() - 5000

/** Directories that no layer describes are from now for umoci, and from 1970 for us; so is umoci's root. */
function timeOf(milliseconds: number, path: string): number {
  return path === '' || milliseconds > start ? 0 : Math.floor(milliseconds / 1000)
}

/** Everything about a tree, a line for each path; hard links by the first path of the file. Names are bytes. */
function describeTree(root: string): string[] {
  const lines: string[] = []
  const first = new Map<number, string>()
  const walk = (path: Buffer): void => {
    const status = lstatSync(path)
    const shown = path.toString('latin1').slice(root.length)
    const { mode, uid, gid, size, mtimeMs, ino, rdev, nlink } = status
    const isDirectory = status.isDirectory()
    const earlier = isDirectory ? shown : (first.get(ino) ?? shown)
    first.set(ino, earlier)
    const content = status.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16)
      : status.isSymbolicLink()
        ? readlinkSync(path, 'latin1')
        : ''
    const links = isDirectory ? '' : nlink
    const length = isDirectory ? '' : size
    lines.push(
      JSON.stringify([
        shown,
        mode.toString(8),
        uid,
        gid,
        length,
        timeOf(mtimeMs, shown),
        rdev,
        links,
        earlier,
        content,
      ]),
    )
    if (!isDirectory) return
    for (const name of readdirSync(path, 'buffer').sort(Buffer.compare))
      walk(Buffer.concat([path, Buffer.from('/'), name]))
  }
  walk(Buffer.from(root))
  return lines
}

function attributes(root: string): string {
  const { stdout } = spawnSync('getfattr', ['-R', '-h', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: root,
    encoding: 'latin1',
  })
  return stdout
}

/** Both ways to the same tree. */
async function unpackBoth(
  layers: readonly (readonly TarEntry[])[],
  name: string,
): Promise<[ours: string, theirs: string]> {
  const work = join(folder, name)
  mkdirSync(work)
  const tars = layers.map((entries) => tarOf(entries))
  const layout = writeLayout(join(work, 'layout'), { it: { layers: tars } })
  const theirs = await unpackImage(layout, 'it', join(work, 'bundle'))
  const image = await packLayers(tars, join(work, 'image'))
  const ours = join(work, 'ours')
  await must(['unsquashfs', '-quiet', '-no-progress', '-d', ours, image])
  return [ours, theirs]
}

const canCompare = can('root') && ['umoci', 'unsquashfs', 'getfattr'].every(hasProgram)

describe.skipIf(!canCompare)('layers make the tree that umoci unpacks as root', () => {
  it('in every respect', async () => {
    const [ours, theirs] = await unpackBoth(tortureLayers, 'torture')
    expect(describeTree(ours)).toEqual(describeTree(theirs))
    expect(attributes(ours)).toBe(attributes(theirs))
  })

  it('whatever is in them, as long as it can unpack them', async () => {
    let compared = 0
    for (let seed = 0; seed < 60; seed += 1) {
      const both = await unpackBoth(randomLayers(seed), `random-${seed}`).catch((error) => theirs(error))
      if (!both) continue
      compared += 1
      const [ours, other] = both.map((root) => describeTree(root).map(withoutTimeOfDirectory))
      expect({ seed, tree: ours }).toEqual({ seed, tree: other })
    }
    expect(compared).toBeGreaterThan(15)
  })
})

/** To umoci the time of a directory is that of the last implied one that was made in it. */
const withoutTimeOfDirectory = (line: string): string =>
  line.replace(/^(\["[^"]*","4\d{4}",\d+,\d+,""),\d+/, '$1')

/** That umoci cannot unpack them is no failure of ours. */
function theirs(error: Error): undefined {
  if (!error.message.startsWith('umoci')) throw error
}
