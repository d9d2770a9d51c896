// /upstream: a runtime's own routes, as they are, for those who may, within the limits of their
// keys.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const realtimeKey = 'sk-test-realtime-only', narrowKey = 'sk-test-one-model-only';
const batchKey = 'sk-test-batch-only', limitedKey = 'sk-test-few-tokens';
const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
  'Transfer-Encoding: chunked\r\n\r\n';
const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('/upstream', () => {
  let gateway, upstream, answer;

  before(async () => {
    upstream = await Upstream.start((...sent) => answer(...sent));
    gateway = await startGateway({
      env: { RUNTIME_KEY: 'the-key-of-the-runtime' },
      config: {
        server: { body_limit: '64KiB', response_limit: '1MiB' },
        cors: { allowed_origins: ['https://page.example'] },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'app', token: realtimeKey, scopes: ['realtime'] },
          { id: 'narrow', token: narrowKey, scopes: ['admin'], models: ['sim'] },
          { id: 'batch', token: batchKey, scopes: ['batch'] },
          { id: 'limited', token: limitedKey, scopes: ['admin'],
            limits: { tokens_per_minute: 1000 } },
        ],
        models: [
          simModel('sim', {}, { upstream_paths: ['/echo/open/*', '/v1/models'] }),
          simModel('org/sim', {}, { aliases: ['org', 'my sim'] }),
          upstream.model('raw', { upstream_model: 'the real one', api_key_env: 'RUNTIME_KEY' }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const use = (text, headers) => { answer = () => plainAnswer(text, headers); };
  const echo = async (method, path, options = {}) => {
    const { status, text, json } = await gateway.send(method, `/upstream/${path}`, options);
    assert.equal(status, 200, text);
    return json;
  };

  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    test(`passes ${method} on with its query, its fields and any body`, async () => {
      const headers = { 'content-type': 'text/x-own', 'x-own': 'yes', cookie: 'a=b',
        'x-api-key': adminKey, 'content-length': '11' };
      const seen = await echo(method, 'sim/echo/a%20b/?x=%2F&node=a:1&y', { headers,
        body: 'no JSON at!' });
      assert.equal(seen.method, method);
      assert.equal(seen.target, '/echo/a%20b/?x=%2F&y');
      assert.equal(seen.body, 'no JSON at!');
      assert.equal(seen.headers['content-type'], 'text/x-own');
      assert.equal(seen.headers['x-own'], 'yes');
      for (const name of ['authorization', 'x-api-key', 'cookie', 'accept-encoding']) {
        assert.equal(seen.headers[name], undefined, name);
      }
      assert.ok(!JSON.stringify(seen).includes(adminKey));
      const bare = await echo(method, 'sim/echo');
      assert.deepEqual([bare.target, bare.body], ['/echo', '']);
      assert.equal(bare.headers['content-type'], undefined);
    });
  }

  test('HEAD has the length of what GET would answer', async () => {
    answer = () => 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Own: yes\r\n\r\n';
    const { status, headers, text } = await gateway.send('HEAD', '/upstream/raw/file');
    assert.equal(status, 200);
    assert.equal(headers['content-length'], '1234');
    assert.equal(headers['x-own'], 'yes');
    assert.equal(text, '');
    assert.match(upstream.last.head, /^HEAD \/file HTTP\/1\.1\r\n/);
  });

  test('a method that is not passed on is refused', async () => {
    const { status, headers } = await gateway.send('TRACE', '/upstream/sim/echo');
    assert.equal(status, 405);
    assert.equal(headers.allow, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  });

  test('the question of a browser is ours to answer', async () => {
    const preflight = (origin) => gateway.send('OPTIONS', '/upstream/sim/echo',
      { key: null, headers: { origin, 'access-control-request-method': 'PUT' } });
    const { status, headers, text } = await preflight('https://page.example');
    assert.equal(status, 200);
    assert.match(headers['access-control-allow-methods'], /PUT/);
    assert.equal(text, '');
    assert.equal((await preflight('https://other.example')).status, 405);
  });

  test('the model is the longest name or alias that fits', async () => {
    for (const [path, model, target] of [
      ['sim/echo/x', 'sim', '/echo/x'], ['org/sim/echo/x', 'org/sim', '/echo/x'],
      ['org%2Fsim/echo', 'org/sim', '/echo'], ['org/echo/sim', 'org/sim', '/echo/sim'],
      ['my%20sim/echo', 'org/sim', '/echo'], ['/sim//echo///x', 'sim', '/echo/x'],
    ]) {
      const { status, headers, json } = await gateway.send('GET', `/upstream/${path}`);
      assert.equal(status, 200, path);
      assert.equal(headers['x-selected-model'], model);
      assert.equal(json.target, target);
    }
    use('{}');
    for (const path of ['raw', 'raw/']) {
      assert.equal((await gateway.send('POST', `/upstream/${path}`)).status, 200);
      assert.match(upstream.last.head, /^POST \/ HTTP\/1\.1\r\n/);
    }
  });

  test('an unknown model is told in the dialect of the path', async () => {
    const { status, json } = await gateway.send('GET', '/upstream/none/echo');
    assert.equal(status, 404);
    assert.equal(json.error.code, 'model_not_found');
    const message = await gateway.post('/upstream/none/v1/messages', {});
    assert.equal(message.status, 404);
    assert.equal(message.json.error.type, 'not_found_error');
    assert.equal((await gateway.send('GET', '/upstream/none/x', { key: realtimeKey })).status, 404);
    await waitFor('it is among the missing models', async () =>
      (await gateway.send('GET', '/admin/missing-models')).text.includes('"none"'));
  });

  test('wants the scope admin, or realtime for the paths that the model lists', async () => {
    const status = async (path, key) => (await gateway.send('GET', `/upstream/${path}`, { key }))
      .status;
    for (const path of ['sim/echo/open/a', 'sim/echo/open/a/b?c=/d', 'sim/v1/models']) {
      assert.equal(await status(path, realtimeKey), 200, path);
    }
    for (const path of ['sim/echo', 'sim/echo/open', 'sim/echo/open/', 'sim/echo/openx', 'sim/',
      'sim/v1/models/', 'sim/V1/models', 'org/sim/echo/open/a', 'sim/props']) {
      assert.equal(await status(path, realtimeKey), 403, path);
      assert.notEqual(await status(path, adminKey), 403, path);
    }
    assert.equal(await status('sim/echo/open/a', batchKey), 403);
    assert.equal(await status('sim/echo/open/a', 'sk-nobody-has-this'), 401);
    assert.equal(await status('raw/echo', narrowKey), 403);
    assert.equal(await status('sim/echo', narrowKey), 200);
  });

  test('no path leads out of those that the model lists', async () => {
    for (const path of ['../props', './../props', '..%2fprops', '%2e%2e/props', '.%2E/props',
      'a/../../../props', '%252e%252e/props', '..;/props', '..\\props', '%5c..%5cprops', 'a%00',
      'a%2f%2fb', '%C3%A9/%252e%252e/props']) {
      for (const key of [realtimeKey, adminKey]) {
        const answered = await gateway.connect();
        answered.write(`GET /upstream/sim/echo/open/${path} HTTP/1.1\r\nHost: x\r\n` +
          `Authorization: Bearer ${key}\r\nConnection: close\r\n\r\n`);
        assert.match(await answered.untilClosed(), /^HTTP\/1\.1 400 /, path);
      }
    }
  });

  test('an encoded slash is none between the segments of a listed path', async () => {
    for (const [expected, path] of [[400, 'echo/open/a%2Fb'], [400, 'echo/open/a%2fb'],
      [400, 'echo/open/a%2F'], [400, 'echo/open%2Fa'], [400, 'echo%2fopen%2Fa'],
      [400, 'v1%2Fmodels'], [400, 'echo/open/a%5Cb'], [400, 'echo/open/a%252Fb'],
      [400, 'echo/open/a%255Cb'], [403, 'echo%2Fa'], [200, 'echo/open/a%20b']]) {
      const { status, text } = await gateway.send('GET', `/upstream/sim/${path}`,
        { key: realtimeKey });
      assert.equal(status, expected, `${path}: ${text}`);
    }
    assert.equal((await echo('GET', 'sim/echo/open/a%2Fb')).target, '/echo/open/a%2Fb');
  });

  test('the runtime gets the gateway\'s credential', async () => {
    use('{}');
    await gateway.send('GET', '/upstream/sim/echo');
    await gateway.post('/upstream/raw/x', {});
    assert.match(upstream.last.head, /^authorization: Bearer the-key-of-the-runtime\r$/im);
  });

  test('an answer passes as it is, but for what is ours to say', async () => {
    answer = () => 'HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n' +
      'X-Own: yes\r\nContent-Length: 4\r\n\r\n<no>';
    const { status, headers, text } = await gateway.send('PUT', '/upstream/raw/x');
    assert.deepEqual([status, text], [404, '<no>']);
    assert.equal(headers['content-type'], 'text/html');
    assert.equal(headers['x-own'], 'yes');
    assert.equal(headers['set-cookie'], undefined);
    assert.equal(headers['x-selected-model'], 'raw');
  });

  test('a body that nobody reads passes in its coding, up to the limit', async () => {
    use('{}');
    const body = gzipSync('x'.repeat(1000));
    await gateway.send('POST', '/upstream/raw/x',
      { body, headers: { 'content-encoding': 'gzip' } });
    assert.equal(upstream.last.body, body.toString('latin1'));
    assert.match(upstream.last.head, /^content-encoding: gzip\r$/im);
    const heard = upstream.requests.length;
    const large = await gateway.send('POST', '/upstream/raw/x', { body: 'x'.repeat(70_000) });
    assert.equal(large.status, 413);
    assert.equal(upstream.requests.length, heard);
  });

  test('a body on a path of ours is read as there', async () => {
    use('{}');
    const post = (body, headers = {}) => gateway.send('POST', '/upstream/raw/v1/chat/completions',
      { body, headers: { 'content-type': 'application/json', ...headers } });
    for (const body of ['{"stream":true,"model":"raw"}', '{"stream":true,"model":"another"}']) {
      assert.equal((await post(body)).status, 200);
      assert.deepEqual(JSON.parse(upstream.last.body),
        { stream: true, model: 'the real one', stream_options: { include_usage: true } });
    }
    assert.equal((await post(gzipSync('{"a":1}'), { 'content-encoding': 'gzip' })).status, 200);
    assert.equal(upstream.last.body, '{"a":1}');
    for (const [status, body, headers] of [[400, 'no JSON'], [415, '{}', { 'content-type': 'a/b' }],
      [415, '{}', { 'content-encoding': 'br' }], [400, '{"model":1}']]) {
      assert.equal((await post(body, headers)).status, status, body);
    }
  });

  const counted = async (ask) => {
    const labels = (kind) => ({ model: 'raw', kind });
    const read = async () => [
      await gateway.metric('signalbox_tokens_total', labels('prompt')),
      await gateway.metric('signalbox_tokens_total', labels('completion'))];
    const before = await read();
    await ask();
    const now = await read();
    return now.map((n, i) => n - before[i]);
  };
  const usage = JSON.stringify({ usage: { prompt_tokens: 1000, completion_tokens: 2000 } });

  test('usage is read where it is known, and estimated elsewhere', async () => {
    use(usage);
    assert.deepEqual(await counted(() => gateway.post('/upstream/raw/v1/completions',
      { prompt: 'x' })), [1000, 2000]);
    assert.deepEqual(await counted(() => gateway.post('/upstream/raw/other', 'x'.repeat(400))),
      [100, Math.floor(usage.length / 4)]);
    const event = `data: ${usage}\n\n`;
    answer = () => `${streamHead}${chunk(event)}${chunk(event)}0\r\n\r\n`;
    assert.deepEqual(await counted(async () => {
      const { text } = await gateway.post('/upstream/raw/other', 'x'.repeat(400));
      assert.equal(text, event + event);
    }), [100, Math.floor(2 * event.length / 4)]);
  });

  test('a path of ours in another spelling is one of ours', async () => {
    use(usage);
    assert.deepEqual(await counted(() => gateway.send('POST',
      '/upstream/raw/v1/%63ompletions', { body: '{"model":"another","prompt":"x"}',
        headers: { 'content-type': 'application/json' } })), [1000, 2000]);
    assert.match(upstream.last.head, /^POST \/v1\/completions HTTP\/1\.1\r\n/);
    assert.equal(JSON.parse(upstream.last.body).model, 'the real one');
  });

  test('what a raw stream says is not taken for its end', async () => {
    const events = ['{"step":1,"done":true}', '[DONE]', '{"error":"none"}', '{"step":2}']
      .map((data) => `data: ${data}\n\n`);
    answer = () => `${streamHead}${events.map(chunk).join('')}0\r\n\r\n`;
    const before = await gateway.metric('signalbox_requests_total',
      { model: 'raw', route: 'upstream', status_class: '2xx' });
    const { status, text } = await gateway.send('POST', '/upstream/raw/steps');
    assert.deepEqual([status, text], [200, events.join('')]);
    assert.equal(await gateway.metric('signalbox_requests_total',
      { model: 'raw', route: 'upstream', status_class: '2xx' }) - before, 1);
  });

  test('it is no way around a limit of tokens', async () => {
    use('x'.repeat(20_000));
    const ask = () => gateway.post('/upstream/raw/other', 'a body', { key: limitedKey });
    assert.equal((await ask()).status, 200);
    const refused = await waitFor('the limit counts', async () => {
      const again = await ask();
      return again.status === 429 && again;
    });
    assert.ok(refused.headers['retry-after']);
  });

  test('is counted by a label of its own', async () => {
    const count = () => gateway.metric('signalbox_requests_total',
      { model: 'sim', route: 'upstream', status_class: '2xx' });
    const before = await count();
    await echo('GET', 'sim/echo');
    assert.equal(await count() - before, 1);
  });
});
