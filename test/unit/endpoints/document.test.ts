import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseYaml } from '../../../src/config/yaml.ts'
import {
  builtInDocument,
  emptyDocument,
  type RemoteDocument,
  readDocument,
} from '../../../src/endpoints/document.ts'
import { documentText } from '../../../src/endpoints/document-text.ts'

const read = (text: string): RemoteDocument => readDocument(parseYaml(text, 'remote.yaml'), 'remote.yaml')

/** As Apptainer writes it. */
const peerText = `Active: mock
Remotes:
    DefaultRemote:
        URI: cloud.apptainer.org
        System: true
        Exclusive: false
        Keyservers:
            - URI: https://keys.openpgp.org
              Skip: false
              External: false
              Insecure: false
            - URI: http://127.0.0.1:2
              Skip: true
              External: true
              Insecure: true
    mock:
        URI: localhost
        Token: eyJhbGciOi.J9-_=
        System: false
        Exclusive: false
        Insecure: true
Credentials:
    - URI: docker://127.0.0.1:5001
      Auth: Basic YWxpY2U6czNjcmV0
      Insecure: false
`

describe('a file of endpoints', () => {
  it('is read as Apptainer writes it', () => {
    expect(read(peerText)).toEqual({
      active: 'mock',
      endpoints: [
        {
          name: 'DefaultRemote',
          uri: 'cloud.apptainer.org',
          token: undefined,
          system: true,
          exclusive: false,
          insecure: false,
          keyservers: [
            { uri: 'https://keys.openpgp.org', skip: false, external: false, insecure: false },
            { uri: 'http://127.0.0.1:2', skip: true, external: true, insecure: true },
          ],
        },
        {
          name: 'mock',
          uri: 'localhost',
          token: 'eyJhbGciOi.J9-_=',
          system: false,
          exclusive: false,
          insecure: true,
          keyservers: undefined,
        },
      ],
      credentials: [{ uri: 'docker://127.0.0.1:5001', auth: 'Basic YWxpY2U6czNjcmV0', insecure: false }],
    })
  })

  it.each([
    ['nothing', ''],
    ['comments', '# none\n'],
    ['empty keys', 'Active: ""\nRemotes: {}\nCredentials:\n'],
  ])('may have %s in it', (_, text) => {
    expect(read(text)).toEqual(emptyDocument)
  })

  it.each([
    ['what Apptainer wrote', read(peerText)],
    ['nothing', emptyDocument],
    ['what is built in', builtInDocument],
    [
      'names and words that YAML would take for something else',
      read(`Active: "yes"
Remotes:
  "yes": { URI: "a: b # c", Token: "12 \\"x\\" 'y'" }
  "10": { URI: 10.0.0.1:8080/a }
  "- é\\t\\u0001": { URI: "[::1]:80" }
Credentials: [{ URI: "https://[::1]", Auth: "Basic =:#", Insecure: TRUE }]
`),
    ],
  ])('says the same when it is written again: %s', (_, document) => {
    expect(read(documentText(document))).toEqual(document)
  })

  it('says the same when it is written again, whatever words are in it', () => {
    const word = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed())
    const secret = fc.stringMatching(/^[\x20-\x7e]+$/)
    const entry = fc.record({ uri: word, skip: fc.boolean(), external: fc.boolean(), insecure: fc.boolean() })
    const endpoint = fc.record({
      name: word,
      uri: word,
      token: fc.option(secret, { nil: undefined }),
      system: fc.boolean(),
      exclusive: fc.boolean(),
      insecure: fc.boolean(),
      keyservers: fc.option(fc.array(entry, { minLength: 1 }), { nil: undefined }),
    })
    const document = fc.record({
      active: fc.option(word, { nil: undefined }),
      endpoints: fc.uniqueArray(endpoint, { selector: ({ name }) => name, maxLength: 4 }),
      credentials: fc.array(fc.record({ uri: word, auth: secret, insecure: fc.boolean() }), { maxLength: 4 }),
    })
    fc.assert(
      fc.property(document, (given) => {
        expect(read(documentText(given))).toEqual(given)
      }),
    )
  })

  it('is written as Apptainer writes it', () => {
    expect(documentText(read(peerText)).replaceAll('"', '')).toBe(peerText)
  })

  const bad = [
    ['- a\n', ':1: a file of endpoints: expected keys'],
    ['Active: a\nFoo: b\n', ':2: a file of endpoints: unknown key Foo'],
    ['active: a\n', ':1: a file of endpoints: unknown key active'],
    ['Active: [a]\n', ':1: Active: expected one word'],
    ['Active: a\nActive: b\n', ':2: Active stands here for the second time'],
    ['Remotes: [a]\n', ':1: Remotes: expected keys'],
    ['Remotes:\n  a: b\n', ':2: the endpoint a: expected keys'],
    ['Remotes:\n  a:\n    URL: b\n', ':3: the endpoint a: unknown key URL'],
    ['Remotes:\n  a:\n    URI: b\n  a:\n    URI: c\n', ':4: a stands here for the second time'],
    ['Remotes:\n  a:\n    System: maybe\n', ':3: System: expected true or false, got "maybe"'],
    ['Remotes:\n  a:\n    Token: "x\\r\\nHost: y"\n', ':3: Token: it has characters that no login has'],
    ['Remotes:\n  a:\n    Keyservers: b\n', ':3: Keyservers: expected a list'],
    ['Remotes:\n  a:\n    Keyservers:\n      - Skip: true\n', ':4: a key server: the key URI is missing'],
    ['Remotes:\n  a:\n    Keyservers:\n      - Uri: b\n', ':4: a key server: unknown key Uri'],
    ['Credentials:\n  - URI: a\n    Password: b\n', ':3: a login: unknown key Password'],
    ['Credentials:\n  - Auth: b\n', ':2: a login: the key URI is missing'],
    ['Credentials: { URI: a }\n', ':1: Credentials: expected a list'],
    ['Remotes: &a\n  b: *a\n', ':2: anchors and aliases'],
    ['Remotes: !!map\n', ':1: tags'],
    ['a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: {l: {m: {n: {o: {p: {q: {}}}}}}}}}}}}}}}}}\n', 'no YAML'],
  ]
  it.each(bad)('is not %j', (text, reason) => {
    expect(() => read(text)).toThrow(`remote.yaml${reason.startsWith(':') ? reason : ''}`)
    expect(() => read(text)).toThrow(reason)
  })

  it('names a key that was meant', () => {
    expect(() => read('Active: a\nRemotes:\n  a:\n    Tokn: b\n')).toThrow(
      expect.objectContaining({ code: 'ENDPOINT', hint: 'Did you mean Token?' }),
    )
  })
})
