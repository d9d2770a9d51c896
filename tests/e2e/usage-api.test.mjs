// Usage, as the API and the command line report it: the sums are what the runtimes say they
// produced; and which models were asked for that do not exist.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { adminKey, build, simModel, startGateway } from './harness/gateway.mjs';
import { Postgres } from './harness/postgres.mjs';
import { waitFor } from './harness/processes.mjs';

const run = promisify(execFile);
const keys = [
  { id: 'administrator', token: adminKey, scopes: ['admin'] },
  ...['one', 'two', 'three'].map((id) =>
    ({ id, token: `sk-test-key-of-${id}`, scopes: ['realtime'] })),
  { id: 'watcher', token: 'sk-test-key-watcher', scopes: ['monitor'] },
];
const keyOf = (id) => keys.find((key) => key.id === id).token;
const counted = ['requests', 'successes', 'errors', 'cancelled', 'prompt_tokens',
  'completion_tokens', 'total_tokens', 'estimated'];
const total = (rows) => Object.fromEntries(
  counted.map((name) => [name, rows.reduce((sum, row) => sum + row[name], 0)]));
const today = () => new Date().toISOString().slice(0, 10);

async function usage(gateway, query = '', options = {}) {
  const answer = await gateway.send('GET', `/v1/usage?${query}`, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.data;
}

async function usageOf(gateway, model) {
  const rows = await usage(gateway, 'group_by=model');
  return rows.find((row) => row.model === model);
}

describe('usage under load', () => {
  let postgres, gateway, sent = 0;
  const seen = {}; // per model, what the test got or knows to be produced

  const add = (model, tokens) => { seen[model] = (seen[model] ?? 0) + tokens; };
  const pick = (list, i) => list[i % list.length];

  before(async () => {
    postgres = await Postgres.start();
    gateway = await startGateway({
      env: { DATABASE_URL: await postgres.url('load') },
      config: {
        keys,
        server: { shards: 2 },
        gpus: [{ memory: '8GiB' }],
        scheduling: { load_backoff_s: 0.01 },
        models: [
          simModel('own-chunk', {}, { gpu: { memory: '1GiB' } }),
          simModel('finish-chunk', { usage: 'finish_chunk' }),
          simModel('silent', { usage: 'never' }),
          simModel('slow', { 'decode-tps': 500 }, { max_concurrent: 2 }),
          simModel('fragile', { 'request-faults': true }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    await postgres.down();
  });

  // One request of each kind in turn, and what it produced.
  const kinds = [
    async (i, options) => {
      const model = pick(['own-chunk', 'finish-chunk', 'own-chunk'], i);
      const answer = await gateway.chat(model, { sim_prompt_tokens: 3 + i % 5,
        sim_completion_tokens: 1 + i % 7, stream: i % 2 === 0 }, options);
      assert.equal(answer.status, 200, answer.text);
      add(model, 1 + i % 7);
    },
    async (i, options) => { // leaves in the middle
      const stream = await gateway.openChat('slow', { max_tokens: 100_000 }, options);
      let read = 0;
      for (; read < 1 + i % 4; ++read) await stream.next((block) => block.startsWith('data:'));
      stream.close();
      add('slow', read);
    },
    async (i, options) => { // the runtime cuts the stream
      await gateway.openChat('fragile', { max_tokens: 50 },
        { ...options, headers: { ...options.headers, 'x-sim-fault': `half_chunk=${i % 6}` } })
        .then((stream) => stream.rest());
      add('fragile', i % 6);
    },
    async (i, options) => {
      await gateway.chat('silent', { sim_completion_tokens: 5, stream: i % 2 === 0 }, options);
    },
  ];

  test('the sum over keys is what the runtimes say they produced', async () => {
    const worker = async (first) => {
      for (let i = first; i < first + 60; ++i) {
        const client = pick(['app', 'batch/job', undefined], i);
        const options = { key: keyOf(pick(['one', 'two', 'three'], i)),
          headers: client === undefined ? {} : { 'x-client-id': client } };
        await pick(kinds, i >> 2)(i, options);
        ++sent;
      }
    };
    await Promise.all([0, 1000, 2000, 3000].map(worker));
    const told = async (model) => [await gateway.simMetric(model, 'sim_prompt_tokens_total'),
      await gateway.simMetric(model, 'sim_completion_tokens_total')];
    await waitFor('all left', async () => (await gateway.queue('slow')).processing === 0);
    await waitFor('all is stored', async () =>
      total(await usage(gateway, 'group_by=key')).requests === sent, 30_000);

    for (const model of ['own-chunk', 'finish-chunk']) {
      const row = await usageOf(gateway, model);
      assert.deepEqual([row.prompt_tokens, row.completion_tokens], await told(model), model);
      assert.equal(row.completion_tokens, seen[model]);
      assert.equal(row.successes, row.requests);
      assert.equal(row.estimated, 0);
    }
    const slow = await usageOf(gateway, 'slow');
    assert.equal(slow.cancelled, slow.requests);
    assert.equal(slow.estimated, slow.requests);
    assert.ok(slow.completion_tokens >= seen.slow, 'what the clients read was produced');
    assert.ok(slow.completion_tokens <= (await told('slow'))[1], 'and no more than that');
    assert.ok(slow.queue_seconds > 0);
    const fragile = await usageOf(gateway, 'fragile');
    assert.equal(fragile.errors, fragile.requests);
    assert.equal(fragile.completion_tokens, seen.fragile);
    assert.equal(fragile.completion_tokens, (await told('fragile'))[1]);
    const silent = await usageOf(gateway, 'silent');
    assert.equal(silent.estimated, silent.requests);
    assert.ok(silent.completion_tokens >= 5 * silent.requests);
    assert.ok((await usageOf(gateway, 'own-chunk')).gpu_seconds > 0);
    assert.equal((await usageOf(gateway, 'finish-chunk')).gpu_seconds, 0);
  });

  test('a runtime that dies: the tokens that came before count, and nothing twice', async () => {
    const earlier = await usageOf(gateway, 'fragile');
    for (let i = 1; i <= 3; ++i) {
      const answer = await gateway.chat('fragile', { stream: true, max_tokens: 9 },
        { key: keyOf('one'), headers: { 'x-sim-fault': `die_midstream=${i}` } });
      assert.match(answer.text, /upstream_failed/);
      ++sent;
      // The next one shall not find a runtime that is gone, and not yet known to be.
      await waitFor('the crash is noticed', async () => (await gateway.crashes())
        .filter(({ model }) => model === 'fragile').length === i);
    }
    await waitFor('all is stored', async () =>
      total(await usage(gateway)).requests === sent, 30_000);
    const row = await usageOf(gateway, 'fragile');
    assert.equal(row.errors - earlier.errors, 3);
    assert.equal(row.completion_tokens - earlier.completion_tokens, 1 + 2 + 3);
  });

  test('however it is grouped and paged, the sum is the same', async () => {
    const whole = total(await usage(gateway));
    assert.equal(whole.requests, sent);
    for (const by of ['key', 'client', 'model', 'source', 'key,client,model,source,day']) {
      const rows = await usage(gateway, `group_by=${by}&limit=1000`);
      assert.deepEqual(total(rows), whole, by);
      const paged = [];
      for (let cursor = ''; cursor !== null;) {
        const { json } = await gateway.send('GET',
          `/v1/usage?group_by=${by}&limit=2&cursor=${cursor}`);
        paged.push(...json.data);
        cursor = json.next;
      }
      assert.deepEqual(paged, rows, by);
    }
    const clients = await usage(gateway, 'group_by=client');
    assert.deepEqual(clients.map((row) => row.client), ['', 'app', 'batch/job']);
    const { json } = await gateway.send('GET',
      `/monitor/key_usage?bucket=${today().replaceAll('-', '')}`);
    const rows = await usage(gateway, `group_by=key&start=${today()}&end=${today()}`);
    assert.deepEqual(json.items.map((item) => [item.key_id, item.request_total,
      item.success_total, item.error_total, item.total_tokens]),
    rows.map((row) => [row.key, row.requests, row.successes, row.errors + row.cancelled,
      row.total_tokens]));
  });

  test('the command line tells the same', async () => {
    const report = async (...args) => (await run(path.join(build, 'signalbox'),
      ['usage', '--config', path.join(gateway.folder, 'signalbox.yaml'), ...args],
      { env: { PATH: process.env.PATH, DATABASE_URL: postgres.urlOf('load') } })).stdout;
    const rows = await usage(gateway, 'group_by=key,model&limit=1000');
    const [head, ...lines] = (await report('--csv', '--by', 'key,model')).trimEnd().split('\r\n');
    assert.equal(head, 'key,model,requests,successes,errors,cancelled,prompt_tokens,' +
      'completion_tokens,total_tokens,gpu_seconds,queue_seconds,estimated,cached_tokens,' +
      'reasoning_tokens');
    assert.deepEqual(lines.map((line) => line.split(',').slice(0, 9)),
      rows.map((row) => [row.key, row.model, ...counted.slice(0, 7).map((c) => String(row[c]))]));
    const table = (await report()).split('\n');
    assert.match(table[0], /^day +key +model +requests +successes /);
    assert.equal(table.length - 2, (await usage(gateway, 'group_by=day,key,model')).length);
    const nothing = await report('--from', '2020-01-01', '--to', '2020-01-02');
    assert.equal(nothing.split('\n').length, 2);
    await assert.rejects(report('--from', 'yesterday'), /YYYY-MM-DD/);
    await assert.rejects(report('--by', 'colour'), /key,client,model,source,day/);
  });
});

describe('the usage API', () => {
  let postgres, gateway;
  before(async () => {
    postgres = await Postgres.start();
    gateway = await startGateway({
      env: { DATABASE_URL: await postgres.url('api') },
      // One shard, so that the names come in the order of the requests.
      config: { server: { shards: 1 }, keys, usage: { clients_per_key: 2 },
        models: [simModel('m')] },
    });
    const client = (id) => ({ key: keyOf('one'), headers: { 'x-client-id': id } });
    for (const id of ['a', 'b', 'c', 'd', 'a']) {
      const answer = await gateway.chat('m', { sim_prompt_tokens: 2, sim_completion_tokens: 3 },
        client(id));
      assert.equal(answer.status, 200);
    }
    await gateway.chat('m', {}, { key: keyOf('two') });
    await waitFor('all is stored', async () =>
      total(await usage(gateway)).requests === 6);
  });
  after(async () => {
    await gateway.stop();
    await postgres.down();
  });

  test('clients beyond the bound count as other', async () => {
    const rows = await usage(gateway, 'group_by=client');
    assert.equal(rows.filter((row) => row.client === 'other')[0].requests, 2);
    assert.equal(rows.length, 4);
  });

  for (const id of ['two words', 'x'.repeat(129), 'a,b', '=1+1', 'a"b']) {
    test(`no client id: ${id.slice(0, 20)}`, async () => {
      const answer = await gateway.chat('m', {}, { headers: { 'x-client-id': id } });
      assert.equal(answer.status, 400);
      assert.match(answer.json.error.message, /X-Client-ID/);
    });
  }

  test('seed 002 finds its fields', async () => {
    const { json } = await gateway.send('GET', '/monitor/key_usage', { key: keyOf('watcher') });
    assert.deepEqual(Object.keys(json).sort(), ['bucket', 'cursor', 'items']);
    assert.equal(json.cursor, '0');
    assert.equal(json.bucket, null);
    const { last_ts: lastTs, ...one } = json.items.find((item) => item.key_id === 'one');
    assert.deepEqual(one, { key_id: 'one', bucket: null, request_total: 5, realtime_requests: 5,
      batch_requests: 0, success_total: 5, error_total: 0, prompt_tokens: 10,
      completion_tokens: 15, total_tokens: 25, last_model: 'm', last_source: 'realtime',
      last_scope: 'realtime', last_status: 'success' });
    assert.ok(Math.abs(lastTs - Date.now() / 1000) < 3600);
    const ids = [];
    for (let cursor = '0'; ;) {
      const page = (await gateway.send('GET',
        `/monitor/key_usage?limit=1&cursor=${cursor}&bucket=${today().replaceAll('-', '')}`)).json;
      ids.push(...page.items.map((item) => item.key_id));
      cursor = page.cursor;
      if (cursor === '0') break;
    }
    assert.deepEqual(ids, ['one', 'two']);
  });

  test('a key without monitor sees its own usage only', async () => {
    const rows = await usage(gateway, 'group_by=key', { key: keyOf('two') });
    assert.deepEqual(rows.map((row) => [row.key, row.requests]), [['two', 1]]);
    assert.equal((await usage(gateway, 'group_by=key', { key: keyOf('watcher') })).length, 2);
    for (const route of ['/monitor/key_usage', '/admin/missing-models']) {
      assert.equal((await gateway.send('GET', route, { key: keyOf('two') })).status, 403);
    }
    assert.equal((await gateway.send('GET', '/v1/usage', { key: null })).status, 401);
  });

  for (const query of ['start=yesterday', 'end=2026-02-30', 'start=2026-02-02&end=2026-02-01',
    'group_by=colour', 'group_by=key,', 'limit=0', 'limit=1001', 'limit=x', 'cursor=x']) {
    test(`refused: /v1/usage?${query}`, async () => {
      const answer = await gateway.send('GET', `/v1/usage?${query}`);
      assert.equal(answer.status, 400, answer.text);
      assert.match(answer.json.error.message, /^(start|end|group_by|limit|cursor) m/);
    });
  }
  for (const query of ['bucket=2026-01-01', 'bucket=20260230', 'limit=0', 'cursor=!']) {
    test(`refused: /monitor/key_usage?${query}`, async () => {
      const answer = await gateway.send('GET', `/monitor/key_usage?${query}`);
      assert.equal(answer.status, 400, answer.text);
      assert.deepEqual(Object.keys(answer.json), ['detail']);
    });
  }

  test('a cursor is for its own grouping', async () => {
    const { json } = await gateway.send('GET', '/v1/usage?group_by=client&limit=1');
    const other = await gateway.send('GET', `/v1/usage?group_by=key&cursor=${json.next}`);
    assert.equal(other.status, 400);
  });

  test('only so many reports wait, be there somebody who waits for them or not', async () => {
    const holder = postgres.session('api');
    await holder.run('BEGIN; LOCK TABLE usage_daily');
    const ask = () => gateway.send('GET', '/v1/usage');
    const first = ask();
    const resume = await postgres.suspendWaiting('api');
    try {
      const given = await Promise.all([first, ...Array.from({ length: 15 }, ask)]);
      assert.deepEqual(given.map((answer) => answer.status), Array(16).fill(503));
      assert.match(given[0].json.error.message, /did not answer in time/);
      const refused = await ask();
      assert.equal(refused.status, 503);
      assert.match(refused.json.error.message, /Too many reports/);
      assert.ok(Number(refused.headers['retry-after']) >= 1);
    } finally {
      resume();
      await holder.close();
    }
    await waitFor('reports are made again', async () => (await ask()).status === 200);
  });

  test('without a database: 503 with Retry-After', async () => {
    await postgres.down();
    for (const route of ['/v1/usage', '/monitor/key_usage']) {
      const answer = await gateway.send('GET', route);
      assert.equal(answer.status, 503, answer.text);
      assert.ok(Number(answer.headers['retry-after']) >= 1);
    }
    await postgres.up();
    await waitFor('it is back', async () => (await usage(gateway)).length === 1);
  });
});

describe('models that do not exist', () => {
  test('are counted, bounded, without a metric, and outlive a restart', async () => {
    const options = { config: { keys, models: [simModel('m')] } };
    let gateway = await startGateway(options);
    const ask = (model, client) => gateway.chat(model, {}, { key: keyOf('one'),
      headers: client === undefined ? {} : { 'x-client-id': client } });
    const series = async () => (await gateway.send('GET', '/metrics')).text
      .split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    const missing = async (limit = 1000) =>
      (await gateway.send('GET', `/admin/missing-models?limit=${limit}`)).json;
    assert.equal((await ask('gpt-4', 'my_app')).status, 404);
    assert.equal((await ask('gpt-4')).status, 404);
    assert.equal((await ask('m')).status, 200);
    await waitFor('it is told', async () => (await missing())[0]?.requests === 2);
    const [first] = await missing();
    assert.deepEqual(Object.keys(first).sort(),
      ['client_id', 'first_seen', 'key_id', 'model_name', 'requests', 'timestamp']);
    assert.equal(first.model_name, 'gpt-4');
    assert.equal(first.client_id, null);
    assert.equal(first.key_id, 'one');
    assert.match(first.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

    const before = await series();
    const worker = async (from) => {
      for (let i = from; i < from + 300; ++i) await ask(`no such "model" ${i}`);
    };
    await Promise.all([0, 300, 600, 900].map(worker));
    await ask('gpt-4', 'last');
    await waitFor('all is told', async () => {
      const [{ model_name: name, client_id: client }] = await missing(1);
      return name === 'gpt-4' && client === 'last';
    });
    const all = await missing();
    assert.equal(all.length, 1000);
    assert.equal(await series(), before);
    await gateway.stop();

    gateway = await startGateway({ ...options, folder: gateway.folder });
    await waitFor('it knows them', async () => (await missing()).length === 1000);
    assert.deepEqual((await missing()).find(({ model_name: name }) => name === 'gpt-4').client_id,
      'last');
    // Its own cluster is used by the command line beside it.
    const { stdout } = await run(path.join(build, 'signalbox'),
      ['usage', '--csv', '--by', 'model', '--config', path.join(gateway.folder, 'signalbox.yaml'),
        '--data', path.join(gateway.folder, 'data')], { env: { PATH: process.env.PATH } });
    assert.match(stdout.split('\r\n')[1], /^m,1,1,0,0,/);
    await gateway.stop();
  });
});
