/** `sing pull` from registries that misbehave: the right image or one clear line, no partial file, no login told elsewhere. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BadRegistry, bad, type Misbehaviour, startBadRegistry } from '../helpers/bad-registry.ts'
import { type Layout, sha256, writeLayout } from '../helpers/oci.ts'
import { type Outcome, sing } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'

/** Bytes that no compression makes small. */
const noise = Buffer.concat(
  Array.from({ length: 20_000 }, (_, index) => Buffer.from(sha256(String(index)).slice(7), 'hex')),
)

const layout: Layout = writeLayout(join(temporaryFolder(), 'layout'), {
  one: {
    layers: [
      [
        { path: 'etc/', type: 'directory' },
        { path: 'etc/lower', data: 'lower' },
        { path: 'noise', data: noise },
      ],
      [{ path: 'etc/upper', data: 'upper' }],
    ],
  },
})

type Pulled = Outcome & { readonly left: readonly string[]; readonly image: Buffer | undefined }

/** Pull into an empty folder, with a cache of its own. */
async function pull(
  registry: BadRegistry,
  env: Record<string, string> = {},
  engine?: string,
): Promise<Pulled> {
  const [home, folder] = [temporaryFolder(), temporaryFolder()]
  const args = ['pull', '--no-https', 'image.sif', `docker://${registry.host}/app:one`]
  const outcome = await sing(args, { env: { HOME: home, SING_ENGINE: engine, ...env }, cwd: folder })
  const path = join(folder, 'image.sif')
  return { ...outcome, left: readdirSync(folder), image: existsSync(path) ? readFileSync(path) : undefined }
}

/** The image that the registry gives when it behaves. */
async function expectRight(registry: BadRegistry, { status, stderr, image }: Pulled): Promise<void> {
  expect(stderr).not.toContain('FATAL')
  expect(status).toBe(0)
  registry.misbehave = () => false
  const right = await pull(registry)
  expect(right.status).toBe(0)
  expect(image?.equals(right.image ?? Buffer.alloc(0))).toBe(true)
}

/** Only with layers: configurations, which come first, are compared with their digest when they are read. */
const onLayers =
  (misbehave: Misbehaviour): Misbehaviour =>
  (exchange) =>
    exchange.body[0] === 0x7b ? false : misbehave(exchange)

const fatalLines = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => line.startsWith('FATAL:'))

describe.concurrent('a registry that', () => {
  const passing: [what: string, misbehave: Misbehaviour][] = [
    ['ends connections in the middle of layers', bad.cuts(100_000, 4)],
    ['has had enough for a second', bad.slowsDown('1', 2)],
    ['fails with 500 and is well again', bad.fails('blob', 500, 2)],
    ['fails with 503 for a manifest and is well again', bad.fails('manifest', 503, 1)],
  ]
  it.each(
    passing.flatMap(([what, misbehave]) => ['', 'node'].map((engine) => [what, engine, misbehave] as const)),
  )('%s gives the image (engine "%s")', async (_, engine, misbehave) => {
    await using registry = await startBadRegistry(layout, misbehave)
    await expectRight(registry, await pull(registry, {}, engine || undefined))
  })

  it('ends connections early is asked for the rest alone', async () => {
    await using registry = await startBadRegistry(layout, bad.cuts(100_000, 4))
    expect((await pull(registry)).status).toBe(0)
    const ranges = registry.requests.flatMap(({ range }) => range ?? [])
    expect(ranges).toEqual(['bytes=100000-', 'bytes=200000-'])
  })

  const lasting: [what: string, misbehave: Misbehaviour, line: RegExp][] = [
    ['sends another manifest', bad.changes('manifest'), /sends a document that is not sha256:|is damaged/],
    ['sends other layers', onLayers(bad.changes('blob')), /damaged|digest/],
    ['announces a longer layer', onLayers(bad.lengthens()), /sends \d+ bytes for a blob of \d+/],
    ['sends more than a layer has', onLayers(bad.runsOver()), /sends more than the \d+ bytes of a blob/],
    ['fails for ever', bad.fails('blob', 500, 1000), /answered 500 when asked to read the blob sha256:/],
    [
      'wants us back tomorrow',
      bad.slowsDown('86400', 1000),
      /has had too many requests from here: slow down/,
    ],
    ['ends every connection at once', bad.cuts(0, 1000), /ended the connection/],
    ['sends a manifest without end', bad.endless(), /sends more than \d+ bytes/],
    ['leads in a circle', bad.redirects((path) => path), /redirects more than 10 times/],
    ['sends a byte now and then', bad.drips(1000), /is too slow: fewer than 65536 bytes in 60 seconds/],
  ]
  it.each(
    lasting.flatMap(([what, misbehave, line]) =>
      ['', 'node'].map((engine) => [what, engine, misbehave, line] as const),
    ),
  )('%s is refused in one line, and nothing is left (engine "%s")', async (_, engine, misbehave, line) => {
    await using registry = await startBadRegistry(layout, misbehave)
    const { status, stderr, left } = await pull(registry, {}, engine || undefined)
    expect(status).toBe(255)
    expect(fatalLines(stderr)).toEqual([expect.stringMatching(line)])
    expect(left).toEqual([])
  })

  const alice = { SINGULARITY_DOCKER_USERNAME: 'alice', SINGULARITY_DOCKER_PASSWORD: 's3cret' }

  it('refuses our login is asked once with it, and once without', async () => {
    await using registry = await startBadRegistry(layout, bad.refuses('Basic realm="x"'))
    const { status, stderr, left } = await pull(registry, alice)
    expect(status).toBe(255)
    expect(fatalLines(stderr)).toEqual([
      `FATAL:   ${registry.host} refuses the user alice (the command line or the environment)`,
    ])
    expect(stderr).not.toContain('s3cret')
    expect(registry.requests.map(({ authorization }) => authorization?.split(' ')[0])).toEqual([
      undefined,
      'Basic',
    ])
    expect(left).toEqual([])
  })

  it('leads elsewhere for layers does not lead our login there', async () => {
    await using elsewhere = await startBadRegistry(layout)
    const leads = bad.redirects((path) => `http://${elsewhere.host}${path}`)
    await using registry = await startBadRegistry(layout, (answer) =>
      answer.request.authorization ? leads(answer) : bad.refuses('Basic realm="x"')(answer),
    )
    const pulled = await pull(registry, alice)
    expect(elsewhere.requests.length).toBeGreaterThan(1)
    expect(elsewhere.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
    await expectRight(registry, pulled)
  })
})
