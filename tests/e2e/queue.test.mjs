// The queue: order, deadlines, and what a waiting client receives.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { simModel, startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

describe('the queue', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    const one = { max_concurrent: 1, max_waiting: 5 };
    gateway = await startGateway({
      config: {
        server: { stream_comment_grace_s: 0.2, stream_comment_interval_s: 0.2 },
        models: [
          simModel('one', { 'decode-tps': 100 }, one),
          simModel('hasty', { 'decode-tps': 100 }, { ...one, queue_timeout_s: 0.6 }),
          simModel('busy', { 'decode-tps': 100 }, { max_concurrent: 3, max_waiting: 12 }),
          simModel('cold', { 'load-time': 1.5 }),
          upstream.model('scripted', one),
          simModel('colder', { 'load-time': 1.5 }, { expected_load_s: 40 }),
          simModel('coldest', { 'load-time': 0.2 }, { max_concurrent: 1 }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  // Occupies the only slot until it is closed.
  async function occupy(model) {
    const stream = await gateway.openChat(model, { max_tokens: 100_000 });
    await stream.next((block) => block.startsWith('data:'));
    return stream;
  }

  const waiting = (model, count) => waitFor(`${count} wait for ${model}`,
    async () => (await gateway.queue(model)).waiting === count);

  test('high before normal before low, and each in the order of arrival', async () => {
    const running = await occupy('one');
    const order = [], answers = [];
    for (const [i, priority] of ['low', 'normal', 'high', 'low', 'high'].entries()) {
      answers.push(gateway.chat('one', { max_tokens: 1 }, { headers: { 'x-priority': priority } })
        .then((answer) => {
          assert.equal(answer.status, 200);
          order.push(`${priority} ${i}`);
        }));
      await waiting('one', i + 1);
    }
    running.close();
    await Promise.all(answers);
    assert.deepEqual(order, ['high 2', 'high 4', 'normal 1', 'low 0', 'low 3']);
  });

  test('a full queue refuses at once, and tells when to come back', async () => {
    const running = await occupy('one');
    const answers = Array.from({ length: 5 }, () => gateway.chat('one', { max_tokens: 1 }));
    await waiting('one', 5);
    for (const stream of [false, true]) {
      const refusal = await gateway.chat('one', { stream });
      assert.equal(refusal.status, 503);
      assert.equal(refusal.json.error.code, 'queue_full');
      assert.match(refusal.headers['retry-after'], /^[1-9]\d*$/);
    }
    running.close();
    for (const answer of answers) assert.equal((await answer).status, 200);
    const stats = await gateway.queue('one');
    assert.deepEqual([stats.max_concurrent, stats.max_waiting], [1, 5]);
    assert.equal(await gateway.metric('signalbox_queue_depth', { model: 'one' }), 0);
  });

  test('X-Max-Wait-Seconds bounds the wait: 503', async () => {
    const running = await occupy('one');
    for (const seconds of ['0.2', '0']) {
      const answer = await gateway.chat('one', {}, { headers: { 'x-max-wait-seconds': seconds } });
      assert.equal(answer.status, 503);
      assert.equal(answer.json.error.code, 'queue_timeout');
      assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
      assert.equal((await gateway.queue('one')).waiting, 0);
    }
    running.close();
    await waitFor('it is idle', async () => (await gateway.queue('one')).processing === 0);
    const answer = await gateway.chat('one', { max_tokens: 1 },
      { headers: { 'x-max-wait-seconds': '0' } });
    assert.equal(answer.status, 200);
  });

  test('a waiting stream hears its position, then its events', async () => {
    const running = await occupy('one');
    const first = await gateway.openChat('one', { max_tokens: 3 });
    const second = await gateway.openChat('one', { max_tokens: 3 });
    assert.equal(second.status, 200);
    assert.ok(second.headers['x-request-id']);
    assert.equal(second.headers['x-selected-model'], 'one');
    assert.match(second.headers['content-type'], /^text\/event-stream/);
    const position = /^: queued position=(\d+) eta_s=\d+$/;
    assert.equal(position.exec(await first.next())[1], '1');
    assert.equal(position.exec(await second.next())[1], '2');
    assert.equal(position.exec(await first.next())[1], '1');
    running.close();
    for (const stream of [first, second]) {
      const { blocks, broken } = await stream.rest();
      assert.ok(!broken);
      assert.equal(blocks.at(-1), 'data: [DONE]');
      assert.equal(dataOf(blocks).filter((e) => e.choices[0].delta.content).length, 3);
      const comments = blocks.filter((block) => block.startsWith(':'));
      assert.ok(comments.every((comment) => position.test(comment)));
    }
  });

  test('a stream that waited too long is told inside the stream', async () => {
    const running = await occupy('hasty');
    const { blocks } = await (await gateway.openChat('hasty')).rest();
    assert.match(blocks[0], /^: queued position=1/);
    assert.equal(dataOf(blocks).length, 1);
    assert.equal(dataOf(blocks)[0].error.code, 'queue_timeout');
    const late = await gateway.chat('hasty');
    assert.equal(late.status, 503);
    assert.equal(late.json.error.code, 'queue_timeout');
    running.close();
    await waitFor('it is idle', async () => (await gateway.queue('hasty')).processing === 0);
    assert.equal((await gateway.queue('hasty')).total_timeout, 2);
  });

  for (const [what, answer, expected] of [
    ['an answer of many lines', plainAnswer('{\n  "usage": {"prompt_tokens": 5,\n  ' +
      '"completion_tokens": 2},\n "choices": []\n}'), { choices: [] }],
    ['a page of HTML', 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 16\r\n\r\n<html>\n\n</html>\n',
      undefined],
  ]) {
    test(`a waiting stream whose runtime sends ${what}`, async () => {
      let release;
      const held = new Promise((resolve) => { release = resolve; });
      upstream.answer = () => {
        const [socket] = [...upstream.sockets].slice(-1);
        held.then(() => socket.write(plainAnswer('{"usage":{"prompt_tokens":1}}')));
        return null;
      };
      const running = gateway.chat('scripted');
      await waitFor('it runs', async () => (await gateway.queue('scripted')).processing === 1);
      const stream = await gateway.openChat('scripted');
      assert.match(await stream.next(), /^: queued position=1/);
      upstream.answer = () => answer;
      release();
      const events = dataOf((await stream.rest()).blocks);
      assert.equal(events.length, 1);
      if (expected) assert.deepEqual(events[0], expected);
      else assert.equal(events[0].error.code, 'upstream_failed');
      await running;
      if (expected) {
        assert.equal(await gateway.metric('signalbox_tokens_total',
          { model: 'scripted', kind: 'prompt' }), 1 + 5);
      }
    });
  }

  test('clients that come and go at any moment leave nothing behind', async () => {
    const seed = (Math.random() * 2 ** 32) >>> 0;
    let state = seed;
    const random = (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const before = await gateway.queue('busy');
    const outcomes = { 200: 0, 503: 0, gone: 0 };
    const worker = async () => {
      for (let i = 0; i < 20; ++i) {
        const abort = new AbortController();
        const timer = setTimeout(() => abort.abort(), random(120));
        const fields = { max_tokens: 1 + random(8), stream: random(2) === 0 };
        await gateway.chat('busy', fields, { signal: abort.signal })
          .then(({ status }) => { ++outcomes[status]; }, () => { ++outcomes.gone; });
        clearTimeout(timer);
      }
    };
    await Promise.all(Array.from({ length: 24 }, worker));
    await waitFor(`all is quiet (seed ${seed})`, async () => {
      const { processing, waiting: still } = await gateway.queue('busy');
      return processing === 0 && still === 0 &&
        await gateway.simMetric('busy', 'sim_active') === 0 &&
        await gateway.metric('signalbox_in_flight', { model: 'busy' }) === 0;
    }, 2_000);
    assert.equal(outcomes[200] + outcomes[503] + outcomes.gone, 24 * 20, `seed ${seed}`);
    assert.ok(outcomes[200] > 0 && outcomes.gone > 0, JSON.stringify({ seed, ...outcomes }));
    const after = await gateway.queue('busy');
    assert.ok(after.total_processed - before.total_processed >= outcomes[200]);
    // Every permit that there ever was is still there.
    const all = await Promise.all(Array.from({ length: 3 }, () => occupy('busy')));
    await waitFor('all three run', async () => (await gateway.queue('busy')).processing === 3);
    for (const stream of all) stream.close();
  });

  test('a stream that waits for a load hears so, and is served', async () => {
    const stream = await gateway.openChat('cold', { max_tokens: 3 });
    const eta = /^: queued position=1 eta_s=(\d+)$/.exec(await stream.next())[1];
    assert.ok(eta >= 5 && eta <= 10, `${eta} s: most of the load that is expected is left`);
    assert.equal((await gateway.states()).cold, 'starting');
    const { blocks } = await stream.rest();
    assert.equal(blocks.at(-1), 'data: [DONE]');
    assert.equal((await gateway.states()).cold, 'ready');
    assert.equal(
      await gateway.metric('signalbox_model_loads_total', { model: 'cold', result: 'success' }), 1);
  });

  test('a cold model past the client\'s patience: 503, and it loads nevertheless', async () => {
    const headers = { 'x-max-wait-seconds': '0.3' };
    const refusal = await gateway.chat('colder', {}, { headers });
    assert.equal(refusal.status, 503);
    // The rest of the configured load time, not the minimum.
    const retryAfter = Number(refusal.headers['retry-after']);
    assert.ok(retryAfter >= 38 && retryAfter <= 42, `Retry-After: ${retryAfter}`);
    assert.equal((await gateway.states()).colder, 'starting');
    await waitFor('it loads for nobody else', async () =>
      (await gateway.states()).colder === 'ready');
    assert.equal((await gateway.chat('colder', { max_tokens: 1 }, { headers })).status, 200);
  });

  test('a client that would not wait at all gets the model loaded, and is served', async () => {
    const headers = { 'x-max-wait-seconds': '0' };
    const refusal = await gateway.chat('coldest', {}, { headers });
    assert.equal(refusal.status, 503);
    assert.equal(refusal.json.error.code, 'queue_timeout');
    await waitFor('it loads', async () => (await gateway.states()).coldest === 'ready');
    for (let i = 0; i < 20; ++i) { // on one shard or the other
      await waitFor('the unit is back', async () =>
        (await gateway.queue('coldest')).processing === 0);
      const answer = await gateway.chat('coldest', { max_tokens: 1 }, { headers });
      assert.equal(answer.status, 200);
    }
  });
});
