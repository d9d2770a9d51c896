// Runtimes that hang, are killed or go away: it is found, said as what it was, and served again.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { simModel, startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const verdictBoundMs = 25_000; // three checks of two seconds, on a busy machine

describe('runtimes that hang or are killed', () => {
  const impatient = { first_byte_timeout_s: 0.5, stream_idle_timeout_s: 0.5, max_concurrent: 2 };
  const gpu = { gpu: { memory: '16GiB' } };
  let gateway;

  before(async () => {
    gateway = await startGateway({
      config: {
        server: { stream_comment_grace_s: 0.3, stream_comment_interval_s: 0.5 },
        gpus: [{ memory: '24GiB' }],
        scheduling: {
          min_residency_s: 0.2, max_swap_wait_s: 0.5, load_backoff_s: 0.2,
          load_backoff_max_s: 0.5, load_attempts: 100,
        },
        models: [
          simModel('hung', {}, impatient),
          simModel('slow', { 'request-faults': true }, impatient),
          simModel('killed'),
          simModel('stubborn', { fault: 'ignore_term' }, { idle_unload_s: 0.3, stop_grace_s: 0.3 }),
          simModel('never', { 'load-time': 600 }, { start_timeout_s: 0.5 }),
          simModel('first', { 'decode-tps': 50 },
            { ...impatient, ...gpu, drain_timeout_s: 60, stop_grace_s: 60 }),
          simModel('second', {}, { ...gpu, expected_load_s: 1 }),
        ],
      },
    });
  });
  after(() => gateway.stop());

  const pidOf = (model) => gateway.runtimes(model)[0].pid;
  const crashOf = (model) => waitFor(`a crash of ${model} is recorded`,
    async () => (await gateway.crashes()).find((crash) => crash.model === model), verdictBoundMs);

  test('one that was stopped is killed, recorded and started again; who waits is served',
    async () => {
      await gateway.chat('hung', { max_tokens: 1 });
      const pid = pidOf('hung');
      process.kill(pid, 'SIGSTOP');
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => gateway.chat('hung', { max_tokens: 1 })));
      const served = answers.filter(({ status }) => status === 200);
      const late = answers.filter(({ status }) => status === 504);
      assert.equal(served.length + late.length, answers.length);
      // Two deadlines pass, and two more may be under way by then.
      assert.ok(late.length >= 2 && late.length <= 4, `${late.length} were late`);
      const crash = await crashOf('hung');
      assert.equal(crash.reason, 'hung');
      assert.match(crash.error,
        /^hung: \d+ deadlines passed in a row without a byte, and GET \/health on port \d+ /);
      assert.match(crash.error, / was not answered in 2 s$/);
      assert.match(crash.stack_trace, /simulated runtime: model hung/);
      assert.notEqual(pidOf('hung'), pid);
      assert.equal(
        await gateway.metric('signalbox_crashes_total', { model: 'hung', reason: 'hung' }), 1);
      assert.equal((await gateway.states()).hung, 'ready');
    });

  test('one that is only slow is left alone', async () => {
    await gateway.chat('slow', { max_tokens: 1 });
    const pid = pidOf('slow');
    const slow = { headers: { 'x-sim-fault': 'slow_first_byte=1' } };
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => gateway.chat('slow', { max_tokens: 1 }, slow)));
    assert.ok(answers.every(({ status }) => status === 504));
    assert.equal((await gateway.chat('slow', { max_tokens: 1 })).status, 200);
    assert.equal(pidOf('slow'), pid);
    assert.ok((await gateway.crashes()).every(({ model }) => model !== 'slow'));
  });

  test('kill -9 from outside is no want of memory', async () => {
    await gateway.chat('killed', { max_tokens: 1 });
    process.kill(pidOf('killed'), 'SIGKILL');
    const crash = await crashOf('killed');
    assert.equal(crash.reason, 'killed');
    assert.equal(crash.error, 'killed: signal 9 (SIGKILL), which the gateway did not send');
    assert.equal((await gateway.chat('killed', { max_tokens: 1 })).status, 200);
  });

  test('a kill after the grace is said as one', async () => {
    await gateway.chat('stubborn', { max_tokens: 1 });
    await waitFor('the log tells of it', () =>
      /model stubborn: runtime 1 ended as asked: killed, as it did not end within 0\.3 s/
        .test(gateway.log));
  });

  test('a load that fails says what was tried and what answered', async () => {
    const refusal = await gateway.chat('never', {}, { headers: { 'x-max-wait-seconds': '1' } });
    assert.equal(refusal.status, 503);
    const { reason, error } = await crashOf('never');
    assert.equal(reason, 'start_timeout');
    assert.match(error,
      /^start_timeout: not ready in 0\.5 s: nothing answered GET \/health on port \d+ \(/);
  });

  test('a swap behind one that was stopped waits for no timeout, and its estimate grows',
    async () => {
      const running = await Promise.all(
        [1, 2].map(() => gateway.openChat('first', { max_tokens: 100_000 })));
      for (const stream of running) await stream.next((block) => block.startsWith('data:'));
      process.kill(pidOf('first'), 'SIGSTOP');
      const waiting = await gateway.openChat('second', { max_tokens: 2 });
      for (const stream of running) {
        const { blocks } = await stream.rest();
        assert.equal(dataOf(blocks).at(-1).error.code, 'upstream_timeout');
      }
      const { blocks } = await waiting.rest();
      assert.equal(blocks.at(-1), 'data: [DONE]');
      const etas = blocks.map((block) => /^: queued position=1 eta_s=(\d+)$/.exec(block)?.[1])
        .filter(Boolean).map(Number);
      assert.ok(etas[0] <= 2, `${etas}`);
      assert.ok(Math.max(...etas) >= 4, `${etas}`);
      assert.equal((await crashOf('first')).reason, 'hung');
    });
});

describe('a server that somebody else runs', () => {
  const once = () => plainAnswer(undefined, 'Connection: close\r\n');
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start(once);
    gateway = await startGateway({
      config: {
        models: [
          upstream.model('outside'),
          { name: 'absent', driver: 'external', endpoint: 'http://127.0.0.1:1' },
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  async function refusedSoon(model) {
    const began = performance.now();
    const refusal = await gateway.chat(model);
    assert.ok(performance.now() - began < 2_000, 'within a second, on a machine that is free');
    assert.equal(refusal.status, 503, refusal.text);
    assert.equal(refusal.json.error.code, 'model_failed');
    assert.match(refusal.headers['retry-after'], /^[1-9]\d*$/);
  }

  test('that went away: 503 within a second, and who said so waits until it is back', async () => {
    assert.equal((await gateway.chat('outside')).status, 200);
    upstream.stop();
    await refusedSoon('outside');
    assert.equal((await gateway.states()).outside, 'failed');
    const patient = gateway.chat('outside', {}, { headers: { 'x-max-wait-seconds': '25' } });
    await waitFor('it waits', async () => (await gateway.queue('outside')).waiting === 1);
    await refusedSoon('outside');
    assert.equal((await gateway.queue('outside')).waiting, 1);
    upstream = await Upstream.start(once, { port: upstream.port });
    assert.equal((await patient).status, 200);
    assert.equal((await gateway.chat('outside')).status, 200);
    assert.equal((await gateway.states()).outside, 'ready');
  });

  test('that was never there', async () => {
    await waitFor('it is seen to fail', async () => (await gateway.states()).absent === 'failed');
    await refusedSoon('absent');
    const late = await gateway.chat('absent', {}, { headers: { 'x-max-wait-seconds': '0.3' } });
    assert.equal(late.status, 503);
    assert.equal(late.json.error.code, 'queue_timeout');
    assert.deepEqual(await gateway.crashes().then((all) => all.map(({ model }) => model)),
      ['outside']);
  });
});
