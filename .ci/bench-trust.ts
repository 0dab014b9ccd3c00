/** `npm run bench trust`: signatures of a large image, lists of keys, and encrypted images. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { commandLine, environment, program, projectRoot } from '../test/helpers/sing.ts'
import {
  bound,
  compare,
  emptyFolder,
  inPeerRoot,
  must,
  peerEnvironment,
  time,
  times,
  work,
} from './bench-measure.ts'

const secret = 'a passphrase for nothing'
const secrets = { APPTAINER_ENCRYPTION_PASSPHRASE: secret }

/** @param images the same root as images of the peer and of ours; they are signed where they lie, by the same key */
export function measureTrust(images: { readonly peers: string; readonly ours: string }): void {
  const keys = { APPTAINER_KEYSDIR: emptyFolder('keys') }
  const key = join(projectRoot, 'fixtures/keys/openpgp/pgp-private-nopass.asc')
  must(inPeerRoot(['apptainer', '-s', 'key', 'import', key]), { ...peerEnvironment, ...keys })
  for (const image of [images.peers, images.ours])
    must(inPeerRoot(['apptainer', '-s', 'sign', image]), { ...peerEnvironment, ...keys })
  const verify = (runtime: string): string => `${runtime} verify --local ${images.ours}`
  const list = (runtime: string): string => `${runtime} key list`
  const [peer = 0, sing = 0] = times([verify('apptainer'), verify(program)], 3, { env: keys })
  // Both do little else than hash, in one thread.
  compare('verify a large image', sing, peer, 1.1)
  const [listPeer = 0, listSing = 0] = times([list('apptainer'), list(program)], 10, { env: keys })
  bound('key list (limit 150 ms)', listSing, 0.15, undefined, listPeer)
  measureEncryption(images.ours)
}

/** Made by us, since the peer is not faster and both read the same format. */
function measureEncryption(plain: string): void {
  const encrypted = join(work, 'encrypted.sif')
  const encrypt = (command: readonly string[], env: NodeJS.ProcessEnv): number => {
    rmSync(encrypted, { force: true })
    return time([...command, '-s', 'build', '--encrypt', encrypted, plain], { ...env, ...secrets })
  }
  const peer = encrypt(inPeerRoot(['apptainer']), peerEnvironment)
  const sing = encrypt(commandLine([program]), environment({ env: secrets }))
  compare('encrypt that image', sing, peer, 0.5)
  const start = (runtime: string): string => `${runtime} exec ${encrypted} true`
  const [startPeer = 0, startSing = 0] = times([start('apptainer'), start(program)], 5, { env: secrets })
  compare('exec true, encrypted image', startSing, startPeer, 1)
}
