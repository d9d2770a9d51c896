// The routes of other APIs than OpenAI's: each is found as its clients call it, reaches the runtime
// as they wrote it, and tells errors in its own shape.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

const narrowKey = 'sk-test-one-model-only', batchKey = 'sk-test-no-inference-here';
const form = 'multipart/form-data; boundary=XYZ';
const openai = [
  '/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses', '/v1/rerank',
  '/v1/score', '/v1/audio/speech', '/v1/images/generations', '/tokenize', '/detokenize',
  '/infill', '/apply-template',
];
const anthropic = ['/v1/messages', '/v1/messages/count_tokens'];
const ollama = ['/api/chat', '/api/generate', '/api/embed', '/api/embeddings'];
const streaming = ['/api/chat', '/api/generate'];
const usageIsAsked = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'];
// How each of them may be written.
const spellings = (route) => [route, `${route}/`, `/${route}`,
  ...(route.startsWith('/v1') ? [route.slice(3), `${route.slice(3)}/`] : [])];

describe('a route of another API', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        server: { body_limit: '64KiB' },
        log: { requests: 'requests.log' },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'narrow', token: narrowKey, scopes: ['realtime'], models: ['sim'] },
          { id: 'batch', token: batchKey, scopes: ['batch'] },
        ],
        models: [
          upstream.model('plain', { aliases: ['org/other'], upstream_model: 'the real one' }),
          simModel('sim'),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const logged = (id) => waitFor(`the line of ${id}`, () =>
    readFileSync(path.join(gateway.folder, 'data', 'requests.log'), 'utf8').split('\n')
      .filter(Boolean).map((line) => JSON.parse(line)).find((line) => line.request_id === id));

  for (const route of [...openai, ...anthropic, ...ollama]) {
    test(`reaches the runtime however it is written: ${route}`, async () => {
      for (const written of spellings(route)) {
        const body = (model, options) =>
          `{"input" : [1.0], "model": "${model}", "stream_options" :${options}, "stream":true}`;
        const { status, text } = await gateway.post(`${written}?a=b`, body('org/other', 'null'));
        assert.equal(status, 200, `${written} ${text}`);
        assert.equal(upstream.last.head.split('\r\n')[0], `POST ${route}?a=b HTTP/1.1`);
        const options = usageIsAsked.includes(route) ? '{"include_usage":true}' : 'null';
        assert.equal(upstream.last.body, body('the real one', options));
      }
    });

    test(`streams as its clients expect it: ${route}`, async () => {
      for (const [fields, expected] of [[{}, streaming.includes(route)], [{ stream: true }, true],
        [{ stream: false }, false]]) {
        const id = `${route.replaceAll('/', '_')}-${fields.stream}`;
        const headers = { 'x-request-id': id };
        await gateway.post(route, { model: 'plain', ...fields }, { headers });
        assert.equal((await logged(id)).stream, expected, id);
      }
    });
  }

  test('of models is found however it is written', async () => {
    for (const written of ['/v1/models', '/v1/models/', '/models', '/models/', '//models']) {
      const { status, json } = await gateway.send('GET', written);
      assert.equal(status, 200, written);
      assert.equal(json.data.length, 2);
    }
    assert.equal((await gateway.send('GET', '/models/org/other')).json.id, 'plain');
    for (const nobody of ['/keys', '/usage', '/v1/keys/', '/health/', '/v1/tokenize']) {
      assert.equal((await gateway.send('GET', nobody)).status, 404, nobody);
    }
  });

  const shapes = [
    [[...openai, '/models/none', '/v1/nowhere'], (json) => {
      assert.deepEqual(Object.keys(json), ['error']);
      assert.deepEqual(Object.keys(json.error).sort(), ['code', 'message', 'param', 'type']);
    }],
    [anthropic, (json, type) => {
      assert.deepEqual(json, { type: 'error', error: { type, message: json.error.message } });
      assert.ok(json.error.message.length > 0);
    }],
    [[...ollama, '/api/show'], (json) => {
      assert.deepEqual(Object.keys(json), ['error']);
      assert.ok(json.error.length > 0);
    }],
    [['/api/nowhere', '/nowhere'], (json) => assert.deepEqual(Object.keys(json), ['detail'])],
  ];
  for (const [routes, check] of shapes) {
    for (const route of routes) {
      test(`tells errors in its own shape: ${route}`, async () => {
        const isRoute = !/none|nowhere/.test(route);
        const body = '{"model":"none","prompt":"x"}';
        const large = `{"model":"plain","pad":"${'x'.repeat(70_000)}"}`;
        for (const [status, type, sent, options] of [
          [404, 'not_found_error', body, {}],
          [401, 'authentication_error', body, { key: 'sk-nobody-has-this' }],
          [403, 'permission_error', body, { key: batchKey }],
          [403, 'permission_error', '{"model":"plain"}', { key: narrowKey }],
          [400, 'invalid_request_error', '{"prompt":"x"}', {}],
          [400, 'invalid_request_error', '[]', {}],
          [400, 'invalid_request_error', '{"model":1}', {}],
          [413, 'request_too_large', large, {}],
          [415, 'invalid_request_error', body, { headers: { 'content-encoding': 'br' } }],
          [405, 'invalid_request_error', undefined, {}],
        ]) {
          if (!isRoute && status !== 404) continue;
          for (const written of isRoute ? spellings(route) : [route]) {
            const answer = status === 405 ? await gateway.send('DELETE', written)
              : await gateway.post(written, sent, options);
            const what = `${written} ${status} ${answer.text}`;
            // It is a route for GET.
            assert.equal(answer.status, route === '/models/none' ? 405 : status, what);
            assert.match(answer.headers['content-type'], /^application\/json/);
            check(answer.json, type);
          }
        }
      });
    }
  }

  test('that queues is not there yet, and not taken for Ollama\'s', async () => {
    const heard = upstream.requests.length;
    const { status, json } = await gateway.post('/api/chat', { model: 'plain' },
      { headers: { 'x-client-id': 'my_app' } });
    assert.equal(status, 404);
    assert.deepEqual(json, { detail: 'There is no such route.' });
    assert.equal(upstream.requests.length, heard);
    const other = await gateway.post('/api/generate', { model: 'plain' },
      { headers: { 'x-client-id': 'my_app' } });
    assert.equal(other.status, 200);
  });

  test('of Ollama takes JSON as curl sends it, unless a page may have sent it', async () => {
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const origin = { origin: 'https://elsewhere.example' };
    const body = '{"model":"plain"}';
    const status = async (route, headers) => (await gateway.post(route, body, { headers })).status;
    assert.equal(await status('/api/generate', type), 200);
    assert.equal(upstream.last.body, '{"model":"the real one"}');
    assert.equal(await status('/api/generate', { ...type, ...origin }), 415);
    assert.equal(await status('/api/generate', origin), 200);
    assert.equal(await status('/v1/messages', type), 415);
  });

  const part = (name, value, more = '') =>
    `--XYZ\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
  const audio = part('file', '\0\xff\r\n--XY\r\nmodel\r\n', '; filename="a.wav"');
  const end = '--XYZ--\r\n';
  const upload = (body, headers = {}) => gateway.send('POST', '/audio/transcriptions',
    { body, headers: { 'content-type': form, ...headers } });

  for (const [what, around] of [
    ['in front of the file', (model) => model + audio + end],
    ['behind the file', (model) => part('prompt', 'x') + audio + model + end],
    ['at the end without a line\'s end', (model) => audio + model + end.trimEnd()],
  ]) {
    test(`may be a form, with the model ${what}`, async () => {
      const body = Buffer.from(around(part('model', 'org/other')), 'latin1');
      for (const [sent, headers] of [[body, {}], [body, { 'transfer-encoding': 'chunked' }],
        [gzipSync(body), { 'content-encoding': 'gzip' }]]) {
        const { status, text } = await upload(sent, headers);
        assert.equal(status, 200, text);
        assert.equal(upstream.last.body, around(part('model', 'the real one')));
        assert.match(upstream.last.head, /^POST \/v1\/audio\/transcriptions HTTP/);
        assert.ok(upstream.last.head.toLowerCase().includes(`content-type: ${form.toLowerCase()}`));
      }
    });
  }

  test('takes the form of a browser', async () => {
    const data = new FormData();
    data.append('file', new Blob([Buffer.alloc(10_000, 0xff)]), 'caf\u00e9 "1".wav');
    data.append('model', 'plain');
    const { status } = await fetch(`${gateway.base}/v1/audio/transcriptions`,
      { method: 'POST', body: data, headers: { authorization: `Bearer ${adminKey}` } });
    assert.equal(status, 200);
    assert.ok(upstream.last.body.includes('\r\n\r\nthe real one\r\n'));
  });

  test('refuses a form that is wrong, before any runtime hears of it', async () => {
    const heard = upstream.requests.length;
    const json = { 'content-type': 'application/json' };
    for (const [status, body, headers] of [
      [400, audio + end], [400, part('model', 'plain') + audio], [400, 'x'],
      [400, part('model', 'plain') + part('model', 'sim') + end],
      [400, part('model', 'plain', '; filename="m"') + end],
      [400, part('model', 'plain') + end, { 'content-type': 'multipart/form-data' }],
      [404, part('model', 'none') + end], [413, part('pad', 'x'.repeat(70_000)) + end],
      [415, '{"model":"plain"}', json], [415, part('model', 'plain') + end, json],
      [415, part('model', 'plain') + end, { 'content-type': 'multipart/mixed; boundary=XYZ' }],
    ]) {
      const answer = await upload(body, headers);
      assert.equal(answer.status, status, `${body.slice(0, 100)} ${answer.text}`);
      assert.equal(typeof answer.json.error.message, 'string');
    }
    const { error: unnamed } = (await upload(audio + end)).json;
    assert.deepEqual([unnamed.code, unnamed.param], ['missing_required_parameter', 'model']);
    assert.equal((await gateway.send('POST', '/v1/audio/transcriptions',
      { body: part('model', 'plain') + end })).status, 415);
    const chat = await gateway.send('POST', '/v1/chat/completions',
      { body: part('model', 'plain') + end, headers: { 'content-type': form } });
    assert.equal(chat.status, 415);
    assert.equal(upstream.requests.length, heard);
  });

  const details = { parent_model: '', format: '', family: '', families: [], parameter_size: '',
    quantization_level: '' };
  const named = async (route, key) => (await gateway.send('GET', route, { key })).json.models;

  test('lists the models that the key may use', async () => {
    const all = await named('/api/tags', adminKey);
    assert.deepEqual(all.map(({ name }) => name), ['plain', 'sim']);
    for (const { name, model, size, digest, modified_at: time, ...rest } of all) {
      assert.equal(model, name);
      assert.equal(typeof size, 'number');
      assert.match(digest, /^[0-9a-f]{64}$/);
      assert.ok(Date.parse(time) <= Date.now());
      assert.deepEqual(rest, { details });
    }
    assert.notEqual(all[0].digest, all[1].digest);
    assert.deepEqual((await named('/api/tags', narrowKey)).map(({ name }) => name), ['sim']);
  });

  test('lists the models that are loaded', async () => {
    assert.deepEqual((await named('/api/ps', narrowKey)), []);
    assert.equal((await gateway.chat('sim', {}, { key: narrowKey })).status, 200);
    const loaded = await waitFor('it is loaded', async () => {
      const models = await named('/api/ps', narrowKey);
      return models.length > 0 && models;
    });
    const [{ name, size_vram: bytes, expires_at: end }] = loaded;
    assert.deepEqual([loaded.length, name, bytes], [1, 'sim', 0]);
    assert.ok(Date.parse(end) > Date.now());
    assert.ok((await named('/api/ps', adminKey)).length >= 1);
  });

  test('shows a model by its name or alias', async () => {
    for (const body of [{ model: 'sim' }, { name: 'sim' }, { model: 'sim:latest', more: true },
      { name: 'sim:latest' }]) {
      const { status, json } = await gateway.post('/api/show', body, { key: narrowKey });
      assert.equal(status, 200);
      assert.deepEqual(json.details, details);
      assert.deepEqual(json.model_info, {});
      assert.deepEqual([json.modelfile, json.parameters, json.template], ['', '', '']);
    }
  });

  test('of Ollama finds a model behind the default tag, others do not', async () => {
    for (const route of ollama) {
      for (const model of ['plain:latest', 'org/other:latest']) {
        const { status, headers } = await gateway.post(route, { model, prompt: 'x' });
        assert.equal(status, 200, route);
        assert.equal(headers['x-selected-model'], 'plain');
        assert.equal(upstream.last.body, '{"model":"the real one","prompt":"x"}');
      }
      assert.equal((await gateway.post(route, { model: 'plain:7b' })).status, 404);
      assert.equal((await gateway.post(route, { model: 'plain:latest' }, { key: narrowKey }))
        .status, 403);
    }
    const loaded = await gateway.post('/api/generate', { model: 'sim:latest' });
    assert.equal(loaded.json.model, 'sim:latest');
    assert.equal(loaded.json.done_reason, 'load');
    for (const route of [...openai, ...anthropic]) {
      assert.equal((await gateway.post(route, { model: 'plain:latest' })).status, 404, route);
    }
    const { status, json } = await gateway.post('/api/show', { model: 'none:latest' });
    assert.equal(status, 404);
    assert.match(json.error, /'none:latest'/);
    for (const [body, why] of [['{', /must be a JSON object/], ['[]', /must be a JSON object/],
      ['{"model":7}', /must have a text 'model'/]]) {
      const refusal = await gateway.send('POST', '/api/show', { body });
      assert.equal(refusal.status, 400, body);
      assert.match(refusal.json.error, why);
    }
  });

  test('tells the version of Ollama\'s API', async () => {
    const { status, json } = await gateway.send('GET', '/api/version', { key: narrowKey });
    assert.equal(status, 200);
    assert.match(json.version, /^\d+\.\d+\.\d+$/);
  });
});
