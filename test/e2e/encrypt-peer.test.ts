/** Encrypted images of ours, opened by others: gocryptfs itself, and Apptainer. */

import type { Buffer } from 'node:buffer'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type BuildFolder, base, buildFolder, header } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { casingOf, decrypt } from '../helpers/encrypted.ts'
import { peer } from '../helpers/peer.ts'
import { run, sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'

const secret = 'open $sesame "now"'
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 3072,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
})

let folder: BuildFolder
const at = (name: string): string => join(folder.path, name)
beforeAll(async () => {
  folder = buildFolder()
  folder.write('public.pem', publicKey)
  folder.write('private.pem', privateKey)
  folder.write('x.def', `${header}%post\n  head -c 3000000 /dev/urandom > /large; sha256sum /large > /sum\n`)
  if (!can('userns', 'fuse')) return
  const env = { ...folder.env, SING_ENCRYPTION_PASSPHRASE: secret }
  const builds = [
    ['--encrypt', 'passphrase.sif', base],
    ['--pem-path', 'public.pem', 'key.sif', base],
    ['--encrypt', '--mksquashfs-args', '-comp xz -b 1M', 'made.sif', 'x.def'],
  ]
  for (const args of builds) {
    const { status, stderr } = await sing(['build', ...args], { cwd: folder.path, env })
    if (status !== 0) throw new Error(stderr)
  }
})

describe.skipIf(!can('userns', 'gocryptfs'))('gocryptfs', () => {
  it('shows what is in an image', async () => {
    const casing = await casingOf(at('passphrase.sif'))
    give(casing)
    for (const name of ['outer', 'inner']) {
      mkdirSync(at(name))
      give(at(name))
    }
    const script = `
      trap 'fusermount3 -uz inner; fusermount3 -uz outer' EXIT
      squashfuse "$1" outer
      printf %s "$2" > passphrase
      gocryptfs -q -ro -nosyslog -passfile passphrase outer inner
      cat inner/squashfs-*`
    const { status, stdout, stderr } = await run(
      ['sh', '-c', `{ ${script}\n} | sha256sum`, 'sh', casing, secret],
      {
        cwd: folder.path,
      },
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const plain: Buffer = await decrypt(at('passphrase.sif'), secret)
    expect(stdout).toBe(`${createHash('sha256').update(plain).digest('hex')}  -\n`)
  })
})

describe.skipIf(!can('userns', 'fuse', 'peer'))('Apptainer', () => {
  const apptainer = (args: readonly string[], passphrase?: string) =>
    peer(args, {
      folders: [folder.path],
      env: passphrase === undefined ? {} : { APPTAINER_ENCRYPTION_PASSPHRASE: passphrase },
    })

  it('runs an image with its passphrase', async () => {
    const { stdout } = await apptainer(['exec', at('passphrase.sif'), 'cat', '/opt/hello.txt'], secret)
    expect(stdout).toBe('hello, file\n')
  })

  it('does not run it with another one', async () => {
    const { status } = await apptainer(['exec', at('passphrase.sif'), 'cat', '/opt/hello.txt'], 'other')
    expect(status).toBe(255)
  })

  it('runs an image for the owner of a key', async () => {
    const args = ['exec', '--pem-path', at('private.pem'), at('key.sif'), 'cat', '/opt/hello.txt']
    expect((await apptainer(args)).stdout).toBe('hello, file\n')
  })

  it('reads all of an image that was made of a definition', async () => {
    const { stdout } = await apptainer(['exec', at('made.sif'), 'sha256sum', '-c', '/sum'], secret)
    expect(stdout).toMatch(/OK\n$/)
  })
})
