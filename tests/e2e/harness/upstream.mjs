// A runtime that is already there (driver external) and keeps what it was sent, byte for byte.
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';

const chatAnswer = JSON.stringify({
  id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'upstream',
  choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
});

export function plainAnswer(body = chatAnswer, headers = '') {
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${headers}` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export class Upstream {
  // `answer(head, body, socket)` gives the bytes to answer an inference request with, or null for
  // none; health checks are answered here, and only their heads are kept. `port`: that of an
  // earlier one; 0: any. With `identity`, the key and certificate of a server, it speaks TLS.
  static async start(answer = () => plainAnswer(), { port = 0, identity } = {}) {
    const me = new Upstream();
    me.requests = [];
    me.probes = [];
    me.sockets = new Set();
    me.answer = answer;
    me.scheme = identity ? 'https' : 'http';
    const serve = (socket) => me.serve(socket);
    me.server = identity ? tls.createServer(identity, serve) : net.createServer(serve);
    me.server.listen(port, '127.0.0.1');
    await once(me.server, 'listening');
    me.port = me.server.address().port;
    return me;
  }

  model(name, options = {}) {
    const endpoint = `${this.scheme}://127.0.0.1:${this.port}`;
    return { name, driver: 'external', endpoint, ...options };
  }

  serve(socket) {
    let text = '';
    this.sockets.add(socket);
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('data', (part) => {
      text += part;
      for (let end; (end = text.indexOf('\r\n\r\n')) >= 0; ) {
        const head = text.slice(0, end + 2);
        const length = Number(/^content-length: *(\d+)\r$/im.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        this.take(socket, head, text.slice(end + 4, end + 4 + length));
        text = text.slice(end + 4 + length);
      }
    });
  }

  take(socket, head, body) {
    if (head.startsWith('GET ')) {
      this.probes.push(head);
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      return;
    }
    this.requests.push({ head, body, socket });
    const answer = this.answer(head, body, socket);
    if (answer !== null) socket.write(answer);
  }

  get last() {
    return this.requests.at(-1);
  }

  stop() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}
