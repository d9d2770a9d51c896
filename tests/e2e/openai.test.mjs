// The official client, against a model that is served through a queue.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const realtimeKey = 'sk-test-realtime-only', batchKey = 'sk-test-batch-only-key';
const messages = [{ role: 'user', content: 'three short words' }];

describe('the openai client', () => {
  let gateway, client;

  before(async () => {
    gateway = await startGateway({
      config: {
        server: { body_limit: '64KiB' },
        keys: [
          { id: 'administrator', token: adminKey, scopes: ['admin'] },
          { id: 'realtime', token: realtimeKey, scopes: ['realtime'] },
          { id: 'batch', token: batchKey, scopes: ['batch'] },
        ],
        models: [
          simModel('demo', {}, { aliases: ['org/demo-4b'] }),
          simModel('slow', { 'decode-tps': 20 }),
          simModel('narrow', { 'decode-tps': 20 }, { max_concurrent: 1, max_waiting: 1 }),
        ],
      },
    });
    client = gateway.client({ apiKey: realtimeKey });
  });
  after(() => gateway.stop());

  // Waits until neither the runtime nor the queue knows of a running request.
  const quiet = (model, boundMs = 1_000) => waitFor(`${model} is idle`, async () => {
    const { processing, waiting } = await gateway.queue(model);
    return processing === 0 && waiting === 0 && await gateway.simMetric(model, 'sim_active') === 0;
  }, boundMs);

  test('chat', async () => {
    const answer = await client.chat.completions.create({ model: 'demo', messages, max_tokens: 5 });
    assert.equal(answer.object, 'chat.completion');
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.ok(answer.choices[0].message.content.length > 0);
    assert.deepEqual(answer.usage, { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 });
  });

  test('chat by an alias', async () => {
    const answer = await client.chat.completions
      .create({ model: 'org/demo-4b', messages, max_tokens: 5 }).withResponse();
    assert.equal(answer.response.headers.get('x-selected-model'), 'demo');
    assert.equal(answer.data.usage.completion_tokens, 5);
  });

  test('chat, streamed; no usage unless asked for', async () => {
    const stream = await client.chat.completions
      .create({ model: 'demo', messages, max_tokens: 7, stream: true });
    let text = 0, finish;
    for await (const chunk of stream) {
      assert.equal(chunk.usage, undefined);
      assert.equal(chunk.choices.length, 1);
      if (chunk.choices[0].delta.content) ++text;
      finish = chunk.choices[0].finish_reason ?? finish;
    }
    assert.equal(text, 7);
    assert.equal(finish, 'length');
  });

  test('chat, streamed, with usage', async () => {
    const stream = await client.chat.completions.create({
      model: 'demo', messages, max_tokens: 7, stream: true, stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    const withUsage = chunks.filter((chunk) => chunk.usage);
    assert.equal(withUsage.length, 1);
    assert.equal(withUsage[0], chunks.at(-1));
    assert.deepEqual(withUsage[0].choices, []);
    assert.equal(withUsage[0].usage.completion_tokens, 7);
  });

  test('the helper that puts a stream together', async () => {
    const stream = client.chat.completions.stream({ model: 'demo', messages, max_tokens: 4 });
    const whole = await stream.finalChatCompletion();
    assert.equal(whole.choices[0].message.role, 'assistant');
  });

  test('completions, streamed and not', async () => {
    const request = { model: 'demo', prompt: 'a prompt', max_tokens: 3 };
    const answer = await client.completions.create(request);
    assert.equal(answer.object, 'text_completion');
    assert.equal(answer.usage.completion_tokens, 3);
    const stream = await client.completions.create({ ...request, stream: true });
    const chunks = await Array.fromAsync(stream);
    const text = chunks.map((chunk) => chunk.choices[0].text).join('');
    assert.equal(text, answer.choices[0].text);
  });

  test('embeddings', async () => {
    const input = ['one text', 'another text'];
    const answer = await client.embeddings
      .create({ model: 'demo', input, encoding_format: 'float' });
    assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
    assert.ok(answer.data.every((item) => item.embedding.length === 64));
    assert.equal(answer.usage.prompt_tokens, 4);
  });

  test('models', async () => {
    const names = (await Array.fromAsync(client.models.list())).map((model) => model.id);
    assert.deepEqual(names, ['demo', 'slow', 'narrow']);
    assert.equal((await client.models.retrieve('demo')).id, 'demo');
    assert.equal((await client.models.retrieve('org/demo-4b')).id, 'demo');
    await assert.rejects(client.models.retrieve('nobody'), OpenAI.NotFoundError);
  });

  test('a stream that is aborted stops at the runtime', async () => {
    const before = gateway.runtimes('slow').length > 0
      ? await gateway.simMetric('slow', 'sim_cancelled_total') : 0;
    const stream = await client.chat.completions
      .create({ model: 'slow', messages, max_tokens: 10_000, stream: true });
    await stream[Symbol.asyncIterator]().next();
    await waitFor('it runs', async () => (await gateway.queue('slow')).processing === 1);
    stream.controller.abort();
    await quiet('slow');
    assert.equal(await gateway.simMetric('slow', 'sim_cancelled_total'), before + 1);
  });

  test('a request that is aborted stops at the runtime', async () => {
    await client.chat.completions.create({ model: 'slow', messages, max_tokens: 1 });
    const before = await gateway.simMetric('slow', 'sim_cancelled_total');
    const abort = new AbortController();
    const answer = client.chat.completions
      .create({ model: 'slow', messages, max_tokens: 10_000 }, { signal: abort.signal });
    const refused = assert.rejects(answer, OpenAI.APIUserAbortError);
    await waitFor('it runs', async () => await gateway.simMetric('slow', 'sim_active') === 1);
    abort.abort();
    await refused;
    await quiet('slow');
    assert.equal(await gateway.simMetric('slow', 'sim_cancelled_total'), before + 1);
  });

  for (const stream of [false, true]) {
    test(`a ${stream ? 'stream' : 'request'} that is aborted while it waits leaves the queue`,
      async () => {
        const running = await client.chat.completions
          .create({ model: 'narrow', messages, max_tokens: 10_000, stream: true });
        await running[Symbol.asyncIterator]().next();
        const abort = new AbortController();
        const refused = assert.rejects(client.chat.completions.create(
          { model: 'narrow', messages, max_tokens: 1, stream }, { signal: abort.signal }));
        await waitFor('it waits', async () => (await gateway.queue('narrow')).waiting === 1);
        abort.abort();
        await refused;
        await waitFor('it left', async () => (await gateway.queue('narrow')).waiting === 0, 1_000);
        assert.equal((await gateway.queue('narrow')).processing, 1);
        running.controller.abort();
        await quiet('narrow');
      });
  }

  test('a full queue: 503 with Retry-After, and the client\'s own retry succeeds', async () => {
    const running = await client.chat.completions
      .create({ model: 'narrow', messages, max_tokens: 10_000, stream: true });
    await running[Symbol.asyncIterator]().next();
    const waiting = client.chat.completions.create({ model: 'narrow', messages, max_tokens: 1 });
    await waitFor('one waits', async () => (await gateway.queue('narrow')).waiting === 1);

    const refusal = await client.chat.completions
      .create({ model: 'narrow', messages, max_tokens: 1 }).catch((error) => error);
    assert.ok(refusal instanceof OpenAI.InternalServerError);
    assert.equal(refusal.status, 503);
    assert.equal(refusal.code, 'queue_full');
    assert.ok(Number(refusal.headers.get('retry-after')) >= 1);

    let refusals = 0;
    const counting = gateway.client({
      apiKey: realtimeKey,
      maxRetries: 5,
      fetch: async (...args) => {
        const response = await fetch(...args);
        if (response.status === 503 && ++refusals === 1) running.controller.abort();
        return response;
      },
    });
    const answer = await counting.chat.completions
      .create({ model: 'narrow', messages, max_tokens: 2 });
    assert.equal(answer.usage.completion_tokens, 2);
    assert.ok(refusals >= 1);
    await waiting;
  });

  const errors = [
    ['no valid key', 401, OpenAI.AuthenticationError, 'invalid_api_key',
      { apiKey: 'sk-wrong' }, {}],
    ['the wrong scope', 403, OpenAI.PermissionDeniedError, 'insufficient_scope',
      { apiKey: batchKey }, {}],
    ['an unknown model', 404, OpenAI.NotFoundError, 'model_not_found', {}, { model: 'nobody' }],
    ['a wrong type', 400, OpenAI.BadRequestError, 'invalid_value', {}, { model: 7 }],
    ['no model', 400, OpenAI.BadRequestError, 'missing_required_parameter', {},
      { model: undefined }],
    ['what only the runtime refuses', 400, OpenAI.BadRequestError, 'invalid_value', {},
      { messages: [] }],
    ['a large body', 413, OpenAI.APIError, 'body_too_large', {}, { user: 'x'.repeat(70_000) }],
    ['another media type', 415, OpenAI.APIError, 'unsupported_media_type',
      {}, {}, { headers: { 'content-type': 'text/plain' } }],
  ];
  for (const [what, status, type, code, options, fields, request] of errors) {
    test(`${what}: ${status} ${code}`, async () => {
      const error = await gateway.client({ apiKey: realtimeKey, ...options })
        .chat.completions.create({ model: 'demo', messages, max_tokens: 1, ...fields }, request)
        .catch((e) => e);
      assert.ok(error instanceof type, `${error}`);
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      assert.ok(error.requestID);
    });
  }
});
