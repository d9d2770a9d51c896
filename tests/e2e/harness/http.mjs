// HTTP as a test wants it: nothing is retried, followed or hidden.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { once } from 'node:events';
import { within } from './processes.mjs';

const answerBoundMs = 30_000;

// `localAddress` is the address to come from.
function start(base, method, path,
  { headers = {}, body, agent = false, signal, localAddress } = {}) {
  const url = new URL(base);
  const request = (url.protocol === 'https:' ? https : http).request({
    host: url.hostname, port: url.port, method, path, headers, agent, signal, localAddress,
  });
  const answer = new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
  });
  request.end(body);
  return within(answerBoundMs, `${method} ${path}`, answer);
}

// One request and its whole answer; `json` is undefined when the text is not JSON.
export async function send(base, method, path, options) {
  const response = await start(base, method, path, options);
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) text += part;
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.statusCode, headers: response.headers, text, json };
}

// A streamed answer, read block by block ("data: …", ": comment"), as the empty lines part them.
export class EventStream {
  constructor(response) {
    this.response = response;
    this.status = response.statusCode;
    this.headers = response.headers;
    this.blocks = [];
  }

  static async open(base, path, options) {
    return new EventStream(await start(base, 'POST', path, options));
  }

  async *[Symbol.asyncIterator]() {
    let text = '';
    this.response.setEncoding('utf8');
    for await (const part of this.response) {
      text += part;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      for (const block of blocks) {
        this.blocks.push(block);
        yield block;
      }
    }
    if (text !== '') this.blocks.push(text);
  }

  // Reads on until a block satisfies `wanted`, and returns it; undefined when the stream ends.
  async next(wanted = () => true) {
    this.iterator ??= this[Symbol.asyncIterator]();
    for (;;) {
      const { value, done } = await within(answerBoundMs, 'next event', this.iterator.next());
      if (done) return undefined;
      if (wanted(value)) return value;
    }
  }

  // Reads to the end. `broken` tells that the connection ended before the stream did.
  async rest() {
    try {
      while ((await this.next()) !== undefined);
      return { blocks: this.blocks, broken: !this.response.complete };
    } catch (error) {
      if (error.code !== 'ECONNRESET') throw error;
      return { blocks: this.blocks, broken: true };
    }
  }

  close() {
    this.response.destroy();
  }
}

export function dataOf(blocks) {
  return blocks.filter((b) => b.startsWith('data: ') && b !== 'data: [DONE]')
    .map((b) => JSON.parse(b.slice('data: '.length)));
}

// A raw connection, to say what no HTTP client would.
export class RawConnection {
  constructor(socket) {
    this.socket = socket;
    this.received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text) => { this.received += text; });
    socket.on('error', () => {});
    // once() would take an error (a write to a peer that has closed) for the end of the wait.
    this.closed = new Promise((resolve) => { socket.on('close', resolve); });
  }

  static async open(base, { localAddress } = {}) {
    const { hostname, port } = new URL(base);
    const socket = net.connect({ host: hostname, port: Number(port), localAddress });
    await within(5_000, 'connection', once(socket, 'connect'));
    return new RawConnection(socket);
  }

  write(text) {
    if (!this.socket.destroyed) this.socket.write(text, 'latin1');
    return this;
  }

  // All that came until the peer closed.
  async untilClosed(boundMs = 10_000) {
    await within(boundMs, `close, after ${JSON.stringify(this.received.slice(0, 200))}`,
      this.closed);
    return this.received;
  }

  close() {
    this.socket.destroy();
  }
}

// The value of one series in Prometheus' text; `labels` as they stand there, in any order.
export function sample(text, name, labels = {}) {
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match || match[1] !== name) continue;
    const here = Object.fromEntries([...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
      .map(([, key, value]) => [key, value]));
    if (Object.entries(labels).every(([key, value]) => here[key] === value)) {
      return Number(match[3]);
    }
  }
  return undefined;
}
