// How Ollama's clients say when a model is loaded and unloaded: keep_alive, and requests that ask
// nothing.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

const narrowKey = 'sk-test-one-model-only';
const hourMs = 3600_000;

describe('the memory of a model', { concurrency: false }, () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        gpus: [{ memory: '24GiB' }],
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'narrow', token: narrowKey, scopes: ['realtime'], models: ['other'] },
        ],
        models: [
          simModel('sim', { 'decode-tps': 50 },
            { idle_unload_s: 7200, gpu: { memory: '16GiB' }, aliases: ['team/sim'] }),
          simModel('other', {}, { gpu: { memory: '16GiB' }, expected_load_s: 1 }),
          simModel('pinned', {}, { residency: 'pinned' }),
          upstream.model('external'),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const generate = (fields, options) =>
    gateway.post('/api/generate', { model: 'sim', ...fields }, options);
  const isStopped = async (model = 'sim') =>
    (await gateway.states())[model] === 'stopped' && gateway.runtimes(model).length === 0;
  const unload = async () => {
    const { status, json } = await generate({ keep_alive: 0 });
    assert.equal(status, 200);
    assert.equal(json.done_reason, 'unload');
    await waitFor('it is unloaded', () => isStopped());
  };
  // How long from now it stays loaded, in ms; waits until `isRight` says so of it.
  const remaining = (isRight, model = 'sim') => waitFor('its end is right', async () => {
    const { json } = await gateway.send('GET', '/api/ps');
    const loaded = json.models.find(({ name }) => name === model);
    const ms = loaded && Date.parse(loaded.expires_at) - Date.now();
    if (!isRight(ms)) throw new Error(`it stays for ${ms} ms`);
    return true;
  });
  const about = (expected) => (ms) => ms > expected - 60_000 && ms <= expected + 1000;

  beforeEach(unload);

  test('is taken by a request without a prompt, which is answered when it is loaded', async () => {
    const asked = Date.now();
    const { status, headers, json: { created_at: time, ...rest } } =
      await generate({ model: 'team/sim', prompt: '' });
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^application\/json/);
    assert.equal(headers['x-selected-model'], 'sim');
    assert.ok(Date.parse(time) >= asked && Date.parse(time) <= Date.now());
    assert.deepEqual(rest, { model: 'team/sim', response: '', done: true, done_reason: 'load' });
    assert.equal((await gateway.states()).sim, 'ready');
    await remaining(about(2 * hourMs));
    const chat = await gateway.post('/api/chat', { model: 'sim', messages: [] });
    assert.equal(chat.json.done_reason, 'load');
    assert.deepEqual(chat.json.message, { role: 'assistant', content: '' });
    assert.equal(await gateway.simMetric('sim', 'sim_requests_total') ?? 0, 0);
  });

  test('is kept as the last request says that says it, until it is unloaded', async () => {
    for (const [said, expected] of [['1h', hourMs], [1800, hourMs / 2], ['90m', 1.5 * hourMs]]) {
      assert.equal((await generate({ keep_alive: said })).status, 200);
      await remaining(about(expected));
      assert.equal((await gateway.chat('sim', { max_tokens: 1 })).status, 200);
      assert.equal((await generate({ keep_alive: null })).status, 200);
      await remaining(about(expected));
    }
    for (const said of [-1, '-1', '-5m']) {
      assert.equal((await generate({ keep_alive: '1h' })).status, 200);
      await remaining(about(hourMs));
      assert.equal((await generate({ keep_alive: said })).status, 200);
      await remaining((ms) => ms > 365 * 24 * hourMs);
    }
    await unload();
    assert.equal((await generate({})).status, 200);
    await remaining(about(2 * hourMs));
  });

  test('is free again when a request has ended that wants it so', async () => {
    const { status, json } = await gateway.post('/api/embed',
      { model: 'sim', input: 'x', keep_alive: '0s' });
    assert.equal(status, 200, json.error);
    assert.equal(json.embeddings.length, 1);
    await waitFor('it is unloaded', () => isStopped());
  });

  test('is free when nothing else needs the model: what runs is not cut off', async () => {
    const stream = await gateway.openChat('sim', { max_tokens: 60 });
    await stream.next((block) => block.startsWith('data:'));
    assert.equal((await generate({ keep_alive: 0 })).json.done_reason, 'unload');
    const { blocks, broken } = await stream.rest();
    assert.ok(!broken);
    assert.equal(blocks.at(-1), 'data: [DONE]');
    await waitFor('it is unloaded', () => isStopped());
  });

  test('goes to another model that needs it, however long a request keeps it', async () => {
    assert.equal((await generate({ keep_alive: -1 })).status, 200);
    await remaining((ms) => ms > 365 * 24 * hourMs);
    assert.equal((await gateway.chat('other', { max_tokens: 1 })).status, 200);
    assert.ok(await isStopped());
  });

  test('is not touched by a refused or an idle request to unload', async () => {
    assert.equal((await generate({ keep_alive: 0, prompt: '' })).json.done_reason, 'unload');
    assert.ok(await isStopped());
    assert.equal((await generate({ keep_alive: 0 }, { key: narrowKey })).status, 403);
    for (const wrong of ['soon', true, {}, '5 m', '']) {
      for (const route of ['/api/generate', '/api/chat', '/api/embed', '/api/embeddings']) {
        const { status, json } =
          await gateway.post(route, { model: 'sim', prompt: 'x', keep_alive: wrong });
        assert.equal(status, 400);
        assert.deepEqual(Object.keys(json), ['error']);
        assert.match(json.error, /keep_alive/);
      }
    }
    assert.ok(await isStopped());
  });

  test('of a pinned model stays taken', async () => {
    await waitFor('it is loaded', async () => (await gateway.states()).pinned === 'ready');
    const [{ pid }] = gateway.runtimes('pinned');
    assert.equal((await generate({ model: 'pinned', keep_alive: 0 })).status, 200);
    await remaining((ms) => ms > 365 * 24 * hourMs, 'pinned');
    assert.equal((await gateway.chat('pinned', { max_tokens: 1 })).status, 200);
    assert.equal(gateway.runtimes('pinned')[0].pid, pid);
  });

  test('of somebody else\'s runtime is its own: it gets the request as it came', async () => {
    for (const body of ['{"model":"external" ,"keep_alive":0}', '{"model":"external","prompt":""}',
      '{"keep_alive":"5m","model":"external","prompt":"x"}']) {
      assert.equal((await gateway.post('/api/generate', body)).status, 200);
      assert.equal(upstream.last.body, body);
    }
  });
});
