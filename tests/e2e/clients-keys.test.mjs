// The clients of seeds 000, 002, 003 and 004, which bring a key, or none: their curl lines as they
// stand there (clients/), down to the names of the models. Here they get the address and the keys,
// by the variables of each seed. What has no route yet says so.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answerOf, commandsOf, replaced, runShell, textOf } from './harness/clients.mjs';
import { makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const tokenOf = (name) => `token-of-${name}-in-a-seed`;
const models = ['synquid/gemma-3-27b-it-FP8', 'gpt-oss120', 'qwen3-30b', 'qwen3-235b-4bit'];

let gateway;
before(async () => {
  const folder = makeFolder();
  const file = path.join(folder, 'auth.keys.json');
  writeFileSync(file, JSON.stringify({ keys: ['realtime', 'batch', 'monitor'].map((scope) =>
    ({ id: `${scope}-key`, token: tokenOf(scope), scopes: [scope] })) }));
  gateway = await startGateway({
    folder,
    env: {
      AUTH_KEYS_FILE: file, GATEWAY_API_KEY: tokenOf('gateway'),
      GATEWAY_ADMIN_API_KEY: tokenOf('gateway-admin'), LLM_ADMIN_TOKEN: tokenOf('llm-admin'),
    },
    config: { models: models.map((name) => simModel(name)) },
  });
});
after(() => gateway.stop());

describe('seed 002', () => {
  const local = 'http://localhost:8000';
  const requests = commandsOf('002-requests.txt');
  const line = () => replaced(requests['Realtime:'], { [local]: gateway.base });
  const wanted = { // its table of scopes, as far as there are routes
    realtime: { '/v1/models': 200, '/metrics': 403, '/monitor/key_usage': 403 },
    batch: { '/v1/models': 403, '/metrics': 403, '/monitor/key_usage': 403 },
    monitor: { '/v1/models': 403, '/metrics': 200, '/monitor/key_usage': 200 },
  };

  test('a completion, counted for its key', async () => {
    const env = { REALTIME_TOKEN: tokenOf('realtime') };
    const answer = await answerOf(200, line(), env);
    assert.equal(answer.object, 'text_completion');
    assert.equal(answer.model, 'synquid/gemma-3-27b-it-FP8');
    assert.equal(answer.choices.length, 1);
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.choices[0].text.trim().split(' ').length, 16);
    assert.deepEqual(answer.usage,
      { prompt_tokens: 1, completion_tokens: 16, total_tokens: 17 });
    await answerOf(200, line(), env);

    const bucket = new Date().toISOString().slice(0, 10).replaceAll('-', '');
    const item = await waitFor('both are counted', async () => {
      const { json } = await gateway.send('GET', `/monitor/key_usage?limit=50&bucket=${bucket}`,
        { key: tokenOf('monitor') });
      const found = json.items.find(({ key_id: id }) => id === 'realtime-key');
      return found?.request_total === 2 && found;
    });
    assert.equal(item.success_total, 2);
    assert.equal(item.prompt_tokens, 2);
    assert.equal(item.completion_tokens, 32);
    assert.equal(item.last_model, 'synquid/gemma-3-27b-it-FP8');
  });

  test('a completion without a valid token, or one for something else', async () => {
    const code = async (status, token) =>
      (await answerOf(status, line(), { REALTIME_TOKEN: token })).error.code;
    assert.equal(await code(401, 'no token of ours'), 'invalid_api_key');
    assert.equal(await code(401, ''), 'missing_api_key');
    for (const scope of ['batch', 'monitor']) {
      // The seed's 401 is a 403 here, as the credential is good.
      const { error } = await answerOf(403, line(), { REALTIME_TOKEN: tokenOf(scope) });
      assert.equal(error.message, "This key lacks the scope 'realtime'.");
    }
  });

  test('left until the route exists: batch', async () => {
    const batch = replaced(requests['Batch:'], { [local]: gateway.base });
    const { error } = await answerOf(404, batch, { BATCH_TOKEN: tokenOf('batch') });
    assert.equal(error.message, 'There is no such route.');
  });

  for (const [scope, routes] of Object.entries(wanted)) {
    test(`what the scope ${scope} grants`, async () => {
      for (const [route, status] of Object.entries(routes)) {
        const answer = await gateway.send('GET', route, { key: tokenOf(scope) });
        assert.equal(answer.status, status, route);
      }
    });
  }
});

describe('seed 004', () => {
  const local = 'http://127.0.0.1:8000';
  const requests = commandsOf('004-requests.txt');
  const line = (title) => replaced(requests[title], { [local]: gateway.base });
  const health = Object.keys(requests).find((title) => title.startsWith('health'));

  test('health, without a key', async () => {
    const { status, timestamp } = await answerOf(200, line(health));
    assert.equal(status, 'healthy');
    assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 60_000);
  });

  test('models', async () => {
    const answer = await answerOf(200, line('models'), { GATEWAY_API_KEY: tokenOf('gateway') });
    assert.equal(answer.object, 'list');
    assert.deepEqual(answer.data.map(({ id, object }) => [id, object]),
      models.map((id) => [id, 'model']));
  });

  test('models, without a valid key', async () => {
    const code = async (key) =>
      (await answerOf(401, line('models'), { GATEWAY_API_KEY: key })).error.code;
    assert.equal(await code('no key of ours'), 'invalid_api_key');
    assert.equal(await code(''), 'missing_api_key');
  });

  test('the key is for inference, that of the administrator for all', async () => {
    const ask = async (key) => {
      const options = { key: null, headers: { 'x-api-key': tokenOf(key) } };
      return [(await gateway.chat('gpt-oss120', { max_tokens: 1 }, options)).status,
        (await gateway.send('GET', '/metrics', options)).status];
    };
    assert.deepEqual(await ask('gateway'), [200, 403]);
    assert.deepEqual(await ask('gateway-admin'), [200, 200]);
  });

  const env = {
    GATEWAY_API_KEY: tokenOf('gateway'), GATEWAY_ADMIN_API_KEY: tokenOf('gateway-admin'),
  };
  test('extended status and queue info', async () => {
    // It is told a moment later than the answers before.
    const status = await waitFor('nothing waits', async () => {
      const now = await answerOf(200, line('extended status'), env);
      return now.queue_length === 0 && now;
    });
    assert.equal(typeof status.switching, 'boolean');
    assert.ok(Number.isInteger(status.uptime_sec) && status.uptime_sec >= 0);
    assert.ok('active_model' in status && typeof status.backend_state === 'string');
    const { queue_length: length, current_job_id: job, active_model: active, switching,
      drain_mode: drained } = await answerOf(200, line('queue info'), env);
    assert.deepEqual([length, job, active, switching, drained],
      [0, null, status.active_model, status.switching, false]);
    for (const title of ['extended status', 'queue info']) {
      await answerOf(403, line(title), { ...env, GATEWAY_ADMIN_API_KEY: tokenOf('gateway') });
    }
  });

  for (const title of ['job status', 'job result', 'job cancel']) {
    test(`left until the route exists: ${title}`, async () => {
      const { detail } = await answerOf(404, line(title).replace('<job_id>', 'job_1'), env);
      assert.equal(detail, 'There is no such route.');
    });
  }

  test('left until there are jobs: async chat completion', async () => {
    const run = await runShell(line('async chat completion'), { env }); // `async` is not heeded
    assert.equal(run.answers.length, 1, run.errors);
    assert.notEqual(run.answers[0].status, 202, 'there are jobs: test all that the seed says');
  });
});

describe('seed 000', () => {
  test('its token comes as X-Admin-Token, and reads', async () => {
    const ask = async (token) => {
      const options = { key: null, headers: { 'x-admin-token': token } };
      return [(await gateway.send('GET', '/admin/queue/qwen3-30b', options)).status,
        (await gateway.chat('qwen3-30b', {}, options)).status];
    };
    assert.deepEqual(await ask(tokenOf('llm-admin')), [200, 403]);
    assert.deepEqual(await ask('no token of ours'), [401, 401]);
  });

  for (const route of ['/lentmiienlm/monitor', '/lentmiienlm/checkpoints', '/tensorboard']) {
    test(`left until the route exists: ${route}`, async () => {
      assert.equal((await gateway.send('GET', route)).status, 404, 'it exists: test it');
    });
  }
});

describe('seed 003, whose clients have no credential', () => {
  let open;
  const endpoints = [...textOf('003-endpoints.txt').matchAll(/^- `GET (\S+)`/gm)]
    .map(([, route]) => route.replace('model=ID', 'model=qwen/qwen3-8b'));
  const preferred = ['mistralai/mistral-small-3.2', 'qwen/qwen3-8b'];
  const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }];
  const say = (fields) => open.post('/v1/chat/completions',
    { messages, temperature: 0.2, max_tokens: 4, ...fields }, { key: null });

  before(async () => {
    open = await startGateway({ config: {
      security: { anonymous_scopes: ['realtime', 'monitor'] },
      models: preferred.map((name) => simModel(name)),
    } });
  });
  after(() => open.stop());

  const checks = {
    '/v1/models': ({ json }) => assert.deepEqual(json.data.map(({ id }) => id), preferred),
    '/health': ({ json }) => assert.equal(json.status, 'healthy'),
    '/metrics': ({ text, headers }) => {
      assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
      assert.match(text, /^signalbox_requests_total\{[^}]*\} \d+$/m);
    },
  };
  for (const route of endpoints) {
    const left = !(route in checks);
    test(left ? `left until it exists: GET ${route}` : `GET ${route}`, async () => {
      if (route === '/metrics') assert.equal((await say({ model: preferred[1] })).status, 200);
      const answer = await open.send('GET', route, { key: null });
      assert.equal(answer.status, left ? 404 : 200);
      if (!left) checks[route](answer);
    });
  }

  test('a chat: JSON, or events when it asks for them, and which model it was', async () => {
    const plain = await say({ model: preferred[1], stream: false });
    assert.equal(plain.status, 200);
    assert.equal(plain.headers['content-type'], 'application/json');
    assert.equal(plain.headers['x-selected-model'], preferred[1]);
    assert.equal(plain.json.object, 'chat.completion');
    assert.equal(plain.json.usage.completion_tokens, 4);
    const streamed = await say({ model: preferred[0], stream: true });
    assert.match(streamed.headers['content-type'], /^text\/event-stream/);
    assert.equal(streamed.headers['x-selected-model'], preferred[0]);
    assert.ok(streamed.text.endsWith('data: [DONE]\n\n'), streamed.text);
  });

  test('embeddings', async () => {
    const { status, json } = await open.post('/v1/embeddings',
      { model: preferred[0], input: ['one', 'two'] }, { key: null });
    assert.equal(status, 200);
    assert.deepEqual(json.data.map(({ index, object }) => [index, object]),
      [[0, 'embedding'], [1, 'embedding']]);
  });

  test('left until they exist: the model "auto", and x-routed-node', async () => {
    const answer = await say({ model: 'auto' });
    assert.equal(answer.status, 404, 'it chooses a model now: test that');
    assert.equal(answer.json.error.code, 'model_not_found');
    assert.ok(!('x-routed-node' in (await say({ model: preferred[0] })).headers));
  });
});
