import { describe, expect, it } from 'vitest'
import { requestedPlatform, showPlatform } from '../../../src/oci/platform.ts'

const host = { os: 'linux', architecture: 'amd64' }

describe('the flags for a platform', () => {
  it('ask for none when none is given', () => {
    expect(requestedPlatform({}, host)).toBeUndefined()
  })

  it.each([
    [{ arch: 'amd64' }, 'linux/amd64'],
    [{ arch: 'x86_64' }, 'linux/amd64'],
    [{ arch: 'AARCH64' }, 'linux/arm64'],
    [{ arch: 'arm64v8' }, 'linux/arm64/v8'],
    [{ arch: 'armhf' }, 'linux/arm/v7'],
    [{ arch: 'arm', archVariant: '6' }, 'linux/arm/v6'],
    [{ arch: 'arm32v7', archVariant: 'v6' }, 'linux/arm/v6'],
    [{ archVariant: 'v2' }, 'linux/amd64/v2'],
    [{ arch: 'ppc64el' }, 'linux/ppc64le'],
    [{ platform: 'linux/arm64/v8' }, 'linux/arm64/v8'],
    [{ platform: 'linux/aarch64' }, 'linux/arm64'],
    [{ platform: 'riscv64' }, 'linux/riscv64'],
    [{ platform: 'linux/arm/7' }, 'linux/arm/v7'],
  ])('%j ask for %s', (flags, platform) => {
    const found = requestedPlatform(flags, host)
    expect(found && showPlatform(found)).toBe(platform)
  })

  it.each([
    [{ arch: 'pdp11' }, '--arch pdp11: there is no such platform'],
    [{ arch: 'constructor' }, '--arch constructor'],
    [{ arch: '' }, '--arch : there is no such platform'],
    [{ arch: 'arm', archVariant: 'v 7' }, '--arch-variant v 7'],
    [{ platform: 'windows/amd64' }, '--platform windows/amd64'],
    [{ platform: 'linux/' }, '--platform linux/'],
    [{ platform: 'a/b/c/d' }, '--platform a/b/c/d'],
    [{ platform: 'linux/arm64', arch: 'arm64' }, '--platform cannot be used with --arch'],
  ])('%j are refused', (flags, sentence) => {
    const read = () => requestedPlatform(flags, host)
    expect(read).toThrow(sentence)
    expect(read).toThrow(expect.objectContaining({ code: 'USAGE', hint: expect.any(String) }))
  })
})
