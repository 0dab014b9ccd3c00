/** The lists that package managers keep of what is installed, as texts. */

type Package = readonly [name: string, version: string]

/** Paragraphs of `Key: value` lines; lines that go on are left out. */
function paragraphs(text: string): Map<string, string>[] {
  return text.split(/\n{2,}/).map((paragraph) => {
    const lines = paragraph.split('\n').flatMap((line) => /^([\w-]+):\s*(.*)$/.exec(line) ?? [])
    const fields = new Map<string, string>()
    for (let at = 0; at < lines.length; at += 3)
      fields.set((lines[at + 1] ?? '').toLowerCase(), lines[at + 2] ?? '')
    return fields
  })
}

function named(fields: ReadonlyMap<string, string>, name: string, version: string): Package[] {
  const [one, other] = [fields.get(name), fields.get(version)]
  return one && other ? [[one, other]] : []
}

/** /var/lib/dpkg/status. A package of several architectures comes with each of them behind its name. */
export function dpkgPackages(text: string): Package[] {
  const installed = paragraphs(text).filter((fields) => fields.get('status')?.endsWith(' installed') ?? true)
  const count = new Map<string, number>()
  for (const fields of installed) {
    const name = fields.get('package') ?? ''
    count.set(name, (count.get(name) ?? 0) + 1)
  }
  return installed.flatMap((fields) =>
    named(fields, 'package', 'version').map(([name, version]): Package => {
      const isOneOfMany = (count.get(name) ?? 0) > 1
      return [isOneOfMany ? `${name}:${fields.get('architecture') ?? ''}` : name, version]
    }),
  )
}

/** /lib/apk/db/installed */
export function apkPackages(text: string): Package[] {
  return paragraphs(text).flatMap((fields) => named(fields, 'p', 'v'))
}

/** `desc` of a package in /var/lib/pacman/local */
export function pacmanPackage(text: string): Package[] {
  const fieldOf = (key: string): string => new RegExp(`^%${key}%\\n(.+)$`, 'm').exec(text)?.[1] ?? ''
  const [name, version] = [fieldOf('NAME'), fieldOf('VERSION')]
  return name && version ? [[name, version]] : []
}

/** METADATA or PKG-INFO of a Python package; names as PEP 503 compares them. */
export function pythonPackage(text: string): Package[] {
  const [head = new Map<string, string>()] = paragraphs(text.replaceAll('\r\n', '\n'))
  return named(head, 'name', 'version').map(([name, version]) => [
    name.toLowerCase().replace(/[-_.]+/g, '-'),
    version,
  ])
}

/** A document in conda-meta */
export function condaPackage(text: string): Package[] {
  try {
    const { name, version, build } = JSON.parse(text) as Record<string, unknown>
    if (typeof name !== 'string' || typeof version !== 'string') return []
    return [[name, typeof build === 'string' ? `${version}-${build}` : version]]
  } catch {
    return []
  }
}

/** DESCRIPTION of an R package */
export function rPackage(text: string): Package[] {
  const [head = new Map<string, string>()] = paragraphs(text)
  return named(head, 'package', 'version')
}

/** What `rpm -qa` prints with `rpmFormat`; keys that were imported are no packages. */
export function rpmPackages(text: string): Package[] {
  const found = text.split('\n').flatMap((line): Package[] => {
    const [name, version] = line.split('\t')
    return name && version && name !== 'gpg-pubkey' ? [[name, version]] : []
  })
  // Several versions of one package may be installed, kernels for example.
  const together = new Map<string, string[]>()
  for (const [name, version] of found) together.set(name, [...(together.get(name) ?? []), version])
  return [...together].map(([name, versions]) => [name, versions.sort().join(' ')])
}

export const rpmFormat = '%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\\n'
