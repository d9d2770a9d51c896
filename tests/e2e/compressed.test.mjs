// Bodies that come compressed are as good as others, and cost no more. The query of an inference
// request reaches the runtime.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { adminKey, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const bodyLimit = 1 << 20, bodyMemory = 8 << 20, smallLimit = 16 << 10;
const encoders = { gzip: gzipSync, zstd: zstdCompressSync };
const route = '/v1/chat/completions';
const wish = JSON.stringify({ model: 'plain', content: 'caf\u00e9 '.repeat(9_000) });
const big = (model, size) => {
  const text = JSON.stringify({ model, pad: '' });
  return text.replace('""', `"${'x'.repeat(size - text.length)}"`);
};

describe('a compressed body', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start((head) => (head.includes('/v1/embeddings') ? null
      : plainAnswer()));
    gateway = await startGateway({
      config: {
        server: { shards: 1, body_limit: bodyLimit, body_memory: bodyMemory },
        models: [upstream.model('plain')],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const post = (path, coding, body, headers = {}) => gateway.send('POST', path, {
    body, headers: { 'content-type': 'application/json', 'content-encoding': coding, ...headers },
  });
  const chunked = { 'transfer-encoding': 'chunked' };
  const head = (path, coding, fields) => `POST ${path} HTTP/1.1\r\nHost: x\r\n` +
    `Authorization: Bearer ${adminKey}\r\nContent-Type: application/json\r\n` +
    `Content-Encoding: ${coding}\r\n${fields}\r\n`;

  for (const [coding, encode] of Object.entries(encoders)) {
    for (const headers of [{}, chunked]) {
      const how = `${coding}${headers === chunked ? ' in chunks' : ''}`;
      test(`reaches the runtime as what it was: ${how}`, async () => {
        const { status } = await post(route, coding, encode(wish), headers);
        assert.equal(status, 200);
        assert.equal(Buffer.from(upstream.last.body, 'latin1').toString(), wish);
        assert.doesNotMatch(upstream.last.head, /^content-encoding:/im);
        assert.doesNotMatch(upstream.last.head, /^transfer-encoding:/im);
        assert.match(upstream.last.head,
          new RegExp(`^content-length: ${Buffer.byteLength(wish)}\\r$`, 'im'));
      });
    }

    test(`may be in several parts, and another request may follow: ${coding}`, async () => {
      const texts = [wish.slice(0, 9), '', wish.slice(9)];
      const parts = Buffer.concat(texts.map((text) => encode(text)));
      const bytes = `${head(route, coding, `Content-Length: ${parts.length}\r\n`)}` +
        parts.toString('latin1');
      const raw = (await gateway.connect()).write(bytes + bytes);
      await waitFor('both answers', () => raw.received.match(/HTTP\/1\.1 200 /g)?.length === 2);
      raw.close();
      assert.equal(Buffer.from(upstream.last.body, 'latin1').toString(), wish);
    });

    test(`may be an order to the gateway: ${coding}`, async () => {
      const made = await post('/v1/keys', coding, encode('{"name":"compressed"}'));
      assert.equal(made.status, 201, made.text);
      assert.equal(made.json.name, 'compressed');
    });

    test(`is refused when it is not valid: ${coding}`, async () => {
      const heard = upstream.requests.length;
      const good = encode(wish), other = encoders[coding === 'gzip' ? 'zstd' : 'gzip'];
      for (const [what, body] of [
        ['plain', wish], ['cut off', good.subarray(0, -1)], ['with a byte behind it',
          Buffer.concat([good, Buffer.from([0])])], ['another coding', other(wish)],
        ['two codings', Buffer.concat([good, other(wish)])], ['a byte', 'x'],
        ['zlib', deflateSync(wish)], ['raw', deflateRawSync(wish)],
      ]) {
        for (const headers of [{}, chunked]) {
          const { status, json } = await post(route, coding, body, headers);
          assert.equal(status, 400, what);
          assert.match(json.error.message, /Content-Encoding/);
        }
      }
      assert.equal(upstream.requests.length, heard);
    });

    test(`may be as large as its text may be, and no larger: ${coding}`, async () => {
      assert.equal((await post(route, coding, encode(big('plain', bodyLimit)))).status, 200);
      assert.equal((await post(route, coding, encode(big('plain', bodyLimit + 1)))).status, 413);
      const order = (size) => post('/v1/keys', coding, encode('{}'.padEnd(size)));
      assert.equal((await order(smallLimit)).status, 201);
      assert.equal((await order(smallLimit + 1)).status, 413);
    });

    test(`costs no more than the limit, whatever it would become: ${coding}`, async () => {
      const bomb = encode(Buffer.alloc(200 << 20));
      assert.ok(bomb.length < bodyLimit);
      const peak = () => 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(
        readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]);
      const earlier = peak();
      for (const headers of [{}, chunked]) {
        assert.equal((await post(route, coding, bomb, headers)).status, 413);
      }
      if (process.env.SIGNALBOX_SANITIZED === 'ON') return; // they keep what was freed
      assert.ok(peak() - earlier < 16 << 20, `${peak() - earlier} bytes`);
    });

    test(`is bounded, too, where it becomes nothing: ${coding}`, async () => {
      const empty = encode('');
      const body = Buffer.concat(Array(Math.ceil(bodyLimit / empty.length) + 1).fill(empty));
      assert.equal((await post(route, coding, body, chunked)).status, 413);
    });

    test(`has its share of the memory for bodies until it is answered: ${coding}`, async () => {
      const size = bodyLimit * 0.9, body = encode(big('plain', size));
      const bytes = head('/v1/embeddings', coding, `Content-Length: ${body.length}\r\n`) +
        body.toString('latin1');
      const heard = upstream.requests.length, held = [];
      const refused = await waitFor('one is refused', async () => {
        const raw = (await gateway.connect()).write(bytes);
        held.push(raw);
        await waitFor('it is at the runtime, or refused', () => raw.received !== '' ||
          upstream.requests.length === heard + held.length);
        return raw.received !== '' && raw;
      });
      assert.match(await refused.untilClosed(), /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 1\r\n/);
      const most = bodyMemory / size; // a decoder needs some, too
      assert.ok(held.length - 1 <= most && held.length - 1 > most / 2, `${held.length}`);
      held.forEach((raw) => raw.close());
      await waitFor('there is room again', async () =>
        (await post(route, coding, body)).status === 200);
    });
  }

  for (const coding of ['br', 'deflate', 'gzip, gzip', 'gzip, zstd', 'gzip;q=1']) {
    test(`is refused before it comes, in a coding that is not ours: ${coding}`, async () => {
      const raw = await gateway.connect();
      const answer = await raw.write(head(route, coding, 'Content-Length: 9\r\n')).untilClosed();
      assert.match(answer, /^HTTP\/1\.1 415 /);
      assert.match(answer, /\r\nAccept-Encoding: gzip, zstd\r\n/);
    });
  }

  test('is not a form', async () => {
    const { status, headers } = await gateway.send('POST', '/auth/token', {
      body: gzipSync('username=a&password=b'),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
    });
    assert.equal(status, 415);
    assert.equal(headers['accept-encoding'], 'identity');
  });

  for (const [coding, encode] of [['identity', Buffer.from], ['', Buffer.from],
    ['x-gzip', gzipSync], ['GZIP', gzipSync]]) {
    test(`has another name for its coding: '${coding}'`, async () => {
      assert.equal((await post(route, coding, encode(wish))).status, 200);
      assert.equal(Buffer.from(upstream.last.body, 'latin1').toString(), wish);
    });
  }

  test('has a coding although it is not there', async () => {
    const { status } = await gateway.send('GET', '/v1/models',
      { headers: { 'content-encoding': 'br' } });
    assert.equal(status, 200);
  });

  for (const query of ['', '?api-version=2026-01&a=%20%2F,:b+c&a=&c=1;d=2', '?']) {
    test(`the query reaches the runtime as it came: ${query}`, async () => {
      const { status } = await gateway.post(`${route}${query}`, wish);
      assert.equal(status, 200);
      assert.equal(upstream.last.head.split('\r\n')[0],
        `POST ${route}${query === '?' ? '' : query} HTTP/1.1`);
    });
  }

  test('no fragment reaches the runtime, nor does a query that cannot be read', async () => {
    const heard = upstream.requests.length;
    assert.equal((await gateway.post(`${route}?a=1#b?c`, wish)).status, 400);
    assert.equal((await gateway.post(`${route}?a=%zz`, wish)).status, 400);
    assert.equal(upstream.requests.length, heard);
  });
});
