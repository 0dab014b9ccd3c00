/**
 * Servers of a private host. `far`: answers on port 7000 of every address. `near`: a service and a name server on loopback;
 * every name is 192.0.2.1.
 */

import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

const listen = (text, port, address) =>
  new Promise((resolve) => createServer((socket) => socket.end(text)).listen(port, address, resolve))

/** RFC 1035: the question comes back, and for the type A an answer that points to its name. */
function answer(query) {
  const end = query.indexOf(0, 12) + 5
  const isAddress = query.readUInt16BE(end - 4) === 1
  const header = [query[0], query[1], 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0]
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]
  return Buffer.concat([Buffer.from(header), query.subarray(12, end), Buffer.from(isAddress ? record : [])])
}

async function beNear() {
  await listen('a service of the host\n', 7001, '127.0.0.1')
  const names = createSocket('udp4')
  names.on('message', (query, from) => names.send(answer(query), from.port, from.address))
  await new Promise((resolve) => names.bind(53, '127.0.0.53', resolve))
}

await (process.argv[2] === 'far' ? listen('from far away\n', 7000) : beNear())
console.log('ready')
