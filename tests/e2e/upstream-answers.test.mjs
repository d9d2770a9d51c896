// What a runtime answers below /upstream passes as it comes: of any length, framed as it was, no
// faster than the client reads.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { runPython } from './harness/clients.mjs';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const authorization = `Bearer ${adminKey}`;
const head = (fields, status = '200 OK') =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

describe('an answer below /upstream', () => {
  let gateway, upstream, answer;

  before(async () => {
    upstream = await Upstream.start((...sent) => answer(...sent));
    gateway = await startGateway({ config: {
      server: { response_limit: '64KiB' },
      models: [simModel('sim'), upstream.model('raw')],
    } });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  // A request whose answer the test gives piece by piece, by the socket of the runtime.
  const ask = async (path = '/x', version = '1.1') => {
    const heard = upstream.requests.length;
    answer = () => null;
    const client = await gateway.connect();
    client.write(`POST /upstream/raw${path} HTTP/${version}\r\nHost: x\r\n` +
      `Authorization: ${authorization}\r\nContent-Length: 0\r\n\r\n`);
    await waitFor('it is at the runtime', () => upstream.requests.length > heard);
    return { client, server: upstream.last.socket };
  };
  const until = (client, text) =>
    waitFor(`${JSON.stringify(text)} arrives`, () => client.received.includes(text));

  test('comes before it is complete, with its status, fields and length', async () => {
    const { client, server } = await ask();
    server.write(head(['Content-Type: a/b', 'X-Own: yes', 'Content-Length: 10'], '418 Teapot'));
    server.write('first');
    await until(client, 'first');
    assert.match(client.received, /^HTTP\/1\.1 418 /);
    assert.match(client.received, /^content-type: a\/b\r$/im);
    assert.match(client.received, /^x-own: yes\r$/im);
    assert.match(client.received, /^content-length: 10\r$/im);
    assert.match(client.received, /^x-selected-model: raw\r$/im);
    assert.ok(!/^transfer-encoding/im.test(client.received));
    server.write('other');
    await until(client, '\r\n\r\nfirstother');
    // The connection is used again.
    answer = () => plainAnswer('', 'X-Second: yes\r\n');
    for (let i = 0; i < 2; ++i) {
      client.received = '';
      client.write('POST /upstream/raw/y HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n' +
        `Authorization: ${authorization}\r\n\r\n`);
      await until(client, 'X-Second: yes');
      await until(client, '\r\n\r\n');
      assert.match(client.received, /^content-length: 0\r$/im);
    }
    client.close();
  });

  test('comes in chunks when the runtime sends it so', async () => {
    const { client, server } = await ask();
    server.write(head(['Transfer-Encoding: chunked']));
    server.write('5\r\nfirst\r\n');
    await until(client, '5\r\nfirst\r\n');
    assert.match(client.received, /^transfer-encoding: chunked\r$/im);
    assert.ok(!/^content-(type|length)/im.test(client.received));
    assert.ok(!client.received.includes('0\r\n\r\n'));
    server.write('0\r\n\r\n');
    await until(client, '0\r\n\r\n');
    client.close();
  });

  test('reaches HTTP/1.0 in one piece, until the connection closes', async () => {
    const { client, server } = await ask('/x', '1.0');
    server.write(`${head(['Transfer-Encoding: chunked'])}5\r\nfirst\r\n0\r\n\r\n`);
    assert.match(await client.untilClosed(), /\r\n\r\nfirst$/);
  });

  for (const [framing, version] of [['Content-Length: 100', '1.1'],
    ['Transfer-Encoding: chunked', '1.1'], ['Transfer-Encoding: chunked', '1.0']]) {
    test(`breaks when the runtime does: ${framing}, HTTP/${version}`, async () => {
      const { client, server } = await ask('/x', version);
      let error;
      client.socket.on('error', (e) => { error = e.code; });
      server.write(head([framing, 'Content-Type: text/event-stream']));
      server.write('5\r\nfirst\r\n');
      await until(client, 'first');
      server.destroy();
      const received = await client.untilClosed();
      assert.match(received, /first(\r\n)?$/);
      assert.equal(error, 'ECONNRESET');
      await waitFor('its place is free', async () =>
        (await gateway.metric('signalbox_in_flight', { model: 'raw' })) === 0);
    });
  }

  // After this time its kernel forgets a connection that was closed: usually a minute, here a
  // second, and Python can say so. It has read all that came, so that it resets nothing.
  const leaving = `
import os, socket
client = socket.create_connection(('127.0.0.1', os.environ['PORT']))
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
client.sendall(os.environ['REQUEST'].encode())
while not client.recv(65536).endswith(b'first\\r\\n'): pass
`;

  test('frees the runtime when a client leaves that hears nothing', async () => {
    const heard = upstream.requests.length;
    answer = () => null;
    const left = runPython(leaving, { env: {
      PORT: new URL(gateway.base).port,
      REQUEST: `POST /upstream/raw/x HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
        'Content-Length: 0\r\n\r\n',
    } });
    await waitFor('it is at the runtime', () => upstream.requests.length > heard);
    const server = upstream.last.socket;
    server.write(`${head(['Transfer-Encoding: chunked'])}5\r\nfirst\r\n`);
    const { code, errors } = await left;
    assert.equal(code, 0, errors);
    await waitFor('the runtime sees its connection closed', () => server.destroyed, 20_000);
  });

  test('may be larger than what is kept of others, and waits for a slow client', async () => {
    const much = Buffer.alloc(64 << 20, 'x');
    const heard = upstream.requests.length;
    answer = () => null;
    const request = http.request(`${gateway.base}/upstream/raw/file`,
      { method: 'POST', headers: { authorization }, agent: false });
    const answered = new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    });
    request.end();
    await waitFor('it is at the runtime', () => upstream.requests.length > heard);
    const { socket } = upstream.last;
    socket.write(head([`Content-Length: ${much.length}`]));
    socket.write(much);
    const response = await within(20_000, 'its head', answered); // which nobody reads yet
    for (let i = 0; i < 20; ++i) assert.equal((await gateway.chat('sim')).status, 200);
    assert.ok(socket.writableLength > 32 << 20, `${socket.writableLength}`);
    let bytes = 0;
    response.on('data', (part) => { bytes += part.length; });
    await waitFor('all has come', () => response.complete && bytes === much.length, 60_000);
  });
});
