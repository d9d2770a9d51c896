// The official clients from npm: what they are asked for arrives, and what goes wrong reaches them
// as an error of theirs that tells why.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, startGateway } from './harness/gateway.mjs';
import { npmClients } from './harness/npm-clients.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const realtimeKey = 'sk-test-realtime-only', batchKey = 'sk-test-batch-only-key';
const boundMs = 5_000;
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const streamed = (type, parts) => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n` +
  `Transfer-Encoding: chunked\r\n\r\n${parts.map(chunk).join('')}`;
const lastChunk = chunk('');
const refusal = (status, body) => plainAnswer(JSON.stringify(body)).replace('200', String(status));

const dies = Symbol('dies'), held = Symbol('held');

// A runtime that answers the next requests in order; the last one for all others. Returns how to
// wait for each request: its head, body and connection, and the end of that.
function scriptOf(upstream, answers) {
  const taken = answers.map(() => Promise.withResolvers());
  let next = 0;
  upstream.answer = (head, body, socket) => {
    const at = Math.min(next++, answers.length - 1);
    const closed = new Promise((resolve) => { socket.on('close', resolve); });
    socket.setNoDelay(true);
    taken[at].resolve({ head, body, socket, closed });
    if (answers[at] === dies) socket.destroy();
    return typeof answers[at] === 'string' ? answers[at] : null;
  };
  return taken.map(({ promise }) => () => within(boundMs, 'the runtime is asked', promise));
}

// Each client has a runtime of its own, so that they run side by side, and two models of that.
const plainOf = ({ name }) => name.replaceAll(/\W+/g, '-');
const narrowOf = (npm) => `narrow-${plainOf(npm)}`;

describe('the official clients', { concurrency: true }, () => {
  const upstreams = new Map();
  let gateway;

  before(async () => {
    for (const npm of npmClients) upstreams.set(npm, await Upstream.start());
    const models = [...upstreams].flatMap(([npm, upstream]) =>
      [upstream.model(plainOf(npm)), upstream.model(narrowOf(npm), { max_concurrent: 1 })]);
    gateway = await startGateway({
      config: {
        server: { shards: 1, stream_comment_grace_s: 1 },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'realtime', token: realtimeKey, scopes: ['realtime'] },
          { id: 'batch', token: batchKey, scopes: ['batch'] },
        ],
        models,
      },
    });
  });
  after(async () => {
    await gateway.stop();
    for (const upstream of upstreams.values()) upstream.stop();
  });

  const queueIs = (model, wanted) => waitFor(`${model} has ${JSON.stringify(wanted)}`, async () => {
    const now = await gateway.queue(model);
    return Object.entries(wanted).every(([name, value]) => now[name] === value);
  }, boundMs);

  for (const npm of npmClients) {
    const { name, route, parts, type, statusOf, comments } = npm;
    const plain = plainOf(npm), narrow = narrowOf(npm);
    const make = (options) => npm.make({ base: gateway.base, key: realtimeKey, ...options });
    const script = (...answers) => scriptOf(upstreams.get(npm), answers);
    const whole = plainAnswer(JSON.stringify(npm.whole));
    const stream = streamed(type, parts) + lastChunk;
    // The error, and the pieces that came before.
    const failureOf = async (client, isStream, model, signal) => {
      const got = [];
      try {
        if (!isStream) await client.chat(model, signal);
        else for await (const piece of client.stream(model, signal)) got.push(piece);
      } catch (error) {
        return { error, got };
      }
      return assert.fail(`no error, but ${JSON.stringify(got)}`);
    };

    // Another request runs at `narrow` until goOn(); the next one there gets the answer.
    async function whileBusy(answer, during) {
      const [first] = script(held, answer);
      const running = make().chat(narrow);
      const { socket } = await first();
      try {
        await during(() => socket.write(whole));
        assert.equal(await running, 'Hello there');
      } finally {
        running.catch(() => {});
        socket.destroy();
      }
    }

    describe(name, { concurrency: false }, () => {
      test('chat', async () => {
        const [request] = script(whole);
        assert.equal(await make().chat(plain), 'Hello there');
        const { head, body } = await request();
        assert.equal(head.split(/[ ?]/)[1], route);
        assert.equal(JSON.parse(body).model, plain);
        assert.doesNotMatch(head, /realtime-only/); // the key
      });

      test('a stream, piece by piece', async () => {
        const [request] = script(streamed(type, parts.slice(0, 1)));
        const pieces = make().stream(plain);
        assert.equal((await within(boundMs, 'a piece', pieces.next())).value, 'Hello');
        (await request()).socket.write(chunk(parts[1]));
        assert.equal((await within(boundMs, 'a piece', pieces.next())).value, ' there');
        (await request()).socket.write(chunk(parts[2]) + lastChunk);
        assert.equal((await within(boundMs, 'the end', pieces.next())).done, true);
      });

      for (const isStream of [false, true]) {
        const kind = isStream ? 'a stream' : 'a request';
        for (const [what, status, words, model, key, answer] of [
          ['a key that there is not', 401, /not valid/, plain, 'sk-wrong'],
          ['a key without the scope', 403, /scope/, plain, batchKey],
          ['a model that there is not', 404, /'nobody' does not exist/, 'nobody', realtimeKey],
          ['what the runtime refuses', 400, /not with me/, plain, realtimeKey,
            refusal(400, npm.failure('not with me'))],
          ['a runtime that is too busy', 429, /not now/, plain, realtimeKey,
            refusal(429, npm.failure('not now'))],
          ['a runtime that fails', 500, /no memory/, plain, realtimeKey,
            refusal(500, npm.failure('no memory'))],
          ['a runtime that dies', 502, /closed the connection/, plain, realtimeKey, dies],
        ]) {
          test(`${status} for ${kind}: ${what}`, async () => {
            script(answer);
            const { error, got } = await failureOf(make({ key }), isStream, model);
            assert.equal(statusOf(error), status, String(error));
            assert.match(error.message, words);
            assert.deepEqual(got, []);
          });
        }

        test(`${kind} that is aborted stops at the runtime`, async () => {
          const [request] = script(isStream ? streamed(type, parts.slice(0, 1)) : held);
          const abort = new AbortController();
          const failed = failureOf(make(), isStream, plain, abort.signal).catch(() => {});
          const { closed } = await request();
          abort.abort();
          await within(boundMs, 'the runtime sees its connection closed', closed);
          await failed; // some clients only end their stream
          await queueIs(plain, { processing: 0 });
        });

        test(`${kind} that is aborted while it waits leaves the queue`, () =>
          whileBusy(whole, async (goOn) => {
            const abort = new AbortController();
            const failed = failureOf(make(), isStream, narrow, abort.signal).catch(() => {});
            await queueIs(narrow, { waiting: 1 });
            abort.abort();
            await failed;
            await queueIs(narrow, { waiting: 0, processing: 1 });
            goOn();
          }));
      }

      test('an error that the runtime tells within a stream', async () => {
        const words = 'out of paper';
        script(streamed(type, [parts[0], npm.failedPart(words)]) + lastChunk);
        const { error, got } = await failureOf(make(), true, plain);
        assert.match(error.message, /out of paper/);
        assert.deepEqual(got, ['Hello']);
      });

      test('a runtime that dies within a stream', async () => {
        const [request] = script(streamed(type, parts.slice(0, 1)));
        const pieces = make().stream(plain);
        assert.equal((await within(boundMs, 'a piece', pieces.next())).value, 'Hello');
        (await request()).socket.destroy();
        await assert.rejects(within(boundMs, 'the error', pieces.next()),
          /closed the connection before its answer was complete/);
      });

      // A client whose stream waits behind another request, and what the runtime then answers.
      const afterWait = (answer, check) => whileBusy(answer, async (goOn) => {
        const begun = Promise.withResolvers();
        const checked = check(make({
          fetch: async (...args) => {
            const got = await fetch(...args);
            begun.resolve(got.status);
            return got;
          },
        }));
        await queueIs(narrow, { waiting: 1 });
        if (comments) {
          assert.equal(await within(boundMs, 'a comment begins the stream', begun.promise), 200);
        }
        goOn();
        await checked;
      });

      test('a stream that waits', () => afterWait(stream, async (client) => {
        assert.deepEqual(await Array.fromAsync(client.stream(narrow)), ['Hello', ' there']);
      }));

      for (const [what, answer, words, status] of [
        ['refuses it', refusal(400, npm.failure('not with me')), /not with me/, 400],
        ['dies', dies, /closed the connection/, 502],
      ]) {
        test(`a stream that waits for a runtime that ${what}`, () =>
          afterWait(answer, async (client) => {
            const { error, got } = await failureOf(client, true, narrow);
            assert.match(error.message, words);
            assert.deepEqual(got, []);
            if (!comments) assert.equal(statusOf(error), status);
          }));
      }

      if (npm.isAnthropic) test('counts tokens, and puts a stream together', async () => {
        const { client } = make();
        const wish = { model: plain, messages: [{ role: 'user', content: 'hi' }] };
        const [counted] = script(plainAnswer('{"input_tokens":3}'), stream);
        assert.equal((await client.messages.countTokens(wish)).input_tokens, 3);
        assert.match((await counted()).head, /^POST \/v1\/messages\/count_tokens /);
        const message = await client.messages.stream({ ...wish, max_tokens: 10 }).finalMessage();
        assert.equal(message.content[0].text, 'Hello there');
        assert.equal(message.stop_reason, 'end_turn');
        assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [3, 2]);
      });

      if (npm.isOllama) test('lists models, and embeds', async () => {
        const { client } = make();
        const names = (await client.list()).models.map((model) => model.name);
        assert.ok(names.includes(plain) && names.includes(narrow), names.join());
        assert.match((await client.version()).version, /^\d+\.\d+/);
        const [asked] = script(plainAnswer('{"model":"m","embeddings":[[0.5,1]]}'));
        const { embeddings } = await client.embed({ model: plain, input: 'hi' });
        assert.deepEqual(embeddings, [[0.5, 1]]);
        assert.match((await asked()).head, /^POST \/api\/embed /);
      });
    });
  }
});
