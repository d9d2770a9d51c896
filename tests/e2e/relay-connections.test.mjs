// Connections to runtimes: what a runtime needs to answer at all, what of its answer is not for the
// client, and that idle connections are in nobody's way.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Authority } from './harness/certificates.mjs';
import { adminKey, checkConfig, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const runtimeKey = 'rk-of-the-runtime-0123456789';
// Less than the kernel takes to acknowledge what it need not acknowledge at once.
const soonMs = 35;
const areMostlySoon = (times) => 4 * times.filter((ms) => ms > soonMs).length < times.length;

describe('connections to runtimes', () => {
  let gateway, keyed, late, secure;

  before(async () => {
    const authority = await Authority.make();
    const { certificate, key } = await authority.issue(0x2001);
    keyed = await Upstream.start();
    late = await Upstream.start();
    secure = await Upstream.start(() => plainAnswer(), { identity: { cert: certificate, key } });
    const held = { connection_idle_s: 3600 }; // nothing ends by that
    gateway = await startGateway({
      config: {
        server: { shards: 4 },
        models: [
          keyed.model('keyed', {
            endpoint: `http://127.0.0.1:${keyed.port}/openai/`, health_path: '/v1/models',
            api_key_env: 'RUNTIME_KEY',
          }),
          late.model('late'),
          secure.model('secure', { tls_ca: authority.root }),
          secure.model('unknown', { queue_timeout_s: 1 }),
          secure.model('misnamed', {
            endpoint: `https://localhost:${secure.port}`, tls_ca: authority.root,
            queue_timeout_s: 1,
          }),
          simModel('threads', { threads: 3 }, { max_concurrent: 3, ...held }),
          simModel('few-threads', { threads: 3 }, { max_concurrent: 10, ...held }),
          simModel('nagle', { nagle: true }),
          simModel('single', {}, { connection_idle_s: 0 }),
        ],
      },
      env: { RUNTIME_KEY: runtimeKey },
    });
  });
  after(async () => {
    await gateway.stop();
    for (const upstream of [keyed, late, secure]) upstream.stop();
    assert.ok(!gateway.log.includes(runtimeKey), 'the key is not in the log');
    assert.ok(!gateway.output.includes(runtimeKey));
  });

  const ask = async (model, fields) => {
    const answer = await gateway.chat(model, fields);
    assert.equal(answer.status, 200, answer.text);
    return answer;
  };
  const credentials = (head) => head.match(/^authorization: .*$/gim).map((line) => line.trim());

  test('a runtime behind a path gets its key, in requests and in probes', async () => {
    await ask('keyed');
    assert.match(keyed.last.head, /^POST \/openai\/v1\/chat\/completions HTTP\/1\.1\r\n/);
    assert.deepEqual(credentials(keyed.last.head), [`Authorization: Bearer ${runtimeKey}`]);
    assert.ok(!keyed.last.head.includes(adminKey));
    assert.match(keyed.probes[0], /^GET \/openai\/v1\/models HTTP\/1\.1\r\n/);
    assert.deepEqual(credentials(keyed.probes[0]), [`Authorization: Bearer ${runtimeKey}`]);
  });

  test('a key that is not set is told before the start', async () => {
    const models = [keyed.model('keyed', { api_key_env: 'RUNTIME_KEY' })];
    const { code, stderr } = await checkConfig({ models });
    assert.notEqual(code, 0);
    assert.match(stderr, /models\[0\]\.api_key_env: .* "RUNTIME_KEY", which is not set/);
  });

  for (const status of ['401 Unauthorized', '407 Proxy Authentication Required']) {
    test(`the runtime's ${status} is no fault of the client`, async () => {
      keyed.answer = () => `HTTP/1.1 ${status}\r\nWWW-Authenticate: Bearer\r\n` +
        'Content-Length: 2\r\n\r\n{}';
      for (const stream of [false, true]) {
        const answer = await gateway.chat('keyed', { stream });
        assert.equal(answer.status, 502);
        assert.equal(answer.json.error.code, 'upstream_failed');
        assert.match(answer.json.error.message, /'keyed' refused the gateway's credential/);
        assert.ok(!answer.text.includes(runtimeKey));
        assert.equal(answer.headers['www-authenticate'], undefined);
      }
    });
  }

  for (const status of ['000', '101', '600', '999']) {
    test(`a status ${status} is none: 502 at once`, async () => {
      // The body that it promises does not come.
      keyed.answer = () => `HTTP/1.1 ${status} Odd\r\nConnection: Upgrade\r\nUpgrade: x\r\n` +
        'Content-Length: 5\r\n\r\n';
      const answer = await gateway.chat('keyed');
      assert.equal(answer.status, 502, answer.text);
      assert.equal(answer.json.error.code, 'upstream_failed');
    });
  }

  test('fields that are ours, or that end at us, do not come from the runtime', async () => {
    keyed.answer = () => plainAnswer('{}', [
      'x-selected-model: theirs', 'X-Queue-Wait-Ms: 77777', 'X-RateLimit-Limit-Requests: 7',
      'x-ratelimit-reset: 7', 'Strict-Transport-Security: max-age=1', 'Clear-Site-Data: "*"',
      'Set-Cookie: a=b', 'Alt-Svc: h3=":1"', 'Connection: X-Hop, x-other', 'X-Hop: 1',
      'X-Other: 2', 'X-Kept: 3', '',
    ].join('\r\n'));
    const { headers } = await ask('keyed');
    assert.equal(headers['x-selected-model'], 'keyed');
    assert.notEqual(headers['x-queue-wait-ms'], '77777');
    for (const name of ['x-ratelimit-limit-requests', 'x-ratelimit-reset',
      'strict-transport-security', 'clear-site-data', 'set-cookie', 'alt-svc', 'x-hop',
      'x-other']) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(headers['x-kept'], '3');
  });

  test('TLS: a runtime is asked if its certificate is one of ours and for its host', async () => {
    await ask('secure');
    await ask('secure', { stream: true });
    assert.equal(secure.requests.length, 2);
    for (const model of ['unknown', 'misnamed']) {
      await waitFor(`${model} is refused`, () =>
        gateway.log.includes(`model ${model}: https://`) &&
        gateway.log.split('\n').some((line) => line.includes(`model ${model}: https://`) &&
          line.includes('certificate verify failed')));
      assert.notEqual((await gateway.chat(model)).status, 200);
    }
    assert.equal(secure.requests.length, 2);
  });

  // A request that a thread does not come to waits until the runtime closes what is idle, after 75
  // seconds.
  for (const [model, atOnce] of [['threads', 3], ['few-threads', 3], ['few-threads', 8]]) {
    test(`idle connections hold no thread of ${model}, ${atOnce} at once`, async () => {
      await Promise.all(Array.from({ length: atOnce }, async () => {
        for (let i = 0; i < 20; ++i) await ask(model, { max_tokens: 2, stream: i % 2 === 0 });
      }));
    });
  }

  test('a runtime with Nagle\'s algorithm is not waited for', async () => {
    for (const stream of [false, true]) {
      const times = [];
      for (let i = 0; i < 40; ++i) {
        const began = performance.now();
        await ask('nagle', { max_tokens: 1, stream });
        times.push(performance.now() - began);
      }
      assert.ok(areMostlySoon(times), `stream ${stream}: ${times}`);
    }
  });

  test('with connection_idle_s: 0 each request has a connection of its own', async () => {
    await ask('single');
    const count = () => gateway.simMetric('single', 'sim_connections_total');
    const known = await count();
    for (let i = 0; i < 5; ++i) await ask('single', { max_tokens: 1 });
    assert.equal(await count(), known + 5 + 1); // one is the question
  });

  test('after bytes that nobody asked for, no connection is used again', async () => {
    const lateAnswer = plainAnswer('{"late": true}');
    await ask('late');
    late.answer = () => {
      setTimeout((socket) => socket.write(lateAnswer), 20, late.last.socket);
      return plainAnswer('{"first": true}');
    };
    assert.deepEqual((await ask('late')).json, { first: true });
    await waitFor('its connection is closed', () => gateway.log.includes('no request asked for'));
    late.answer = () => plainAnswer('{"next": true}');
    const seen = new Set();
    for (let i = 0; i < 5; ++i) {
      assert.deepEqual((await ask('late')).json, { next: true });
      assert.ok(!seen.has(late.last.socket));
      seen.add(late.last.socket);
    }
  });
});
