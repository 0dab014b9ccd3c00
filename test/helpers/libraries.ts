/** Small shared libraries with chosen names and symbol versions, as drivers and C libraries have them. */

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

function compile(folder: string, file: string, source: string, options: readonly string[]): string {
  const path = join(folder, file)
  writeFileSync(`${path}.c`, source)
  const common = ['-shared', '-fPIC', '-nostdlib', '-o', path, `${path}.c`]
  const { status, stderr } = spawnSync('gcc', [...common, ...options], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`cannot compile ${file}: ${stderr}`)
  return path
}

/** A stand-in for glibc of this version: a `libc.so.6` that defines its symbol versions, up to the last. */
export function makeLibc(folder: string, version: string): string {
  const map = join(folder, 'libc.map')
  writeFileSync(map, `GLIBC_2.2.5 {};\nGLIBC_${version} { global: sing_probe; };\n`)
  return compile(folder, 'libc.so.6', 'int sing_probe(void) { return 1; }\n', [
    '-Wl,-soname,libc.so.6',
    `-Wl,--version-script=${map}`,
  ])
}

/** A library whose only function gives `answer`; with a C library it needs the newest version that this one defines. */
export function makeLibrary(
  folder: string,
  file: string,
  { soname, symbol, answer = 42, libc }: { soname: string; symbol: string; answer?: number; libc?: string },
): string {
  const source = libc
    ? `int sing_probe(void); int ${symbol}(void) { return sing_probe() + ${answer - 1}; }\n`
    : `int ${symbol}(void) { return ${answer}; }\n`
  return compile(folder, file, source, [`-Wl,-soname,${soname}`, ...(libc ? [libc] : [])])
}
