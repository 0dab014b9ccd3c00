/** Jobs of an ordinary user on a real Slurm, which runs on this machine alone and only for these tests. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { mountsOf, processesOf } from '../helpers/left.ts'
import { program, projectRoot } from '../helpers/sing.ts'
import { type Cluster, startSlurm, type Tracking, until } from '../helpers/slurm.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const controllers = ['cpuset', 'freezer', 'cpuacct', 'memory']
const isPossible: Record<Tracking, boolean> = {
  parents: true,
  cgroups: can('cgroup1') && controllers.every((name) => existsSync(`/sys/fs/cgroup/${name}/tasks`)),
}

describe.each<Tracking>(['parents', 'cgroups'])('Slurm, which follows processes by %s,', (tracking) => {
  describe.skipIf(!can('slurm', 'userns', 'fuse', 'overlay') || !isPossible[tracking])('runs', () => {
    let cluster: Cluster
    let folder: string

    beforeAll(async () => {
      cluster = await startSlurm(tracking)
    })
    afterAll(() => cluster?.stop())
    beforeEach(() => {
      folder = temporaryFolder()
      mkdirSync(join(folder, 'temporary'))
      copyFileSync(join(projectRoot, 'fixtures/images/everything.sif'), join(folder, 'fortune.sif'))
      give(folder)
    })

    const slurm = (...command: string[]) =>
      cluster.slurm(command, {
        cwd: folder,
        env: {
          PATH: `${dirname(program)}:/usr/bin:/bin`,
          TMPDIR: join(folder, 'temporary'),
          XDG_RUNTIME_DIR: folder,
        },
      })
    const textOf = (name: string) => readFileSync(join(folder, name), 'utf8')

    async function submit(...words: string[]): Promise<string> {
      const { stdout, stderr, status } = await slurm('sbatch', '--parsable', '--output=%x.out', ...words)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      return stdout.trim()
    }

    /** Wait for the end of a job, after which nothing of it may be left; returns what Slurm tells of it. */
    async function finished(job: string): Promise<string> {
      await until(async () => (await slurm('squeue', '--noheader', `--jobs=${job}`)).stdout === '')
      await expect.poll(() => processesOf(folder), { timeout: 10_000 }).toEqual([])
      expect(mountsOf(folder)).toEqual([])
      expect(readdirSync(join(folder, 'temporary'))).toEqual([])
      return (await slurm('scontrol', 'show', 'job', job)).stdout
    }

    it('an image as a command', async () => {
      const job = await submit('--job-name=wrap', '--wrap', './fortune.sif echo hello')
      expect(await finished(job)).toMatch(/JobState=COMPLETED .*\n.*ExitCode=0:0/s)
      expect(textOf('wrap.out')).toBe('Running command: echo hello\nhello\n')
    })

    it('a script whose last container decides about the job', async () => {
      const script = [
        '#!/bin/bash',
        '#SBATCH --job-name=script',
        "singularity exec fortune.sif sh -c 'echo $SLURM_JOB_NAME in $(pwd); head -n 1 /etc/os-release'",
        "exec singularity exec --containall --env JOB=$SLURM_JOB_ID fortune.sif sh -c 'echo $JOB; exit 7'",
      ]
      writeFileSync(join(folder, 'job.sh'), `${script.join('\n')}\n`)
      const job = await submit('job.sh')
      expect(await finished(job)).toMatch(/JobState=FAILED .*\n.*ExitCode=7:0/s)
      expect(textOf('script.out')).toBe(`script in ${folder}\nNAME="Suite Linux"\n${job}\n`)
    })

    it('an array of jobs', async () => {
      const task = "singularity exec fortune.sif sh -c 'echo task $SLURM_ARRAY_TASK_ID'"
      await finished(await submit('--array=1-4', '--output=%a.out', '--wrap', task))
      expect([1, 2, 3, 4].map((number) => textOf(`${number}.out`))).toEqual(
        [1, 2, 3, 4].map((number) => `task ${number}\n`),
      )
    })

    it('two tasks of a step in one container, and ends with the status of the one that failed', async () => {
      // The one waits for the other: a container whose only task has ended is gone.
      const script = `echo $SLURM_PROCID of $SLURM_NTASKS; readlink /proc/self/ns/mnt; touch in.$SLURM_PROCID
        until [ -e in.0 ] && [ -e in.1 ]; do sleep 0.1; done; exit $((SLURM_PROCID * 3))`
      const step = ['srun', '--quiet', '--overcommit', '--ntasks=2', '--label']
      const { stdout, status } = await slurm(
        ...step,
        'singularity',
        'exec',
        'fortune.sif',
        'sh',
        '-c',
        script,
      )
      const lines = stdout.trim().split('\n').sort()
      expect(lines.map((line) => line.replace(/\[\d+\]/, ''))).toEqual([
        '0: 0 of 2',
        '0: mnt:',
        '1: 1 of 2',
        '1: mnt:',
      ])
      expect(lines[1]?.slice(1)).toBe(lines[3]?.slice(1))
      expect(status).toBe(3)
      await expect.poll(() => processesOf(folder), { timeout: 10_000 }).toEqual([])
    })

    it('two tasks of a step in one container', async () => {
      const script =
        'touch at.$SLURM_PROCID; until [ -e at.0 ] && [ -e at.1 ]; do sleep 0.1; done; readlink /proc/self/ns/mnt'
      const step = ['srun', '--quiet', '--overcommit', '--ntasks=2', 'singularity', 'exec', 'fortune.sif']
      const { stdout, status } = await slurm(...step, 'sh', '-c', script)
      expect(stdout).toMatch(/^(mnt:\S+\n)\1$/)
      expect(status).toBe(0)
    })

    const payload = [
      'trap "echo caught >> caught; exit 0" TERM',
      'trap "echo warned >> warned" USR1',
      'touch ready',
      'while :; do sleep 0.1; done',
    ].join('\n')
    const ways = [
      ['in a step', 'srun singularity exec fortune.sif sh payload'],
      ['in the place of the script', 'exec singularity exec fortune.sif sh payload'],
      ['with processes of its own', 'exec singularity exec --pid fortune.sif sh payload'],
    ] as const

    it.each(ways)('a payload %s that scancel warns and ends', async (_, command) => {
      writeFileSync(join(folder, 'payload'), payload)
      const job = await submit('--wrap', command)
      await until(() => existsSync(join(folder, 'ready')))
      // Without --full the signal is for steps alone; a script and what it runs are no step.
      const scope = command.startsWith('srun') ? [] : ['--full']
      expect(await slurm('scancel', '--signal=USR1', ...scope, job)).toMatchObject({ status: 0, stderr: '' })
      await until(() => existsSync(join(folder, 'warned')))
      expect(await slurm('scancel', job)).toMatchObject({ status: 0, stderr: '' })
      expect(await finished(job)).toContain('JobState=CANCELLED')
      expect(textOf('caught')).toContain('caught\n')
    })

    it('an instance, which ends with it', async () => {
      writeFileSync(join(folder, 'payload'), payload)
      const start = 'SING_CONFIGDIR=$PWD/state singularity instance run fortune.sif one sh payload'
      const job = await submit('--wrap', `${start} && until [ -e ready ]; do sleep 0.1; done`)
      expect(await finished(job)).toContain('JobState=COMPLETED')
      expect(existsSync(join(folder, 'ready'))).toBe(true)
      if (tracking === 'parents') expect(textOf('caught')).toBe('caught\n')
    })

    it.runIf(tracking === 'cgroups')('a container within the memory of its job', async () => {
      const fill = (memory: string) =>
        slurm(
          ...['srun', '--quiet', '--ntasks=1', `--mem=${memory}`, 'singularity', 'exec', 'fortune.sif'],
          ...['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=300M', 'count=1'],
        )
      expect((await fill('600M')).status).toBe(0)
      expect((await fill('100M')).status).not.toBe(0)
    })
  })
})
