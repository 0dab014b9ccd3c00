/** Commands that older versions and privileged runtimes have: what they answer here. */

import { beforeAll, describe, expect, it } from 'vitest'
import { sing } from '../helpers/sing.ts'
import { type Images, makeImages } from './images.ts'

let images: Images

beforeAll(async () => {
  images = await makeImages()
})

describe('apps', () => {
  it('lists the applications of an image of any kind', async () => {
    const sif = await sing(['apps', images.everything])
    expect(sif).toMatchObject({ status: 0, stdout: expect.stringMatching(/^foo$/m) })
    expect((await sing(['apps', images.sandbox])).stdout).toBe(sif.stdout)
    const { stdout } = await sing(['apps', '--json', images.everything])
    expect(JSON.parse(stdout)).toEqual(sif.stdout.trim().split('\n'))
    expect((await sing(['inspect', '--list-apps', images.everything])).stdout).toBe(sif.stdout)
  })
})

describe('capability', () => {
  it('knows the names', async () => {
    expect((await sing(['capability', 'avail', 'net_raw'])).stdout).toBe('CAP_NET_RAW\n')
    expect(await sing(['capability', 'avail', 'net_rwa'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('Did you mean CAP_NET_RAW?'),
    })
    expect(await sing(['capability', 'list'])).toMatchObject({ status: 0, stdout: '' })
  })

  it.each(['add', 'drop'])('refuses to %s some', async (word) => {
    const { status, stderr } = await sing(['capability', word, '--user', 'root', 'CAP_NET_RAW'])
    expect(status).toBe(255)
    expect(stderr).toMatch(/^FATAL: +capability (add|drop) cannot be used: only a setuid program/)
  })
})

it.each(['oci', 'plugin', 'checkpoint', 'data'])('%s is refused with what to use instead', async (word) => {
  const { status, stderr } = await sing([word, 'list'])
  expect(status).toBe(255)
  expect(stderr).toMatch(new RegExp(`^FATAL: +${word} cannot be used: `))
})
