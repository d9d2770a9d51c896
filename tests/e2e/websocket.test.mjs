// WebSockets, and any other protocol that a runtime changes to: below /upstream they are relayed
// until one side closes, and hold their place at the runtime so long.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { Authority, CertificateFiles } from './harness/certificates.mjs';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { Messages } from './harness/messages.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { SwitchingRuntime, switchTo } from './harness/switching.mjs';

const realtimeKey = 'sk-test-realtime-only', limitedKey = 'sk-test-some-tokens-a-day';
const authorization = `Bearer ${adminKey}`;
const authority = await Authority.make();
tls.setDefaultCACertificates([readFileSync(authority.root, 'utf8')]);

describe('a WebSocket', () => {
  const impatient = { request_timeout_s: 1, first_byte_timeout_s: 1, stream_idle_timeout_s: 1 };
  const listed = { upstream_paths: ['/ws'] };
  let gateway, runtime, secure, files, tlsBase;

  before(async () => {
    const { certificate, key } = await authority.issue(0x4001);
    files = new CertificateFiles().write(await authority.issue(0x4002));
    runtime = await SwitchingRuntime.start({ first: 'first words' });
    secure = await SwitchingRuntime.start({ identity: { cert: certificate, key } });
    gateway = await startGateway({
      config: {
        server: { listen: ['127.0.0.1:0', 'https://127.0.0.1:0'], tls: files.options },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'app', token: realtimeKey, scopes: ['realtime'] },
          { id: 'limited', token: limitedKey, scopes: ['realtime'],
            limits: { tokens_per_day: 1000 } },
        ],
        models: [
          simModel('sim', {}, listed),
          simModel('single', {}, { max_concurrent: 1 }),
          simModel('impatient', {}, impatient),
          runtime.model('raw', { api_key_env: '' }),
          secure.model('secure', { tls_ca: authority.root }),
        ],
      },
    });
    tlsBase = await waitFor('the second address', () => gateway.tlsBase);
  });
  after(async () => {
    await gateway.stop();
    runtime.stop();
    secure.stop();
  });

  const open = async (model = 'raw', base = gateway.base, headers = {}) => {
    const opened = await switchTo(base, `/upstream/${model}/own?x=1&node=a`,
      { headers: { authorization, ...headers } });
    assert.equal(opened.status, 101, opened.text);
    return { ...opened, client: opened.peer, server: (model === 'raw' ? runtime : secure).last };
  };
  const inFlight = (model) => gateway.metric('signalbox_in_flight', { model });
  const released = (model) => waitFor('its place is free', async () =>
    (await inFlight(model)) === 0);

  test('carries messages both ways, of any kind and length', async () => {
    const socket = await Messages.open(gateway, '/upstream/sim/ws');
    assert.equal(await socket.ask('hello'), 'hello');
    assert.deepEqual(new Uint8Array(await socket.ask(new Uint8Array([0, 255, 13, 10]))),
      new Uint8Array([0, 255, 13, 10]));
    const large = 'x'.repeat(1 << 20);
    assert.equal(await socket.ask(large), large);
    for (let i = 0; i < 100; ++i) socket.socket.send(`${i}`);
    await waitFor('all come back', () => socket.received.length === 103);
    assert.deepEqual(socket.received.slice(3), Array.from({ length: 100 }, (_, i) => `${i}`));
    assert.equal((await socket.close()).code, 1000);
    await released('sim');
  });

  test('wants the scope admin, or a path that the model lists', async () => {
    const socket = await Messages.open(gateway, '/upstream/sim/ws', realtimeKey);
    assert.equal(await socket.ask('hello'), 'hello');
    await socket.close();
    const as = (key, path) => switchTo(gateway.base, path,
      { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await as(realtimeKey, '/upstream/single/ws')).status, 403);
    assert.equal((await as('sk-nobody-has-this', '/upstream/sim/ws')).status, 401);
    assert.equal((await as(adminKey, '/upstream/none/ws')).status, 404);
  });

  test('holds its place until it closes, and is counted then', async () => {
    const socket = await Messages.open(gateway, '/upstream/single/ws');
    const count = (name, labels) => gateway.metric(name, { model: 'single', ...labels });
    const ended = () => count('signalbox_requests_total',
      { route: 'upstream', status_class: '1xx' });
    const tokens = () => count('signalbox_tokens_total', { kind: 'completion' });
    assert.equal(await inFlight('single'), 1);
    const chat = gateway.chat('single');
    await waitFor('the chat waits', async () => (await gateway.queue('single')).waiting === 1);
    await socket.ask('x'.repeat(4000));
    assert.equal(await ended(), 0);
    const before = await tokens();
    await socket.close();
    assert.equal((await chat).status, 200);
    await waitFor('it is counted', async () => (await ended()) === 1);
    assert.ok(await tokens() - before >= 1000);
    await released('single');
  });

  test('may last longer than a request, but not be silent for long', async () => {
    const socket = await Messages.open(gateway, '/upstream/impatient/ws');
    const until = Date.now() + 3 * impatient.request_timeout_s * 1000;
    while (Date.now() < until) assert.equal(await socket.ask('x'), 'x');
    assert.equal(socket.isClosed, undefined);
    await within(20_000, 'it is closed', socket.closed);
    await released('impatient');
  });

  test('is closed when its key has used up a limit', async () => {
    const socket = await Messages.open(gateway, '/upstream/sim/ws', limitedKey);
    assert.equal(await socket.ask('hello'), 'hello');
    socket.socket.send('x'.repeat(8000));
    await within(20_000, 'it is closed', socket.closed);
    await released('sim');
    const { status } = await gateway.chat('sim', {}, { key: limitedKey });
    assert.equal(status, 429);
  });

  test('reaches the runtime as it was asked for', async () => {
    const { headers, client, server } = await open('raw', gateway.base,
      { 'sec-websocket-protocol': 'a, b', cookie: 'a=b', 'x-own': 'yes' });
    const head = runtime.heads.at(-1);
    assert.match(head, /^GET \/own\?x=1 HTTP\/1\.1\r\n/);
    assert.match(head, /^connection: upgrade\r$/im);
    assert.match(head, /^upgrade: x-own\r$/im);
    assert.match(head, /^sec-websocket-protocol: a, b\r$/im);
    assert.match(head, /^x-own: yes\r$/im);
    assert.ok(!head.includes(adminKey) && !/^cookie:/im.test(head));
    assert.equal(headers.upgrade, 'x-own');
    assert.equal(headers.connection, 'Upgrade');
    assert.equal(headers['x-own'], 'yes');
    assert.equal(headers['x-hop'], undefined);
    assert.equal(headers['set-cookie'], undefined);
    assert.equal(headers['x-selected-model'], 'raw');
    client.socket.end();
    server.socket.end();
    await released('raw');
  });

  for (const [what, model, base] of [['plain', 'raw', () => gateway.base],
    ['a TLS client', 'raw', () => tlsBase], ['a TLS runtime', 'secure', () => gateway.base],
    ['TLS on both sides', 'secure', () => tlsBase]]) {
    test(`passes every byte on, ${what}`, async () => {
      const { client, server } = await open(model, base());
      if (model === 'raw') await client.until('first words');
      const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('');
      server.write(`${bytes}runtime`);
      await client.until(`${bytes}runtime`);
      client.write(`${bytes}client`);
      await server.until(`${bytes}client`);
      const much = bytes.repeat(40_000); // 10 MB
      client.write(`${much}over`);
      server.write(`${much}over`);
      await waitFor('all has come', () => client.received.endsWith('over') &&
        server.received.endsWith('over'), 60_000);
      assert.ok(client.received.endsWith(`${much}over`));
      assert.ok(server.received.endsWith(`${much}over`));
      server.socket.end();
      await client.untilEnd();
      client.socket.end();
      await client.untilClosed();
      await released(model);
    });
  }

  test('one that sends no more can still hear', async () => {
    const { client, server } = await open();
    client.socket.end('last words', 'latin1');
    await server.until('last words');
    await server.untilEnd();
    server.write('an answer');
    await client.until('an answer');
    server.socket.end('and the end', 'latin1');
    await client.until('and the end');
    await client.untilClosed();
    await released('raw');
  });

  test('a runtime that sends no more can still hear', async () => {
    const { client, server } = await open();
    server.socket.end('last words', 'latin1');
    await client.until('last words');
    await client.untilEnd();
    client.write('a question');
    await server.until('a question');
    client.socket.end();
    await server.untilEnd();
    await released('raw');
  });

  test('a runtime that breaks ends it', async () => {
    const { client, server } = await open();
    await client.until('first words');
    server.socket.resetAndDestroy();
    await client.untilEnd();
    client.socket.destroy();
    await released('raw');
  });

  test('a client that breaks ends it', async () => {
    const { client, server } = await open();
    await client.until('first words');
    client.socket.resetAndDestroy();
    await server.untilEnd();
    await released('raw');
  });

  test('a slow client slows the runtime down, and gets everything', async () => {
    const { client, server } = await open();
    await client.until('first words');
    client.socket.pause();
    const much = 'x'.repeat(64 << 20);
    server.write(`${much}end`);
    // Other connections are served meanwhile.
    for (let i = 0; i < 20; ++i) assert.equal((await gateway.chat('sim')).status, 200);
    assert.ok(server.socket.writableLength > 32 << 20, `${server.socket.writableLength}`);
    client.socket.resume();
    await waitFor('all has come', () => client.received.length >= much.length + 14, 60_000);
    assert.ok(client.received.endsWith('xend'));
    client.socket.end();
    server.socket.end();
    await released('raw');
  });

  test('another answer than 101 is one like any other', async () => {
    const { status, headers, text } = await switchTo(gateway.base, '/upstream/sim/echo',
      { headers: { authorization } });
    assert.equal(status, 200);
    const seen = JSON.parse(text);
    assert.equal(seen.headers.upgrade, 'x-own');
    assert.equal(headers['x-selected-model'], 'sim');
    await released('sim');
  });

  test('is no way to another protocol on other routes', async () => {
    const { status } = await switchTo(gateway.base, '/v1/models', { headers: { authorization } });
    assert.equal(status, 200);
  });

  test('what comes before the answer is refused', async () => {
    const raw = await gateway.connect();
    raw.write('GET /upstream/raw/own HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n' +
      `Upgrade: x-own\r\nAuthorization: ${authorization}\r\n\r\ntoo early`);
    // What came is not read as a request.
    assert.match(await raw.untilClosed(), /^HTTP\/1\.1 400 (?!.*HTTP\/1)/s);
  });

  test('is no way to further requests that nobody looks at', async () => {
    for (const protocol of ['h2c', 'h2c, websocket', 'HTTP/2.0', 'TLS/1.2']) {
      const { status } = await switchTo(gateway.base, '/upstream/raw/own',
        { protocol, headers: { authorization } });
      assert.equal(status, 400, protocol);
    }
    const { status } = await switchTo(gateway.base, '/upstream/sim/ws',
      { headers: { authorization: `Bearer ${realtimeKey}` } });
    assert.equal(status, 400, 'only a WebSocket for this key');
  });

  test('HTTP/1.0 knows no other protocol', async () => {
    const raw = await gateway.connect();
    raw.write('GET /upstream/raw/own HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x-own\r\n' +
      `Authorization: ${authorization}\r\n\r\n`);
    assert.match(await raw.untilClosed(), /^HTTP\/1\.1 200 /);
  });
});

describe('without a key', () => {
  test('pages of other origins can open none', async () => {
    const gateway = await startGateway({ config: {
      security: { anonymous_scopes: ['realtime'] },
      cors: { allowed_origins: ['https://page.example'] },
      models: [simModel('sim', {}, { upstream_paths: ['/ws', '/echo'] })],
    } });
    const from = (headers) => switchTo(gateway.base, '/upstream/sim/echo',
      { protocol: 'websocket', headers });
    const { host } = new URL(gateway.base);
    for (const origin of ['https://page.example', `http://${host}`, `https://${host}`]) {
      assert.equal((await from({ origin })).status, 200, origin);
    }
    assert.equal((await from({})).status, 200);
    for (const origin of ['https://other.example', 'null', 'x']) {
      const { status, text } = await from({ origin });
      assert.equal(status, 403, origin);
      assert.equal(JSON.parse(text).error.code, 'origin_not_allowed');
    }
    const post = await gateway.send('POST', '/upstream/sim/echo', { key: null, body: 'x',
      headers: { origin: 'https://other.example', 'content-type': 'text/plain' } });
    assert.equal(post.json.error.code, 'origin_not_allowed');
    assert.equal((await from({ origin: 'https://other.example',
      authorization })).status, 200);
    await gateway.stop();
  });
});

describe('a gateway that ends', () => {
  test('waits for its WebSockets as long as for requests, then closes them', async () => {
    const runtime = await SwitchingRuntime.start();
    const gateway = await startGateway({ config: {
      server: { shutdown_grace_s: 1 }, models: [runtime.model('raw')],
    } });
    const { peer: client } = await switchTo(gateway.base, '/upstream/raw/own',
      { headers: { authorization } });
    gateway.child.kill('SIGTERM');
    await client.untilEnd();
    client.socket.destroy();
    await gateway.stop();
    await runtime.last.untilEnd();
    runtime.stop();
  });
});
