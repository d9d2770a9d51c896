// What operators do with models: look at them, start and stop them, read what their runtimes wrote.
import assert from 'node:assert/strict';
import http from 'node:http';
import { appendFileSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { Upstream } from './harness/upstream.mjs';

const oneGpu = { gpu: { memory: '16GiB' } };
const monitorKey = 'sk-test-only-monitor', realtimeKey = 'sk-test-only-realtime';
const keys = [
  { id: 'administrator', token: adminKey, scopes: ['admin'] },
  { id: 'monitor', token: monitorKey, scopes: ['monitor'] },
  { id: 'realtime', token: realtimeKey, scopes: ['realtime'] },
];

const models = async (gateway) => (await gateway.send('GET', '/admin/models')).json;
const order = (gateway, model, what, options) =>
  gateway.send('POST', `/admin/models/${model}/${what}`, options);

// The output of a model as it comes; `text` grows.
class FollowedLog {
  static async open(gateway, model, query = '') {
    const me = new FollowedLog();
    const { hostname, port } = new URL(gateway.base);
    me.request = http.request({
      hostname, port, path: `/admin/models/${model}/logs?follow=true${query}`, agent: false,
      headers: { authorization: `Bearer ${adminKey}` },
    });
    me.text = '';
    const answered = new Promise((resolve, reject) => {
      me.request.on('response', resolve).on('error', reject);
    });
    me.request.end();
    me.response = await within(10_000, 'the log begins', answered);
    me.request.on('error', () => {});
    me.response.setEncoding('utf8');
    me.response.on('data', (text) => { me.text += text; });
    me.ended = new Promise((resolve) => {
      me.response.on('end', () => resolve('whole')).on('error', () => resolve('broken'));
    });
    return me;
  }

  until(pattern) {
    return waitFor(`${pattern} is in the log`, () => pattern.test(this.text));
  }

  close() {
    this.request.destroy();
  }
}

describe('models and their states', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        keys,
        gpus: [{ memory: '24GiB' }],
        scheduling: { min_residency_s: 0.1, max_swap_wait_s: 0.2, load_backoff_s: 60,
          load_attempts: 1 },
        models: [
          simModel('org/a', { 'decode-tps': 50 }, { ...oneGpu, aliases: ['alias'] }),
          simModel('b', {}, oneGpu),
          simModel('plain', { 'decode-tps': 50 }, { drain_timeout_s: 30 }),
          simModel('slow', { 'load-time': 600 }, { start_timeout_s: 900 }),
          simModel('broken', { fault: 'fail_start' }),
          simModel('hungry', { fault: 'oom=0.1', 'load-time': 600 }),
          upstream.model('external'),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  test('one that does not run has the fields of seed 001, with nothing in them', async () => {
    const all = await models(gateway);
    assert.deepEqual(Object.keys(all).sort(),
      ['b', 'broken', 'external', 'hungry', 'org/a', 'plain', 'slow']);
    const { name, status, port, started_at: at, uptime_seconds: up, resolution,
      is_healthy: healthy, state, driver } = all['org/a'];
    assert.deepEqual([name, status, port, at, up, resolution, healthy],
      ['org/a', 'stopped', null, null, null, null, false]);
    assert.deepEqual([state, driver], ['stopped', 'process']);
  });

  test('started, running and stopped, by its name with a slash and by an alias', async () => {
    for (const name of ['org/a', 'org%2Fa', 'alias']) {
      const started = await order(gateway, name, 'start');
      assert.equal(started.status, 200, started.text);
      assert.deepEqual(started.json, { status: 'started', model: 'org/a' });
      const a = (await models(gateway))['org/a'];
      assert.deepEqual([a.status, a.state, a.is_healthy], ['running', 'ready', true]);
      const [{ args }] = gateway.runtimes('org/a');
      assert.equal(String(a.port), args[args.indexOf('--port') + 1]);
      assert.match(a.started_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      assert.ok(Number.isInteger(a.uptime_seconds) && a.uptime_seconds >= 0);
      assert.deepEqual(a.gpus, [0]);
      const stopped = await order(gateway, name, 'stop?graceful=true');
      assert.equal(stopped.status, 200, stopped.text);
      assert.deepEqual(stopped.json, { status: 'stopped', model: 'org/a' });
      assert.deepEqual(gateway.runtimes('org/a'), []);
      await waitFor('its memory is free', async () =>
        (await gateway.metric('signalbox_lease_holders', { gpu: '0' })) === 0);
    }
    assert.deepEqual((await gateway.crashes()).filter(({ model }) => model === 'org/a'), []);
  });

  test('started when it runs already, and stopped when it does not', async () => {
    for (let i = 0; i < 2; ++i) {
      assert.equal((await order(gateway, 'plain', 'start')).json.status, 'started');
    }
    assert.equal(gateway.runtimes('plain').length, 1);
    for (let i = 0; i < 2; ++i) {
      assert.equal((await order(gateway, 'plain', 'stop')).json.status, 'stopped');
    }
  });

  test('the next request loads it again', async () => {
    await order(gateway, 'plain', 'start');
    await order(gateway, 'plain', 'stop');
    assert.equal((await gateway.chat('plain', { max_tokens: 1 })).status, 200);
    await order(gateway, 'plain', 'stop');
  });

  test('started where another holds the memory: the other goes', async () => {
    assert.equal((await order(gateway, 'b', 'start')).status, 200);
    assert.equal((await order(gateway, 'org/a', 'start')).status, 200);
    const all = await models(gateway);
    assert.equal(all['org/a'].status, 'running');
    assert.equal(all.b.status, 'stopped');
    assert.equal((await order(gateway, 'org/a', 'stop')).status, 200);
  });

  test('a graceful stop waits for what runs', async () => {
    const stream = await gateway.openChat('plain', { max_tokens: 60 });
    await stream.next((block) => block.startsWith('data:'));
    const stopped = await order(gateway, 'plain', 'stop');
    assert.equal(stopped.status, 200);
    const { blocks, broken } = await stream.rest();
    assert.ok(!broken);
    assert.equal(dataOf(blocks).filter((e) => e.choices[0]?.delta.content).length, 60);
    assert.equal(blocks.at(-1), 'data: [DONE]');
  });

  for (const no of ['false', 'False', '0']) {
    test(`graceful=${no} cuts it off`, async () => {
      const stream = await gateway.openChat('plain', { max_tokens: 100_000 });
      await stream.next((block) => block.startsWith('data:'));
      assert.equal((await order(gateway, 'plain', `stop?graceful=${no}`)).status, 200);
      assert.ok(!(await stream.rest()).blocks.includes('data: [DONE]'));
      assert.deepEqual(gateway.runtimes('plain'), []);
    });
  }

  test('a start that fails says why, at once, and as often as it is ordered', async () => {
    for (let i = 0; i < 2; ++i) {
      const { status, json } = await order(gateway, 'broken', 'start');
      assert.equal(status, 503);
      assert.match(json.detail, /^start_failed: exit status 3/);
    }
    const told = await waitFor('its state tells it', async () => {
      const { broken } = await models(gateway);
      return broken.status === 'error' && broken;
    });
    assert.equal(told.last_failure, 'start_failed');
  });

  test('a start without memory says what may help, and so does a request', async () => {
    const { status, json } = await order(gateway, 'hungry', 'start');
    assert.equal(status, 503);
    assert.match(json.detail, /^oom: .*--gpu-memory-utilization/);
    const refusal = await gateway.chat('hungry');
    assert.equal(refusal.status, 503);
    assert.match(refusal.json.error.message, /--gpu-memory-utilization/);
    assert.doesNotMatch(refusal.text, /simulated/);
    await waitFor('its state tells it', async () =>
      /--gpu-memory-utilization/.test((await models(gateway)).hungry.advice));
    const folder = path.join(gateway.folder, 'data', 'runtime_failures');
    const file = await waitFor('the failure is a file', () => readdirSync(folder)
      .find((name) => /^\d{8}-\d{6}_hungry_runtime_oom\.log$/.test(name)));
    const text = readFileSync(path.join(folder, file), 'utf8');
    assert.match(text, /^reason: oom$/m);
    assert.match(text, /^detail: .*--gpu-memory-utilization/m);
    assert.match(text, /^RuntimeError: CUDA out of memory/m);
  });

  test('a stop overrules a start whose client has left', async () => {
    const leaves = new AbortController();
    const left = order(gateway, 'slow', 'start', { signal: leaves.signal }).catch(() => 'left');
    await waitFor('it loads', async () => (await models(gateway)).slow.status === 'starting');
    leaves.abort();
    assert.equal(await left, 'left');
    const waits = order(gateway, 'slow', 'start');
    await waitFor('it loads on', async () => (await models(gateway)).slow.status === 'starting');
    assert.equal((await order(gateway, 'slow', 'stop')).status, 200);
    const { status, json } = await waits;
    assert.equal(status, 409);
    assert.match(json.detail, /stopped before it was ready/);
    assert.deepEqual(gateway.runtimes('slow'), []);
  });

  test('what is not there, not ours, or not meant', async () => {
    for (const what of ['start', 'stop']) {
      const missing = await order(gateway, 'no/body', what);
      assert.equal(missing.status, 404);
      assert.deepEqual(missing.json, { detail: "The model 'no/body' does not exist." });
      const foreign = await order(gateway, 'external', what);
      assert.equal(foreign.status, 409);
      assert.match(foreign.json.detail, /is external/);
      assert.equal((await order(gateway, 'plain', what, { key: monitorKey })).status, 403);
    }
    assert.equal((await order(gateway, 'plain', 'stop?graceful=perhaps')).status, 400);
    assert.equal((await order(gateway, 'plain', 'start?resolution=large')).status, 400);
    for (const [key, status] of [[monitorKey, 200], [realtimeKey, 403], [null, 401]]) {
      for (const route of ['/admin/models', '/admin/models/org/a/logs']) {
        assert.equal((await gateway.send('GET', route, { key })).status, status, route);
      }
    }
    assert.equal((await models(gateway)).external.driver, 'external');
  });
});

describe('what runtimes wrote', () => {
  let gateway;
  const logs = (model, query = '') => gateway.send('GET', `/admin/models/${model}/logs${query}`);
  const fileOf = (model) => path.join(gateway.folder, 'data', 'logs', `${model}.log`);

  // Those who have left hold their places for a moment.
  const follow = (model, query) => waitFor('there is room', async () => {
    const log = await FollowedLog.open(gateway, model, query);
    if (log.response.statusCode === 200) return log;
    log.close();
    return undefined;
  });

  before(async () => {
    gateway = await startGateway({
      config: { keys, models: [simModel('org/demo'), simModel('never')] },
    });
    assert.equal((await order(gateway, 'org/demo', 'start')).status, 200);
  });
  after(() => gateway.stop());

  test('the last lines, as text', async () => {
    const { status, text, headers } = await logs('org/demo');
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/plain/);
    assert.match(text, /simulated runtime: model org\/demo/);
    appendFileSync(fileOf('org%2Fdemo'), 'one\ntwo\nthree\n');
    assert.equal((await logs('org/demo', '?lines=2')).text, 'two\nthree\n');
    assert.equal((await logs('org/demo', '?lines=0')).text, '');
    assert.equal((await logs('never')).text, '');
    const head = await gateway.send('HEAD', '/admin/models/org/demo/logs?follow=true');
    assert.equal(head.status, 200);
  });

  test('wrong questions', async () => {
    for (const query of ['?lines=-1', '?lines=x', '?lines=10001', '?follow=perhaps']) {
      assert.equal((await logs('org/demo', query)).status, 400, query);
    }
    assert.equal((await logs('nobody')).status, 404);
  });

  test('followed through the end of its runtime, the next one, and the next file', async () => {
    const log = await FollowedLog.open(gateway, 'org/demo', '&lines=1');
    await order(gateway, 'org/demo', 'stop');
    await order(gateway, 'org/demo', 'start');
    await log.until(/simulated runtime: model org\/demo/);
    await order(gateway, 'org/demo', 'stop'); // the next run opens the file anew
    renameSync(fileOf('org%2Fdemo'), `${fileOf('org%2Fdemo')}.1`);
    await order(gateway, 'org/demo', 'start');
    appendFileSync(fileOf('org%2Fdemo'), 'the end of the next file\n');
    await log.until(/\nthe end of the next file\n$/);
    log.close();
  });

  test('followers are few, and those who leave make room, also while nothing is written',
    async () => {
      const followers = [];
      for (let i = 0; i < 16; ++i) followers.push(await FollowedLog.open(gateway, 'never'));
      const refused = await logs('never', '?follow=true');
      assert.equal(refused.status, 503);
      followers.pop().close();
      const next = await follow('never');
      for (const log of [next, ...followers]) log.close();
    });

  test('a client that reads late gets all of it', async () => {
    const log = await follow('org/demo', '&lines=0');
    log.response.pause();
    const line = `${'x'.repeat(1023)}\n`;
    for (let i = 0; i < 16; ++i) appendFileSync(fileOf('org%2Fdemo'), line.repeat(1024));
    assert.equal((await gateway.chat('org/demo', { max_tokens: 1 })).status, 200);
    log.response.resume();
    await waitFor('all has come', () => log.text.length >= 16 * 1024 * 1024, 30_000);
    log.close();
  });

  test('they end when the gateway stops', async () => {
    const own = await startGateway({ config: { models: [simModel('demo')] } });
    const log = await FollowedLog.open(own, 'demo');
    own.child.kill('SIGTERM');
    assert.equal(await within(10_000, 'the log ends', log.ended), 'whole');
    await own.stop();
  });
});
