// What strangers who connect can do to the gateway: nothing.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { Authority, CertificateFiles } from './harness/certificates.mjs';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { RawConnection, send } from './harness/http.mjs';
import { Postgres } from './harness/postgres.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const authority = await Authority.make();
tls.setDefaultCACertificates([readFileSync(authority.root, 'utf8')]);

describe('a gateway with few descriptors', () => {
  const openFiles = 64, clients = 100;
  let gateway;

  before(async () => {
    const postgres = await Postgres.start(); // a private one needs more descriptors than there are
    const files = new CertificateFiles().write(await authority.issue(0x3001));
    gateway = await startGateway({
      openFiles,
      config: {
        server: {
          listen: ['127.0.0.1:0', 'https://127.0.0.1:0'], tls: files.options,
          header_read_timeout_s: 600, // nothing here ends by it
        },
        database: { url: await postgres.url('few') },
        models: [simModel('demo', {}, { max_waiting: clients })],
      },
    });
  });
  after(() => gateway.stop());

  const chatAt = (base) => send(base, 'POST', '/v1/chat/completions', {
    body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hello' }] }),
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
  });

  test('says how many clients it can have', () => {
    assert.match(gateway.log, /server\.max_connections: \d+ instead of 20000, .* 64 open files/);
  });

  for (const kind of ['base', 'tlsBase']) {
    test(`serves after more clients than it has descriptors: ${kind}`, async () => {
      const base = await waitFor('it listens', () => gateway[kind]);
      for (let round = 0; round < 2; ++round) {
        const held = [];
        while (held.length < clients) held.push(await RawConnection.open(base));
        await waitFor('it is full', () => /new connections have to wait/.test(gateway.log));
        const open = readdirSync(`/proc/${gateway.pid}/fd`).length;
        assert.ok(open < openFiles, `${open} descriptors: some are left for runtimes`);
        held.forEach((connection) => connection.close());
        assert.equal((await chatAt(base)).status, 200);
      }
    });

    test(`serves more clients at once than it has descriptors: ${kind}`, async () => {
      const all = Array.from({ length: clients }, () => chatAt(gateway[kind]));
      const answers = await Promise.all(all);
      assert.deepEqual(answers.filter(({ status }) => status !== 200).map(({ text }) => text), []);
    });
  }
});

const json = 'Content-Type: application/json\r\n';
const credential = `Authorization: Bearer ${adminKey}\r\n`;
const head = (line, fields = '') => `${line} HTTP/1.1\r\nHost: x\r\n${fields}`;
const chat = (fields = '', key = credential) =>
  head('POST /v1/chat/completions', `${key}${json}${fields}`);
const body = '{"model":"plain"}';
const length = `Content-Length: ${body.length}\r\n`;
const chunked = 'Transfer-Encoding: chunked\r\n';
const status = (text) => Number(/^HTTP\/1\.1 (\d+) /.exec(text)?.[1]);

describe('what strangers send', () => {
  const timeoutS = 2, bodyLimit = 1 << 20;
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start(() => plainAnswer());
    gateway = await startGateway({
      config: {
        server: {
          shards: 1, header_read_timeout_s: timeoutS, write_timeout_s: 1, body_limit: bodyLimit,
          body_memory: 2 * bodyLimit,
        },
        models: [upstream.model('plain'), simModel('demo'), simModel('slow', { 'decode-tps': 10 })],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const open = (bytes) => gateway.connect().then((raw) => raw.write(bytes));
  const closed = async (bytes) => (await open(bytes)).untilClosed();
  const answered = async (raw, pattern = /\r\n\r\n/) => {
    await waitFor(`an answer like ${pattern}`, () => pattern.test(raw.received));
    return raw.received;
  };

  // None of these sends its body, so that every answer came before it.
  for (const [what, bytes, expected, pattern] of [
    ['no key', head('POST /v1/chat/completions', `${json}Content-Length: 100\r\n\r\n`), 401,
      /\r\nWWW-Authenticate: Bearer\r\n[^]*"missing_api_key"/],
    ['a wrong key', chat('Content-Length: 100\r\n\r\n', 'X-API-Key: sk-nobody-knows\r\n'), 401,
      /"invalid_api_key"/],
    ['no such route', head('POST /v2/chat', `${credential}${chunked}\r\n`), 404, /"detail"/],
    ['a method that the route has not', head('PUT /v1/models', 'Content-Length: 9\r\n\r\n'), 405,
      /\r\nAllow: GET, HEAD, OPTIONS\r\n/],
    ['no length', chat('\r\n'), 411, /Content-Length/],
    ['a body over the limit', chat(`Content-Length: ${bodyLimit + 1}\r\n\r\n`), 413, /1048576/],
    ['an order over its limit', head('POST /v1/keys', `${credential}Content-Length: 16385\r\n\r\n`),
      413, /16384/],
    ['a form over its limit', head('POST /auth/token', 'Content-Length: 16385\r\n\r\n'), 413,
      /16384/],
    ['a type that is not JSON', chat('Content-Length: 9\r\n\r\n').replace(json,
      'Content-Type: text/plain\r\n'), 415, /application\/json/],
    ['another expectation', chat(`Expect: tea\r\nContent-Length: 9\r\n\r\n`), 417, /100-continue/],
  ]) {
    test(`is answered before the body: ${what}`, async () => {
      const answer = await closed(bytes);
      assert.equal(status(answer), expected, answer);
      assert.match(answer, pattern);
      assert.match(answer, /\r\nConnection: close\r\n/);
      assert.match(answer, /\r\nx-request-id: \S+\r\n/i);
      assert.match(answer, /\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/);
    });
  }

  test('an early answer reaches a client that goes on sending', async () => {
    const raw = await open(chat(`Content-Length: ${bodyLimit}\r\n\r\n`,
      'X-API-Key: sk-nobody-knows\r\n'));
    raw.write('x'.repeat(bodyLimit));
    assert.equal(status(await raw.untilClosed()), 401);
  });

  test('a request is refused after the answer to one before it', async () => {
    const raw = await open(`${chat(length)}\r\n${body}${head('POST /nowhere', length)}\r\n`);
    await answered(raw);
    raw.write(body);
    const statuses = [...(await raw.untilClosed()).matchAll(/HTTP\/1\.1 (\d+) /g)];
    assert.deepEqual(statuses.map((match) => match[1]), ['200', '404']);
  });

  // Whoever reads such a head otherwise may find another end of it.
  for (const [what, bytes, expected] of [
    ['a blank before a colon', head('GET /health', 'Content-Length : 3\r\n\r\nabc'), 400],
    ['no version', 'GET /health\r\n\r\n', 505],
    ['a version in two lines', 'GET /health H\r\n\r\n1.1\r\nHost: x\r\n\r\n', 400],
  ]) {
    test(`nothing is read behind a head that is not clear: ${what}`, async () => {
      const answer = await closed(`${bytes}${head('GET /health', '\r\n')}`);
      assert.equal(status(answer), expected, answer);
      assert.equal(answer.match(/HTTP\/1\.1 \d/g).length, 1, answer);
    });
  }

  for (const [what, bytes, expected] of [
    ['a bare line feed in the head', `${chat(length).replace('\r\n', '\n')}\r\n${body}`, 400],
    ['a folded field', chat(`${length}X-Folded: one\r\n two\r\n\r\n${body}`), 400],
    ['a blank behind the size of a chunk', chat(`${chunked}\r\n11 \r\n${body}\r\n0\r\n\r\n`), 400],
    ['an extension of a chunk', chat(`${chunked}\r\n11;a=b\r\n${body}\r\n0\r\n\r\n`), 400],
    ['a bare line feed behind a chunk', chat(`${chunked}\r\n11\r\n${body}\n0\r\n\r\n`), 400],
    ['chunks with HTTP/1.0',
      chat(`${chunked}\r\n11\r\n${body}\r\n0\r\n\r\n`).replace('/1.1', '/1.0'), 400],
    ['HTTP/2.0', chat(`${length}\r\n${body}`).replace('/1.1', '/2.0'), 505],
    ['no version', 'GET /health\r\n\r\n', 505],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['two lengths', chat(`${length}Content-Length: 3\r\n\r\n${body}`), 400],
    ['a chunk size that is none', chat(`${chunked}\r\nzz\r\n`), 400],
    ['NUL in a field', chat(`${length}X-Bad: a\0b\r\n\r\n${body}`), 400],
    ['two credentials that differ', chat(`X-API-Key: sk-another-key\r\n${length}\r\n${body}`), 400],
    ['too many fields', chat('X-A: 1\r\n'.repeat(10_000)), 431],
    ['a field that is too large', chat(`X-A: ${'y'.repeat(100_000)}\r\n`), 431],
    ['a target that is too long', head(`GET /${'y'.repeat(20_000)}`, '\r\n'), 414],
    ['a target of another host', head('GET http://evil/health', '\r\n'), 421],
  ]) {
    test(`has an answer: ${what}`, async () => {
      const heard = upstream.requests.length;
      const raw = await open(bytes);
      const answer = await answered(raw);
      raw.close();
      assert.equal(status(answer), expected, answer);
      assert.equal(upstream.requests.length, heard);
    });
  }

  for (const [what, bytes, pattern] of [
    ['a blank behind a key', chat(`${length}\r\n${body}`, credential.replace('\r\n', ' \t\r\n'))],
    ['the same credential twice', chat(`X-API-Key: ${adminKey}\r\n${length}\r\n${body}`)],
    ['our own host in the target', head('GET http://X/health', '\r\n')],
    ['a host without a path', head('GET http://x', '\r\n'), /^HTTP\/1\.1 200 /],
    ['two slashes at the beginning', chat(`${length}\r\n${body}`).replace(' /v1', ' //v1')],
    ['two slashes within', chat(`${length}\r\n${body}`).replace('/v1/', '/v1//')],
    ['HTTP/1.0 without a host', 'GET /health/ready HTTP/1.0\r\n\r\n', /\r\nConnection: close\r\n/],
    ['HTTP/1.0 that stays', 'GET /health/ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
      /\r\nConnection: keep-alive\r\n/],
    ['empty lines before a request', `\r\n\r\n${head('GET /health', '\r\n')}`],
    ['an upgrade that we do not know', head('GET /health',
      'Connection: Upgrade\r\nUpgrade: chat\r\n\r\n')],
  ]) {
    test(`is served: ${what}`, async () => {
      const raw = await open(bytes);
      const answer = await answered(raw);
      raw.close();
      assert.equal(status(answer), 200, answer);
      if (pattern) assert.match(answer, pattern);
    });
  }

  test('HEAD has the fields of GET and no body', async () => {
    const raw = await open(head('HEAD /health/live', '\r\n') + head('GET /health/live', '\r\n'));
    const [one, other, text] = (await answered(raw, /\r\n\r\n[^]*\r\n\r\n./)).split('\r\n\r\n');
    raw.close();
    const length = (fields) => /\r\nContent-Length: (\d+)/.exec(fields)[1];
    assert.equal(length(one), length(other));
    assert.equal(Number(length(one)), text.length);
  });

  test('a client with HTTP/1.0 gets a stream until the connection closes', async () => {
    const wish = JSON.stringify({ model: 'demo', messages: [{ content: 'x' }], stream: true,
      max_tokens: 3 });
    const answer = await closed(`${chat(`Content-Length: ${wish.length}\r\n\r\n`)
      .replace('/1.1', '/1.0')}${wish}`);
    const [fields, text] = answer.split(/\r\n\r\n(.*)/s);
    assert.equal(status(answer), 200);
    assert.doesNotMatch(fields, /^(transfer-encoding|content-length):/im);
    assert.match(fields, /\r\nConnection: close/);
    assert.match(text, /^data: \{[^]*\n\ndata: \[DONE\]\n\n$/);
  });

  test('Expect: 100-continue is answered, unless the request is refused', async () => {
    const expecting = `Expect: 100-continue\r\n${length}\r\n`;
    const raw = await open(chat(expecting));
    await answered(raw, /^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    raw.write(body);
    await answered(raw, /\r\n\r\nHTTP\/1\.1 200 /);
    raw.close();
    assert.equal(status(await closed(chat(expecting, 'X-API-Key: sk-nobody-knows\r\n'))), 401);
  });

  test('who has closed one side gets the answer', async () => {
    const wish = (model, stream) => {
      const text = JSON.stringify({ model, messages: [{ content: 'x' }], stream, max_tokens: 20 });
      return `${chat(`Connection: close\r\nContent-Length: ${text.length}\r\n`)}\r\n${text}`;
    };
    const whole = [head('GET /health', '\r\n'), wish('slow', false), wish('slow', true)];
    const ends = [/\}$/, /\}$/, /\[DONE\]\n\n\r\n0\r\n\r\n$/];
    await Promise.all(whole.map(async (bytes, i) => {
      const raw = await open(bytes);
      raw.socket.end();
      const answer = await raw.untilClosed();
      assert.match(answer.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, ''), /^HTTP\/1\.1 200 /);
      assert.match(answer, ends[i]);
    }));
  });

  test('who has closed both sides frees the slot', async () => {
    const before = await gateway.simMetric('slow', 'sim_cancelled_total');
    const text = JSON.stringify({ model: 'slow', messages: [{ content: 'x' }], max_tokens: 600 });
    const raw = await open(`${chat(`Content-Length: ${text.length}\r\n`)}\r\n${text}`);
    await waitFor('it runs', async () => (await gateway.queue('slow')).processing === 1);
    raw.close();
    await waitFor('it is cancelled',
      async () => await gateway.simMetric('slow', 'sim_cancelled_total') === before + 1);
  });

  test('a slow but steady body lives, one that stops or drips is answered 408', async () => {
    const slowly = async (step, gapMs) => {
      const text = JSON.stringify({ model: 'plain', pad: 'x'.repeat(6_000) });
      const raw = await open(`${chat(`Content-Length: ${text.length}\r\n`)}\r\n`);
      let at = 0;
      const timer = setInterval(() => {
        if (at < text.length) raw.write(text.slice(at, at += step));
      }, gapMs);
      try {
        return status(await answered(raw));
      } finally {
        clearInterval(timer);
        raw.close();
      }
    };
    const [steady, drips, stops] =
      await Promise.all([slowly(200, 100), slowly(1, 50), slowly(3_000, 4_000)]);
    assert.deepEqual({ steady, drips, stops }, { steady: 200, drips: 408, stops: 408 });
  });

  for (const fields of ['', 'Connection: Upgrade\r\nUpgrade: websocket\r\n']) {
    const how = fields ? ', with an upgrade' : '';
    test(`a head that stops is answered 408${how}`, async () => {
      assert.equal(status(await closed(chat(fields))), 408);
    });
    test(`an idle connection is closed without a word${how}`, async () => {
      const raw = await open(head('GET /health', `${fields}\r\n`));
      const answer = await raw.untilClosed();
      assert.equal(answer.match(/HTTP\/1\.1/g).length, 1);
    });
  }

  test('who never reads is dropped, with an upgrade as well', async () => {
    const raw = await open('');
    raw.socket.pause();
    const wish = JSON.stringify({ model: 'demo', messages: [{ content: 'x' }], stream: true,
      max_tokens: 1_000_000 });
    raw.write(`${chat(`Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: ${wish.length}\r\n`)}` +
      `\r\n${wish}`);
    await waitFor('it runs', async () => (await gateway.queue('demo')).processing === 1);
    await waitFor('it is dropped', async () => (await gateway.queue('demo')).processing === 0,
      60_000);
    raw.close();
  });

  test('bodies share the memory that is set for them', async () => {
    const large = () => open(`${chat(`Content-Length: ${bodyLimit}\r\n`)}\r\n${' '.repeat(99)}`);
    const [one, other] = [await large(), await large()];
    const third = await (await large()).untilClosed();
    assert.equal(status(third), 503);
    assert.match(third, /\r\nRetry-After: 1\r\n/);
    const text = JSON.stringify({ model: 'plain', pad: 'x'.repeat(bodyLimit) }).slice(0, bodyLimit);
    const inChunks = await open(`${chat(chunked)}\r\n${bodyLimit.toString(16)}\r\n${text}`);
    assert.equal(status(await inChunks.untilClosed()), 503);
    one.close();
    await waitFor('there is room again', async () => (await gateway.chat('plain')).status === 200);
    other.close();
  });
});

test('the memory for a body is that of its length, however it is cut', async () => {
  const bodyLimit = 32 << 20, unit = ' '.repeat(64 << 10);
  const gateway = await startGateway({
    config: { server: { shards: 1, body_limit: bodyLimit }, models: [simModel('demo')] },
  });
  const peak = () => 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(
    readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]);
  await gateway.chat('plain'); // there is no such model, so that nobody else has the body
  const before = peak();
  const raw = await gateway.connect();
  const drained = () => new Promise((resolve) => { raw.socket.once('drain', resolve); });
  raw.write(chat(`${chunked}\r\n`));
  raw.write(`${body.length.toString(16)}\r\n${body}\r\n`);
  // A large part in chunks of one byte each, the rest in large ones.
  const ones = '1\r\n \r\n'.repeat(unit.length);
  const large = `${unit.length.toString(16)}\r\n${unit}\r\n`;
  const units = (bodyLimit >> 16) - 1;
  for (let i = 0; i < units; ++i) {
    if (!raw.socket.write(i < units / 4 ? ones : large, 'latin1')) await drained();
  }
  raw.write('0\r\n\r\n');
  await waitFor('the answer', () => raw.received !== '', 30_000);
  assert.equal(status(raw.received), 404, raw.received);
  if (process.env.SIGNALBOX_SANITIZED !== 'ON') { // they keep what was freed
    const grown = peak() - before;
    assert.ok(grown < 1.2 * bodyLimit, `${(grown / bodyLimit).toFixed(2)} of the body`);
  }
  raw.close();
  await gateway.stop();
});
