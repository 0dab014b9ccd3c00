/** What a site's configuration file makes of its directives. */

import { describe, expect, it } from 'vitest'
import {
  confNames,
  defaultConfig,
  directives,
  launchTwins,
  parseConfig,
  readConf,
  withoutEffect,
} from '../../../src/config/schema.ts'

const parse = (text: string) => parseConfig(text, 'site.conf')

describe('a configuration file', () => {
  it('that says nothing gives the defaults', () => {
    expect(parse('')).toEqual(defaultConfig)
    expect(parse('# mount proc = no\n\n  #bind path = /x\nmount proc\nnonsense\n')).toEqual(defaultConfig)
  })

  it('is passed over where only privilege could obey', () => {
    expect(parse('allow setuid = yes\nmax loop devices = 256\nroot default capabilities = full\n')).toEqual(
      defaultConfig,
    )
  })

  it.each([
    ['mount proc = no', { mount: { ...defaultConfig.mount, proc: 'no' } }],
    ['  MOUNT   DEV=Minimal  ', { mount: { ...defaultConfig.mount, dev: 'minimal' } }],
    ['mount hostfs = yes\r', { mount: { ...defaultConfig.mount, hostfs: 'yes' } }],
    ['config passwd = no\nconfig group = no', { passwd: false, group: false }],
    ['config resolv_conf = no', { resolvConf: false }],
    ['user bind control = no', { userBinds: false }],
    ['enable overlay = no', { overlay: false }],
    ['enable overlay = try', { overlay: true }],
    ['enable overlay = driver', { overlay: true }],
    ['sessiondir max size = 64', { sessionSize: 64 * 1024 * 1024 }],
    ['allow container dir = no', { images: { ...defaultConfig.images, directory: false } }],
    ['allow user ns = no', { namespaces: { ...defaultConfig.namespaces, user: false } }],
    ['bind path = /a:/b\nbind path = /c', { bindPaths: ['/a:/b', '/c'] }],
    ['bind path =', { bindPaths: [] }],
    ['limit container owners = root, ann', { images: { ...defaultConfig.images, owners: ['root', 'ann'] } }],
    ['cni plugin path = /opt/cni', { cni: { ...defaultConfig.cni, pluginPath: '/opt/cni' } }],
    ['mount tmp = no\nmount tmp = yes', {}],
    ['mount tmp =', {}],
  ])('%j is obeyed', (text, change) => {
    expect(parse(text)).toEqual({ ...defaultConfig, ...change })
  })

  it.each([
    ['mount proc = maybe', 'site.conf:1: mount proc = maybe: expected yes or no'],
    ['\nmount dev = all', 'site.conf:2: mount dev = all: expected yes or no or minimal'],
    ['sessiondir max size = lots', 'site.conf:1: sessiondir max size = lots: expected a number of MiB'],
    ['sessiondir max size = -1', 'site.conf:1: sessiondir max size = -1: expected a number of MiB'],
    ['sessiondir max size = 99999999999999', 'expected a number of MiB'],
    [
      'ldconfig path = sbin/ldconfig',
      'site.conf:1: ldconfig path = sbin/ldconfig: expected an absolute path',
    ],
    ['always use nv = sometimes', 'site.conf:1: always use nv = sometimes: expected yes or no'],
  ])('%j is refused with its line', (text, sentence) => {
    expect(() => parse(text)).toThrow(sentence)
  })

  it('tells what has no effect and what it does not know', () => {
    const text = 'allow setuid = yes\nalways use nv = yes\ntmp sandbox = no\nmount porc = no\n'
    const { launch, ineffective, unknown } = readConf(text, 'site.conf')
    expect(launch).toEqual([
      { flag: 'nv', line: 2 },
      { flag: 'no-tmp-sandbox', line: 3 },
    ])
    expect(ineffective).toEqual([{ name: 'allow setuid', line: 1 }])
    expect(unknown).toEqual([{ name: 'mount porc', line: 4 }])
  })

  it('cannot be changed by who reads it', () => {
    for (const config of [defaultConfig, parse('bind path = /x')]) {
      for (const value of [config, config.mount, config.images, config.bindPaths]) {
        expect(Object.isFrozen(value)).toBe(true)
      }
    }
  })
})

/** Those of Apptainer 1.5 and SingularityCE 4.5. */
const ofPeers =
  'allow setuid|allow pid ns|allow ipc ns|allow uts ns|allow user ns|config passwd|config group|config resolv_conf|mount proc|mount sys|mount dev|mount devpts|mount home|mount tmp|mount hostfs|mount slave|bind path|user bind control|enable overlay|enable underlay|enable fusemount|allow container sif|allow container encrypted|allow container squashfs|allow container extfs|allow container dir|limit container owners|limit container groups|limit container paths|allow setuid-mount encrypted|allow setuid-mount squashfs|allow setuid-mount extfs|allow kernel squashfs|allow kernel extfs|max loop devices|shared loop devices|sessiondir max size|memory fs type|always use nv|always use rocm|use nvidia-container-cli|root default capabilities|allow net users|allow net groups|allow net networks|allow netns paths|cni configuration path|cni plugin path|mksquashfs procs|mksquashfs mem|download concurrency|download part size|download buffer size|systemd cgroups|binary path|suidbinary path|root search path|user search path|cryptsetup path|go path|ldconfig path|mksquashfs path|unsquashfs path|nvidia-container-cli path|image driver|oci mode|tmp sandbox|sif fuse|apptheus communication socket path|allow monitoring'

describe('the table', () => {
  it('knows every directive of the peers', () => {
    const known = new Set(confNames())
    expect(ofPeers.split('|').filter((name) => !known.has(name))).toEqual([])
  })

  it('has each directive once, and none that has no effect', () => {
    const names = [...directives.values()].flatMap(({ conf }) => conf ?? [])
    const all = [...names, ...launchTwins.map(({ conf }) => conf), ...Object.keys(withoutEffect)]
    expect(new Set(all).size).toBe(all.length)
  })

  it('can write each default so that it is read as the same value', () => {
    for (const [key, { type, confType, initial }] of directives) {
      expect([key, type.read(type.write(initial))]).toEqual([key, initial])
      if (confType) expect([key, confType.read(confType.write(initial))]).toEqual([key, initial])
    }
  })

  it.each([
    ['session-size', '2G', 2 * 1024 ** 3],
    ['session-size', '0', 0],
    ['session-size', '64', undefined],
    ['mount.dev', 'minimal', 'minimal'],
    ['mount.dev', 'true', 'yes'],
    ['mount.dev', 'off', 'no'],
    ['mount.dev', 'all', undefined],
    ['passwd', 'False', false],
    ['passwd', 'constructor', undefined],
  ])('reads %s: %s as %s', (key, word, value) => {
    expect(directives.get(key)?.type.read([word])).toBe(value)
  })
})
