import { adminKey } from './gateway.mjs';
import { waitFor, within } from './processes.mjs';

// A WebSocket of Node's own, with what came on it.
export class Messages {
  static async open(gateway, path, key = adminKey, headers = {}) {
    const me = new Messages();
    me.received = [];
    me.socket = new WebSocket(`${gateway.base.replace('http', 'ws')}${path}`,
      { headers: { authorization: `Bearer ${key}`, ...headers } });
    me.socket.binaryType = 'arraybuffer';
    me.socket.onmessage = ({ data }) => me.received.push(data);
    me.closed = new Promise((resolve) => {
      me.socket.onclose = (event) => { me.isClosed = true; resolve(event); };
    });
    me.socket.onerror = () => {};
    await within(20_000, 'it opens', Promise.race([
      new Promise((resolve) => { me.socket.onopen = resolve; }),
      me.closed.then(() => { throw new Error('it was closed'); })]));
    return me;
  }

  async ask(message) {
    const before = this.received.length;
    this.socket.send(message);
    await waitFor('an answer', () => this.received.length > before);
    return this.received.at(-1);
  }

  async close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    return within(20_000, 'it closes', this.closed);
  }
}
