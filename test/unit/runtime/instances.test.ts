/** Names, places, files and signals of instances. */

import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { isMark, markOf, standingOf } from '../../../src/host/mark.ts'
import { takeLock } from '../../../src/native/lock.ts'
import { usageOfGroup } from '../../../src/runtime/instance-stats.ts'
import { parseSignal, waitForStatus } from '../../../src/runtime/instance-stop.ts'
import {
  claimName,
  dropClaim,
  findInstances,
  type Instance,
  keepInstance,
  type Place,
  placeOf,
  requireInstance,
  requireName,
} from '../../../src/runtime/instances.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const user = { name: 'ada', home: '/home/ada', uid: 1001 }
const below = `instances/${hostname()}/ada`

describe('the place of instances', () => {
  it.each([
    [{ HOME: '/h' }, `/h/.local/state/sing/${below}`],
    [{}, `/home/ada/.local/state/sing/${below}`],
    [{ HOME: '/h', XDG_STATE_HOME: '/s' }, `/s/sing/${below}`],
    [{ HOME: '/h', XDG_STATE_HOME: 'relative' }, `/h/.local/state/sing/${below}`],
    [{ XDG_STATE_HOME: '/s', SINGULARITY_CONFIGDIR: '/c' }, `/c/${below}`],
    [{ APPTAINER_CONFIGDIR: '/a', SINGULARITY_CONFIGDIR: '/c' }, `/a/${below}`],
    [{ SING_CONFIGDIR: '/o', APPTAINER_CONFIGDIR: '/a' }, `/o/${below}`],
  ])('for %j is %s', (environment, directory) => {
    expect(placeOf(environment as Record<string, string>, user).directory).toBe(directory)
  })
})

describe('the name of an instance', () => {
  it.each(['web1', 'a.b-c_D', '..', '0'])('may be %s', (name) => {
    expect(() => requireName(name)).not.toThrow()
  })

  it.each(['', 'a/b', 'a b', 'é', '*', 'x'.repeat(201)])('may not be %j', (name) => {
    expect(() => requireName(name)).toThrow(/is not a name for an instance/)
  })
})

describe('a signal', () => {
  it.each([
    ['TERM', 15],
    ['SIGTERM', 15],
    ['usr1', 10],
    ['9', 9],
    ['37', 37],
  ])('%s is %i', (word, number) => expect(parseSignal(word)).toBe(number))

  it.each(['FOO', '0', '65', '-9', ''])('is not %j', (word) => {
    expect(() => parseSignal(word)).toThrow(/is no signal/)
  })
})

const self = () => {
  const mark = markOf(process.pid)
  if (!mark) throw new Error('there is no /proc')
  return mark
}
const gone = () => ({ ...self(), started: '1' })

function newPlace(): Place {
  return { directory: join(temporaryFolder(), 'place'), uid: process.geteuid?.() ?? 0, user: 'ada' }
}

function instance(name: string, changes: Partial<Instance> = {}): Instance {
  const ids = { uids: [], gids: [], setgroups: 'deny' } as const
  return {
    kind: 'instance',
    name,
    user: 'ada',
    verb: 'start',
    image: { path: '/i.sif', name: 'i.sif', bashEnvironment: false },
    command: [],
    flags: {},
    cwd: '/',
    since: '',
    logs: { out: '/o', err: '/e' },
    ip: '',
    around: {},
    directories: [],
    stopSignal: 2,
    boot: false,
    mark: self(),
    identity: {
      namespace: true,
      ids,
      uid: 1,
      gid: 1,
      name: 'ada',
      home: '/',
      filter: 'none',
      capabilities: 'none',
      noNewPrivileges: true,
      owner: undefined,
      inUserNamespace: true,
    },
    home: '/',
    devices: { environment: [], hasLibraries: false, libraryPath: { prepend: [], append: [] } },
    contain: false,
    binds: [],
    ...changes,
  }
}

async function kept(place: Place, ...instances: Instance[]): Promise<void> {
  for (const one of instances) {
    await claimName(place, one.name)
    await keepInstance(place, one)
  }
}

const namesOf = async (place: Place, pattern?: string) =>
  (await findInstances(place, pattern)).map(({ name }) => name)

describe('the files of instances', () => {
  it('are those of running processes, by name and pattern', async () => {
    const place = newPlace()
    await kept(place, instance('web2'), instance('web1'), instance('db[1]x'.replace(/[[\]]/g, '')))
    expect(await namesOf(place)).toEqual(['db1x', 'web1', 'web2'])
    expect(await namesOf(place, 'web*')).toEqual(['web1', 'web2'])
    expect(await namesOf(place, 'web?')).toEqual(['web1', 'web2'])
    expect(await namesOf(place, 'web[!1]')).toEqual(['web2'])
    expect(await namesOf(place, 'web[13-9]')).toEqual(['web1'])
    expect(await namesOf(place, 'w.b1')).toEqual([])
    expect(await namesOf(place, 'web')).toEqual([])
    expect(requireInstance(place, 'web1').image.path).toBe('/i.sif')
    await expect(findInstances(place, '[z-a]')).rejects.toThrow(/is not a pattern/)
  })

  it('vanish with their processes: killed ones, and those before a restart of the machine', async () => {
    const place = newPlace()
    await kept(
      place,
      instance('killed', { mark: gone() }),
      instance('old', { mark: { ...self(), boot: 'x' } }),
    )
    await kept(place, instance('alive'))
    expect(await namesOf(place)).toEqual(['alive'])
    expect(readdirSync(place.directory).filter((name) => name.endsWith('.json'))).toEqual(['alive.json'])
    expect(() => requireInstance(place, 'killed')).toThrow(/there is no instance killed/)
  })

  it('of other machines and containers are left alone', async () => {
    const place = newPlace()
    const elsewhere = { ...self(), pidNamespace: 'pid:[1]' }
    await kept(place, instance('other', { mark: elsewhere }))
    expect(await namesOf(place)).toEqual([])
    await expect(claimName(place, 'other')).rejects.toThrow(/already exists, started in another container/)
    expect(standingOf({ ...self(), boot: 'x', host: 'another' })).toBe('elsewhere')
  })

  it('give a name to one only', async () => {
    const place = newPlace()
    const claims = await Promise.allSettled([1, 2, 3].map(() => claimName(place, 'one')))
    expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await namesOf(place)).toEqual([])
    dropClaim(place, 'one')
    await claimName(place, 'one')
    await keepInstance(place, instance('one', { mark: gone() }))
    await claimName(place, 'one')
  })

  it('do not change while somebody looks for what has ended', async () => {
    const place = newPlace()
    await claimName(place, 'one')
    const claim = readFileSync(join(place.directory, 'one.json'), 'utf8')
    const lock = openSync(join(place.directory, '.lock'), 'a')
    expect(takeLock(lock)).toBe(true)
    const keeping = keepInstance(place, instance('one'))
    await setTimeout(50)
    expect(readFileSync(join(place.directory, 'one.json'), 'utf8')).toBe(claim)
    closeSync(lock)
    await keeping
    expect(await namesOf(place)).toEqual(['one'])
  })

  it('cannot name the process of another user', async () => {
    const place = newPlace()
    await kept(place, instance('one'))
    expect(await namesOf({ ...place, uid: place.uid + 1 })).toEqual([])
  })

  it('are not believed when nobody of ours wrote them', async () => {
    const place = newPlace()
    mkdirSync(place.directory)
    const write = (name: string, text: string) => writeFileSync(join(place.directory, `${name}.json`), text)
    const whole = instance('part')
    write('text', 'no json')
    write('array', '[]')
    write('null', 'null')
    write('name', JSON.stringify(instance('another')))
    write('mark', JSON.stringify({ ...instance('mark'), mark: { pid: -1 } }))
    write('part', JSON.stringify({ ...whole, logs: undefined }))
    write('image', JSON.stringify({ ...instance('image'), image: { path: 1 } }))
    write('huge', `${' '.repeat(5 * 1024 * 1024)}${JSON.stringify(instance('huge'))}`)
    symlinkSync('/etc/passwd', join(place.directory, 'link.json'))
    expect(await namesOf(place)).toEqual([])
    for (const name of ['text', 'null', 'mark', 'link'])
      expect(() => requireInstance(place, name)).toThrow(/there is no instance/)
  })

  it.skipIf(process.geteuid?.() === 0)('need a directory that can be written', async () => {
    const folder = temporaryFolder()
    chmodSync(folder, 0o500)
    const place = { directory: join(folder, 'place'), uid: 1, user: 'ada' }
    await expect(claimName(place, 'x')).rejects.toThrow(/cannot make .*permission denied/)
  })

  it('that cannot be made are told', async () => {
    const place = { directory: '/etc/passwd/place', uid: 1, user: 'ada' }
    await expect(claimName(place, 'x')).rejects.toThrow('cannot make /etc/passwd/place: not a directory')
    const other = newPlace()
    await claimName(other, 'y')
    mkdirSync(join(other.directory, 'x.json'))
    await expect(keepInstance(other, instance('x'))).rejects.toThrow(/cannot write .*x\.json: /)
  })
})

it('a mark has all its parts', () => {
  expect(isMark(self())).toBe(true)
  for (const value of [
    undefined,
    null,
    'x',
    {},
    { ...self(), pid: 0 },
    { ...self(), pid: 1.5 },
    { ...self(), boot: 1 },
  ])
    expect(isMark(value)).toBe(false)
})

it('an instance that was killed has no status to wait for', async () => {
  await expect(waitForStatus(instance('one', { mark: gone() }))).rejects.toThrow(
    'instance one was ended before its command was',
  )
})

describe('the use of a control group', () => {
  it('is read from its files', () => {
    const group = temporaryFolder()
    const files = {
      'cpu.stat': 'usage_usec 2500000\nuser_usec 1\n',
      'memory.current': '1048576\n',
      'memory.max': '4194304\n',
      'pids.current': '3\n',
      'io.stat': '8:0 rbytes=100 wbytes=7 rios=1\n8:16 rbytes=1 wbytes=2\n',
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(group, name), text)
    expect(usageOfGroup(group)).toEqual({
      seconds: 2.5,
      memory: 1048576,
      memoryLimit: 4194304,
      processes: 3,
      read: 101,
      written: 9,
    })
  })

  it('is unknown where there is none', () => {
    expect(usageOfGroup(temporaryFolder())).toBeUndefined()
  })
})
