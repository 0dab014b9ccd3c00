import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../src/core/errors.ts'
import { indexTar } from '../../src/oci/tar.ts'
import { can, hasProgram } from '../helpers/can.ts'
import { copyImage, type ImageLike, must, writeLayout } from '../helpers/oci.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { open, readEverything, resolved } from './sources.ts'

const image = (text: string): ImageLike => ({
  layers: [[{ path: 'one', data: text }], [{ path: 'two', data: text.repeat(100_000) }]],
  config: { Cmd: [text] },
})

/** A layout as an archive that GNU tar writes: members as they are named there. */
async function archive(options: readonly string[] = [], members = ['.']): Promise<string> {
  const folder = temporaryFolder()
  writeLayout(join(folder, 'layout'), { one: image('hello') })
  const path = join(folder, 'a.tar')
  await must(['tar', '-C', join(folder, 'layout'), '-cf', path, ...options, ...members])
  return path
}

/** An archive of members written by hand. */
function archiveOf(entries: readonly TarEntry[]): string {
  const path = join(temporaryFolder(), 'a.tar')
  writeFileSync(path, tarOf(entries))
  return path
}

/** The sum of a header, right again. */
function mendChecksum(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

/** A named pipe that a script writes to. */
function pipeFrom(script: string, file = ''): [pipe: string, writer: ChildProcess] {
  const pipe = join(temporaryFolder(), 'pipe')
  spawnSync('mkfifo', [pipe])
  return [pipe, spawn('sh', ['-c', `exec >"$1"; ${script}`, 'sh', pipe, file])]
}

async function end(writer: ChildProcess): Promise<void> {
  const ended = once(writer, 'exit')
  writer.kill('SIGKILL')
  if (writer.exitCode === null && writer.signalCode === null) await ended
}

describe('an archive of a layout', () => {
  it.each([
    [[], ['.']],
    [[], ['oci-layout', 'index.json', 'blobs']],
    [['--format=pax'], ['.']],
    [['--format=v7'], ['blobs', 'index.json', 'oci-layout']],
    [['--format=gnu', '--transform', `s,^\\./oci,./${'x'.repeat(120)}/oci,`], ['.']],
  ])('written by tar %j %j is read where it lies', async (options, members) => {
    const path = await archive(options, members)
    const scratch = async () => {
      throw new Error('nothing has to be unpacked')
    }
    expect((await readEverything(`oci-archive:${path}`, { scratch })).config.command).toEqual(['hello'])
    await readEverything(`oci-archive:${path}:one`, { scratch })
  })

  it.each(['gzip', 'xz', 'bzip2', 'zstd'])('that is compressed by %s is read', async (program) => {
    const path = await archive()
    if (program !== 'zstd') await must([program, '-k', path])
    else writeFileSync(`${path}.zstd`, zstdCompressSync(readFileSync(path)))
    const end = { gzip: 'gz', xz: 'xz', bzip2: 'bz2', zstd: 'zstd' }[program]
    const scratch = temporaryFolder()
    const image = await readEverything(`oci-archive:${path}.${end}`, { scratch: async () => scratch })
    expect(image.config.command).toEqual(['hello'])
    expect(readdirSync(scratch)).toEqual([])
  })

  it('may come through a pipe whose writer does not end', async () => {
    const [pipe, writer] = pipeFrom('cat "$2" && exec sleep 1000', await archive())
    await readEverything(`oci-archive:${pipe}`)
    await end(writer)
  })

  it('that waits for a pipe can be interrupted', async () => {
    const [pipe, writer] = pipeFrom('exec sleep 1000')
    const controller = new AbortController()
    const opened = open(`oci-archive:${pipe}`, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(opened).rejects.toThrow('enough')
    await end(writer)
  })

  it.skipIf(!can('skopeo'))('of skopeo is read', async () => {
    const folder = temporaryFolder()
    const { digests } = writeLayout(join(folder, 'layout'), { one: image('hello') })
    await copyImage(`oci:${folder}/layout:one`, `oci-archive:${folder}/a.tar:mine`)
    expect((await readEverything(`oci-archive:${folder}/a.tar:mine`)).named).toBe(digests.one)
    await expect(resolved(`oci-archive:${folder}/a.tar:yours`)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      hint: `It has: oci-archive:${folder}/a.tar:mine`,
    })
  })

  it('leaves out the path of this machine in its origin', async () => {
    await using source = await open(`oci-archive:${await archive()}`)
    expect(source.origin).toEqual({ agent: 'oci-archive', from: 'a.tar' })
  })
})

describe('a damaged archive', () => {
  it('that is not there, or a folder, is refused', async () => {
    const folder = temporaryFolder()
    await expect(open(`oci-archive:${folder}/none`)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `cannot open oci-archive:${folder}/none: no such file or directory`,
    })
    await expect(open(`oci-archive:${folder}`)).rejects.toMatchObject({
      message: `cannot open oci-archive:${folder}: it is a directory`,
      hint: `For a layout in a directory: oci:${folder}`,
    })
  })

  it('that is no archive is refused', async () => {
    const path = join(temporaryFolder(), 'a.tar')
    for (const text of ['', 'x', 'x'.repeat(10_000)]) {
      writeFileSync(path, text)
      await expect(open(`oci-archive:${path}`)).rejects.toThrow(`oci-archive:${path} is no tar archive`)
    }
    writeFileSync(path, Buffer.alloc(10_000))
    await expect(resolved(`oci-archive:${path}`)).rejects.toThrow('is no OCI layout: it has no index.json')
  })

  it.each(['', 'gz', 'xz', 'bz2', 'zst'])('that was cut (%s) is refused', async (end) => {
    const path = await archive()
    const programs: Record<string, string> = { gz: 'gzip', xz: 'xz', bz2: 'bzip2', zst: 'zstd' }
    const program = programs[end]
    if (program && !hasProgram(program)) return
    if (program) await must([program, '-q', '-k', path])
    const whole = end ? `${path}.${end}` : path
    const bytes = readFileSync(whole)
    for (const part of [0.1, 0.3, 0.5]) {
      writeFileSync(whole, bytes.subarray(0, Math.floor(bytes.length * part)))
      await expect(readEverything(`oci-archive:${whole}`)).rejects.toThrow(/is damaged|cannot read|is no/)
    }
  })

  it('with a damaged header is refused', async () => {
    const path = await archive([], ['oci-layout', 'index.json', 'blobs'])
    const bytes = readFileSync(path)
    bytes[1024 + 3] = 0x21
    writeFileSync(path, bytes)
    await expect(open(`oci-archive:${path}`)).rejects.toThrow(`is damaged: it has no header at byte 1024`)
  })

  it('with bytes behind its gzip is refused or ends where it ends', async () => {
    const path = await archive()
    await must(['gzip', '-k', path])
    writeFileSync(`${path}.gz`, Buffer.concat([readFileSync(`${path}.gz`), Buffer.from('garbage')]))
    await readEverything(`oci-archive:${path}.gz`)
  })

  it.each<[string, TarEntry[], string]>([
    [
      'a link out',
      [{ path: 'index.json', type: 'symlink', link: '../../etc/passwd' }],
      'is a link out of it',
    ],
    [
      'an absolute link',
      [{ path: 'index.json', type: 'symlink', link: '/etc/passwd' }],
      'is a link out of it',
    ],
    ['a circle', [{ path: 'index.json', type: 'symlink', link: 'index.json' }], 'is a link in a circle'],
    ['a dangling link', [{ path: 'index.json', type: 'symlink', link: 'x' }], 'it has no index.json'],
    [
      'a hard link to nothing',
      [{ path: 'index.json', type: 'hardlink', link: '/x' }],
      'it has no index.json',
    ],
    ['an absolute name', [{ path: '/index.json', data: '{}' }], 'it has no index.json'],
    ['a name that leads up', [{ path: '../index.json', data: '{}' }], 'it has no index.json'],
    ['a folder instead of a file', [{ path: 'index.json', type: 'directory' }], 'index.json is no file'],
    ['a pipe instead of a file', [{ path: 'index.json', type: 'fifo' }], 'index.json is no file'],
    [
      'holes',
      [{ path: 'x', pax: { 'GNU.sparse.name': 'index.json', 'GNU.sparse.major': '1' } }],
      'with holes',
    ],
  ])('with %s is refused', async (_, entries, reason) => {
    await expect(resolved(`oci-archive:${archiveOf(entries)}`)).rejects.toThrow(reason)
  })

  it('with holes of GNU tar is refused only where they are', async () => {
    const folder = temporaryFolder()
    writeLayout(join(folder, 'layout'), { one: image('hello') })
    mkdirSync(join(folder, 'layout', 'other'))
    const holes = openSync(join(folder, 'layout', 'other', 'holes'), 'w')
    for (let part = 0; part < 60; part += 1) writeSync(holes, 'x'.repeat(5000), part * 100_000)
    closeSync(holes)
    const path = join(folder, 'a.tar')
    await must(['tar', '-C', join(folder, 'layout'), '--format=gnu', '-Scf', path, 'other', '.'])
    await readEverything(`oci-archive:${path}`)
  })

  it('may be reached over links inside it', async () => {
    const index = [
      { path: 'a/real.json', data: '{"schemaVersion":2,"manifests":[]}' },
      { path: './index.json', type: 'symlink', link: './a/link.json' },
      { path: 'a/link.json', type: 'hardlink', link: './a/real.json' },
    ] satisfies TarEntry[]
    await expect(resolved(`oci-archive:${archiveOf(index)}`)).rejects.toThrow('holds no image')
  })

  it('is the image itself or refused with a sentence, whatever is changed in its headers', async () => {
    const bytes = readFileSync(await archive([], ['oci-layout', 'index.json', 'blobs']))
    const path = join(temporaryFolder(), 'a.tar')
    const members = await indexTar(async (at, length) => bytes.subarray(at, at + length), 'a.tar')
    const headers = [...members.values()].map(({ offset }) => offset - 512)
    const place = fc.tuple(fc.constantFrom(...headers), fc.nat(511)).map(([header, at]) => header + at)
    const changes = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 })
    const sums = fc.boolean()
    await fc.assert(
      fc.asyncProperty(changes, sums, async (edits, mend) => {
        const changed = Buffer.from(bytes)
        for (const [at, byte] of edits) changed[at] = byte
        if (mend) for (const header of headers) mendChecksum(changed.subarray(header, header + 512))
        writeFileSync(path, changed)
        const error = await readEverything(`oci-archive:${path}`).then(
          () => undefined,
          (reason: Error) => reason,
        )
        const isTold = error === undefined || error instanceof SingError || /^layer \d is/.test(error.message)
        expect(isTold ? undefined : error).toBeUndefined()
      }),
    )
  })

  it('with an endless list of members is refused', async () => {
    const path = join(temporaryFolder(), 'a.tar')
    const header = tarOf([{ path: 'x' }]).subarray(0, 512)
    writeFileSync(path, Buffer.alloc(512 * 20_001, header))
    await expect(open(`oci-archive:${path}`)).rejects.toThrow('more than 20000 members')
  })

  it('with headers that are too large or cut is refused', async () => {
    const long = { path: 'x', pax: { comment: 'x'.repeat(1_100_000) } }
    await expect(open(`oci-archive:${archiveOf([long])}`)).rejects.toThrow('an extended header of 11000')
    const path = archiveOf([{ path: 'x', pax: { comment: 'x'.repeat(2000) } }])
    writeFileSync(path, readFileSync(path).subarray(0, 1500))
    await expect(open(`oci-archive:${path}`)).rejects.toThrow('in the middle of an extended header')
  })

  it('that would fill the disk is refused before', async () => {
    const header = tarOf([{ path: 'index.json', pax: { size: String(2 ** 49) } }])
    const path = join(temporaryFolder(), 'a.tar')
    writeFileSync(path, header)
    await expect(open(`oci-archive:${path}`)).rejects.toThrow('it ends in the middle of index.json')
    const [pipe, writer] = pipeFrom('cat "$2" && exec sleep 1000', path)
    await expect(open(`oci-archive:${pipe}`)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringMatching(
        /no space left in the directory of temporary files .*: 512 TiB more are needed, .* are free/,
      ),
    })
    await end(writer)
  })

  it('behind whose end nothing ends is read', async () => {
    const [pipe, writer] = pipeFrom('exec cat "$2" /dev/zero', await archive())
    const ended = once(writer, 'exit')
    await readEverything(`oci-archive:${pipe}`)
    await ended
  })

  it('of xz needs xz', async () => {
    const path = await archive()
    await must(['xz', path])
    await expect(open(`oci-archive:${path}.xz`, { environment: { PATH: '/none' } })).rejects.toMatchObject({
      code: 'HOST_TOOL',
      message: `oci-archive:${path}.xz is compressed by xz, which this machine lacks`,
      hint: 'Install it (package xz-utils), or decompress it elsewhere',
    })
  })

  it('needs a directory that can be written', async () => {
    const path = await archive()
    await must(['gzip', path])
    await expect(open(`oci-archive:${path}.gz`, { scratch: async () => `${path}/none` })).rejects.toThrow(
      `cannot write in ${path}/none: no such file or directory`,
    )
  })
})
