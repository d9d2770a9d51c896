// Models that share a GPU, fail to start, or are not needed any more.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const oneGpu = { gpu: { memory: '16GiB' } };

describe('models on one GPU', () => {
  let gateway;

  before(async () => {
    gateway = await startGateway({
      config: {
        gpus: [{ memory: '24GiB' }],
        scheduling: {
          min_residency_s: 0.2, max_swap_wait_s: 0.5, load_attempts: 2, load_backoff_s: 0.1,
          load_backoff_max_s: 0.2,
        },
        models: [
          simModel('a', { 'load-time': 0.2, 'decode-tps': 50 }, { ...oneGpu, max_concurrent: 1 }),
          simModel('b', { 'load-time': 0.2, 'decode-tps': 50 }, { ...oneGpu, max_concurrent: 1 }),
          simModel('broken', { fault: 'fail_start' }, oneGpu),
          simModel('late', { 'load-time': 600 },
            { ...oneGpu, start_timeout_s: 0.5, expected_load_s: 0.1 }),
        ],
      },
    });
  });
  after(() => gateway.stop());

  // Sent one after the other, so that the order of arrival is known.
  async function arrive(model, name, done) {
    const known = async () => {
      const { processing, waiting, total_processed: processed } = await gateway.queue(model);
      return processing + waiting + processed;
    };
    const before = await known();
    const answer = gateway.chat(model, { max_tokens: 3 }).then(({ status, text }) => {
      assert.equal(status, 200, text);
      done[model].push(name);
    });
    await waitFor(`${model} has it`, async () => await known() > before);
    return answer;
  }

  // A swap fits between two looks at /proc. A runtime that was there before and after the look at
  // the other was there with it.
  function bothRun() {
    const pids = (model) => gateway.runtimes(model).map(({ pid }) => pid);
    const before = pids('a');
    if (before.length === 0 || pids('b').length === 0) return false;
    const after = pids('a');
    return before.some((pid) => after.includes(pid));
  }

  test('requests for two models that do not fit together are all served, in order', async () => {
    const sequence = [...'abaabbabaababbab'];
    const done = { a: [], b: [] }, answers = [];
    let watching = true, together = 0, looks = 0;
    const watch = (async () => {
      for (; watching; ++looks) {
        if (bothRun()) ++together;
        await pause(2);
      }
    })();
    for (const [i, model] of sequence.entries()) answers.push(await arrive(model, i, done));
    await Promise.all(answers);
    watching = false;
    await watch;
    assert.ok(looks > 10);
    assert.equal(together, 0, 'both held the GPU');
    for (const model of ['a', 'b']) {
      assert.deepEqual(done[model], sequence.flatMap((m, i) => (m === model ? [i] : [])));
    }
    assert.ok(await gateway.metric('signalbox_swaps_total') >= 1);
    assert.equal(await gateway.metric('signalbox_lease_holders', { gpu: '0' }), 1);
    assert.equal(await gateway.metric('signalbox_lease_bytes', { gpu: '0' }), 16 * 2 ** 30);
  });

  for (const [model, reason] of [['broken', 'start_failed'], ['late', 'start_timeout']]) {
    test(`a model that never starts (${reason}) is refused and is in nobody's way`, async () => {
      const failing = gateway.chat(model);
      for (const other of ['a', 'b']) {
        assert.equal((await gateway.chat(other, { max_tokens: 1 })).status, 200);
      }
      const refusal = await failing;
      assert.equal(refusal.status, 503);
      assert.equal(refusal.json.error.code, 'model_failed');
      assert.match(refusal.headers['retry-after'], /^[1-9]\d*$/);
      const crash = await waitFor('the failure is recorded',
        async () => (await gateway.crashes()).find((c) => c.model === model));
      assert.equal(crash.reason, reason);
      const { status, json } = await gateway.send('GET', '/health');
      assert.equal(status, 200);
      assert.equal(json.status, 'degraded');
      await waitFor('nothing of it runs', () => gateway.runtimes(model).length === 0);
    });
  }
});

describe('a model that nobody waits for', () => {
  let gateway;

  before(async () => {
    gateway = await startGateway({
      config: {
        gpus: [{ memory: '24GiB' }],
        scheduling: { min_residency_s: 0.1, max_swap_wait_s: 0.2 },
        models: [
          simModel('warm', { 'decode-tps': 50 }, oneGpu),
          simModel('cold', {}, oneGpu),
        ],
      },
    });
  });
  after(() => gateway.stop());

  test('a client that would not wait takes the GPU from no other model', async () => {
    assert.equal((await gateway.chat('warm', { max_tokens: 1 })).status, 200);
    const [runtime] = gateway.runtimes('warm');
    const refusal = await gateway.chat('cold', {}, { headers: { 'x-max-wait-seconds': '0' } });
    assert.equal(refusal.status, 503);
    assert.equal(refusal.json.error.code, 'queue_timeout');
    await waitFor('it asked for the GPU, and has given up', () =>
      /model cold: awaiting_lease[^]*model cold: stopped/.test(gateway.log));
    assert.equal((await gateway.states()).warm, 'ready');
    assert.equal(await gateway.metric('signalbox_swaps_total'), 0);
    assert.equal((await gateway.chat('warm', { max_tokens: 1 })).status, 200);
    assert.equal(gateway.runtimes('warm')[0].pid, runtime.pid);
    const patient = await gateway.chat('cold', { max_tokens: 1 });
    assert.equal(patient.status, 200, 'one that waits does');
  });
});

describe('models that are not needed any more', () => {
  let gateway;

  before(async () => {
    const soon = { idle_unload_s: 0.3, stop_grace_s: 0.3 };
    gateway = await startGateway({
      config: {
        models: [
          simModel('plain', {}, soon),
          simModel('leaves-child', { fault: 'leave_child' }, soon),
          simModel('ignores-term', { fault: 'ignore_term' }, soon),
          simModel('aborts', { fault: 'abort_on_term' }, soon),
          simModel('kept', {}, { idle_unload_s: 0 }),
          simModel('pinned', {}, { residency: 'pinned', idle_unload_s: 0.3 }),
        ],
      },
    });
  });
  after(() => gateway.stop());

  for (const model of ['plain', 'leaves-child', 'ignores-term', 'aborts']) {
    test(`${model}: unloaded when idle, no process left, and back on request`, async () => {
      for (let i = 0; i < 2; ++i) {
        assert.equal((await gateway.chat(model, { max_tokens: 1 })).status, 200);
        assert.ok(gateway.runtimes(model).length > 0);
        await waitFor('it is unloaded', async () => (await gateway.states())[model] === 'stopped');
        assert.deepEqual(gateway.runtimes(model), []);
      }
      const crashes = (await gateway.crashes()).filter((crash) => crash.model === model);
      assert.deepEqual(crashes, [], 'it was asked to stop');
    });
  }

  test('what is used is not unloaded, and what is kept stays', async () => {
    assert.equal((await gateway.chat('kept', { max_tokens: 1 })).status, 200);
    const [kept] = gateway.runtimes('kept'), [pinned] = gateway.runtimes('pinned');
    assert.ok(pinned, 'a pinned model needs no request');
    // Another model's whole life passes meanwhile.
    await gateway.chat('plain', { max_tokens: 1 });
    await waitFor('unloaded', async () => (await gateway.states()).plain === 'stopped');
    assert.equal(gateway.runtimes('kept')[0].pid, kept.pid);
    assert.equal(gateway.runtimes('pinned')[0].pid, pinned.pid);
  });
});
