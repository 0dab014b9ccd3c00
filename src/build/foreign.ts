/** Images for other machines (`--arch`): what of a build runs programs of the image, and whether this machine can. */

import type { Report } from '../core/events.ts'
import { mistake, type Stage } from '../definition/types.ts'
import { canRun, hostArchitecture } from '../image/architecture.ts'
import { type BuildRequest, selectSections } from './request.ts'
import type { BuildSpec } from './spec.ts'

/** Sources whose tools start programs of what they install. */
const running: readonly string[] = ['debootstrap', 'yum', 'dnf', 'zypper', 'arch', 'busybox']

type Running = { readonly what: string; readonly line: number }

/** The first thing of a stage that runs a program of its image. */
export function runningPart({ header, headerLines, sections, apps }: Stage): Running | undefined {
  const { bootstrap = '' } = header
  if (running.includes(bootstrap)) return { what: bootstrap, line: headerLines.bootstrap ?? 0 }
  const [name] = (['post', 'test'] as const).filter((candidate) => sections[candidate])
  if (name !== undefined) return { what: `%${name}`, line: sections[name]?.line ?? 0 }
  const app = apps.find(({ install }) => install)
  return app && { what: `%appinstall ${app.name}`, line: app.install?.line ?? 0 }
}

/** @throws SingError for a stage that cannot be built here for the architecture that was asked for */
export function requireRunnable(spec: BuildSpec, { architecture, sections }: BuildRequest): void {
  const own = hostArchitecture()
  if (architecture === undefined || architecture === own) return
  for (const stage of spec.definition.stages) {
    const part = runningPart(selectSections(stage, sections))
    if (part?.what === 'zypper')
      throw mistake(
        spec.name,
        part.line,
        `--arch ${architecture}: zypper makes systems for this machine only`,
      )
    if (!part || canRun(architecture)) continue
    throw mistake(
      spec.name,
      part.line,
      `--arch ${architecture}: ${part.what} runs programs of the image, and this machine runs those for ${own}`,
      'Install emulation (qemu-user-static with binfmt_misc) on this machine, or build without scripts',
    )
  }
}

/** Programs tell better than flags what an image is for. */
export function warnOfOther(found: string, { architecture }: BuildRequest, report: Report): void {
  if (architecture === undefined || architecture === found) return
  report({ kind: 'warning', text: `--arch ${architecture}: the programs of the image are for ${found}` })
}
