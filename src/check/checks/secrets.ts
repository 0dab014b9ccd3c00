/** Secrets in files: looked for where people and programs leave them, and in small files alone. */

import type { Item } from '../../image/inventory.ts'
import { type Facts, nameOf } from '../facts.ts'
import { type Secret, secretsIn } from '../secrets.ts'
import { type Check, type Finding, inPost, type Severity } from '../types.ts'

const largest = 64 * 1024

/** Files of people and of the image itself; programs and their data lie elsewhere. */
const likely =
  /^\/(root|home|etc|tmp|var\/tmp|srv|app|apps|work|workspace|code|data|\.singularity\.d|scif\/apps)\//
/** Such files are looked into wherever they are. */
const named =
  /^(id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|ppk|env|kubeconfig)|\.env(\..*)?|[._]netrc|\.pgpass|\.npmrc|\.pypirc|\.git-credentials|credentials(\.json)?|\.dockercfg|auth\.json|kubeconfig)$/
/** Packages bring keys for their own tests and examples, which open nothing. */
const harmless =
  /\/(tests?|testing|testdata|test-data|testsuite|examples?|demos?|fixtures?|docs?|doc)\/|^\/usr\/(share|lib|lib64|src)\/|^\/etc\/(ssl\/certs|pki\/ca-trust|ca-certificates)\/|\/(site-packages|dist-packages|node_modules|pkgs)\//
/** Made by the package while it was installed; the same for everybody who has the image. */
const generated = /^\/etc\/ssh\/ssh_host_\w+_key$|\/ssl-cert-snakeoil\.key$/

const isWanted = ({ path, type, size }: Item): boolean =>
  type === 'file' &&
  size > 0 &&
  size <= largest &&
  (named.test(path.slice(path.lastIndexOf('/') + 1)) || (likely.test(path) && !harmless.test(path)))

/** The text of a file; undefined for what is no text. */
function textOf(item: Item, facts: Facts): string | undefined {
  const bytes = facts.head(item, largest)
  return bytes.includes(0) ? undefined : bytes.toString()
}

function severityOf(path: string, { locked }: Secret): Severity {
  if (harmless.test(path)) return 'note'
  return locked || generated.test(path) ? 'warning' : 'error'
}

function toFinding(path: string, secret: Secret): Finding {
  const { what, line, locked } = secret
  const severity = severityOf(path, secret)
  const text = `${what}${locked ? ', with a passphrase' : ''}`
  return {
    severity,
    path,
    line,
    text,
    fix: severity === 'note' ? 'see whether it opens anything' : fixFor(path, what),
  }
}

function fixFor(path: string, what: string): string {
  if (generated.test(path)) return `${inPost(`rm -f ${path}`)}, and make one where the service starts`
  const source = /^\/\.singularity\.d\/(env\/|runscript|startscript|test|Singularity|labels)/.test(path)
    ? 'take it out of the definition'
    : inPost(`rm -f ${path}`)
  return `${source}; who has had the image has the ${what.split(' ').includes('key') ? 'key' : 'login'}: replace it`
}

/** Read once for all checks of this file. */
const known = new WeakMap<Facts, readonly { readonly path: string; readonly secret: Secret }[]>()

function secretsOf(facts: Facts) {
  const found =
    known.get(facts) ??
    facts.items.filter(isWanted).flatMap((item) => {
      const text = textOf(item, facts)
      return text === undefined
        ? []
        : secretsIn(nameOf(item), text).map((secret) => ({ path: item.path, secret }))
    })
  known.set(facts, found)
  return found
}

const findKind = (kind: Secret['kind']) => (facts: Facts) =>
  secretsOf(facts)
    .filter(({ secret }) => secret.kind === kind)
    .map(({ path, secret }) => toFinding(path, secret))

/** Accounts that nobody needs a password for, or somebody's is in the image (shadow(5)). */
function findPasswords(facts: Facts): Finding[] {
  const accounts = facts.text('/etc/shadow').split('\n')
  return accounts.flatMap((line, index): Finding[] => {
    const [name = '', password] = line.split(':')
    if (password === undefined || /^[*!x]/.test(password)) return []
    const isEmpty = password === ''
    return [
      {
        severity: 'warning',
        path: '/etc/shadow',
        line: index + 1,
        text: isEmpty
          ? `${name} has no password at all`
          : `the password of ${name}, as a hash that can be tried`,
        fix: inPost(`passwd -l ${name}`),
      },
    ]
  })
}

export const secrets: readonly Check[] = [
  {
    name: 'private-keys',
    tags: ['security'],
    summary: 'private keys: PEM, SSH, PGP',
    find: findKind('private-key'),
  },
  {
    name: 'credentials',
    tags: ['security'],
    summary: 'logins: .netrc, .pgpass, registries, clouds, addresses with a password',
    find: findKind('credentials'),
  },
  {
    name: 'tokens',
    tags: ['security'],
    summary: 'tokens of services, by their well-known beginnings',
    find: findKind('token'),
  },
  {
    name: 'passwords',
    tags: ['security'],
    summary: 'accounts with a password, or with an empty one',
    find: findPasswords,
  },
]
