/** ADD as a step: each source is copied, unpacked or fetched, whatever it is. */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { SingError } from '../../core/errors.ts'
import { type BytePath, look, toBytes } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import type { Step } from '../steps.ts'
import {
  type Download,
  fetchFile,
  fileName,
  isWeb,
  mayBeArchive,
  refuseGit,
  requireChecksum,
  unpacked,
} from './add.ts'
import { type Origin, type Source, treeOrigin } from './context.ts'
import { Copier, type Copy, copyIdentity, requireDirectory, sourcesOf } from './copy.ts'
import type { StepSources } from './steps.ts'

export class Adder implements Pick<Step, 'identity' | 'run'> {
  readonly #add: Copy
  readonly #sources: StepSources
  readonly #tools: BuildTools
  readonly #fetched = new Map<string, Promise<Download>>()

  constructor(add: Copy, sources: StepSources, tools: BuildTools) {
    for (const word of add.sources) refuseGit(word)
    for (const address of add.sources.filter(isWeb)) fileName(address)
    requireChecksum(add.checksum)
    this.#add = add
    this.#sources = sources
    this.#tools = tools
    this.identity = this.identity.bind(this)
    this.run = this.run.bind(this)
  }

  get #addresses(): readonly string[] {
    return this.#add.sources.filter(isWeb)
  }

  /** Without the addresses. */
  get #local(): Copy {
    return { ...this.#add, sources: this.#add.sources.filter((word) => !isWeb(word)) }
  }

  #download(address: string): Promise<Download> {
    const path = join(this.#tools.scratch.path, `download-${randomUUID()}`)
    const fetched = this.#fetched.get(address) ?? fetchFile(address, this.#add.checksum, path, this.#tools)
    this.#fetched.set(address, fetched)
    return fetched
  }

  async identity(): Promise<readonly string[] | undefined> {
    const { checksum } = this.#add
    const files = await copyIdentity(this.#local, this.#sources.give(undefined), this.#tools)
    const digests: string[] = []
    for (const address of this.#addresses)
      digests.push(address, checksum ?? (await this.#download(address)).digest)
    return files && [...files, ...digests]
  }

  async run(root: string): Promise<void> {
    const local = this.#local
    const origin = await this.#sources.give(undefined).open()
    const found = sourcesOf(local, origin)
    const count = found.length + local.texts.length + this.#addresses.length
    requireDirectory(local, count)
    const copier = new Copier(local, root, this.#tools)
    for (const source of found) await this.#take(source, origin, copier, count > 1)
    for (const { name, text } of local.texts) await copier.text(name, text, count > 1)
    for (const address of this.#addresses) await this.#takeFetched(address, copier, count > 1)
  }

  /** An archive is unpacked, unless somebody said that it is not to be. */
  async #take(source: Source, origin: Origin, copier: Copier, isOneOfMany: boolean): Promise<void> {
    const isArchive = this.#add.unpacks !== false && source.stats.isFile() && mayBeArchive(source.place)
    if (isArchive && (await this.#unpack(source.place, copier))) return
    await copier.take(source, origin, isOneOfMany)
  }

  async #unpack(place: BytePath, copier: Copier): Promise<boolean> {
    const directory = await unpacked(place, `archive-${randomUUID()}`, this.#tools)
    if (directory === undefined) return false
    const stats = look(toBytes(directory))
    if (!stats) throw new SingError('INTERNAL', `${directory} is gone`)
    const origin = treeOrigin(directory, 'the archive')
    await copier.take({ path: '', place: origin.root, stats }, origin, false)
    return true
  }

  async #takeFetched(address: string, copier: Copier, isOneOfMany: boolean): Promise<void> {
    const { path, name } = await this.#download(address)
    if (this.#add.unpacks && mayBeArchive(toBytes(path)) && (await this.#unpack(toBytes(path), copier)))
      return
    await copier.file(path, name, isOneOfMany)
  }
}
