/** Plugins that do not do what they should: real programs, which answer badly or not at all. */

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { addNetwork, removeNetwork, toAttachment } from '../../../src/runtime/cni.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const network = { kind: 'plugins', name: 'lan', ports: [], ranges: [], words: [] } as const
const list = { name: 'lan', cniVersion: '1.0.0', plugins: [{ type: 'odd' }] }
const attachment = toAttachment(network, list, 'container', 0)

function placeOf(script: string, patience = 20_000) {
  const directory = temporaryFolder()
  writeFileSync(join(directory, 'odd'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(directory, 'odd'), 0o755)
  return { namespace: '/proc/self/ns/net', directories: [directory], patience }
}

describe('a plugin', () => {
  it.each([
    ['that does not answer is ended', 'exec sleep 600', 300, /odd of lan did not answer in 0\.3 seconds/],
    ['that gives no result is named', 'exit 0', undefined, /odd of lan gave no result/],
    ['that fails is quoted', `echo '{"msg":"no","details":"lease"}'; exit 1`, undefined, /failed: no: lease/],
    ['that only complains is quoted', 'echo oh dear >&2; exit 1', undefined, /failed: oh dear/],
    ['that answers too much is not believed', 'exec yes', undefined, /odd of lan failed/],
  ])('%s', async (_, script, patience, sentence) => {
    await expect(addNetwork(attachment, placeOf(script, patience))).rejects.toThrow(sentence)
  })

  it('that is not installed is named with its package', async () => {
    await expect(addNetwork(attachment, { namespace: '/x', directories: ['/none'] })).rejects.toMatchObject({
      message: 'the network plugin odd is not installed: it is not in /none',
      hint: expect.stringContaining('containernetworking-plugins'),
    })
  })

  it('that cannot take a network away hinders nobody', async () => {
    expect(await removeNetwork(attachment, placeOf('exit 3'))).toEqual([
      expect.stringMatching(/^the network plugin odd of lan failed: /),
    ])
  })
})
