/** Whom we believe to be a server: certificates of authorities, and our own for servers that ask for one. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'

type Environment = Readonly<Record<string, string>>

export type Trust = {
  /** Certificates of authorities in PEM. */
  readonly ca: readonly string[]
  /** What we show a server that asks who we are. */
  readonly cert?: string
  readonly key?: string
}

/** Where systems keep the certificates they trust: Debian, Fedora, openSUSE, older Red Hat, Alpine. */
const systemFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** Bundles of all authorities have about 250 KB. */
const sizeLimit = 8 * 1024 * 1024

function read(path: string): string {
  try {
    const text = readFileSync(path, 'latin1')
    if (text.length > sizeLimit) throw new Error('it is too large')
    return text
  } catch (cause) {
    throw new SingError('IO', `cannot read the certificate ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

function list(folder: string): string[] | undefined {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'EACCES')
      return undefined
    throw new SingError('IO', `cannot read ${shown(folder)}: ${reasonOf(error)}`, { cause: error })
  }
}

const isCertificate = (text: string): boolean => text.includes('-----BEGIN CERTIFICATE-----')

function readFolder(folder: string): string[] {
  return (list(folder) ?? [])
    .map((name) => readIfThere(join(folder, name)))
    .filter((text) => text !== undefined && isCertificate(text)) as string[]
}

/** What the caller names by SSL_CERT_FILE and SSL_CERT_DIR; else what the system trusts. */
export function trustedAuthorities({ SSL_CERT_FILE: file, SSL_CERT_DIR: folders }: Environment): string[] {
  if (file || folders) {
    return [...(file ? [read(file)] : []), ...(folders ?? '').split(':').filter(Boolean).flatMap(readFolder)]
  }
  for (const path of systemFiles) {
    const text = readIfThere(path)
    if (text !== undefined && isCertificate(text)) return [text]
  }
  return [...rootCertificates]
}

/** Folders with the certificates of single registries (containers-certs.d(5)). */
const certificateFolders = ({ HOME }: Environment): string[] => [
  ...(HOME?.startsWith('/') ? [join(HOME, '.config/containers/certs.d')] : []),
  '/etc/containers/certs.d',
  '/etc/docker/certs.d',
]

function readPair(folder: string, name: string): { cert: string; key: string } {
  const key = `${name.slice(0, -'.cert'.length)}.key`
  return { cert: read(join(folder, name)), key: read(join(folder, key)) }
}

/** What stands in `HOST:PORT` of the first folder that has one: `*.crt` of authorities, `*.cert` with `*.key` for us. */
function ofHost(names: readonly string[], environment: Environment): Trust {
  for (const folder of certificateFolders(environment).flatMap((parent) =>
    names.map((name) => join(parent, name)),
  )) {
    const files = list(folder)
    if (!files) continue
    const ca = files.filter((name) => name.endsWith('.crt')).map((name) => read(join(folder, name)))
    const pair = files.find((name) => name.endsWith('.cert'))
    return { ca, ...(pair !== undefined && readPair(folder, pair)) }
  }
  return { ca: [] }
}

/**
 * The certificates for one server.
 * @throws SingError IO for a file that is named for it and cannot be read
 */
export function readTrust({ host, hostname, port }: URL, environment: Environment): Trust {
  const names = port ? [host] : [host, `${hostname}:443`]
  const own = ofHost(names, environment)
  return { ...own, ca: [...trustedAuthorities(environment), ...own.ca] }
}

/** What Docker's programs keep for one daemon in a folder (DOCKER_CERT_PATH): `ca.pem`, `cert.pem` and `key.pem`. */
export function trustInFolder(folder: string): Trust {
  const ca = [read(join(folder, 'ca.pem'))]
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readIfThere(join(folder, name)))
  return cert === undefined || key === undefined ? { ca } : { ca, cert, key }
}
