// The simulated runtime, which the demo has, answers in the other APIs as well: their official
// clients understand it, and what it tells of usage is counted.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { npmClients } from './harness/npm-clients.mjs';
import { waitFor } from './harness/processes.mjs';

const tenWords = 'This is the Signalbox simulated runtime. No model is behind ';
const threeWords = 'This is the ';
const messages = [{ role: 'user', content: 'two words' }];
const modelOf = ({ name }) => `sim-${name.replaceAll(/\W+/g, '-')}`;

describe('the simulated runtime', () => {
  let gateway;

  before(async () => {
    const names = [...npmClients.map(modelOf), 'anthropic', 'responses', 'ollama', 'other'];
    gateway = await startGateway({
      config: { models: names.map((name) => simModel(name, { 'default-tokens': 10 })) },
    });
  });
  after(() => gateway.stop());

  const usageIs = (model, wanted) => waitFor(`the usage of ${model}`, async () => {
    const { json } = await gateway.send('GET', '/v1/usage?group_by=model');
    const row = json.data.find((one) => one.model === model);
    const names = Object.keys(wanted);
    assert.deepEqual(Object.fromEntries(names.map((name) => [name, row?.[name]])), wanted);
    return true;
  });
  const exactly = (requests, prompt, completion) => ({ requests, successes: requests,
    prompt_tokens: prompt, completion_tokens: completion, estimated: 0 });

  for (const npm of npmClients) {
    test(`says the same to ${npm.name}, streamed and not`, async () => {
      const model = modelOf(npm);
      const client = npm.make({ base: gateway.base, key: adminKey });
      assert.equal(await client.chat(model), tenWords);
      const pieces = await Array.fromAsync(client.stream(model));
      assert.equal(pieces.length, 10);
      assert.equal(pieces.join(''), tenWords);
      await usageIs(model, exactly(2, 2, 20)); // they ask one word
    });
  }

  test('counts the tokens of a message, and streams one that its client puts together',
    async () => {
      const model = 'anthropic';
      const client = new Anthropic({ apiKey: adminKey, baseURL: gateway.base, maxRetries: 0 });
      const wish = { model, messages, system: 'be brief' };
      assert.equal((await client.messages.countTokens(wish)).input_tokens, 4);
      const message = await client.messages.stream({ ...wish, max_tokens: 3 }).finalMessage();
      assert.deepEqual(message.content, [{ type: 'text', text: threeWords }]);
      assert.equal(message.stop_reason, 'max_tokens');
      assert.deepEqual(message.usage, { input_tokens: 4, output_tokens: 3 });
      await assert.rejects(client.messages.create({ model, messages, max_tokens: -1 }),
        (error) => error.status === 400 && /max_tokens must be/.test(error.message));
    });

  test('streams a response that its client puts together', async () => {
    const model = 'responses';
    const client = gateway.client();
    const ask = (fields) => client.responses.stream({ model, input: messages, ...fields })
      .finalResponse();
    const { status, output_text: text, usage } = await ask({});
    assert.deepEqual([status, text], ['completed', tenWords]);
    assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.total_tokens], [2, 10, 12]);
    const cut = await client.responses.create({ model, input: 'word', max_output_tokens: 3 });
    assert.deepEqual([cut.status, cut.output_text], ['incomplete', threeWords]);
    assert.equal(cut.incomplete_details.reason, 'max_output_tokens');
    await usageIs(model, exactly(2, 3, 13));
  });

  test('heeds the options of Ollama, and embeds', async () => {
    const model = 'ollama';
    const client = new Ollama({ host: gateway.base,
      headers: { authorization: `Bearer ${adminKey}` } });
    const options = { num_predict: 3 };
    const chat = await client.chat({ model, messages, options });
    assert.deepEqual([chat.message.content, chat.done_reason], [threeWords, 'length']);
    const parts = await Array.fromAsync(
      await client.generate({ model, prompt: 'word', options, stream: true }));
    const { done, prompt_eval_count: prompt, eval_count: completion } = parts.at(-1);
    assert.deepEqual([done, prompt, completion], [true, 1, 3]);
    const { embeddings } = await client.embed({ model, input: ['word', 'two words'] });
    assert.deepEqual(embeddings.map((vector) => vector.length), [64, 64]);
    await usageIs(model, exactly(3, 2 + 1 + 3, 3 + 3));
  });

  test('ranks and scores by common words', async () => {
    const model = 'other';
    const ranked = await gateway.post('/v1/rerank',
      { model, query: 'a train', documents: ['a car', 'the train, a fast one'] });
    assert.equal(ranked.status, 200);
    assert.deepEqual(ranked.json.results,
      [{ index: 1, relevance_score: 1 }, { index: 0, relevance_score: 0.5 }]);
    const scored = await gateway.post('/v1/score',
      { model, text_1: 'train', text_2: ['car', 'train'] });
    assert.deepEqual(scored.json.data.map(({ score }) => score), [0, 1]);
    await usageIs(model, { requests: 2, prompt_tokens: 2 * 2 + 2 + 5 + 2 + 2, estimated: 0 });
  });

  test('has nothing for sounds and pictures', async () => {
    for (const route of ['/v1/images/generations', '/v1/audio/speech']) {
      const { status, json } = await gateway.post(route, { model: 'other', input: 'x' });
      assert.equal(status, 404, route);
      assert.match(json.error.message, /no such route|has no route/);
    }
  });
});
