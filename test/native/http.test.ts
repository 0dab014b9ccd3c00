/** The HTTP client against real servers: redirections, proxies, certificates, sockets, slowness. */

import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { type ClientOptions, HttpClient, type RequestOptions } from '../../src/store/http.ts'
import { hasProgram } from '../helpers/can.ts'
import { type Certificate, makeCertificate } from '../helpers/certificates.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const { signal } = new AbortController()

type Running = AsyncDisposable & { readonly port: number; readonly url: string; readonly host: string }

async function start(server: Server, scheme = 'http', name = '127.0.0.1'): Promise<Running> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    host: `${name}:${port}`,
    url: `${scheme}://${name}:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const serve = (listener: RequestListener): Promise<Running> => start(createServer(listener))

/** Tells what it was asked. */
const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { method, url, headers } = request
    response.end(
      JSON.stringify({
        method,
        url,
        headers,
        body: Buffer.concat(chunks).toString(),
        from: request.socket.remotePort,
      }),
    )
  })
}

type Echo = { method: string; url: string; headers: Record<string, string>; body: string; from: number }

function newClient(given: Partial<ClientOptions> = {}) {
  const events: Event[] = []
  const report = (event: Event) => void (event.kind === 'debug' || events.push(event))
  const client = new HttpClient({ environment: {}, report, patience: { pause: 10 }, ...given })
  const ask = async (url: string, options: Partial<RequestOptions> = {}): Promise<Echo> => {
    const response = await client.request(url, { signal, ...options })
    return JSON.parse((await response.bytes(1 << 20)).toString())
  }
  return { client, ask, events, [Symbol.dispose]: () => client[Symbol.dispose]() }
}

describe('a request', () => {
  it('says who asks, and keeps its connection for the next', async () => {
    await using server = await serve(echo)
    using browser = newClient()
    const first = await browser.ask(`${server.url}/a?b=c`)
    expect(first).toMatchObject({ method: 'GET', url: '/a?b=c', headers: { host: server.host } })
    expect(first.headers['user-agent']).toMatch(/^sing\/\d/)
    expect((await browser.ask(server.url)).from).toBe(first.from)
  })

  it('sends a body of known length as it comes', async () => {
    await using server = await serve(echo)
    using browser = newClient()
    async function* stream() {
      yield Buffer.from('hello ')
      yield Buffer.from('world')
    }
    const told = await browser.ask(server.url, { method: 'PUT', body: { size: 11, stream } })
    expect(told).toMatchObject({ method: 'PUT', body: 'hello world', headers: { 'content-length': '11' } })
  })

  it('ends when the server answers before it has all of a body', async () => {
    await using server = await serve((_, response) =>
      response.writeHead(413, { connection: 'close' }).end('no'),
    )
    using browser = newClient()
    const chunk = Buffer.alloc(1 << 20)
    const body = { size: 1 << 30, stream: () => Array(1024).fill(chunk) }
    const asked = browser.client.request(server.url, { method: 'PUT', body, signal, retries: 0 })
    // What the server sees of an answered connection is up to the kernel.
    const status = await asked.then(
      ({ status }) => status,
      (error) => error.failure,
    )
    expect([413, 'cut']).toContain(status)
  })

  it('ends with the reason of its signal', async () => {
    await using server = await serve(() => {})
    using browser = newClient()
    const controller = new AbortController()
    const asked = browser.client.request(server.url, { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 50)
    await expect(asked).rejects.toThrow('enough')
  })

  it('ends with the reason of its signal in the middle of an answer', async () => {
    await using server = await serve((_, response) => void response.writeHead(200).write('x'))
    using browser = newClient()
    const controller = new AbortController()
    const response = await browser.client.request(server.url, { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 50)
    await expect(response.bytes(100)).rejects.toThrow('enough')
  })

  it('does not wait for ever for an answer', async () => {
    await using server = await serve(() => {})
    using browser = newClient({ patience: { answer: 100 } })
    await expect(browser.client.request(server.url, { signal })).rejects.toMatchObject({
      failure: 'slow',
      message: `cannot reach ${server.host}: no answer in 1 seconds`,
    })
  })

  it('is sent again when the connection ends without an answer', async () => {
    let count = 0
    await using server = await serve((request, response) => {
      count += 1
      if (count < 3) request.socket.destroy()
      else echo(request, response)
    })
    using browser = newClient()
    expect(await browser.ask(server.url, { method: 'POST', body: Buffer.from('again') })).toMatchObject({
      body: 'again',
    })
    expect(browser.events).toMatchObject([{ kind: 'info' }, { kind: 'info' }])
  })

  it('is sent again at once when a connection that was kept has ended', async () => {
    let sockets = 0
    const ends = createServer((request, response) => {
      // The second request finds the connection closing, as when a server ends idle ones.
      if (request.url === '/second' && request.socket.remotePort === first) request.socket.destroy()
      else echo(request, response)
    })
    ends.on('connection', () => {
      sockets += 1
    })
    await using server = await start(ends)
    using browser = newClient()
    const first = (await browser.ask(`${server.url}/first`)).from
    expect(await browser.ask(`${server.url}/second`)).toMatchObject({ url: '/second' })
    expect(sockets).toBe(2)
    expect(browser.events).toEqual([])
  })

  it('is told why it cannot be sent', async () => {
    using browser = newClient()
    const ask = (url: string) => browser.client.request(url, { signal })
    await expect(ask('http://127.0.0.1:1/')).rejects.toMatchObject({
      message: 'cannot reach 127.0.0.1:1: connection refused',
    })
    await expect(ask('http://no-such-host.invalid/')).rejects.toMatchObject({ failure: 'unreachable' })
    await expect(ask('ftp://a.example/')).rejects.toMatchObject({
      message: 'ftp://a.example/ is no address of a web server',
    })
    await using plain = await serve(echo)
    await expect(ask(`https://${plain.host}/`)).rejects.toMatchObject({
      failure: expect.stringMatching(/protocol|cut/),
    })
  })

  it('does not take an endless head of an answer', async () => {
    await using server = await serve((_, response) =>
      response.writeHead(200, { 'x-long': 'x'.repeat(1 << 20) }).end(),
    )
    using browser = newClient()
    await expect(browser.client.request(server.url, { signal })).rejects.toMatchObject({
      message: `cannot reach ${server.host}: it does not speak HTTP as it should`,
    })
  })
})

describe('a redirection', () => {
  const secrets = { authorization: 'Basic c2VjcmV0', cookie: 'secret=1', 'x-harmless': 'yes' }

  it('to the same server keeps everything', async () => {
    await using server = await serve((request, response) =>
      request.url === '/old' ? response.writeHead(307, { location: '/new' }).end() : echo(request, response),
    )
    using browser = newClient()
    const told = await browser.ask(`${server.url}/old`, {
      method: 'PUT',
      headers: secrets,
      body: Buffer.from('body'),
    })
    expect(told).toMatchObject({ method: 'PUT', url: '/new', body: 'body', headers: secrets })
  })

  it('to another port carries no secrets', async () => {
    await using there = await serve(echo)
    await using here = await serve((_, response) =>
      response.writeHead(302, { location: `${there.url}/x` }).end(),
    )
    using browser = newClient()
    const { headers } = await browser.ask(here.url, { headers: secrets })
    expect(headers).toMatchObject({ 'x-harmless': 'yes' })
    expect(headers.authorization).toBeUndefined()
    expect(headers.cookie).toBeUndefined()
  })

  it('there and back again carries none either', async () => {
    const here: { server?: Running } = {}
    await using there = await serve((_, response) =>
      response.writeHead(302, { location: `${here.server?.url}/back` }).end(),
    )
    await using server = await serve((request, response) =>
      request.url === '/back'
        ? echo(request, response)
        : response.writeHead(302, { location: there.url }).end(),
    )
    here.server = server
    using browser = newClient()
    expect((await browser.ask(server.url, { headers: secrets })).headers.authorization).toBeUndefined()
  })

  it('of a POST by 303 is a look at the result', async () => {
    await using server = await serve((request, response) =>
      request.url === '/form'
        ? response.writeHead(303, { location: '/result' }).end()
        : echo(request, response),
    )
    using browser = newClient()
    const told = await browser.ask(`${server.url}/form`, { method: 'POST', body: Buffer.from('x') })
    expect(told).toMatchObject({ method: 'GET', url: '/result', body: '' })
  })
})

describe('a socket of this machine', () => {
  it('is asked like a server', async () => {
    const path = join(temporaryFolder(), 'socket')
    const server = createServer(echo).listen(path)
    await once(server, 'listening')
    using browser = newClient({ environment: { HTTP_PROXY: 'http://127.0.0.1:1' } })
    expect(await browser.ask('http://localhost/_ping', { socketPath: path })).toMatchObject({ url: '/_ping' })
    server.closeAllConnections()
    server.close()
    const asked = browser.client.request('http://localhost/', { socketPath: `${path}-none`, signal })
    await expect(asked).rejects.toMatchObject({ message: `cannot reach ${path}-none: no such socket` })
  })
})

/** A proxy for anything: it sends all to one port of this machine, and notes what it was asked for. */
async function startForwardProxy(target: () => number) {
  const asked: { what: string; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    asked.push({
      what: `${request.method} ${request.url}`,
      authorization: request.headers['proxy-authorization'],
    })
    echo(request, response)
  })
  server.on('connect', (request, socket) => {
    asked.push({ what: `CONNECT ${request.url}`, authorization: request.headers['proxy-authorization'] })
    if (request.url?.startsWith('refused')) return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    const onward = connect(target(), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    onward.pipe(socket).pipe(onward)
    onward.on('error', () => socket.destroy())
    socket.on('error', () => onward.destroy())
  })
  return { asked, running: await start(server) }
}

describe('a proxy', () => {
  it('is told plain addresses as a whole, with its own login and not ours', async () => {
    const { asked, running } = await startForwardProxy(() => 0)
    await using _ = running
    using browser = newClient({ environment: { http_proxy: `http://me:p%40ss@${running.host}` } })
    const told = await browser.ask('http://far.example:8080/x?y=z')
    expect(told).toMatchObject({
      url: 'http://far.example:8080/x?y=z',
      headers: { host: 'far.example:8080' },
    })
    expect(asked[0]?.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`)
  })

  it('is not asked for what NO_PROXY names, nor for this machine', async () => {
    await using server = await serve(echo)
    const environment = { HTTP_PROXY: 'http://127.0.0.1:1' }
    using browser = newClient({ environment })
    expect(await browser.ask(server.url)).toMatchObject({ method: 'GET' })
    using other = newClient({ environment: { ...environment, NO_PROXY: 'no-such-host.invalid' } })
    await expect(other.ask('http://no-such-host.invalid/')).rejects.toMatchObject({
      message: 'cannot reach no-such-host.invalid: no such host',
    })
  })

  it.skipIf(!hasProgram('openssl'))('leads to secure servers without reading along', async () => {
    const certificate = await makeCertificate(temporaryFolder())
    await using server = await startSecure(certificate)
    const { asked, running } = await startForwardProxy(() => server.port)
    await using _ = running
    const environment = { HTTPS_PROXY: running.host, SSL_CERT_FILE: certificate.authority }
    using browser = newClient({ environment })
    // The certificate is for localhost, which a proxy would not be asked for.
    await expect(browser.ask('https://far.example/x')).rejects.toMatchObject({
      failure: 'untrusted',
      message: 'cannot reach far.example: its certificate is for another name',
    })
    expect(asked).toEqual([{ what: 'CONNECT far.example:443', authorization: undefined }])
    const trusting = await browser.ask('https://far.example/x', { trusting: true })
    expect(trusting).toMatchObject({ url: '/x', headers: { host: 'far.example' } })
    expect((await browser.ask('https://far.example/y', { trusting: true })).from).toBe(trusting.from)
    await expect(browser.ask('https://refused.example/')).rejects.toMatchObject({
      message: `cannot reach refused.example: the proxy ${running.host} answered 403`,
    })
  })

  it('that nobody has is told', async () => {
    using browser = newClient({
      environment: { HTTPS_PROXY: '127.0.0.1:1', HTTP_PROXY: 'socks5://u:secret@a.example' },
    })
    await expect(browser.ask('https://far.example/')).rejects.toMatchObject({
      message: 'cannot reach far.example: the proxy 127.0.0.1:1: connection refused',
    })
    await expect(browser.ask('http://far.example/')).rejects.toMatchObject({
      message: 'the variable HTTP_PROXY names the proxy "socks5://a.example", which cannot be used',
    })
  })
})

const startSecure = ({ certificate, key, authority }: Certificate, answer: RequestListener = echo) =>
  start(
    createTlsServer(
      {
        cert: readFileSync(certificate),
        key: readFileSync(key),
        ca: readFileSync(authority),
        requestCert: true,
        rejectUnauthorized: false,
      },
      answer,
    ),
    'https',
    'localhost',
  )

describe.skipIf(!hasProgram('openssl'))('a redirection to plain HTTP', () => {
  it('is followed, unless nothing else vouches for what comes', async () => {
    const certificate = await makeCertificate(temporaryFolder())
    await using there = await serve(echo)
    await using here = await startSecure(certificate, (_, response) =>
      response.writeHead(302, { location: `${there.url}/x` }).end(),
    )
    using browser = newClient({ environment: { SSL_CERT_FILE: certificate.authority } })
    expect(await browser.ask(here.url)).toMatchObject({ url: '/x' })
    await expect(browser.ask(here.url, { staysSafe: true })).rejects.toMatchObject({
      failure: 'redirect',
      message: `${here.host} redirects to ${there.host} by plain HTTP, where anybody could change what is sent`,
    })
  })
})

describe.skipIf(!hasProgram('openssl'))('a certificate', () => {
  it('is believed when its authority is in the folder of the registry, in SSL_CERT_DIR or SSL_CERT_FILE', async () => {
    const certificate = await makeCertificate(temporaryFolder())
    await using server = await startSecure(certificate)
    const home = temporaryFolder()
    const folder = join(home, '.config/containers/certs.d', server.host)
    mkdirSync(folder, { recursive: true })
    copyFileSync(certificate.authority, join(folder, 'ca.crt'))
    const authorities = temporaryFolder()
    copyFileSync(certificate.authority, join(authorities, 'any-name.pem'))
    for (const environment of [
      { HOME: home },
      { SSL_CERT_DIR: authorities },
      { SSL_CERT_FILE: certificate.authority },
    ]) {
      using browser = newClient({ environment })
      expect(await browser.ask(server.url)).toMatchObject({ method: 'GET' })
    }
    using stranger = newClient()
    await expect(stranger.ask(server.url)).rejects.toMatchObject({ failure: 'untrusted' })
  })

  it('of ours is shown to a server that asks for it', async () => {
    const certificate = await makeCertificate(temporaryFolder())
    const seen: boolean[] = []
    const secure = createTlsServer(
      {
        cert: readFileSync(certificate.certificate),
        key: readFileSync(certificate.key),
        ca: readFileSync(certificate.authority),
        requestCert: true,
      },
      echo,
    )
    secure.on('secureConnection', (socket) => seen.push(socket.authorized))
    await using server = await start(secure, 'https', 'localhost')
    const home = temporaryFolder()
    const folder = join(home, '.config/containers/certs.d', server.host)
    mkdirSync(folder, { recursive: true })
    copyFileSync(certificate.authority, join(folder, 'ca.crt'))
    copyFileSync(certificate.certificate, join(folder, 'client.cert'))
    using incomplete = newClient({ environment: { HOME: home } })
    await expect(incomplete.ask(server.url)).rejects.toMatchObject({
      message: `cannot read the certificate ${join(folder, 'client.key')}: no such file or directory`,
    })
    copyFileSync(certificate.key, join(folder, 'client.key'))
    using browser = newClient({ environment: { HOME: home } })
    expect(await browser.ask(server.url)).toMatchObject({ method: 'GET' })
    expect(seen).toEqual([true])
  })
})
