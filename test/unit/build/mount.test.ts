import { describe, expect, it } from 'vitest'
import { findMount, mountOf } from '../../../src/build/mount.ts'

const table = `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:30 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw
31 27 0:31 / /tmp/own rw - tmpfs tmpfs rw
32 27 0:32 / /home rw,noexec - nfs4 server:/home rw
33 32 0:33 / /home rw - ext4 /dev/vdb rw
34 27 0:34 / /work\\040space rw - lustre mgs@tcp:/scratch rw
`

describe('the mount that holds a directory', () => {
  it.each([
    ['/var/tmp', { isNoexec: false, isRemote: false }],
    ['/tmp', { isNoexec: true, isRemote: false }],
    ['/tmpfile', { isNoexec: false, isRemote: false }],
    ['/tmp/own/sing-build-x', { isNoexec: false, isRemote: false }],
    ['/home/user', { isNoexec: false, isRemote: false }],
    ['/work space/user', { isNoexec: false, isRemote: true }],
  ])('of %s is found', (path, mount) => {
    expect(findMount(path, table)).toEqual(mount)
  })

  it('is not found in a table that says nothing', () => {
    expect(findMount('/tmp', '')).toBeUndefined()
    expect(findMount('/tmp', 'nonsense\n1 2 3')).toBeUndefined()
  })

  it('of a directory that is missing is nothing special', () => {
    expect(mountOf('/does/not/exist')).toEqual({ isNoexec: false, isRemote: false })
  })
})
