// Clients that mean harm or are broken: slow, huge, ambiguous, many, or never reading.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { residentBytes, waitFor } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

const stalledClients = 3, headerTimeoutS = 1, bodyLimit = 256 * 1024;
// Sanitizers keep what was freed.
const memoryBound = process.env.SIGNALBOX_SANITIZED === 'ON' ? Infinity : 16 << 20;
const credential = `Authorization: Bearer ${adminKey}\r\n`;
const json = 'Content-Type: application/json\r\n';
const post = `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${credential}${json}`;
const body = '{"model":"plain"}';
const length = `Content-Length: ${body.length}\r\n`;

describe('hostile clients', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        server: {
          shards: 1, header_read_timeout_s: headerTimeoutS, write_timeout_s: 1,
          header_limit: '4KiB', header_count_limit: 30, body_limit: bodyLimit,
          max_connections: 40,
        },
        models: [upstream.model('plain'), simModel('demo')],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const healthy = async () => assert.equal((await gateway.chat('plain')).status, 200);

  // Sends `step` again and again until the gateway has closed the connection.
  async function drip(beginning, step) {
    const raw = await gateway.connect();
    raw.write(beginning);
    const timer = setInterval(() => raw.write(step), 100);
    try {
      return await raw.untilClosed(10 * headerTimeoutS * 1_000);
    } finally {
      clearInterval(timer);
      raw.close();
    }
  }

  for (const [what, beginning, step] of [
    ['nothing at all', '', ''],
    ['a request line, letter by letter', 'GET /', 'a'],
    ['headers, one by one', `${post}`, 'X-More: 1\r\n'],
    ['a body, byte by byte', `${post}Content-Length: 100000\r\n\r\n`, ' '],
    ['chunks, one by one', `${post}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
  ]) {
    test(`too slow: ${what}`, async () => {
      const heard = upstream.requests.length;
      const answer = await drip(beginning, step);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2/);
      assert.equal(upstream.requests.length, heard);
      await healthy();
    });
  }

  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
  for (const [what, request] of [
    ['two lengths', `${post}${length}Content-Length: 3\r\n\r\n${body}`],
    ['the same length twice', `${post}${length}${length}\r\n${body}`],
    ['a list of lengths', `${post}Content-Length: 17, 17\r\n\r\n${body}`],
    ['a signed length', `${post}Content-Length: +17\r\n\r\n${body}`],
    ['a hexadecimal length', `${post}Content-Length: 0x11\r\n\r\n${body}`],
    ['a negative length', `${post}Content-Length: -1\r\n\r\n${body}`],
    ['a length past 64 bits', `${post}Content-Length: 18446744073709551633\r\n\r\n${body}`],
    ['length and chunks', `${post}${length}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunks and length', `${post}Transfer-Encoding: chunked\r\n${length}\r\n0\r\n\r\n${smuggled}`],
    ['an encoding before chunked', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['two encodings', `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n` +
      `11\r\n${body}\r\n0\r\n\r\n`],
    ['an encoding with a control character',
      `${post}Transfer-Encoding: \x0bchunked\r\n\r\n11\r\n${body}\r\n0\r\n\r\n`],
    ['a space before the colon', `${post}Content-Length : ${body.length}\r\n\r\n${body}`],
    ['a space before the colon of an encoding',
      `${post}${length}Transfer-Encoding : chunked\r\n\r\n${body}`],
    ['a space before the colon of an encoding that stands alone',
      `${post}Transfer-Encoding : chunked\r\n\r\n11\r\n${body}\r\n0\r\n\r\n`],
    ['a space before the colon of a credential',
      `${post.replace('Authorization:', 'Authorization :')}${length}\r\n${body}`],
    ['a header without a name', `${post}${length}: x\r\n\r\n${body}`],
    ['two hosts', `${post}Host: y\r\n${length}\r\n${body}`],
    ['no host', `${post.replace('Host: x\r\n', '')}${length}\r\n${body}`],
    ['NUL in a header', `${post}${length}X-Bad: a\0b\r\n\r\n${body}`],
    ['NUL in the path', `${post.replace('/completions', '/\0completions')}${length}\r\n${body}`],
    ['a lone CR in a header', `${post}${length}X-Bad: a\rb\r\n\r\n${body}`],
    ['two credentials', `${post}${credential}${length}\r\n${body}`],
    ['a bad chunk size', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`],
    ['a chunk size past 64 bits',
      `${post}Transfer-Encoding: chunked\r\n\r\n10000000000000011\r\n${body}\r\n0\r\n\r\n`],
    ['no version', `GET /health\r\n\r\n`],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['an absolute address elsewhere',
      `${post.replace(' /v1', ' http://evil/v1')}${length}\r\n${body}`],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['HTTP/9.9', `${post.replace('1.1', '9.9')}${length}\r\n${body}`],
    ['HTTP/2.0', `${post.replace('1.1', '2.0')}${length}\r\n${body}`],
    ['a folded header', `${post}${length}X-Folded: one\r\n two\r\n\r\n${body}`],
    ['a folded encoding',
      `${post}Transfer-Encoding:\r\n chunked\r\n\r\n11\r\n${body}\r\n0\r\n\r\n`],
    ['bare line feeds', `${post}${length}\r\n${body}`.replaceAll('\r\n', '\n')],
    ['a bare line feed in a header', `${post}${length}X-A: 1\nX-B: 2\r\n\r\n${body}`],
  ]) {
    test(`refused: ${what}`, async () => {
      const heard = upstream.requests.length;
      const raw = await gateway.connect();
      raw.write(request);
      await waitFor('an answer', () => raw.received !== '', 5_000);
      assert.match(raw.received, /^HTTP\/1\.1 [45]\d\d /);
      assert.doesNotMatch(raw.received, /^HTTP\/1\.1 2/m);
      raw.close();
      await healthy(); // whatever went to the runtime before has arrived by now
      assert.equal(upstream.requests.length, heard + 1);
    });
  }

  test('pipelined requests are answered in order', async () => {
    const raw = await gateway.connect();
    const ids = Array.from({ length: 6 }, (_, i) => `id-${i}`);
    raw.write(ids.map((id, i) => (i % 2 === 0
      ? `${post}X-Request-Id: ${id}\r\n${length}\r\n${body}`
      : `GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`)).join(''));
    const seen = () => [...raw.received.matchAll(/^x-request-id: (\S+)\r$/gim)].map((m) => m[1]);
    await waitFor('all answers', () => seen().length === ids.length, 5_000);
    assert.deepEqual(seen(), ids);
    assert.equal(raw.received.match(/HTTP\/1\.1 200 /g).length, ids.length);
    raw.close();
  });

  test('headers over the limit: 431, far over it: closed', async () => {
    const many = Object.fromEntries(Array.from({ length: 35 }, (_, i) => [`x-${i}`, '1']));
    for (const headers of [{ 'x-large': 'y'.repeat(5_000) }, many]) {
      const answer = await gateway.chat('plain', {}, { headers });
      assert.equal(answer.status, 431);
      assert.equal(answer.json.error.code, 'header_too_large');
    }
    for (const flood of ['X-Large: '.padEnd(100_000, 'y'), 'X-A: 1\r\n'.repeat(10_000)]) {
      const raw = await gateway.connect();
      raw.write(`${post}${flood}\r\n\r\n`);
      assert.doesNotMatch(await raw.untilClosed(), /^HTTP\/1\.1 2/);
    }
    await healthy();
  });

  test('a body over the limit: 413, far over it: closed before it all came', async () => {
    const large = JSON.stringify({ model: 'plain', x: 'y'.repeat(bodyLimit) });
    const answer = await gateway.post('/v1/chat/completions', large);
    assert.equal(answer.status, 413);
    assert.equal(answer.json.error.code, 'body_too_large');
    const exact = large.replace(/y+/, (all) => all.slice(large.length - bodyLimit));
    assert.equal(exact.length, bodyLimit);
    assert.equal((await gateway.post('/v1/chat/completions', exact)).status, 200);
    const before = residentBytes(gateway.pid);
    const raw = await gateway.connect();
    raw.write(`${post}Content-Length: 1000000000\r\n\r\n`);
    const timer = setInterval(() => raw.write(' '.repeat(1 << 20)), 1);
    assert.doesNotMatch(await raw.untilClosed(), /^HTTP\/1\.1 2/);
    clearInterval(timer);
    assert.ok(residentBytes(gateway.pid) - before < memoryBound);
    await healthy();
  });

  test('connections over the limit wait until one is free', async () => {
    const idle = [];
    for (let i = 0; i < 60; ++i) idle.push(await gateway.connect());
    // All of them end by their silence; a request that came behind them is then served.
    await healthy();
    await Promise.all(idle.map((raw) => raw.untilClosed()));
    await waitFor('only ours is open',
      async () => await gateway.metric('signalbox_shard_connections', { shard: '0' }) <= 2);
  });

  test('a client that does not read its stream costs little, and is dropped', async () => {
    await gateway.chat('demo', { max_tokens: 1 });
    const before = residentBytes(gateway.pid);
    const stalled = [];
    for (let i = 0; i < stalledClients; ++i) {
      const raw = await gateway.connect();
      raw.socket.pause();
      const endless = JSON.stringify({
        model: 'demo', messages: [{ content: 'x' }], stream: true, max_tokens: 1_000_000,
      });
      raw.write(`${post}Content-Length: ${endless.length}\r\n\r\n${endless}`);
      stalled.push(raw);
    }
    await waitFor('all run',
      async () => (await gateway.queue('demo')).processing === stalledClients);
    let peak = 0;
    await waitFor('all are dropped', async () => {
      peak = Math.max(peak, residentBytes(gateway.pid));
      await healthy();
      return (await gateway.queue('demo')).processing === 0;
    }, 60_000); // the kernel's buffers grow meanwhile, and each growth is a write that went on
    assert.ok(peak - before < memoryBound, `${(peak - before) >> 20} MiB`);
    for (const raw of stalled) raw.close();
    await waitFor('the runtime is idle',
      async () => await gateway.simMetric('demo', 'sim_active') === 0);
  });
});
