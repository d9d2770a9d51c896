// A gateway behind real proxies: HAProxy and nginx with what their manuals show first, and with
// what suits streams.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, startGateway } from './harness/gateway.mjs';
import { EventStream, RawConnection, send } from './harness/http.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { Haproxy, Nginx } from './harness/proxies.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const bodyLimit = 64 * 1024, boundMs = 5_000;
const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
const fieldLines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
const post = (fields) =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${fieldLines}${fields}\r\n`;
const chat = (fields = {}) => JSON.stringify({ model: 'plain', ...fields });
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const event = (text) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;
const done = 'data: [DONE]\n\n';
const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
  'Transfer-Encoding: chunked\r\n\r\n';

const modern = ['proxy_pass http://kept', 'proxy_http_version 1.1',
  'proxy_set_header Connection ""'];
const unbuffered = ['proxy_buffering off', 'proxy_request_buffering off'];
// `events`: each event passes at once. `wholeBodies`: a body is read to its end before it is passed
// on. `keeps`: connections to the gateway serve several clients.
const ways = [
  { what: 'HAProxy as it comes', program: Haproxy, lines: ['option httpchk'], events: true },
  { what: 'HAProxy with connections that stay', program: Haproxy, events: true, keeps: true,
    lines: ['option httpchk GET /health/ready', 'http-reuse always'] },
  { what: 'nginx as it comes', program: Nginx, lines: ['proxy_pass GATEWAY'], wholeBodies: true },
  { what: 'nginx without buffers', program: Nginx, lines: ['proxy_pass GATEWAY', ...unbuffered],
    events: true },
  { what: 'nginx with HTTP/1.1', program: Nginx, lines: modern, wholeBodies: true, keeps: true },
  { what: 'nginx with HTTP/1.1 and without buffers', program: Nginx,
    lines: [...modern, ...unbuffered], events: true, keeps: true },
];

describe('behind a proxy', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        server: { shards: 1, body_limit: bodyLimit }, models: [upstream.model('plain')],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  // The runtime sends only these bytes. Returns, once it has, its connection and the end of that.
  function hold(bytes) {
    const begun = new Promise((resolve) => {
      upstream.answer = (head, body, socket) => {
        socket.setNoDelay(true);
        socket.write(bytes);
        resolve({ socket, closed: new Promise((closed) => { socket.on('close', closed); }) });
        return null;
      };
    });
    return within(boundMs, 'the runtime has the request', begun);
  }

  const idle = () => waitFor('nothing runs', async () =>
    (await gateway.queue('plain')).processing === 0);
  // Its check has found the gateway up.
  async function isUp(haproxy) {
    const { check_status: status, check_code: code } = await waitFor('a check has ended',
      async () => {
        const server = await haproxy.server();
        return server.check_status.startsWith('L7') && server;
      }, boundMs);
    assert.equal(status, 'L7OK', `the check got ${code}`);
  }
  const answered = async (raw, pattern) => {
    await waitFor(`an answer like ${pattern}`, () => pattern.test(raw.received), boundMs);
    return raw.received;
  };

  for (const { what, program, lines, events, wholeBodies, keeps } of ways) {
    describe(what, () => {
      let proxy;
      before(async () => {
        proxy = await program.start(gateway, lines);
        if (program === Haproxy) await isUp(proxy);
      });
      after(() => proxy?.stop());

      const ask = (method, route, options) =>
        send(proxy.base, method, route, { headers, ...options });
      const openStream = () => EventStream.open(proxy.base, '/v1/chat/completions',
        { headers, body: chat({ stream: true }) });

      if (keeps) test('requests of several clients on one connection', async () => {
        upstream.answer = () => plainAnswer();
        for (let i = 0; i < 5; ++i) await ask('POST', '/v1/chat/completions', { body: chat() });
        if (program === Haproxy) {
          const { connect, reuse } = await proxy.server();
          assert.deepEqual({ connect, reuse }, { connect: '1', reuse: '4' });
        } else {
          // And the connection that asks.
          assert.equal(await gateway.metric('signalbox_shard_connections', { shard: '0' }), 2);
        }
      });

      for (const [name, method, route, options, status] of [
        ['a chat', 'POST', '/v1/chat/completions', { body: chat() }, 200],
        ['the models', 'GET', '/v1/models', {}, 200],
        ['HEAD', 'HEAD', '/health/live', {}, 200],
        ['no such route', 'GET', '/nowhere', {}, 404],
        ['no such model', 'POST', '/v1/chat/completions', { body: '{"model":"nobody"}' }, 404],
        ['no key', 'POST', '/v1/chat/completions', { body: chat(), headers: {} }, 401],
        ['a method that the route has not', 'PUT', '/v1/models', { body: '{}' }, 405],
        ['a body over the limit', 'POST', '/v1/chat/completions',
          { body: chat({ pad: 'x'.repeat(16 * bodyLimit) }) }, 413],
      ]) {
        test(`the same as without it: ${name}`, async () => {
          upstream.answer = () => plainAnswer();
          const direct = await send(gateway.base, method, route, { headers, ...options });
          const through = await ask(method, route, options);
          assert.equal(direct.status, status);
          assert.equal(through.status, status, through.text);
          assert.equal(through.text, direct.text);
          for (const field of ['content-type', 'www-authenticate', 'allow', 'x-selected-model']) {
            assert.equal(through.headers[field], direct.headers[field]);
          }
          assert.ok(through.headers['x-request-id']);
        });
      }

      test('a stream is whole', async () => {
        upstream.answer = () => streamHead + chunk(event('one')) + chunk(done) + chunk('');
        const { text, headers: got } = await ask('POST', '/v1/chat/completions',
          { body: chat({ stream: true }) });
        assert.equal(text, event('one') + done);
        assert.equal(got['content-type'], 'text/event-stream');
      });

      if (events) {
        test('an event arrives while the next one is held back', async () => {
          const held = hold(streamHead + chunk(event('one')));
          const stream = await openStream();
          assert.match(await stream.next(), /"one"/);
          (await held).socket.write(chunk(event('two')) + chunk(done) + chunk(''));
          assert.match(await stream.next(), /"two"/);
          assert.equal((await stream.rest()).broken, false);
        });
      }

      test('a body over the limit is refused before it has come', async () => {
        const raw = await RawConnection.open(proxy.base);
        raw.write(`${post(`Content-Length: ${4 * bodyLimit}\r\n`)}{`);
        if (wholeBodies) raw.write('x'.repeat(4 * bodyLimit - 1));
        assert.match(await answered(raw, /\r\n\r\n[^]*"body_too_large"/), /^HTTP\/1\.1 413 /);
        raw.close();
      });

      test('a body in chunks', async () => {
        upstream.answer = () => plainAnswer();
        const text = chat({ pad: 'x'.repeat(5_000) });
        const raw = await RawConnection.open(proxy.base);
        raw.write(post('Transfer-Encoding: chunked\r\n') + chunk(text.slice(0, 2_000)));
        raw.write(chunk(text.slice(2_000)) + chunk(''));
        assert.match(await answered(raw, /\}$/), /^HTTP\/1\.1 200 /);
        assert.equal(upstream.last.body, text);
        raw.close();
      });

      test('Expect: 100-continue', async () => {
        upstream.answer = () => plainAnswer();
        const raw = await RawConnection.open(proxy.base);
        raw.write(post(`Expect: 100-continue\r\nContent-Length: ${chat().length}\r\n`));
        await answered(raw, /^HTTP\/1\.1 100 [^\r]*\r\n\r\n$/);
        raw.write(chat());
        assert.match(await answered(raw, /\}$/), /\r\n\r\nHTTP\/1\.1 200 /);
        raw.close();
      });

      test('several requests of one client on one connection', async () => {
        upstream.answer = () => plainAnswer();
        const raw = await RawConnection.open(proxy.base);
        for (let i = 1; i <= 3; ++i) {
          raw.write(post(`Content-Length: ${chat().length}\r\n`) + chat());
          await waitFor(`answer ${i}`, () => raw.received.match(/HTTP\/1\.1 200 /g)?.length === i &&
            raw.received.endsWith('}'));
        }
        raw.close();
      });

      // `begun`: what the runtime has sent by then. HAProxy only notices who has left when it has
      // something to send.
      for (const [when, begun] of [
        ...(program === Haproxy ? [] : [['before its answer begins', '']]),
        ['its stream', streamHead + chunk(event('one'))],
      ]) {
        test(`a client that leaves ${when} frees the runtime`, async () => {
          const held = hold(begun), body = chat({ stream: begun !== '' });
          const raw = await RawConnection.open(proxy.base);
          raw.write(post(`Content-Length: ${body.length}\r\n`) + body);
          const { socket, closed } = await held;
          raw.close();
          const more = begun && setInterval(() => socket.write(chunk(event('more'))), 20);
          try {
            await within(boundMs, 'the runtime sees its connection closed', closed);
            await idle();
          } finally {
            clearInterval(more);
            socket.destroy();
          }
        });
      }
    });
  }
});
