// Every request and every token stands in the usage table once, whatever happened meanwhile: an
// abort, a crash, a database that goes away and comes back, an orderly stop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { Postgres } from './harness/postgres.mjs';
import { waitFor } from './harness/processes.mjs';

const secondKey = 'sk-test-second-key';

describe('usage', () => {
  let postgres;
  before(async () => { postgres = await Postgres.start(); });
  after(() => postgres.down());

  const start = async (database) => startGateway({
    env: { DATABASE_URL: await postgres.url(database) },
    config: {
      keys: [
        { id: 'first', token: adminKey, scopes: ['admin'] },
        { id: 'second', token: secondKey, scopes: ['realtime'] },
      ],
      scheduling: { load_backoff_s: 0.05 },
      models: [
        simModel('exact', {}, { aliases: ['other-name'] }),
        simModel('silent', { usage: 'never' }),
        simModel('slow', { 'decode-tps': 50 }, { max_concurrent: 1 }),
        simModel('fragile', { 'request-faults': true }),
      ],
    },
  });

  const sums = `sum(requests) requests, sum(successes) successes, sum(errors) errors,
    sum(cancelled) cancelled, sum(prompt_tokens) prompt, sum(completion_tokens) completion,
    sum(estimated) estimated`;
  const usageOf = async (database, where) => {
    const [row] = await postgres.query(
      `SELECT ${sums} FROM usage_daily WHERE ${where}`, database);
    return row;
  };
  const clean = { errors: 0, cancelled: 0, estimated: 0 };

  test('what was asked, aborted or crashed is counted once, and for whom', async () => {
    const gateway = await start('kinds');
    const counts = { sim_prompt_tokens: 11, sim_completion_tokens: 7 };
    for (let i = 0; i < 6; ++i) {
      await gateway.chat(i % 2 ? 'exact' : 'other-name', counts);
      await gateway.chat('exact', { ...counts, stream: true });
      await gateway.chat('exact',
        { ...counts, stream: true, stream_options: { include_usage: true } }, { key: secondKey });
    }
    await gateway.post('/v1/embeddings', { model: 'exact', input: 'one two three' });
    await gateway.chat('nobody');
    const told = [await gateway.simMetric('exact', 'sim_prompt_tokens_total'),
      await gateway.simMetric('exact', 'sim_completion_tokens_total')];
    for (const stream of [false, true]) await gateway.chat('silent', { ...counts, stream });
    await gateway.chat('exact', { messages: [] });

    const running = await gateway.openChat('slow', { max_tokens: 100_000 });
    await running.next((block) => block.startsWith('data:'));
    const abort = new AbortController();
    const waiting = gateway.chat('slow', {}, { signal: abort.signal }).catch(() => {});
    await waitFor('it waits', async () => (await gateway.queue('slow')).waiting === 1);
    abort.abort();
    await waiting;
    running.close();
    await waitFor('both left', async () => {
      const { processing, waiting: still } = await gateway.queue('slow');
      return processing === 0 && still === 0;
    });
    await gateway.chat('fragile', counts);
    const died = await gateway.chat('fragile', { stream: true, max_tokens: 9 },
      { headers: { 'x-sim-fault': 'die_midstream=3' } });
    assert.match(died.text, /upstream_failed/);
    await waitFor('all is stored', async () => (await usageOf('kinds', 'true')).requests === 26);
    await gateway.stop();

    const first = await usageOf('kinds', "key_id = 'first' AND model = 'exact'");
    assert.deepEqual(first, { requests: 14, successes: 13, ...clean, errors: 1,
      prompt: 12 * 11 + 3, completion: 12 * 7 });
    const second = await usageOf('kinds', "key_id = 'second'");
    assert.deepEqual(second, { requests: 6, successes: 6, ...clean, prompt: 66, completion: 42 });
    assert.deepEqual(told, [first.prompt + second.prompt, first.completion + second.completion]);
    const silent = await usageOf('kinds', "model = 'silent'");
    assert.equal(silent.requests, 2);
    assert.equal(silent.estimated, 2);
    assert.ok(silent.completion >= 7, 'a stream is counted by its chunks');
    const slow = await usageOf('kinds', "model = 'slow'");
    assert.equal(slow.requests, 2);
    assert.equal(slow.cancelled, 2);
    assert.ok(slow.completion >= 1, 'what an aborted stream had sent was produced, and counts');
    const fragile = await usageOf('kinds', "model = 'fragile'");
    assert.deepEqual([fragile.requests, fragile.successes, fragile.errors], [2, 1, 1]);
    const models = await postgres.query('SELECT DISTINCT model FROM usage_daily', 'kinds');
    assert.equal(models.length, 4, 'names that no model has make no rows');
    const days = await postgres.query(
      "SELECT day FROM usage_daily WHERE day NOT BETWEEN (now() AT TIME ZONE 'UTC')::date - 1 " +
      "AND (now() AT TIME ZONE 'UTC')::date", 'kinds');
    assert.deepEqual(days, []);
  });

  test('what was answered just before the stop is not lost', async () => {
    const gateway = await start('last');
    await gateway.chat('exact', { max_tokens: 1 });
    await waitFor('the first is stored', async () =>
      (await usageOf('last', 'true')).requests === 1);
    for (let i = 0; i < 3; ++i) await gateway.chat('exact', { max_tokens: 1 });
    await gateway.stop();
    assert.equal((await usageOf('last', 'true')).requests, 4);
  });

  test('the database goes away and comes back under load: each counts once', async () => {
    const gateway = await start('away');
    await gateway.chat('exact', { max_tokens: 1 });
    let running = true, made = 1;
    const load = Array.from({ length: 4 }, async () => {
      for (; running; ++made) {
        const answer = await gateway.chat('exact',
          { sim_prompt_tokens: 3, sim_completion_tokens: 2, stream: made % 2 === 0 });
        assert.equal(answer.status, 200, answer.text);
      }
    });
    const more = async (count) => {
      const until = made + count;
      await waitFor(`${count} more requests`, () => made >= until, 30_000);
    };
    for (let i = 0; i < 3; ++i) {
      await more(50);
      await postgres.down();
      await more(50);
      const away = await gateway.send('GET', '/admin/crashes');
      assert.equal(away.status, 503);
      assert.ok(Number(away.headers['retry-after']) >= 1);
      assert.deepEqual(Object.keys(away.json), ['detail']);
      await postgres.up();
    }
    await more(50);
    running = false;
    await Promise.all(load);
    const told = [await gateway.simMetric('exact', 'sim_prompt_tokens_total'),
      await gateway.simMetric('exact', 'sim_completion_tokens_total')];
    await waitFor('all is stored', async () =>
      (await usageOf('away', 'true')).requests === made, 30_000);
    assert.equal(await gateway.metric('signalbox_usage_dropped_total'), 0);
    assert.equal(await gateway.metric('signalbox_tokens_total',
      { model: 'exact', kind: 'completion' }), told[1]);
    await gateway.stop();
    assert.deepEqual(await usageOf('away', 'true'),
      { requests: made, successes: made, ...clean, prompt: told[0], completion: told[1] });
  });

  test('who reads the table for long holds up nothing', async () => {
    const gateway = await start('read');
    await postgres.query("SELECT usage_make_partition('2020-01-15')", 'read');
    // Today is believed only after days of use.
    const days = `(SELECT (now() AT TIME ZONE 'UTC')::date - n AS day
      FROM generate_series(0, 2) n) days`;
    await postgres.query(`SELECT usage_make_partition(day) FROM ${days}`, 'read');
    await postgres.query(`INSERT INTO usage_daily (day, key_id, client_id, model, source, requests,
        successes, errors, cancelled, prompt_tokens, completion_tokens, estimated, gpu_us, queue_us,
        last_seen, last_status)
      SELECT day, 'before', '', 'exact', 'realtime', 0, 0, 0, 0, 0, 0, 0, 0, 0, day, 'success'
      FROM ${days}`, 'read');
    const reader = postgres.session('read');
    await reader.run('BEGIN; SELECT count(*) FROM usage_daily');
    await gateway.chat('exact', { max_tokens: 1 });
    await waitFor('it is stored', async () => (await usageOf('read', 'true')).requests === 1);
    const report = await gateway.send('GET', '/v1/usage');
    assert.equal(report.status, 200, report.text);
    assert.ok(report.json.data.some((row) => row.requests === 1), report.text);
    await waitFor('the old partition stays', () =>
      /old partitions are dropped later: .*lock timeout/.test(gateway.log));
    await gateway.chat('exact', { max_tokens: 1 });
    await gateway.stop();
    assert.equal((await usageOf('read', 'true')).requests, 2);
    assert.doesNotMatch(gateway.log, /database is away|is lost/);
    await reader.close();
  });

  test('the database does not answer when the gateway is asked to stop: it stops', async () => {
    const gateway = await start('mute');
    const holder = postgres.session('mute');
    await holder.run('BEGIN; LOCK TABLE usage_daily');
    await gateway.chat('exact', { max_tokens: 1 });
    const resume = await postgres.suspendWaiting('mute');
    try {
      await gateway.stop(40_000);
    } finally {
      resume();
      await holder.close();
    }
    assert.match(gateway.log, /error.* usage is lost: the database did not take it within/);
  });

  test('the database is away when the gateway is asked to stop: it stops', async () => {
    const gateway = await start('gone');
    await gateway.chat('exact', { max_tokens: 1 });
    await postgres.down();
    await gateway.chat('exact', { max_tokens: 1 });
    await gateway.stop(40_000);
    await postgres.up();
  });
});
