/** Prints one line, `N passed, M failed`, of the checks and of vitest's report; fails when there is no report. */

import { existsSync, readFileSync } from 'node:fs'

const [checksFile = '', reportFile = ''] = process.argv.slice(2)
const checks = existsSync(checksFile) ? readFileSync(checksFile, 'utf8').trim().split('\n') : []
const report = JSON.parse(readFileSync(reportFile, 'utf8'))

// A file that could not even be loaded has no failed test, and still is a failure.
const broken = report.testResults.filter(({ status, assertionResults }) => {
  return status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
})
const passed = report.numPassedTests + checks.filter((line) => line.startsWith('passed')).length
const failed =
  report.numFailedTests + broken.length + checks.filter((line) => line.startsWith('failed')).length
const skipped = report.numPendingTests + report.numTodoTests
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
