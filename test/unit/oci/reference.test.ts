import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import {
  baseReference,
  fileNameOf,
  fileNameOfAddress,
  isReference,
  originOf,
  parseReference,
  showReference,
} from '../../../src/oci/reference.ts'

const hex = '0123456789abcdef'.repeat(4)
const sha256 = `sha256:${hex}`
const sha512 = `sha512:${hex}${hex}`

/** What is typed, how it reads in full, what `From:` says, and the file that pull writes. */
const cases = [
  [
    'docker://alpine',
    'docker://docker.io/library/alpine:latest',
    'docker.io/library/alpine',
    'alpine_latest.sif',
  ],
  [
    'docker:alpine:3.20',
    'docker://docker.io/library/alpine:3.20',
    'docker.io/library/alpine',
    'alpine_3.20.sif',
  ],
  ['docker://user/app', 'docker://docker.io/user/app:latest', 'docker.io/user/app', 'app_latest.sif'],
  ['docker://index.docker.io/a:1', 'docker://docker.io/library/a:1', 'docker.io/library/a', 'a_1.sif'],
  ['docker://registry-1.docker.io/u/a', 'docker://docker.io/u/a:latest', 'docker.io/u/a', 'a_latest.sif'],
  ['docker://localhost/a', 'docker://localhost/a:latest', 'localhost/a', 'a_latest.sif'],
  ['docker://localhost:5000/a/b:c', 'docker://localhost:5000/a/b:c', 'localhost:5000/a/b', 'b_c.sif'],
  ['docker://registry.example/a', 'docker://registry.example/a:latest', 'registry.example/a', 'a_latest.sif'],
  [
    'docker://Registry.Example:443/a',
    'docker://registry.example:443/a:latest',
    'registry.example:443/a',
    'a_latest.sif',
  ],
  ['docker://[::1]:5000/a:1', 'docker://[::1]:5000/a:1', '[::1]:5000/a', 'a_1.sif'],
  ['docker://[fe80::1]/a', 'docker://[fe80::1]/a:latest', '[fe80::1]/a', 'a_latest.sif'],
  ['docker:127.0.0.1:5000/a', 'docker://127.0.0.1:5000/a:latest', '127.0.0.1:5000/a', 'a_latest.sif'],
  [
    `docker://a@${sha256}`,
    `docker://docker.io/library/a@${sha256}`,
    'docker.io/library/a',
    `a@sha256_${hex}.sif`,
  ],
  [`docker://a:1@${sha256}`, `docker://docker.io/library/a@${sha256}`, 'docker.io/library/a', 'a_1.sif'],
  [`docker://r.io/a@${sha512}`, `docker://r.io/a@${sha512}`, 'r.io/a', `a@sha512_${hex}${hex}.sif`],
  [
    'docker://a_b/c__d/e-f.g',
    'docker://docker.io/a_b/c__d/e-f.g:latest',
    'docker.io/a_b/c__d/e-f.g',
    'e-f.g_latest.sif',
  ],
  ['oras://r.example:1/a/b:v1', 'oras://r.example:1/a/b:v1', 'r.example:1/a/b', 'b_v1.sif'],
  [`oras:r.example/b@${sha256}`, `oras://r.example/b@${sha256}`, 'r.example/b', `b@sha256_${hex}.sif`],
  ['oci:dir', 'oci:dir', 'dir', 'dir_latest.sif'],
  ['oci:/abs/dir/:tag', 'oci:/abs/dir/:tag', 'dir', 'dir_tag.sif'],
  ['oci:///abs/dir:tag', 'oci:/abs/dir:tag', 'dir', 'dir_tag.sif'],
  ['oci://dir', 'oci:dir', 'dir', 'dir_latest.sif'],
  [`oci:dir@${sha256}`, `oci:dir@${sha256}`, 'dir', `dir@sha256_${hex}.sif`],
  [`oci:dir:a@${sha256}`, `oci:dir@${sha256}`, 'dir', 'dir_a.sif'],
  ['oci:me@home/dir:r.io/app:1', 'oci:me@home/dir:r.io/app:1', 'dir', 'dir_app_1.sif'],
  ['oci-archive:a.tar', 'oci-archive:a.tar', 'a.tar', 'a.tar_latest.sif'],
  ['oci-archive:/x/a.tar.gz:t', 'oci-archive:/x/a.tar.gz:t', 'a.tar.gz', 'a.tar.gz_t.sif'],
  ['docker-archive:/x/a.tar', 'docker-archive:/x/a.tar', 'a.tar', 'a.tar_latest.sif'],
  ['docker-archive:a.tar:app:2', 'docker-archive:a.tar:app:2', 'a.tar', 'app_2.sif'],
  ['docker-archive:a.tar:r.io/x/app', 'docker-archive:a.tar:r.io/x/app:latest', 'a.tar', 'app_latest.sif'],
  [
    'docker-archive:a.tar:docker.io/library/app',
    'docker-archive:a.tar:app:latest',
    'a.tar',
    'app_latest.sif',
  ],
  ['docker-daemon:app:2', 'docker-daemon:app:2', 'app', 'app_2.sif'],
  ['docker-daemon://app', 'docker-daemon:app:latest', 'app', 'app_latest.sif'],
  ['docker-daemon:r.io:5000/x/app:1', 'docker-daemon:r.io:5000/x/app:1', 'r.io:5000/x/app', 'app_1.sif'],
  [`docker-daemon:app@${sha256}`, `docker-daemon:app@${sha256}`, 'app', `app@sha256_${hex}.sif`],
  [`docker-daemon:${sha256}`, `docker-daemon:${sha256}`, '', `sha256_${hex}.sif`],
] as const

describe('a reference', () => {
  it.each(cases)('%s is printed in full, has an origin and a file name', (text, full, from, file) => {
    const reference = parseReference(text)
    expect(showReference(reference)).toBe(full)
    expect(originOf(reference)).toEqual({ agent: reference.kind, from })
    expect(fileNameOf(reference)).toBe(file)
    expect(isReference(text)).toBe(true)
  })

  it.each(cases)('%s means the same when its full form is read', (text) => {
    const full = showReference(parseReference(text))
    expect(showReference(parseReference(full))).toBe(full)
  })

  it.each([
    ['docker://arm64v8/alpine', { os: 'linux', architecture: 'arm64', variant: 'v8' }],
    ['docker://arm32v6/alpine', { os: 'linux', architecture: 'arm', variant: 'v6' }],
    ['docker://i386/alpine', { os: 'linux', architecture: '386' }],
    ['docker://registry.example/amd64/app', { os: 'linux', architecture: 'amd64' }],
    ['docker://amd64', undefined],
    ['docker://library/amd64', undefined],
    ['docker://user/arm64', undefined],
    ['oras://registry.example/amd64/app', undefined],
  ])('%s tells the platform of its repository', (text, platform) => {
    expect(parseReference(text)).toMatchObject({ platform })
  })

  it.each([
    ['alpine', 'it is no reference'],
    ['dockers://alpine', 'it is no reference'],
    ['docker:', 'it names no image'],
    ['docker://', 'it names no image'],
    ['docker://Alpine', 'is no name of a repository', 'Names are in small letters: alpine'],
    ['docker://a:', '"" is no tag'],
    ['docker://a:b c', '"b c" is no tag'],
    ['docker://a:-b', '"-b" is no tag'],
    [`docker://a:${'t'.repeat(129)}`, 'is no tag'],
    ['docker://a@sha256:123', '"sha256:123" is no digest'],
    ['docker://a@sha1:123', 'is no digest'],
    [`docker://a@sha256:${hex.toUpperCase()}`, 'is no digest'],
    ['docker://a//b', '"a//b" is no name'],
    ['docker://a/../b', 'is no name'],
    ['docker://../a', 'is no host'],
    ['docker://r.io/', '"" is no name'],
    ['docker://r.io:99999/a', 'is no host'],
    ['docker://r.io:0/a', 'is no host'],
    ['docker://r.io:x/a', 'is no host'],
    ['docker://r..io/a', 'is no host'],
    ['docker://a?b', 'is no name'],
    [`docker://${'a'.repeat(256)}`, 'is no name'],
    [`docker://${'a'.repeat(5000)}`, 'it is too long'],
    ['oci:', 'it names no image'],
    ['oci::tag', 'it names no path'],
    ['oci:dir:', 'a name follows the colon'],
    ['oci:dir@sha256:12', 'is no digest'],
    ['oci:a\nb', 'control character'],
    ['docker-archive:a.tar:UP', 'is no name'],
    ['docker-daemon:UP', 'is no name'],
  ])('%s is refused: %s', (text, reason, hint = undefined) => {
    const read = () => parseReference(text)
    expect(read).toThrow(reason)
    expect(read).toThrow(expect.objectContaining({ code: 'REFERENCE', ...(hint ? { hint } : {}) }))
  })

  it('does not repeat a password that somebody put into it', () => {
    const read = () => parseReference('docker://me:geheim@registry.example/app')
    expect(read).toThrow('docker://...@registry.example/app: it holds no user or password')
    expect(() => parseReference('docker://me:geheim@app')).toThrow(/^docker:\/\/\.\.\.@app/)
  })

  it('is refused with a sentence whatever it is, or has a file name without a folder', () => {
    const words = fc.constantFrom(
      ':',
      '/',
      '@',
      '//',
      '.',
      '..',
      'a',
      'B',
      '[::1]',
      sha256,
      'sha256:',
      '\n',
      ' ',
    )
    const kinds = fc.constantFrom(
      'docker:',
      'oras:',
      'oci:',
      'oci-archive:',
      'docker-archive:',
      'docker-daemon:',
    )
    fc.assert(
      fc.property(kinds, fc.array(fc.oneof(words, fc.string())), (kind, parts) => {
        try {
          expect(fileNameOf(parseReference(kind + parts.join('')))).toMatch(/^[^/\0\n]+\.sif$/)
        } catch (error) {
          expect(error).toBeInstanceOf(SingError)
        }
      }),
    )
  })
})

it.each([
  ['https://example.com/images/app.sif', 'app.sif'],
  ['http://example.com/app.sif?key=1#x', 'app.sif'],
  ['http://example.com/a/../b', 'b'],
  ['http://example.com/', undefined],
  ['http://', undefined],
])('%s is loaded into %s', (address, name) => {
  expect(fileNameOfAddress(address)).toBe(name)
})

it.each([
  ['docker://alpine', 'docker.io/library/alpine:latest'],
  [`docker:r.example:5000/a/b@${sha256}`, `r.example:5000/a/b@${sha256}`],
  ['oci:/home/jane/layout:app', 'oci:layout:app'],
  ['oci-archive:dir/a.tar', 'oci-archive:a.tar'],
  ['docker-archive:/tmp/a.tar:app:1', 'docker-archive:a.tar:app:1'],
  ['docker-daemon:app:1', 'docker-daemon:app:1'],
])('tells images on top of %s that they are built on %s', (text, name) => {
  expect(baseReference(parseReference(text))).toBe(name)
})
