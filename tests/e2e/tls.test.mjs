// TLS of the gateway's own: all that goes without goes with it, and certificates are changed while
// it serves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { Authority, CertificateFiles } from './harness/certificates.mjs';
import {
  adminKey, checkConfig, launchGateway, simModel, startGateway,
} from './harness/gateway.mjs';
import { EventStream, RawConnection, dataOf, send } from './harness/http.mjs';
import { residentBytes, waitFor, within } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const run = promisify(execFile);
// Sanitizers keep what was freed.
const memoryBound = process.env.SIGNALBOX_SANITIZED === 'ON' ? Infinity : 16 << 20;
const messages = [{ role: 'user', content: 'four words of prompt' }];
const authorization = `Bearer ${adminKey}`;

const authority = await Authority.make();
tls.setDefaultCACertificates([readFileSync(authority.root, 'utf8')]); // for fetch, too

describe('TLS', () => {
  let gateway, upstream, files, base;

  before(async () => {
    files = new CertificateFiles().write(await authority.issue(0x1001));
    upstream = await Upstream.start((head, body) => plainAnswer(body));
    gateway = await startGateway({
      config: {
        server: {
          listen: ['127.0.0.1:0', 'https://127.0.0.1:0'], tls: files.options, shards: 2,
          header_read_timeout_s: 600, // nothing here ends by it
          write_timeout_s: 1,
        },
        models: [upstream.model('echo'), simModel('demo'), simModel('slow', { 'decode-tps': 20 })],
      },
    });
    base = await waitFor('the second address', () => gateway.tlsBase);
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const connect = async (options = {}) => {
    const { hostname, port } = new URL(base);
    const socket = tls.connect({ host: hostname, port: Number(port), ...options });
    await within(10_000, 'handshake', once(socket, 'secureConnect'));
    return socket;
  };
  const serialSeen = async () => {
    const socket = await connect();
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const healthy = async () => assert.equal((await send(base, 'GET', '/health/live')).status, 200);
  const openChat = (model, fields) => EventStream.open(base, '/v1/chat/completions', {
    body: JSON.stringify({ model, messages, stream: true, ...fields }),
    headers: { authorization, 'content-type': 'application/json' },
  });
  const openFiles = () => readdirSync(`/proc/${gateway.pid}/fd`).length;
  // Waits until that many lines of the log match.
  const told = (pattern, count) => waitFor(`${count} times in the log: ${pattern}`,
    () => (gateway.log.match(pattern) ?? []).length >= count);
  const reload = async (pattern) => {
    const before = (gateway.log.match(pattern) ?? []).length;
    process.kill(gateway.pid, 'SIGHUP');
    await told(pattern, before + 1);
  };
  const reloaded = /TLS: certificate of /g, refused = /TLS: keeping the certificate in use/g;

  test('the openai client, streamed and not', async () => {
    const client = gateway.client({ baseURL: `${base}/v1` });
    const request = { model: 'demo', messages, max_tokens: 7 };
    const answer = await client.chat.completions.create(request);
    assert.equal(answer.usage.completion_tokens, 7);
    const stream = await client.chat.completions.create({ ...request, stream: true });
    const chunks = await Array.fromAsync(stream);
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join('');
    assert.equal(text, answer.choices[0].message.content);
  });

  test('curl, which knows the root only', async () => {
    const { stdout } = await run('curl', ['-sS', '--cacert', authority.root,
      '-H', `Authorization: ${authorization}`, `${base}/v1/models`], { timeout: 20_000 });
    assert.equal(JSON.parse(stdout).data.length, 3);
    const stranger = await run('curl', ['-sS', `${base}/health/live`], { timeout: 20_000 })
      .catch((error) => error);
    assert.equal(stranger.code, 60); // it does not know who signed
  });

  test('the other address has none', async () => {
    assert.equal((await gateway.send('GET', '/health/live')).status, 200);
  });

  test('large bodies both ways', async () => {
    const body = JSON.stringify({ model: 'echo', text: 'x'.repeat(4 << 20) });
    const answer = await send(base, 'POST', '/v1/chat/completions',
      { body, headers: { authorization, 'content-type': 'application/json' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.text.length, 4 << 20);
  });

  test('versions', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const socket = await connect({ minVersion: version, maxVersion: version });
      assert.equal(socket.getProtocol(), version);
      socket.destroy();
    }
    for (const version of ['TLSv1', 'TLSv1.1']) {
      await assert.rejects(connect({
        minVersion: version, maxVersion: version, ciphers: 'ALL@SECLEVEL=0',
      }), { code: /ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION|ERR_SSL_UNSUPPORTED_PROTOCOL/ });
    }
    const socket = await connect({ maxVersion: 'TLSv1.2' });
    const renegotiated = await new Promise((resolve) => {
      socket.on('error', resolve);
      socket.renegotiate({}, resolve);
    });
    assert.match(String(renegotiated), /no.renegotiation/i);
    socket.destroy();
  });

  test('HTTP without TLS is closed without an answer', async () => {
    const raw = await RawConnection.open(base);
    let error;
    raw.socket.on('error', (e) => { error = e; });
    raw.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.doesNotMatch(await raw.untilClosed(), /HTTP/);
    assert.equal(error, undefined);
    await healthy();
  });

  test('a client that leaves stops its stream at the runtime', async () => {
    await gateway.chat('slow', { max_tokens: 1 });
    const before = await gateway.simMetric('slow', 'sim_cancelled_total');
    for (const leave of [(socket) => socket.destroy(), (socket) => socket.end()]) {
      const stream = await openChat('slow', { max_tokens: 10_000 });
      await stream.next();
      leave(stream.response.socket);
    }
    await waitFor('both are cancelled',
      async () => await gateway.simMetric('slow', 'sim_cancelled_total') === before + 2);
    await waitFor('both gave back their turn',
      async () => (await gateway.queue('slow')).processing === 0);
  });

  test('a client that does not read its stream costs little, and is dropped', async () => {
    await gateway.chat('demo', { max_tokens: 1 });
    const before = residentBytes(gateway.pid);
    const stream = await openChat('demo', { max_tokens: 1_000_000 });
    stream.response.socket.pause();
    await waitFor('it runs', async () => (await gateway.queue('demo')).processing === 1);
    let peak = 0;
    await waitFor('it is dropped', async () => {
      peak = Math.max(peak, residentBytes(gateway.pid));
      return (await gateway.queue('demo')).processing === 0;
    }, 60_000);
    assert.ok(peak - before < memoryBound, `${(peak - before) >> 20} MiB`);
    stream.close();
  });

  test('SIGHUP: new connections get the new certificate, the others go on', async () => {
    assert.equal(await serialSeen(), '1001');
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () => send(base, 'GET', '/health/live', { agent });
    let sockets = 0;
    const create = agent.createConnection;
    agent.createConnection = (...args) => { ++sockets; return create.apply(agent, args); };
    await ask();
    const stream = await openChat('slow', { max_tokens: 30 });
    await stream.next();

    files.write(await authority.issue(0x1002));
    await reload(reloaded);
    assert.match(gateway.log, /serial 1002, valid until \d{4}-/);
    assert.equal((await ask()).status, 200);
    assert.equal(sockets, 1);
    await waitFor('all shards show it', async () => await serialSeen() === '1002');
    for (let i = 0; i < 20; ++i) assert.equal(await serialSeen(), '1002');
    const { blocks, broken } = await stream.rest();
    assert.equal(broken, false);
    const words = dataOf(blocks).filter(({ choices }) => choices[0]?.delta.content);
    assert.equal(words.length, 30);
    agent.destroy();
  });

  test('SIGHUP: a pair that is no good changes nothing', async () => {
    const before = await serialSeen();
    const good = await authority.issue(0x1003), other = await authority.issue(0x1004);
    for (const [bad, reason] of [
      [{ ...good, key: other.key }, /is not the key of the certificate/],
      [{ ...good, key: 'nonsense' }, /contains no private key in PEM/],
      [{ ...good, certificate: '' }, /contains no certificate in PEM/],
    ]) {
      files.write(bad);
      await reload(refused);
      assert.match(gateway.log.trimEnd().split('\n').at(-1), reason);
      assert.equal(await serialSeen(), before);
    }
    files.write(good);
    await reload(reloaded);
    await waitFor('all shards show it', async () => await serialSeen() === '1003');
  });

  test('a thousand handshakes leave nothing behind', { timeout: 300_000 }, async () => {
    const { port } = new URL(base);
    const shake = async (i) => {
      if (i % 4 >= 2) { // leaves before the handshake, or within it
        const raw = await RawConnection.open(base);
        raw.write(i % 4 === 2 ? '' : '\x16\x03\x01').close();
        return;
      }
      const socket = tls.connect({ host: '127.0.0.1', port: Number(port) });
      await within(20_000, 'handshake', once(socket, 'secureConnect'));
      if (i % 2 === 0) socket.end(); else socket.destroy();
    };
    const many = async (count) => {
      for (let i = 0; i < count; i += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, k) => shake(i + k)));
      }
    };
    const atRest = openFiles();
    const allClosed = () => waitFor('their descriptors are closed', () => openFiles() <= atRest);
    await many(100); // what is kept for the next ones
    await allClosed();
    const before = residentBytes(gateway.pid);
    await many(1_000);
    await allClosed();
    const grown = residentBytes(gateway.pid) - before;
    assert.ok(grown < memoryBound / 4, `${grown >> 10} KiB`);
  });

  test('the end comes to all connections', async () => {
    const { hostname, port } = new URL(base);
    const stalled = net.connect({ host: hostname, port: Number(port) });
    await once(stalled, 'connect');
    const idle = await connect(), stream = await openChat('slow', { max_tokens: 20 });
    await stream.next();
    const ends = [stalled, idle].map((socket) => once(socket.on('error', () => {}).resume(),
      'close'));
    const stopped = gateway.stop();
    assert.equal((await stream.rest()).broken, false);
    await stopped;
    await within(5_000, 'all are closed', Promise.all(ends));
  });
});

test('handshakes that never end are ended', async () => {
  const files = new CertificateFiles().write(await authority.issue(0x3001));
  const listen = ['127.0.0.1:0', 'https://127.0.0.1:0'];
  const gateway = await startGateway({ config: {
    server: { listen, tls: files.options, header_read_timeout_s: 1 }, models: [simModel('demo')],
  } });
  const base = await waitFor('the second address', () => gateway.tlsBase);
  const silent = await RawConnection.open(base), slow = await RawConnection.open(base);
  slow.write('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03');
  const timer = setInterval(() => slow.write('x'), 100);
  try {
    await Promise.all([silent, slow].map((raw) => raw.untilClosed(20_000)));
  } finally {
    clearInterval(timer);
  }
  assert.equal((await send(base, 'GET', '/health/live')).status, 200);
  await gateway.stop();
});

describe('a certificate that is no good', () => {
  const server = (files) => ({ listen: ['https://127.0.0.1:0'], tls: files.options });

  for (const [what, spoil, reason] of [
    ['a key of another', (a, b) => ({ ...a, key: b.key }), /is not the key of the certificate/],
    ['no PEM', (a) => ({ ...a, certificate: 'x' }), /contains no certificate in PEM/],
  ]) {
    test(`${what}: neither check-config nor the start takes it`, async () => {
      const files = new CertificateFiles()
        .write(spoil(await authority.issue(0x2001), await authority.issue(0x2002)));
      const models = [simModel('demo')];
      const checked = await checkConfig({ server: server(files), models });
      assert.equal(checked.code, 1);
      assert.match(checked.stderr, /checked\.yaml:1: server\.tls\./);
      assert.match(checked.stderr, reason);
      const gateway = launchGateway({ config: { server: server(files), models } });
      assert.equal(await within(20_000, 'it ends', gateway.exited), 1);
      assert.match(gateway.log, reason);
    });
  }

  test('one that has expired, with a key for all to see, is a warning', async () => {
    const files = new CertificateFiles().write(await authority.issue(0x2003, ['-days', '-1']));
    chmodSync(files.options.private_key, 0o644);
    const checked = await checkConfig({ server: server(files), models: [simModel('demo')] });
    assert.equal(checked.code, 0);
    assert.match(checked.stderr, /^warning: .*server\.tls\.certificate: .* expired at \d{4}-/m);
    assert.match(checked.stderr, /^warning: .* can be read by every user of this machine/m);
    assert.match(checked.stdout, /configuration is valid/);
  });
});

test('SIGHUP without a certificate reads the rest again', async () => {
  const gateway = await startGateway({ config: { models: [simModel('demo')] } });
  process.kill(gateway.pid, 'SIGHUP'); // child.kill() would count as the order to end
  await waitFor('it is in the log', () => gateway.log.includes('reload: added []'));
  assert.equal((await gateway.send('GET', '/health/live')).status, 200);
  await gateway.stop();
});
