import { describe, expect, it } from 'vitest'
import { checkReference, referenceOf } from '../../../src/build/sources/oci.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

function stageOf(header: string) {
  const [stage] = parseDefinition(`${header.replaceAll('; ', '\n')}\n`, { name: 'x.def' }).stages
  if (!stage) throw new Error('no stage')
  return stage
}

describe('the reference that a header means', () => {
  it.each([
    ['Bootstrap: docker; From: alpine:3.20', 'docker://alpine:3.20'],
    ['Bootstrap: docker; From: //alpine', 'docker://alpine'],
    ['Bootstrap: docker; From: app; Namespace: team', 'docker://team/app'],
    [
      'Bootstrap: docker; From: app:1; Registry: registry.example:5000',
      'docker://registry.example:5000/app:1',
    ],
    [
      'Bootstrap: docker; From: app; Registry: registry.example; Namespace: team/sub/',
      'docker://registry.example/team/sub/app',
    ],
    ['Bootstrap: oras; From: registry.example/app:1', 'oras://registry.example/app:1'],
    ['Bootstrap: oras; From: //registry.example/app:1', 'oras://registry.example/app:1'],
    ['Bootstrap: oci; From: layout:tag', 'oci:layout:tag'],
    ['Bootstrap: oci-archive; From: /data/image.tar', 'oci-archive:/data/image.tar'],
    ['Bootstrap: docker-archive; From: image.tar', 'docker-archive:image.tar'],
    ['Bootstrap: docker-daemon; From: app:1', 'docker-daemon:app:1'],
    ['Bootstrap: https; From: //web.example/app.sif', 'https://web.example/app.sif'],
    ['Bootstrap: http; From: web.example/app.sif?x=y', 'http://web.example/app.sif?x=y'],
  ])('%s', (header, reference) => {
    const stage = stageOf(header)
    expect(referenceOf(stage)).toBe(reference)
    expect(() => checkReference(stage)).not.toThrow()
  })

  it.each([
    ['Bootstrap: docker; From: Alpine', 'REFERENCE'],
    ['Bootstrap: docker; From: alpine@sha256:12', 'REFERENCE'],
    ['Bootstrap: library; From: alpine', 'UNSUPPORTED'],
    ['Bootstrap: shub; From: user/image', 'UNSUPPORTED'],
  ])('is refused at once: %s', (header, code) => {
    expect(() => checkReference(stageOf(header))).toThrow(expect.objectContaining({ code }))
  })

  it.each([
    ['Bootstrap: docker; From: docker://a.example/app', 'Write: Bootstrap: docker, and From: a.example/app'],
    ['Bootstrap: docker; From: oras://a.example/app', 'Write: Bootstrap: oras, and From: a.example/app'],
  ])('tells the kind of image once: %s', (header, hint) => {
    expect(() => checkReference(stageOf(header))).toThrow(expect.objectContaining({ hint }))
  })
})
