// Connections that leave HTTP: a client that asks for another protocol, and a runtime that agrees
// and hands its sockets to the test.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import { waitFor, within } from './processes.mjs';

// A socket with all that came on it, one character a byte.
export class Peer {
  constructor(socket, received = '') {
    this.socket = socket;
    this.received = received;
    socket.on('data', (data) => { this.received += data.toString('latin1'); });
    socket.on('end', () => { this.hasEnded = true; });
    socket.on('close', () => { this.isClosed = true; });
    socket.on('error', () => {});
  }

  write(text) {
    this.socket.write(text, 'latin1');
    return this;
  }

  until(text) {
    return waitFor(`${JSON.stringify(text)} arrives`, () => this.received.includes(text));
  }

  // Nothing more comes.
  untilEnd(boundMs) {
    return waitFor('the end arrives', () => this.hasEnded || this.isClosed, boundMs);
  }

  untilClosed() {
    return waitFor('the connection is closed', () => this.isClosed);
  }
}

// Asks for a protocol; gives { status, headers, peer }, or without a peer { …, text }.
export async function switchTo(base, path, { headers = {}, protocol = 'x-own', method = 'GET' }) {
  const url = new URL(base);
  const isSecure = url.protocol === 'https:';
  const place = { host: url.hostname, port: Number(url.port), allowHalfOpen: true };
  const request = (isSecure ? https : http).request({
    method, path,
    headers: { host: url.host, connection: 'Upgrade', upgrade: protocol, ...headers },
    createConnection: () => (isSecure ? tls.connect(place) : net.connect(place)),
  });
  const answered = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('upgrade', (response, socket, first) => resolve({ status: response.statusCode,
      headers: response.headers, peer: new Peer(socket, first.toString('latin1')) }));
    request.on('response', async (response) => {
      let text = '';
      for await (const part of response) text += part;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
  });
  request.end();
  return within(20_000, `the answer to ${path}`, answered);
}

// `first` is sent right behind the head of each 101.
export class SwitchingRuntime {
  static async start({ identity, first = '' } = {}) {
    const me = new SwitchingRuntime();
    me.heads = [];
    me.peers = [];
    me.scheme = identity ? 'https' : 'http';
    const serve = (socket) => me.serve(socket, first);
    const options = { allowHalfOpen: true, ...identity };
    me.server = identity ? tls.createServer(options, serve) : net.createServer(options, serve);
    me.server.listen(0, '127.0.0.1');
    await once(me.server, 'listening');
    me.port = me.server.address().port;
    return me;
  }

  model(name, options = {}) {
    const endpoint = `${this.scheme}://127.0.0.1:${this.port}`;
    return { name, driver: 'external', endpoint, ...options };
  }

  serve(socket, first) {
    let text = '';
    socket.on('error', () => {});
    const take = (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end + 2), rest = text.slice(end + 4);
      text = '';
      if (!/^upgrade:/im.test(head)) {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        return;
      }
      socket.off('data', take);
      this.heads.push(head);
      this.peers.push(new Peer(socket, rest));
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\n' +
        `Upgrade: ${/^upgrade: (.*)\r$/im.exec(head)[1]}\r\n` +
        `X-Hop: 1\r\nX-Own: yes\r\nSet-Cookie: a=b\r\n\r\n${first}`, 'latin1');
    };
    socket.on('data', take);
    socket.on('end', () => { if (this.peers.every((p) => p.socket !== socket)) socket.end(); });
  }

  // The end of the connection that was switched last.
  get last() {
    return this.peers.at(-1);
  }

  stop() {
    for (const peer of this.peers) peer.socket.destroy();
    this.server.close();
  }
}
