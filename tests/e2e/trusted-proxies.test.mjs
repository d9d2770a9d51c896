// Who the client is when requests come through proxies, and who is believed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

// Peers of this machine: one that is nobody's proxy, and two that are.
const stranger = '127.0.0.1', proxy = '127.0.0.2', otherProxy = '127.7.0.9';

describe('behind proxies', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        server: { shards: 1, trusted_proxies: [proxy, '127.7.0.0/16'] },
        security: { login_failures: 0, login_failures_per_address: 2 },
        log: { requests: 'requests.log' },
        models: [upstream.model('plain')],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  let count = 0;
  // The line in the request log of a request that `send` sends with these headers and options.
  const lineOf = async (send, localAddress, forwardedFor) => {
    const id = `proxied-${++count}`;
    const claim = forwardedFor && { 'x-forwarded-for': forwardedFor };
    await send({ localAddress, headers: { 'x-request-id': id, ...claim } });
    return waitFor(`the line of ${id}`, () =>
      readFileSync(path.join(gateway.folder, 'data', 'requests.log'), 'utf8').split('\n')
        .filter(Boolean).map((line) => JSON.parse(line)).find((line) => line.request_id === id));
  };

  const ways = [
    ['an answer of ours', (options) => gateway.send('GET', '/health', options)],
    ['a refusal before the body', async ({ localAddress, headers }) => {
      const fields = Object.entries({ host: 'x', 'content-length': '100', ...headers });
      const lines = fields.flatMap(([name, all]) => [all].flat().map((v) => `${name}: ${v}\r\n`));
      const raw = await gateway.connect({ localAddress });
      raw.write(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n`);
      assert.match(await raw.untilClosed(), /^HTTP\/1\.1 401 /);
    }],
    ['no such route', (options) => gateway.send('GET', '/nowhere', options)],
    ['an answer of a runtime', (options) => gateway.chat('plain', {}, options)],
  ];
  for (const [what, send] of ways) {
    test(`the request log has the client: ${what}`, async () => {
      for (const [peer, forwardedFor, address] of [
        [stranger, undefined, stranger],
        [stranger, '198.51.100.7', stranger],
        [proxy, undefined, proxy],
        [proxy, '198.51.100.7', '198.51.100.7'],
        [proxy, `1.1.1.1, 198.51.100.7, ${otherProxy}`, '198.51.100.7'],
        [otherProxy, ['198.51.100.7, 127.7.1.1', `[::ffff:${proxy}]:80`], '198.51.100.7'],
        [otherProxy, '[2001:db8::7]:4711', '2001:db8::7'],
        [proxy, '198.51.100.7, unknown', proxy],
      ]) {
        const line = await lineOf(send, peer, forwardedFor);
        assert.equal(line.address, address, `${peer} says ${forwardedFor}`);
      }
    });
  }

  test('failed logins are counted by client, and nobody can be another one', async () => {
    const login = async (localAddress, forwardedFor) => (await gateway.send('POST', '/auth/token', {
      localAddress, key: null, body: `username=nobody-${++count}&password=x`,
      headers: { 'content-type': 'application/x-www-form-urlencoded',
        'x-forwarded-for': forwardedFor },
    })).status;
    const twice = async (...from) => [await login(...from), await login(...from)];
    assert.deepEqual(await twice(proxy, '198.51.100.1'), [401, 401]);
    assert.equal(await login(otherProxy, '198.51.100.1'), 429, 'by whichever proxy it comes');
    assert.equal(await login(proxy, `9.9.9.9, 198.51.100.1, ${otherProxy}`), 429);
    assert.deepEqual(await twice(proxy, '198.51.100.2'), [401, 401]);
    // Whom nobody trusts has one address, whatever it says.
    assert.equal(await login(stranger, '198.51.100.3'), 401);
    assert.equal(await login(stranger, '198.51.100.4'), 401);
    assert.equal(await login(stranger, '198.51.100.5'), 429);
    assert.equal(await login(proxy, '198.51.100.5'), 401);
  });

  test('the runtime is told by nobody who the client is', async () => {
    for (const localAddress of [stranger, proxy]) {
      const answer = await gateway.chat('plain', {}, { localAddress, headers: {
        'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'https', 'x-real-ip': '1.1.1.1',
        'x-forwarded-host': 'a', forwarded: 'for=1.1.1.1', 'x-mine': 'kept' } });
      assert.equal(answer.status, 200);
      assert.match(upstream.last.head, /\r\nx-mine: kept\r\n/);
      assert.doesNotMatch(upstream.last.head, /forwarded|real-ip|198\.51|1\.1\.1\.1/i);
    }
  });
});
