// Orders about the whole gateway: switch to a model, drain and resume; what /status and /queue say.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { adminKey, build, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const monitorKey = 'sk-test-only-monitor';
const keys = [
  { id: 'administrator', token: adminKey, scopes: ['admin'] },
  { id: 'monitor', token: monitorKey, scopes: ['monitor'] },
];
const oneGpu = { gpu: { memory: '16GiB' } };

describe('a switch', () => {
  let gateway;
  const switchTo = (query, options) => gateway.send('POST', `/admin/switch${query}`, options);

  before(async () => {
    gateway = await startGateway({
      config: {
        keys,
        gpus: [{ memory: '24GiB' }],
        scheduling: { min_residency_s: 60, max_swap_wait_s: 60 },
        models: [
          simModel('first', {}, oneGpu),
          simModel('org/big', { 'decode-tps': 50 }, { ...oneGpu, aliases: ['big'] }),
          simModel('other', {}, oneGpu),
          simModel('small'),
        ],
      },
    });
    assert.equal((await gateway.chat('first', { max_tokens: 1 })).status, 200);
  });
  after(() => gateway.stop());

  test('takes the memory from a model that is loaded', async () => {
    const { status, json, text } = await switchTo('?model=big');
    assert.equal(status, 200, text);
    assert.deepEqual(json, { status: 'switched', model: 'org/big' });
    const states = await gateway.states();
    assert.deepEqual([states['org/big'], states.first], ['ready', 'stopped']);
    const now = (await gateway.send('GET', '/status')).json;
    assert.deepEqual([now.active_model, now.backend_state, now.switching],
      ['org/big', 'ready', false]);
    assert.deepEqual((await gateway.crashes()), []);
  });

  test('takes it from a model that is busy, whose requests have their time to end', async () => {
    const stream = await gateway.openChat('org/big', { max_tokens: 20 });
    await stream.next((block) => block.startsWith('data:'));
    const body = JSON.stringify({ model: 'other' });
    assert.equal((await switchTo('', { body })).json.model, 'other');
    assert.equal((await stream.rest()).blocks.at(-1), 'data: [DONE]');
    assert.equal((await gateway.states())['org/big'], 'stopped');
  });

  test('takes nothing where there is room, and nothing twice', async () => {
    for (const model of ['small', 'other']) {
      assert.equal((await switchTo(`?model=${model}`)).status, 200);
    }
    const states = await gateway.states();
    assert.deepEqual([states.small, states.other], ['ready', 'ready']);
  });

  test('wrong questions', async () => {
    for (const options of [{}, { body: '{' }, { body: '{"model":7}' }]) {
      const { status, json } = await switchTo('', options);
      assert.equal(status, 400);
      assert.match(json.detail, /Name the model/);
    }
    assert.equal((await switchTo('?model=nobody')).status, 404);
    assert.equal((await switchTo('?model=big', { key: monitorKey })).status, 403);
  });
});

describe('a drain', () => {
  let gateway;
  const post = (route, options) => gateway.send('POST', route, options);
  const nothing = { drain_mode: false, drained_models: [] };

  before(async () => {
    gateway = await startGateway({
      config: {
        keys,
        models: [
          simModel('org/one', { 'decode-tps': 50 }, { aliases: ['one'], max_concurrent: 1 }),
          simModel('two'),
        ],
      },
    });
  });
  after(() => gateway.stop());

  test('of a model: new requests are refused, those that run or wait are served', async () => {
    const stream = await gateway.openChat('one', { max_tokens: 50 });
    await stream.next((block) => block.startsWith('data:'));
    const waits = gateway.chat('one', { max_tokens: 1 });
    await waitFor('it waits', async () => (await gateway.queue('org/one')).waiting === 1);
    assert.deepEqual((await post('/admin/drain?model=one')).json,
      { status: 'drained', drain_mode: false, drained_models: ['org/one'] });
    const refused = await gateway.chat('org/one');
    assert.equal(refused.status, 503);
    assert.equal(refused.json.error.code, 'drained');
    assert.match(refused.headers['retry-after'], /^\d+$/);
    assert.equal((await gateway.chat('two', { max_tokens: 1 })).status, 200);
    assert.equal((await stream.rest()).blocks.at(-1), 'data: [DONE]');
    assert.equal((await waits).status, 200);
    assert.equal((await gateway.send('GET', '/admin/models')).json['org/one'].drained, true);
    const health = await gateway.send('GET', '/health');
    assert.equal(health.status, 200);
    assert.deepEqual(health.json.drained_models, ['org/one']);
  });

  test('keeps a stopped model away, through a reload, until it is resumed', async () => {
    assert.equal((await post('/admin/models/one/stop')).status, 200);
    assert.equal((await post('/admin/reload')).status, 200);
    assert.equal((await gateway.chat('one')).json.error.code, 'drained');
    assert.equal((await gateway.states())['org/one'], 'stopped');
    assert.deepEqual((await post('/admin/resume?model=org/one')).json,
      { status: 'resumed', ...nothing });
    assert.equal((await gateway.chat('one', { max_tokens: 1 })).status, 200);
  });

  test('of the gateway: it says so wherever it is asked', async () => {
    assert.equal((await post('/admin/drain')).json.drain_mode, true);
    for (const model of ['org/one', 'two']) {
      assert.equal((await gateway.chat(model)).json.error.code, 'drained');
    }
    assert.equal((await gateway.send('GET', '/status')).json.drain_mode, true);
    assert.equal((await gateway.send('GET', '/queue')).json.drain_mode, true);
    for (const [route, status] of [['/health', 503], ['/health/ready', 503],
      ['/health/live', 200]]) {
      assert.equal((await gateway.send('GET', route)).status, status, route);
    }
    assert.deepEqual((await post('/admin/resume')).json, { status: 'resumed', ...nothing });
    assert.equal((await gateway.chat('two', { max_tokens: 1 })).status, 200);
    assert.equal((await gateway.send('GET', '/health')).status, 200);
  });

  test('wrong questions', async () => {
    for (const route of ['/admin/drain', '/admin/resume']) {
      assert.equal((await post(`${route}?model=nobody`)).status, 404);
      assert.equal((await post(route, { key: monitorKey })).status, 403);
    }
  });

  test('what waits and runs is told', async () => {
    const stream = await gateway.openChat('one', { max_tokens: 100_000 });
    await stream.next((block) => block.startsWith('data:'));
    const leaves = new AbortController();
    const waits = gateway.chat('one', {}, { signal: leaves.signal }).catch(() => {});
    await waitFor('it is told', async () => {
      const { queue_length: waiting, active_model: active, models } =
        (await gateway.send('GET', '/queue', { key: monitorKey })).json;
      const { waiting: own, processing } = models['org/one'];
      return waiting === 1 && active === 'org/one' && own === 1 && processing === 1;
    });
    stream.close();
    leaves.abort();
    await waits;
  });

  test('by command', async () => {
    const run = promisify(execFile);
    const command = async (...args) => (await run(path.join(build, 'signalbox'),
      [...args, '--data', path.join(gateway.folder, 'data')], { timeout: 60_000 })).stdout;
    assert.equal(await command('drain', 'org/one'), 'org/one takes no new requests\n');
    assert.equal((await gateway.chat('one')).json.error.code, 'drained');
    assert.equal(await command('resume', 'org/one'), 'org/one takes requests again\n');
    assert.equal(await command('drain'), 'the gateway takes no new requests\n');
    assert.equal(await command('resume'), 'the gateway takes requests again\n');
    assert.equal(await command('switch', 'two'), 'two is the resident model\n');
    await assert.rejects(command('switch', 'nobody'), { stderr: /'nobody' does not exist/ });
    await assert.rejects(command('switch'));
  });
});
