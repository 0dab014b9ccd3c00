/** What a check is and what it finds. Types, and the words for them. */

import type { Facts } from './facts.ts'

/** From what may stay to what should not leave this machine. */
export const severities = ['note', 'warning', 'error'] as const
export type Severity = (typeof severities)[number]

export const tags = ['clean', 'size', 'security', 'links', 'runtime', 'site'] as const
export type Tag = (typeof tags)[number]

export type Finding = {
  readonly severity: Severity
  /** In the image; for what is missing, where it would be. */
  readonly path: string
  /** What is there, without a period. Never what a secret is. */
  readonly text: string
  /** What to do about it. */
  readonly fix?: string
  /** Where in the file, counted from 1. */
  readonly line?: number
  /** What it takes. */
  readonly bytes?: number
  readonly files?: number
}

/** A check of an image: from what it holds to what is wrong with it. */
export type Check = {
  readonly name: string
  readonly tags: readonly Tag[]
  readonly summary: string
  readonly find: (facts: Facts) => readonly Finding[]
}

/** A line for the definition of the image. */
export const inPost = (command: string): string => `add to %post: ${command}`

export const isAtLeast = (severity: Severity, level: Severity): boolean =>
  severities.indexOf(severity) >= severities.indexOf(level)
