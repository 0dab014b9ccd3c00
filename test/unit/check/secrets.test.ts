/** What is taken for a secret, and what is not. */

import { describe, expect, it } from 'vitest'
import { secretsIn } from '../../../src/check/secrets.ts'

const of = (name: string, text: string): string[] =>
  secretsIn(name, text).map(({ what, line, locked }) => `${what}:${line}${locked ? ' locked' : ''}`)

const pem = (kind: string, data: string, head = '') =>
  `-----BEGIN ${kind}PRIVATE KEY-----\n${head}${data}\n-----END ${kind}PRIVATE KEY-----\n`
const data = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC'
const many = (count: number) => 'a'.repeat(count)

const secret: readonly (readonly [name: string, text: string, found: string])[] = [
  ['a', pem('', data), 'private key:1'],
  ['a', `x\n${pem('RSA ', data)}`, 'private key:2'],
  ['a', pem('ENCRYPTED ', data), 'private key:1 locked'],
  ['a', pem('RSA ', data, 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n'), 'private key:1 locked'],
  ['id_ed25519', pem('OPENSSH ', 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ'), 'private key of SSH:1'],
  ['id_ed25519', pem('OPENSSH ', 'b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI'), 'private key of SSH:1 locked'],
  ['.netrc', 'machine a\n  login b\n  password c\n', 'login:3'],
  ['.pgpass', '# x\nhost:5432:db:user:word\n', 'login of PostgreSQL:2'],
  ['.git-credentials', 'https://me:word@git.example\n', 'login of git:1'],
  ['config.json', '{ "auths": { "r.example": { "auth": "bWU6d29yZA==" } } }', 'login of a registry:1'],
  ['.npmrc', '//r.example/:_authToken=abc\n', 'login of npm:1'],
  ['config', 'users:\n- user:\n    client-key-data: LS0tLS1CRUdJTiBSU0E=\n', 'login of Kubernetes:3'],
  [
    'sa.json',
    `{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----"}`,
    'key of a service account of Google:1',
  ],
  ['credentials', `[default]\naws_secret_access_key = ${many(40)}\n`, 'secret key of AWS:2'],
  ['run.sh', 'psql postgres://me:wordword@db.example/x\n', 'login in an address:1'],
  ['run.sh', 'export A=AKIAIOSFODNN7EXAMPLE\n', 'access key of AWS:1'],
  ['run.sh', `T=ghp_${many(36)}\n`, 'token of GitHub:1'],
  ['run.sh', `T=glpat-${many(20)}\n`, 'token of GitLab:1'],
  ['run.sh', `T=hf_${many(34)}\n`, 'token of Hugging Face:1'],
]

const harmless: readonly (readonly [name: string, text: string])[] = [
  ['a', '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEF\n-----END PUBLIC KEY-----\n'],
  ['a.py', 'KEY = "-----BEGIN PRIVATE KEY-----"\n'],
  ['.netrc', 'machine a login b\n'],
  ['config.json', '{ "auths": { "r.example": {} }, "credsStore": "pass" }'],
  ['.npmrc', '//r.example/:_authToken=${NPM_TOKEN}\n'],
  ['run.sh', 'curl https://user:${TOKEN}@example/\n'],
  ['run.sh', 'curl https://user:password@example/\n'],
  ['a.md', `sghp_${many(36)} ghp_${many(10)}`],
  ['sources.list', 'deb http://deb.example/debian bookworm main\n'],
]

describe('a text', () => {
  it.each(secret)('%s has a secret: %j', (name, text, found) => {
    expect(of(name, text)).toContain(found)
  })

  it.each(harmless)('%s has none: %j', (name, text) => {
    expect(of(name, text)).toEqual([])
  })

  const pieces = ['a://a:', 'password ', '-----BEGIN ', '{"type": "service_account" ', 'A: b\n', '\n']

  it.each(pieces)('of a hostile image takes no time: %j', (piece) => {
    for (const name of ['a.json', 'config', '.pypirc', '.my.cnf', '.s3cfg', '.netrc', '.pgpass', '.npmrc'])
      expect(secretsIn(name, piece.repeat(65536 / piece.length))).toBeDefined()
  })
})
