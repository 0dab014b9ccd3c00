/** The files of a folder over HTTP, on a free port of 127.0.0.1. */

import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface FilesServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly address: string
  /** Paths that were asked for. */
  readonly requests: readonly string[]
}

export async function serveFiles(folder: string): Promise<FilesServer> {
  const requests: string[] = []
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://files')
    requests.push(pathname)
    try {
      const path = join(folder, pathname)
      response.setHeader('etag', `"${statSync(path).mtimeMs}"`)
      response.end(readFileSync(path))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
