// llama-server's own routes: they reach the runtime of the model that the body or the query names.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const monitorKey = 'sk-test-monitor-only', realtimeKey = 'sk-test-realtime-only';
const narrowKey = 'sk-test-one-model-only';

describe('a route of llama-server', () => {
  let gateway;

  before(async () => {
    gateway = await startGateway({
      config: {
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'watcher', token: monitorKey, scopes: ['monitor'] },
          { id: 'app', token: realtimeKey, scopes: ['realtime'] },
          { id: 'narrow', token: narrowKey, scopes: ['admin'], models: ['other'] },
        ],
        models: [
          simModel('org/demo', {}, { aliases: ['demo'], upstream_model: 'the-real-one' }),
          simModel('other'),
        ],
      },
    });
  });
  after(() => gateway.stop());

  test('fills a gap, and its tokens count', async () => {
    const before = await gateway.metric('signalbox_tokens_total',
      { model: 'org/demo', kind: 'completion' });
    const body = { model: 'demo', input_prefix: 'two words', input_suffix: 'one', max_tokens: 7 };
    const { status, json } = await gateway.post('/infill', body, { key: realtimeKey });
    assert.equal(status, 200);
    assert.equal(json.stop, true);
    assert.deepEqual([json.tokens_evaluated, json.tokens_predicted], [3, 7]);
    const stream = await gateway.post('/infill', { ...body, stream: true }, { key: realtimeKey });
    assert.match(stream.headers['content-type'], /^text\/event-stream/);
    assert.equal(stream.text.split('"stop":false').length - 1, 7);
    assert.equal(await gateway.metric('signalbox_tokens_total',
      { model: 'org/demo', kind: 'completion' }) - before, 14);
  });

  test('makes a prompt of a chat', async () => {
    const { status, json } = await gateway.post('/apply-template',
      { model: 'demo', messages: [{ role: 'user', content: 'Hello' }] }, { key: realtimeKey });
    assert.equal(status, 200);
    assert.match(json.prompt, /user Hello/);
    const missing = await gateway.post('/apply-template', { messages: [] }, { key: realtimeKey });
    assert.equal(missing.status, 400);
    assert.equal(missing.json.error.message, 'The field \'model\' is missing.');
    assert.equal(missing.json.error.code, 'missing_required_parameter');
  });

  for (const [method, route] of [['GET', '/props'], ['POST', '/props'], ['GET', '/slots'],
    ['GET', '/props/'], ['POST', '/slots/0']]) {
    test(`takes the model from the query: ${method} ${route}`, async () => {
      const ask = (query, key = method === 'GET' ? monitorKey : adminKey) =>
        gateway.send(method, `${route}${query}`, { key });
      for (const name of ['demo', 'org/demo', 'org%2Fdemo', 'other']) {
        const { status, headers } = await ask(`?model=${name}`);
        assert.equal(status, 200, name);
        assert.equal(headers['x-selected-model'], name === 'other' ? 'other' : 'org/demo');
      }
      const unnamed = await ask('');
      assert.equal(unnamed.status, 400);
      assert.equal(unnamed.json.error.message, 'Name the model with ?model=.');
      assert.equal(unnamed.json.error.code, 'missing_required_parameter');
      assert.equal((await ask('?model=none')).json.error.code, 'model_not_found');
      assert.equal((await ask('?model=demo', realtimeKey)).status, 403);
      assert.equal((await ask('?model=demo', narrowKey)).json.error.code, 'model_not_allowed');
      assert.equal((await ask('?model=other', narrowKey)).status, 200);
    });
  }

  test('HEAD of it has no body', async () => {
    const { status, text } = await gateway.send('HEAD', '/props?model=demo', { key: monitorKey });
    assert.equal(status, 200);
    assert.equal(text, '');
  });

  test('passes its query and its body on, but for what is ours', async () => {
    const { status, json } = await gateway.send('POST',
      '/slots/3?action=save&model=demo&node=a%3A1&x=%20a&n%6fde=b');
    assert.equal(status, 200);
    assert.deepEqual(json, { id_slot: '3', query: 'action=save&x=%20a' });
    const props = await gateway.send('POST', '/props?model=demo',
      { body: 'no JSON', headers: { 'content-type': 'text/plain' } });
    assert.equal(props.status, 200);
  });

  test('changes nothing for a key that may only look, and takes no other path', async () => {
    for (const path of ['/props', '/slots/0']) {
      const { status } = await gateway.send('POST', `${path}?model=demo`, { key: monitorKey });
      assert.equal(status, 403, path);
    }
    for (const id of ['../v1/chat/completions', '%2e%2e/completion', '0/x', 'one', '-1']) {
      const raw = await gateway.connect();
      raw.write(`POST /slots/${id}?model=demo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n` +
        `Authorization: Bearer ${adminKey}\r\n\r\n`);
      await waitFor(`an answer for ${id}`, () => raw.received !== '');
      assert.match(raw.received, /^HTTP\/1\.1 404 /, id);
      raw.close();
    }
  });

  test('is counted by a label of its own', async () => {
    const count = (route) => gateway.metric('signalbox_requests_total',
      { model: 'org/demo', route, status_class: '2xx' });
    for (const [route, ask] of [
      ['props', () => gateway.send('GET', '/props?model=demo')],
      ['slots', () => gateway.send('GET', '/slots?model=demo')],
      ['infill', () => gateway.post('/infill', { model: 'demo', input_prefix: 'a',
        input_suffix: 'b' })],
    ]) {
      const before = await count(route);
      assert.equal((await ask()).status, 200, route);
      assert.equal(await count(route) - before, 1, route);
    }
  });
});

describe('with one model', () => {
  test('the query need not name it', async () => {
    const gateway = await startGateway({ config: { models: [simModel('only')] } });
    const { status, headers } = await gateway.send('GET', '/slots');
    assert.equal(status, 200);
    assert.equal(headers['x-selected-model'], 'only');
    await gateway.stop();
  });
});
