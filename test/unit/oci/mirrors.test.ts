/** registries.conf: where to ask for an image. */

import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { endpointsOf, ruleFor, toRules } from '../../../src/oci/mirrors.ts'

const rules = toRules(
  parse(`
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "docker.io/library"
location = "inside.example/official"

[[registry]]
prefix = "*.wild.example"
insecure = true

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
location = "old.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "old-mirror.example"

[[registry]]
insecure = true
`),
)

const ask = (registry: string, repository: string, byDigest = false) =>
  endpointsOf(ruleFor(rules, { registry, repository }), { registry, repository }, byDigest).map(
    (endpoint) => `${endpoint.registry}/${endpoint.repository}${endpoint.insecure ? ' insecure' : ''}`,
  )

describe('an image is asked for', () => {
  const cases: [registry: string, repository: string, byDigest: boolean, places: string[]][] = [
    ['plain.example', 'a/b', false, ['plain.example/a/b']],
    [
      'docker.io',
      'a/b',
      false,
      ['mirror.example:5000/hub/a/b insecure', 'tags.example/a/b', 'docker.io/a/b'],
    ],
    [
      'docker.io',
      'a/b',
      true,
      ['mirror.example:5000/hub/a/b insecure', 'digests.example/a/b', 'docker.io/a/b'],
    ],
    ['docker.io', 'library/x', false, ['inside.example/official/x']],
    [
      'docker.io',
      'libraryx/x',
      false,
      ['mirror.example:5000/hub/libraryx/x insecure', 'tags.example/libraryx/x', 'docker.io/libraryx/x'],
    ],
    ['a.wild.example', 'x', false, ['a.wild.example/x insecure']],
    ['a.wild.example:5000', 'x', false, ['a.wild.example:5000/x insecure']],
    ['wild.example', 'x', false, ['wild.example/x']],
    ['old.example', 'x', false, ['old.example/x']],
    ['old.example', 'x', true, ['old-mirror.example/x', 'old.example/x']],
    ['docker.io.evil.example', 'a/b', false, ['docker.io.evil.example/a/b']],
  ]
  it.each(cases)('%s/%s (by digest: %s)', (registry, repository, byDigest, places) => {
    expect(ask(registry, repository, byDigest)).toEqual(places)
  })

  it('not at all where the site blocks it', () => {
    expect(() => ask('bad.example', 'x')).toThrow('bad.example/x is blocked by registries.conf (bad.example)')
  })
})

it.each([{}, { registry: 5 }, { registry: [5, {}] }, { registry: [{ location: 7, mirror: 'x' }] }])(
  'has no rules where nonsense stands: %j',
  (document) => {
    expect(toRules(document)).toEqual([])
  },
)
