// Runtimes that close, die, hang or talk nonsense: the client hears the truth, the slot comes back,
// and the next request is served.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { simModel, startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
  'Connection: close\r\n\r\n';
const event = (text) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;
const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n';

describe('runtimes that misbehave', () => {
  let gateway, upstream;
  const heeding = { 'request-faults': true };
  const fault = (text) => ({ headers: { 'x-sim-fault': text } });
  const idle = (model) => waitFor(`${model} is idle`,
    async () => (await gateway.queue(model)).processing === 0, 2_000);

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: {
        server: { response_limit: '64KiB' },
        scheduling: { load_backoff_s: 0.05, load_backoff_max_s: 0.1, load_attempts: 100 },
        models: [
          simModel('demo', heeding),
          simModel('timed', heeding, { first_byte_timeout_s: 0.5, max_concurrent: 1 }),
          simModel('fragile', heeding, { max_concurrent: 1 }),
          upstream.model('scripted', { stream_idle_timeout_s: 0.5, max_concurrent: 1 }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  for (const stream of [false, true]) {
    test(`a ${stream ? 'stream' : 'request'} on a connection that was closed although kept`,
      async () => {
        const agent = new http.Agent({ keepAlive: true });
        const ask = async () => {
          const answer = await gateway.chat('demo', { max_tokens: 2, stream },
            { agent, ...fault('close_idle') });
          assert.equal(answer.status, 200, answer.text);
          if (stream) assert.ok(answer.text.endsWith('data: [DONE]\n\n'));
        };
        for (let i = 0; i < 200; ++i) await ask();
        await Promise.all(Array.from({ length: 8 }, async () => {
          for (let i = 0; i < 25; ++i) await ask();
        }));
        agent.destroy();
      });
  }

  test('a stream that is cut inside an event: what came, then an error', async () => {
    const stream = await gateway.openChat('demo', { max_tokens: 9 }, fault('half_chunk=4'));
    const { blocks } = await stream.rest();
    const events = dataOf(blocks);
    assert.equal(events.filter((e) => e.choices?.[0].delta.content).length, 4);
    assert.equal(events.at(-1).error.code, 'upstream_failed');
    assert.ok(!blocks.includes('data: [DONE]'));
    await idle('demo');
  });

  test('the client throws when its stream breaks', async () => {
    const stream = await gateway.client().chat.completions.create(
      { model: 'demo', messages: [{ role: 'user', content: 'x' }], stream: true },
      fault('half_chunk=2'));
    await assert.rejects(Array.fromAsync(stream), OpenAI.APIError);
  });

  for (const [text, reason] of [['die_midstream=3', 'crashed'], ['segfault', 'segfault'],
    ['oom', 'oom']]) {
    test(`${text}: recorded as ${reason}, and the next request is served`, async () => {
      await gateway.chat('fragile', { max_tokens: 1 });
      const [{ pid }] = gateway.runtimes('fragile');
      const known = (await gateway.crashes()).length;
      const died = await gateway.chat('fragile', { max_tokens: 9, stream: true }, fault(text));
      if (text.startsWith('die')) {
        const events = dataOf(died.text.split('\n\n'));
        assert.equal(events.filter((e) => e.choices).length, 3);
        assert.equal(events.at(-1).error.code, 'upstream_failed');
      } else {
        assert.equal(died.status, 502);
        assert.equal(died.json.error.code, 'upstream_failed');
      }
      const crashes = await waitFor('the crash is recorded', async () => {
        const list = await gateway.crashes();
        return list.length > known && list;
      });
      assert.equal(crashes.length, known + 1);
      assert.equal(crashes[0].model, 'fragile');
      assert.equal(crashes[0].reason, reason);
      assert.match(crashes[0].stack_trace, /simulated runtime: model fragile/);
      assert.ok(Math.abs(Date.now() - Date.parse(crashes[0].timestamp)) < 60_000);
      assert.ok(await gateway.metric('signalbox_crashes_total', { model: 'fragile', reason }) >= 1);
      await idle('fragile');
      const answer = await gateway.chat('fragile', { max_tokens: 1 });
      assert.equal(answer.status, 200, answer.text);
      assert.notEqual(gateway.runtimes('fragile')[0].pid, pid);
    });
  }

  test('a request that comes just when the runtime died waits for the next one', async () => {
    for (let i = 0; i < 15; ++i) {
      await gateway.chat('fragile', { max_tokens: 1 });
      assert.equal((await gateway.chat('fragile', {}, fault('segfault'))).status, 502);
      const answer = await gateway.chat('fragile', { max_tokens: 1 });
      assert.equal(answer.status, 200, answer.text); // nothing of it had been sent
    }
  });

  for (const stream of [false, true]) {
    test(`what is not HTTP: 502 for a ${stream ? 'stream' : 'request'}`, async () => {
      const answer = await gateway.chat('demo', { stream }, fault('garbage'));
      assert.equal(answer.status, 502);
      assert.equal(answer.json.error.code, 'upstream_failed');
      await idle('demo');
    });

    test(`no answer in time: 504 for a ${stream ? 'stream' : 'request'}`, async () => {
      const answer = await gateway.chat('timed', { stream }, fault('hang'));
      assert.equal(answer.status, 504);
      assert.equal(answer.json.error.code, 'upstream_timeout');
      await idle('timed');
      assert.equal((await gateway.chat('timed')).status, 200);
    });
  }

  for (const status of [400, 403, 404, 422, 429, 500, 503]) {
    test(`the runtime's ${status} stays one`, async () => {
      for (const stream of [false, true]) {
        const answer = await gateway.chat('demo', { stream }, fault(`status=${status}`));
        assert.equal(answer.status, status);
        assert.equal(answer.json.error.code, 'simulated');
      }
    });
  }

  test('an answer that is not JSON arrives as it is', async () => {
    const answer = await gateway.chat('demo', { max_tokens: 3 }, fault('bad_json'));
    assert.equal(answer.status, 200);
    assert.equal(answer.json, undefined);
    assert.match(answer.text, /^\{/);
  });

  test('the runtime\'s headers arrive, but for those that are not for the client', async () => {
    upstream.answer = () => plainAnswer('{}', 'X-Vendor: 1\r\nRetry-After: 7\r\n' +
      'Set-Cookie: a=b\r\nKeep-Alive: timeout=1\r\nX-Request-Id: theirs\r\n');
    const { headers } = await gateway.chat('scripted', {}, { headers: { 'x-request-id': 'mine' } });
    assert.equal(headers['x-vendor'], '1');
    assert.equal(headers['retry-after'], '7');
    assert.equal(headers['x-request-id'], 'mine');
    assert.equal(headers['set-cookie'], undefined);
    assert.notEqual(headers['keep-alive'], 'timeout=1');
  });

  test('an answer that is too large: 502', async () => {
    upstream.answer = () => plainAnswer(`{"x":"${'y'.repeat(100_000)}"}`);
    const answer = await gateway.chat('scripted');
    assert.equal(answer.status, 502);
    assert.equal(answer.json.error.code, 'upstream_response_too_large');
  });

  test('a stream that falls silent ends with an error', async () => {
    upstream.answer = () => streamHead + event('one');
    const events = dataOf((await (await gateway.openChat('scripted')).rest()).blocks);
    assert.equal(events.length, 2);
    assert.equal(events[1].error.code, 'upstream_timeout');
    await idle('scripted');
  });

  test('a stream without a length that ends before its last event is broken', async () => {
    upstream.answer = () => {
      setImmediate(() => [...upstream.sockets].at(-1).end(streamHead + event('one')));
      return null;
    };
    const events = dataOf((await (await gateway.openChat('scripted')).rest()).blocks);
    assert.equal(events.length, 2);
    assert.equal(events[1].error.code, 'upstream_failed');
    await idle('scripted');
  });

  test('a request that kills its runtime slowly is not sent twice', async () => {
    upstream.answer = () => plainAnswer();
    await gateway.chat('scripted'); // so that there is a connection to be used again
    const before = upstream.requests.length;
    upstream.answer = () => {
      setTimeout(() => [...upstream.sockets].at(-1).destroy(), 1_200);
      return null;
    };
    const answer = await gateway.chat('scripted');
    assert.equal(answer.status, 502);
    assert.equal(upstream.requests.length, before + 1);
    upstream.answer = () => plainAnswer();
    await idle('scripted');
  });

  for (const end of ['\n', '\r\n']) {
    test(`events in single bytes, lines ending in ${JSON.stringify(end)}`, async () => {
      const text = `: hello\n\n${event('one')}event: x\nid: 7\n${event('t\u00e4o')}${usage}` +
        'data: [DONE]\n\n';
      const bytes = Buffer.from(text.replaceAll('\n', end));
      upstream.answer = () => {
        const [socket] = [...upstream.sockets].slice(-1);
        socket.setNoDelay(true);
        socket.write(streamHead);
        let at = 0;
        const step = () => {
          if (at === bytes.length) return socket.end();
          socket.write(bytes.subarray(at, ++at));
          return setImmediate(step);
        };
        step();
        return null;
      };
      const read = async (fields) =>
        (await gateway.chat('scripted', { stream: true, ...fields })).text;
      assert.equal(await read({ stream_options: { include_usage: true } }), bytes.toString());
      assert.equal(await read({}), text.replace(usage, '').replaceAll('\n', end));
    });
  }
});
