/** The lists of signers that hold on this machine: the one of the site's configuration, and those of the peers that are activated. */

import { realpathSync } from 'node:fs'
import { parse } from 'smol-toml'
import type { ListText } from '../config/execution-lists.ts'
import type { Rule } from '../config/signers.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type ExecutionList, readExecutionList, requireOneEach } from './ecl.ts'

/** A list, and what its file says of images that cannot be signed. */
export type List = ExecutionList & { readonly sifOnly: boolean }

const realPath = (directory: string): string => {
  try {
    return realpathSync(directory)
  } catch {
    // What is not there holds no image.
    return directory
  }
}

const resolved = (rules: readonly Rule[]): Rule[] =>
  rules.map((rule) =>
    rule.directory === undefined ? rule : { ...rule, directory: realPath(rule.directory) },
  )

function parseList({ file, text }: ListText): ExecutionList | undefined {
  try {
    return readExecutionList(parse(text), file)
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    const [line = ''] = reasonOf(cause).split('\n')
    throw new SingError('POLICY', `cannot read ${shown(file)}: ${shown(line)}`, {
      hint: 'Nothing is started before the administrator has mended the file',
      cause,
    })
  }
}

export type ListSources = {
  /** Rules of the site's configuration, and where they stand. */
  readonly signers: readonly Rule[]
  readonly signersFrom: string
  /** Lists of the peers. */
  readonly lists: readonly ListText[]
}

/** Every list that counts. @throws SingError POLICY for one that is not understood */
export function readLists({ signers, signersFrom, lists }: ListSources): List[] {
  const own = signers.length > 0 ? [{ file: signersFrom, rules: signers, legacy: false, sifOnly: false }] : []
  const others = lists.flatMap((text) => parseList(text) ?? []).map((list) => ({ ...list, sifOnly: true }))
  return [...own, ...others].map((list) => {
    const rules = resolved(list.rules)
    requireOneEach(list.file, rules)
    return { ...list, rules }
  })
}
