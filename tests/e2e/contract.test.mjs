// Promises of the API beside the answers themselves: headers, errors, scopes, and that a request
// reaches the runtime as the client wrote it, without the client's credentials.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import net from 'node:net';
import path from 'node:path';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { adminKey, build, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

const scopes = ['realtime', 'batch', 'eval', 'upload', 'monitor'];
const keyOf = (scope) => `sk-test-key-only-${scope}`;
const jwtSecret = 'a-secret-for-tests-of-more-than-32-bytes';

// A user's token, as the gateway would sign it.
function userToken(fields) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: 'somebody',
    client_id: 'app', scopes: ['admin'], generation: 1, iat: now - 60, exp: now + 3600,
    type: 'access', ...fields })}`;
  return `${text}.${createHmac('sha256', jwtSecret).update(text).digest('base64url')}`;
}

describe('the contract', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        security: { jwt_secret: jwtSecret },
        server: { header_limit: '2KiB', header_count_limit: 20, body_limit: '1MiB' },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'admin', token: keyOf('admin'), scopes: ['admin'] },
          ...scopes.map((scope) => ({ id: scope, token: keyOf(scope), scopes: [scope] })),
        ],
        models: [
          upstream.model('plain', { aliases: ['other/name'], upstream_model: 'real "name"' }),
          upstream.model('same', { aliases: ['caf\u00e9'] }),
          upstream.model('named', { endpoint: `http://localhost:${upstream.port}` }),
          simModel('sim'),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  test('the answer names the request, the model and the wait', async () => {
    const { status, headers } = await gateway.chat('other/name', {},
      { headers: { 'x-request-id': 'my-own.id_1' } });
    assert.equal(status, 200);
    assert.equal(headers['x-request-id'], 'my-own.id_1');
    assert.equal(headers['x-selected-model'], 'plain');
    assert.match(headers['x-queue-wait-ms'], /^\d+$/);
    assert.match(upstream.last.head, /^x-request-id: my-own\.id_1\r$/im);
  });

  for (const id of [undefined, 'two words', 'x'.repeat(129), 'a<script>']) {
    test(`an id is made when none that is sane came: ${id}`, async () => {
      const headers = id === undefined ? {} : { 'x-request-id': id };
      const answers = [await gateway.chat('plain', {}, { headers }),
        await gateway.chat('plain', {}, { headers })];
      const ids = answers.map((answer) => answer.headers['x-request-id']);
      assert.match(ids[0], /^[A-Za-z0-9._-]{1,128}$/);
      assert.notEqual(ids[0], id);
      assert.notEqual(ids[0], ids[1]);
    });
  }

  test('a key comes in any of three headers, and twice in none', async () => {
    for (const name of ['x-api-key', 'x-admin-token']) {
      const as = (headers) => gateway.send('GET', '/v1/models', { key: null, headers });
      assert.equal((await as({ [name]: adminKey })).status, 200, name);
      assert.equal((await as({ [name]: `${adminKey}x` })).status, 401, name);
      assert.equal((await as({ [name]: keyOf('batch') })).status, 403, name);
      assert.equal((await as({ [name]: [adminKey, adminKey] })).status, 400, name);
    }
  });

  test('every answer has an id, also that of an error', async () => {
    const headers = { 'x-request-id': 'told-id' };
    for (const answer of [
      await gateway.send('GET', '/health', { headers }),
      await gateway.send('GET', '/metrics', { headers }),
      await gateway.send('GET', '/nowhere', { headers }),
      await gateway.send('DELETE', '/v1/models', { headers }),
      await gateway.send('GET', '/v1/models', { headers, key: 'sk-wrong-key' }),
      await gateway.send('GET', '/v1/models', { headers, key: keyOf('batch') }),
      await gateway.chat('nobody', {}, { headers }),
    ]) {
      assert.equal(answer.headers['x-request-id'], 'told-id', `${answer.status} ${answer.text}`);
    }
  });

  test('what we do not know reaches the runtime byte for byte', async () => {
    const body = '{ "seed" : 1.50e+2,\t"model":"same", "big":123456789012345678901234567890,\n' +
      '"x-vendor":{"a":[1.0,-0,1E400],"model":"inner"}, "text":"\\u00e9\\/\\ud83d\\ude00 \u00e9"}';
    const { status } = await gateway.send('POST', '/v1/chat/completions', {
      headers: { 'content-type': 'application/json; charset=utf-8' }, body: Buffer.from(body),
    });
    assert.equal(status, 200);
    assert.equal(upstream.last.body, Buffer.from(body).toString('latin1'));
    assert.match(upstream.last.head, /^content-type: application\/json; charset=utf-8\r$/im);
  });

  test('an alias is replaced in place by the name that the runtime knows', async () => {
    const around = (model) => `{"n": 1.0, "model" :${model} ,"stop":["model"],"z":{"model":"m"}}`;
    for (const name of ['"plain"', '"other/name"', '"other\\/name"', '"\\u0070lain"']) {
      const { status } = await gateway.post('/v1/completions', around(name));
      assert.equal(status, 200, name);
      assert.equal(upstream.last.body, around('"real \\"name\\""'));
      assert.match(upstream.last.head, /^POST \/v1\/completions HTTP\/1\.1\r$/m);
    }
    assert.equal((await gateway.post('/v1/completions', around('"caf\\u00e9"'))).status, 200);
    assert.equal(upstream.last.body, around('"same"'));
  });

  test('a stream asks the runtime for usage, whatever else it asks for', async () => {
    const cases = ['{"model":"same","stream":true}',
      '{"model":"same","stream":true,"stream_options":null}',
      '{"model":"same","stream":true,"stream_options":{}}',
      '{"model":"same","stream":true,"stream_options":{"include_usage":false,"vendor":1.0}}',
      '{"stream_options":{"vendor":1.0},"stream":true,"model":"same"}'];
    for (const body of cases) {
      await gateway.post('/v1/chat/completions', body);
      const sent = JSON.parse(upstream.last.body);
      assert.equal(sent.stream_options.include_usage, true, body);
      assert.equal(upstream.last.body.includes('"vendor":1.0'), body.includes('vendor'));
    }
  });

  test('credentials, cookies and what concerns one connection stay here', async () => {
    const { status } = await gateway.chat('plain', {}, {
      key: null,
      headers: {
        'x-api-key': adminKey, cookie: 'session=1', 'x-admin-token': adminKey, te: 'trailers',
        connection: 'keep-alive, x-nominated', 'x-nominated': 'gone', 'keep-alive': 'timeout=5',
        'proxy-authorization': 'Basic eA==', 'accept-encoding': 'gzip', upgrade: 'h2c',
        'x-vendor': 'stays', traceparent: '00-1-2-03', 'user-agent': 'me/1.0',
      },
    });
    assert.equal(status, 200);
    const names = upstream.last.head.split('\r\n').slice(1).filter(Boolean)
      .map((line) => line.slice(0, line.indexOf(':')).toLowerCase());
    for (const name of ['authorization', 'x-api-key', 'cookie', 'x-admin-token', 'te', 'upgrade',
      'x-nominated', 'keep-alive', 'proxy-authorization', 'accept-encoding', 'transfer-encoding']) {
      assert.ok(!names.includes(name), name);
    }
    for (const name of ['x-vendor', 'traceparent', 'user-agent']) {
      assert.ok(names.includes(name), name);
    }
    assert.equal(names.filter((name) => name === 'content-length').length, 1);
    assert.equal(names.filter((name) => name === 'host').length, 1);
    assert.ok(!upstream.last.head.includes(adminKey));
    await gateway.chat('plain', {}, { key: adminKey });
    assert.ok(!upstream.last.head.includes(adminKey));
  });

  test('a chunked body arrives with its length', async () => {
    const raw = await gateway.connect();
    raw.write(`POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminKey}\r\n` +
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n' +
      '9\r\n{"model":\r\n7\r\n"same"}\r\n0\r\n\r\n');
    assert.match(await raw.untilClosed(), /^HTTP\/1\.1 200 /);
    assert.equal(upstream.last.body, '{"model":"same"}');
    assert.match(upstream.last.head, /^content-length: 16\r$/im);
  });

  test('errors have OpenAI\'s envelope below /v1, and a detail elsewhere', async () => {
    for (const [method, route, status] of [
      ['GET', '/v1/nowhere', 404], ['DELETE', '/v1/models', 405], ['GET', '/v1/models/no', 404],
    ]) {
      const answer = await gateway.send(method, route);
      assert.equal(answer.status, status);
      assert.deepEqual(Object.keys(answer.json), ['error']);
      assert.deepEqual(Object.keys(answer.json.error).sort(), ['code', 'message', 'param', 'type']);
      assert.match(answer.headers['content-type'], /^application\/json/);
    }
    for (const [method, route, status] of [
      ['GET', '/nowhere', 404], ['POST', '/health', 405], ['GET', '/admin/queue/no', 404],
      ['GET', '/admin/crashes?limit=0', 400], ['GET', '/admin/crashes?limit=x', 400],
    ]) {
      const answer = await gateway.send(method, route);
      assert.equal(answer.status, status, route);
      assert.deepEqual(Object.keys(answer.json), ['detail']);
    }
  });

  test('a runtime that is named by its host hears that name', async () => {
    assert.equal((await gateway.chat('named')).status, 200);
    assert.match(upstream.last.head, new RegExp(`^host: localhost:${upstream.port}\\r$`, 'im'));
  });

  test('HEAD is GET without a body', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (const path of ['/health/live', '/v1/models', '/v1/models/none']) {
      const whole = await gateway.send('GET', path, { agent });
      const head = await gateway.send('HEAD', path, { agent });
      assert.equal(head.status, whole.status);
      assert.equal(head.text, '');
      for (const name of ['content-length', 'content-type']) {
        assert.equal(head.headers[name], whole.headers[name]);
      }
    }
    agent.destroy();
  });

  test('405 tells what is allowed', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await gateway.send(method, '/v1/chat/completions');
      assert.equal(answer.status, 405, method);
      assert.equal(answer.headers.allow, 'POST, OPTIONS');
    }
    assert.equal((await gateway.send('POST', '/v1/models')).headers.allow,
      'GET, HEAD, OPTIONS');
    for (const [path, allowed] of [['/v1/models', 'GET, HEAD, OPTIONS'],
      ['/v1/keys', 'POST, GET, HEAD, OPTIONS'], ['/v1/chat/completions', 'POST, OPTIONS']]) {
      const { status, headers } = await gateway.send('OPTIONS', path);
      assert.deepEqual([status, headers.allow], [200, allowed], path);
    }
  });

  test('bad bodies are refused before any runtime hears of them', async () => {
    const heard = upstream.requests.length;
    const cases = ['', '{', '[]', '"x"', 'null', '{"model":"same"', '{"model":"same"} x',
      '{"model":null}', '{"model":["same"]}', '{"model":""}', '{}', '{"model":"same","a":1,}',
      '{"model":"same","stream":"yes"}', '{"model":"same","stream":true,"stream_options":[]}',
      '{"model":"same","model":"plain"}', '{"model":"same","m\\u006fdel":"plain"}',
      '{"model":"same","stream":true,"str\\u0065am":false}', '{"model":"same","a":[}',
      '{"model":"same" "a":1}', '{"model":"sa\\x"}'];
    for (const body of cases) {
      const answer = await gateway.post('/v1/chat/completions', body);
      assert.equal(answer.status, 400, body.slice(0, 60));
      assert.equal(answer.json.error.type, 'invalid_request_error');
    }
    assert.equal(upstream.requests.length, heard);
  });

  test('wrong values in our own headers are refused', async () => {
    for (const headers of [{ 'x-priority': 'urgent' }, { 'x-priority': '' },
      { 'x-max-wait-seconds': 'soon' }, { 'x-max-wait-seconds': '-1' },
      { 'x-max-wait-seconds': 'nan' }, { 'x-max-wait-seconds': '1e9' }]) {
      const answer = await gateway.chat('plain', {}, { headers });
      assert.equal(answer.status, 400, JSON.stringify(headers));
    }
    const right = { 'x-priority': 'low', 'x-max-wait-seconds': '2.5' };
    assert.equal((await gateway.chat('plain', {}, { headers: right })).status, 200);
  });

  test('every route of the contract asks for a credential and its scope', async () => {
    const { json: contract, headers } = await gateway.send('GET', '/openapi.json', { key: null });
    assert.match(headers['content-type'], /^application\/json/);
    assert.match(contract.openapi, /^3\.1/);
    // Nobody's any more: one that has expired, one that is revoked.
    const short = (await gateway.post('/v1/keys', { scopes: ['admin'], expires_in_s: 1 })).json;
    const revoked = (await gateway.post('/v1/keys', { scopes: ['admin'] })).json;
    await gateway.send('DELETE', `/v1/keys/${revoked.id}`);
    await waitFor('the key has expired', async () =>
      (await gateway.send('GET', '/v1/models', { key: short.key })).status === 401);
    execFileSync(path.join(build, 'signalbox'), ['users', 'add', 'somebody', '--scope', 'admin',
      '--config', path.join(gateway.folder, 'signalbox.yaml'),
      '--data', path.join(gateway.folder, 'data')], { input: 'a good password' });
    await waitFor('a token of the user counts', async () =>
      (await gateway.send('GET', '/v1/models', { key: userToken() })).status === 200);
    const strangers = [null, 'sk-nobody-has-this', short.key, revoked.key,
      userToken({ type: 'refresh' }), userToken({ exp: Math.floor(Date.now() / 1000) - 1 })];
    const allowed = { // where it is not 200
      'post /v1/keys': 201, 'get /v1/keys/{id}': 404, 'patch /v1/keys/{id}': 404,
      'delete /v1/keys/{id}': 404, 'post /v1/keys/{id}/rotate': 404,
      'post /v1/audio/transcriptions': 415, // no form
      'post /v1/leases': 400, 'post /v1/leases/{id}/renew': 400, // the body is none of theirs
      'get /v1/leases/{id}': 404, 'delete /v1/leases/{id}': 404,
      'post /admin/switch': 409, // the model of the body is external
      // The runtime has nothing there.
      ...Object.fromEntries(['get', 'post', 'put', 'patch', 'delete', 'options'].map((method) =>
        [`${method} /upstream/{model}/{path}`, 404])),
      // There are several models, and none is named.
      'get /props': 400, 'post /props': 400, 'get /slots': 400, 'post /slots/{id}': 404,
    };
    let guarded = 0;
    for (const [pattern, operations] of Object.entries(contract.paths)) {
      const route = pattern.replace(/\{.*\}/, 'sim');
      for (const [method, operation] of Object.entries(operations)) {
        const body = method === 'post' && !pattern.includes('/keys') ? '{"model":"same"}' : '{}';
        const as = (key) => (method === 'get' || method === 'delete'
          ? gateway.send(method.toUpperCase(), route, { key })
          : gateway.send(method.toUpperCase(), route,
            { key, body, headers: { 'content-type': 'application/json' } }));
        if (operation.security?.length === 0) {
          const expected = pattern.startsWith('/auth/') ? 415 // no form
            : pattern === '/docs/{file}' ? 404 : 200;
          assert.equal((await as(null)).status, expected, route);
          continue;
        }
        ++guarded;
        const needed = /Scope (\w+)/.exec(operation.description)[1];
        for (const stranger of strangers) {
          const answer = await as(stranger);
          assert.equal(answer.status, 401, `${stranger} at ${route}`);
          assert.equal(answer.headers['www-authenticate'], 'Bearer');
        }
        for (const scope of [...scopes, 'admin']) {
          const answer = await as(keyOf(scope));
          const expected = [scope, 'any'].includes(needed) || scope === 'admin'
            ? allowed[`${method} ${pattern}`] ?? 200 : 403;
          assert.equal(answer.status, expected, `${scope} at ${method} ${route}`);
          if (expected === 403) assert.ok(answer.text.includes(`'${needed}'`));
        }
      }
    }
    assert.ok(guarded >= 14);
  });

  test('every answer is counted once, by route and status', async () => {
    const count = (model, route, status_class) =>
      gateway.metric('signalbox_requests_total', { model, route, status_class });
    const cases = [
      ['plain', 'chat_completions', '2xx', () => gateway.chat('plain')],
      ['none', 'chat_completions', '4xx', () => gateway.chat('unheard-of')],
      ['none', 'chat_completions', '4xx', () => gateway.chat('plain', {}, { key: 'sk-no' })],
      ['plain', 'messages', '2xx', () => gateway.post('/v1/messages', { model: 'plain' })],
      ['plain', 'rerank', '2xx', () => gateway.post('/rerank', { model: 'plain' })],
      ['none', 'ollama_chat', '4xx', () => gateway.post('/api/chat', { model: 'unheard-of' })],
      ['none', 'models', '2xx', () => gateway.send('GET', '/v1/models')],
      ['none', 'models', '4xx', () => gateway.send('GET', '/v1/models/unheard-of')],
      ['none', 'other', '4xx', () => gateway.send('GET', '/unheard-of')],
    ];
    for (const [model, route, statusClass, ask] of cases) {
      const before = await count(model, route, statusClass);
      await ask();
      assert.equal(await count(model, route, statusClass) - before, 1, `${route} ${statusClass}`);
    }
  });

  test('promtool likes the metrics', async () => {
    await gateway.chat('sim');
    const { text, headers } = await gateway.send('GET', '/metrics');
    assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
    execFileSync('promtool', ['check', 'metrics'], { input: text, timeout: 20_000 });
  });

  test('model names in requests make no series', async () => {
    const series = async () => (await gateway.send('GET', '/metrics')).text.split('\n')
      .filter((line) => !line.startsWith('#')).length;
    await gateway.chat('nobody');
    const before = await series();
    const total = 100_000, lanes = 4, window = 50; // each lane pipelines so many requests
    const request = (i) => {
      const body = JSON.stringify({ model: `model-${i}`, messages: [] });
      return 'POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n' +
        `Authorization: Bearer ${adminKey}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`;
    };
    const { hostname, port } = new URL(gateway.base);
    const lane = (first) => new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      let next = first, answered = 0, tail = '';
      const more = () => {
        let text = '';
        for (let n = 0; n < window && next < total; ++n, next += lanes) text += request(next);
        socket.write(text);
      };
      socket.on('connect', more).on('error', reject).on('close', () => reject(new Error('closed')));
      socket.on('data', (data) => {
        // A status line may come in two pieces; what is kept is shorter than one.
        const pieces = (tail + data.toString('latin1')).split('HTTP/1.1 404 ');
        answered += pieces.length - 1;
        tail = pieces.at(-1).slice(-12);
        if (answered === total / lanes) return resolve(socket.removeAllListeners().destroy());
        if (answered % window === 0) more();
      });
    });
    await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
    assert.equal(await series(), before);
    assert.ok(await gateway.metric('signalbox_requests_total',
      { model: 'none', route: 'chat_completions', status_class: '4xx' }) >= total);
  });
});
