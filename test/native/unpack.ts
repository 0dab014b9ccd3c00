/** Unpacks an image as whoever runs it and prints what became of it: `unpack.ts IMAGE FOLDER`. */

import { lstatSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SquashfsImage } from '../../src/native/addon.ts'

const [path = '', folder = ''] = process.argv.slice(2)
const to = mkdtempSync(join(folder, 'unpack-'))
await using image = await SquashfsImage.open(path, 0, statSync(path).size)
const result = await image.extract(to)
const names = readdirSync(to)
const own = names.every((name) => lstatSync(join(to, name)).uid === process.getuid?.())
rmSync(to, { recursive: true })
console.log(JSON.stringify({ ...result, names, own }))
