/** Prints one line, `N passed, M failed`, of the checks and of vitest's reports; fails when a report is missing. */

import { existsSync, readFileSync } from 'node:fs'

const [checksFile = '', ...reportFiles] = process.argv.slice(2)
const checks = existsSync(checksFile) ? readFileSync(checksFile, 'utf8').trim().split('\n') : []
const reports = reportFiles.map((file) => JSON.parse(readFileSync(file, 'utf8')))

// A file that could not even be loaded has no failed test, and still is a failure.
const isBroken = ({ status, assertionResults }) =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
const broken = reports.flatMap(({ testResults }) => testResults).filter(isBroken).length
const sum = (key) => reports.reduce((total, report) => total + report[key], 0)
const lines = (start) => checks.filter((line) => line.startsWith(start)).length

const passed = sum('numPassedTests') + lines('passed')
const failed = sum('numFailedTests') + lines('failed') + broken
const skipped = sum('numPendingTests') + sum('numTodoTests')
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
