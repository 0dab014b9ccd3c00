/** `bin/sing` finds its engine wherever the tree lies and however it is called. The engine here only tells what it was given. */

import { cpSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { projectRoot, type RunOptions, run } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const tellingEngine = `#!/bin/sh
echo "$SING_CALLED_AS $SING_OPEN_FILES \${BUN_OPTIONS-unset}"
for argument; do echo "<$argument>"; done
`

/** An installed tree at `name` below a new folder; returns both. */
function tree(name = 'tree'): { folder: string; bin: string } {
  const folder = temporaryFolder()
  const root = join(folder, name)
  mkdirSync(join(root, 'libexec/sing'), { recursive: true })
  cpSync(join(projectRoot, 'bin'), join(root, 'bin'), { recursive: true, verbatimSymlinks: true })
  writeFileSync(join(root, 'libexec/sing/engine'), tellingEngine, { mode: 0o755 })
  give(folder)
  return { folder, bin: join(root, 'bin') }
}

async function lines(command: readonly string[], options: RunOptions = {}): Promise<string[]> {
  const { stdout, stderr, status } = await run(command, options)
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.trim().split('\n')
}

const calledAs = async (command: readonly string[], options: RunOptions = {}) =>
  (await lines(command, options))[0]?.split(' ')[0]

describe('bin/sing', () => {
  it('hands on every argument as it is', async () => {
    const { bin } = tree()
    const [, ...given] = await lines([join(bin, 'sing'), 'exec', 'a b', '', '*', '-n'])
    expect(given).toEqual(['<exec>', '<a b>', '<>', '<*>', '<-n>'])
  })

  it('runs from a folder with blanks in its name', async () => {
    const { bin } = tree('my tools/sing 1')
    expect(await calledAs([join(bin, 'sing')])).toBe('sing')
    expect(await calledAs([join(bin, 'singularity')])).toBe('singularity')
  })

  it('says by which name it was called, and runs images for run-singularity', async () => {
    const { bin } = tree()
    expect(await lines([join(bin, 'run-singularity'), 'image.sif', 'a'])).toEqual([
      expect.stringMatching(/^singularity /),
      '<run>',
      '<image.sif>',
      '<a>',
    ])
  })

  it('is found through links from elsewhere, relative ones and chains of them too', async () => {
    const { folder, bin } = tree('opt/sing')
    mkdirSync(join(folder, 'home/bin'), { recursive: true })
    symlinkSync('../../opt/sing/bin/sing', join(folder, 'home/bin/sing'))
    symlinkSync('sing', join(folder, 'home/bin/singularity'))
    symlinkSync(join(bin, 'run-singularity'), join(folder, 'home/bin/run-singularity'))
    symlinkSync('opt/sing/bin', join(folder, 'linked'))
    expect(await calledAs([join(folder, 'home/bin/sing')])).toBe('sing')
    expect(await calledAs([join(folder, 'home/bin/singularity')])).toBe('singularity')
    expect(await lines([join(folder, 'home/bin/run-singularity')])).toContain('<run>')
    expect(await calledAs([join(folder, 'linked/singularity')])).toBe('singularity')
  })

  it('is found when a link beside another installation leads here', async () => {
    const { folder, bin } = tree('new')
    const old = join(folder, 'old/bin')
    mkdirSync(old, { recursive: true })
    writeFileSync(join(old, 'sing'), '#!/bin/sh\n')
    symlinkSync(join(bin, 'singularity'), join(old, 'singularity'))
    expect(await calledAs([join(old, 'singularity')])).toBe('singularity')
  })

  it('is found through PATH and by a name without a folder', async () => {
    const { bin } = tree()
    expect(await calledAs(['sing'], { env: { PATH: `${bin}:/usr/bin:/bin` } })).toBe('sing')
    expect(await calledAs(['sh', 'sing'], { cwd: bin })).toBe('sing')
  })

  it('starts in a folder that was removed', async () => {
    const { folder, bin } = tree()
    const gone = mkdtempSync(join(folder, 'gone-'))
    give(gone)
    const script = 'cd "$1" && rmdir "$1" && exec "$2" x'
    const { stdout, status } = await run(['sh', '-c', script, 'sh', gone, join(bin, 'sing')])
    expect({ stdout: stdout.split('\n')[1], status }).toEqual({ stdout: '<x>', status: 0 })
  })

  it('notes the soft limit of open files that the caller has', async () => {
    const { bin } = tree()
    const [first] = await lines(['sh', '-c', 'ulimit -Sn 123; exec "$0"', join(bin, 'sing')])
    expect(first?.split(' ')[1]).toBe('123')
  })

  it("does not let the user's Bun settings change the engine", async () => {
    const { bin } = tree()
    const [first] = await lines([join(bin, 'sing')], { env: { BUN_OPTIONS: '--version', BUN_BE_BUN: '1' } })
    expect(first).toMatch(/ unset$/)
  })

  it('says which Node it needs when there is no engine and Node is too old', async () => {
    const { folder } = tree()
    const bare = join(folder, 'bare')
    cpSync(join(projectRoot, 'bin'), join(bare, 'bin'), { recursive: true, verbatimSymlinks: true })
    mkdirSync(join(bare, 'path'))
    writeFileSync(join(bare, 'path/node'), '#!/bin/sh\necho v18.19.0\n', { mode: 0o755 })
    give(bare)
    const outcome = await run([join(bare, 'bin/sing')], { env: { PATH: `${bare}/path:/usr/bin:/bin` } })
    expect(outcome.status).toBe(255)
    expect(outcome.stderr).toContain('Node 22.15 or newer is needed, and v18.19.0 was found')
  })
})
