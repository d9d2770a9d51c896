// The clients of seed 001, which log in: its Python class, its three scripts and its curl lines as
// they stand there (clients/001-*), down to the names of the models. Here they get the address and
// the credentials. What has no route yet is named at the end.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ClientRun, answerOf, commandsOf, replaced, runPython, runShell, textOf }
  from './harness/clients.mjs';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';
import { addUser } from './harness/users.mjs';

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/; // the seed's, with the zone
const noRoute = { detail: 'There is no such route.' };
const lesserKey = 'sk-test-key-for-inference-only';
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const held = { sim_completion_tokens: 100_000, sim_decode_tps: 50 };

let gateway, admin; // the tokens of seed 001's user

before(async () => {
  gateway = await startGateway({ config: {
    security: { login_failures_per_address: 0 }, // the user is asked for until it is there
    scheduling: { load_backoff_s: 0.05 },
    keys: [
      { id: 'administrator', token: adminKey, scopes: ['admin'] },
      { id: 'lesser', token: lesserKey, scopes: ['realtime'] },
    ],
    models: [
      simModel('gemma', { 'request-faults': true },
        { aliases: ['gemma-3-4b-it'], max_concurrent: 10, max_waiting: 10 }),
      simModel('deepseek', {},
        { aliases: ['deepseek-ai/DeepSeek-OCR'], max_concurrent: 2, max_waiting: 10 }),
    ],
  } });
  admin = await addUser(gateway, 'admin', 'admin', '--scope', 'admin');
});
after(() => gateway.stop());

// Streams that go on until they are closed, and some that wait, as /admin/queue shows them.
async function occupy(model, running, waiting = 0) {
  const streams = [];
  for (let i = 0; i < running; ++i) {
    const stream = await gateway.openChat(model, held);
    await stream.next((block) => block.startsWith('data:'));
    streams.push(stream);
  }
  const left = new AbortController();
  const answers = Array.from({ length: waiting }, () =>
    gateway.chat(model, { max_tokens: 1 }, { signal: left.signal }).catch(() => {}));
  // The queue learns of requests that ran on credits a little later.
  await waitFor(`${running} run, ${waiting} wait`, async () => {
    const queue = await gateway.queue(model);
    return queue.processing === running && queue.waiting === waiting;
  });
  return async () => {
    left.abort();
    streams.forEach((stream) => stream.close());
    await Promise.all(answers);
    await waitFor(`${model} is idle`, async () => {
      const queue = await gateway.queue(model);
      return queue.processing === 0 && queue.waiting === 0;
    });
  };
}

describe('seed 001', () => {
  const local = 'http://localhost:8080';
  const requests = commandsOf('001-requests.txt');
  const here = (text, more = {}) => replaced(text, { [local]: gateway.base, ...more });
  const as = (title, token) => here(requests[title], { YOUR_TOKEN: token });

  // The class and its first use; what comes after needs routes that are not there.
  const client = (password = 'admin') => here(textOf('001-client.py').split('\n# Chat\n')[0],
    { '"admin", "admin"': `"admin", "${password}"` });
  const asking = `
import json
def ask(method, path, **more):
    response = httpx.request(method, client.base_url + path, **more)
    return [response.status_code, response.json()]
def chat(priority):
    return ask("POST", "/v1/chat/completions", json={
        "model": "gemma-3-4b-it", "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 5}, headers={**client.headers, "X-Priority": priority})
print(json.dumps({
    "token": client.token, "headers": client.headers,
    "queue": ask("GET", "/admin/queue/gemma", headers=client.headers),
    "chats": [chat(priority) for priority in ("high", "normal", "low")],
    "urgent": chat("urgent"),
}))
`;

  test('the Python class logs in, and its headers are good for the routes there are', async () => {
    const run = await runPython(client() + asking);
    assert.equal(run.code, 0, run.errors);
    const { token, headers, queue, chats, urgent } = JSON.parse(run.output);
    const claims = claimsOf(token);
    assert.deepEqual([claims.sub, claims.type], ['admin', 'access']);
    assert.deepEqual(headers,
      { 'Authorization': `Bearer ${token}`, 'X-Client-ID': 'python_sdk' });
    assert.equal(queue[0], 200);
    assert.equal(queue[1].model, 'gemma');
    for (const [status, { object, choices, usage }] of chats) {
      assert.equal(status, 200);
      assert.equal(object, 'chat.completion');
      assert.equal(choices[0].message.role, 'assistant');
      assert.equal(usage.completion_tokens, 5);
    }
    assert.equal(urgent[0], 400);
    assert.match(urgent[1].error.message, /X-Priority must be high, normal or low/);
    await waitFor('its requests are counted as those of python_sdk', async () => {
      const { json } = await gateway.send('GET', '/v1/usage?group_by=client');
      const row = json.data.find((group) => group.client === 'python_sdk');
      return row?.requests === 3 && row.completion_tokens === 15;
    });
  });

  test('the Python class with a wrong password: there is no token', async () => {
    const run = await runPython(client('wrong') + asking);
    assert.equal(run.code, 1);
    assert.match(run.errors, /^KeyError: 'access_token'$/m);
    assert.equal(run.output, '');
  });

  test('the first half of examples 1 and 2: the shell has the token', async () => {
    for (const [file, next] of [['001-example-1.sh', '# Encode image'],
      ['001-example-2.sh', '# Chat']]) {
      const [login, rest] = here(textOf(file)).split(`\n${next}\n`);
      assert.match(rest, /-H "Authorization: Bearer \$TOKEN"/);
      const run = await runShell(`${login}\nprintf %s "$TOKEN"`);
      assert.equal(run.code, 0, run.errors);
      assert.deepEqual(run.answers.map(({ status }) => status), [200]);
      assert.equal(claimsOf(run.output).sub, 'admin');
      const { status } = await gateway.send('GET', '/admin/crashes', { key: run.output });
      assert.equal(status, 200);
    }
  });

  test('example 3: the loop shows both queues, and what became of them', async () => {
    const leave = [await occupy('gemma', 5), await occupy('deepseek', 2, 3)];
    const script = here(textOf('001-example-3.sh'), { YOUR_TOKEN: admin.access_token });
    const run = new ClientRun('bash', ['-c', script]);
    const screen = (number) => waitFor(`screen ${number}`, () => {
      const parts = run.output.split('=== Queue Status ===\n')[number]
        ?.split('=== DeepSeek Queue ===\n');
      const queues = parts?.map((part) => JSON.parse(/^\{[^]*?^\}/m.exec(part)[0]));
      return queues?.length === 2 && queues;
    }, 20_000);
    try {
      const told = ({ model, processing, waiting, utilization }) =>
        [model, processing, waiting, utilization];
      assert.deepEqual((await screen(1)).map(told),
        [['gemma', 5, 0, 0.5], ['deepseek', 2, 3, 1]]);
      for (const end of leave) await end();
      assert.deepEqual((await screen(2)).map(told), [['gemma', 0, 0, 0], ['deepseek', 0, 0, 0]]);
      assert.ok(run.answers().every(({ status }) => status === 200));
    } finally {
      run.kill();
    }
  });

  test('get a token', async () => {
    const answer = await answerOf(200, here(requests['Get Token']));
    assert.deepEqual(Object.keys(answer).sort(), ['access_token', 'refresh_token', 'token_type']);
    assert.equal(answer.token_type, 'bearer');
    for (const type of ['access', 'refresh']) {
      const token = answer[`${type}_token`];
      assert.ok(token.startsWith('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.'), token);
      assert.equal(claimsOf(token).type, type);
    }
    const queue = await answerOf(200, as('8. Get Queue Metrics', answer.access_token));
    assert.equal(queue.model, 'gemma');
    const wrong = here(requests['Get Token'], { 'password=admin': 'password=wrong' });
    assert.deepEqual(await answerOf(401, wrong),
      { detail: 'The username or the password is wrong.' });
  });

  test('health, without a credential', async () => {
    const { status, timestamp } = await answerOf(200, here(requests['1. Health Check']));
    assert.equal(status, 'healthy');
    assert.match(timestamp, isoTime);
  });

  test('queue metrics', async () => {
    const before = await gateway.queue('gemma');
    for (let i = 0; i < 2; ++i) assert.equal((await gateway.chat('gemma')).status, 200);
    const failed = await gateway.chat('gemma', {}, { headers: { 'x-sim-fault': 'garbage' } });
    assert.equal(failed.status, 502);
    const leave = await occupy('gemma', 10, 3);
    const answer = await answerOf(200, as('8. Get Queue Metrics', admin.access_token));
    assert.deepEqual(answer, {
      model: 'gemma', processing: 10, waiting: 3, max_concurrent: 10, max_waiting: 10,
      total_processed: before.total_processed + 2, total_failed: before.total_failed + 1,
      total_timeout: 0, utilization: 1,
    });
    await leave();
  });

  test('crash logs', async () => {
    const line = as('9. Get Crash Logs', admin.access_token);
    assert.deepEqual(await answerOf(200, line), []);
    const died = await gateway.chat('gemma', {}, { headers: { 'x-sim-fault': 'segfault' } });
    assert.equal(died.status, 502);
    await waitFor('it is recorded', async () => (await gateway.crashes()).length === 1);
    const [crash] = await answerOf(200, line);
    assert.equal(crash.model, 'gemma');
    assert.match(crash.timestamp, isoTime);
    assert.match(crash.error, /segfault/);
    assert.match(crash.stack_trace, /simulated runtime: model gemma/);
    assert.ok('request_id' in crash);
    assert.equal((await gateway.chat('gemma')).status, 200);
  });

  test('missing models', async () => {
    const line = as('10. Get Missing Model Requests', admin.access_token);
    assert.deepEqual(await answerOf(200, line), []);
    const asked = await gateway.chat('gpt-4', {},
      { key: admin.access_token, headers: { 'x-client-id': 'my_app' } });
    assert.equal(asked.status, 404);
    await waitFor('it is told', async () =>
      (await gateway.send('GET', '/admin/missing-models')).json.length === 1);
    const [{ model_name: name, client_id: app, timestamp }] = await answerOf(200, line);
    assert.deepEqual([name, app], ['gpt-4', 'my_app']);
    assert.match(timestamp, isoTime);
  });

  test('start and stop a model, and all models\' status', async () => {
    const status = async () =>
      answerOf(200, as('4. Get All Models Status', admin.access_token));
    assert.deepEqual(await answerOf(200, as('Start Gemma', admin.access_token)),
      { status: 'started', model: 'gemma' });
    const { gemma } = await status();
    assert.deepEqual([gemma.name, gemma.status, gemma.resolution, gemma.is_healthy],
      ['gemma', 'running', null, true]);
    assert.ok(Number.isInteger(gemma.port) && Number.isInteger(gemma.uptime_seconds));
    assert.match(gemma.started_at, isoTime);
    for (const title of ['Graceful stop (wait for active requests)', 'Force stop']) {
      assert.equal((await gateway.chat('deepseek', { max_tokens: 1 })).status, 200);
      assert.deepEqual(await answerOf(200, as(title, admin.access_token)),
        { status: 'stopped', model: 'deepseek' });
      assert.equal((await status()).deepseek.status, 'stopped');
    }
  });

  for (const title of Object.keys(requests).filter((name) => /^(4|8|9|10)\./.test(name))) {
    test(`${title}: refused without a token that is good for it`, async () => {
      const invalid = { detail: 'The API key or the token is not valid.' };
      for (const token of ['YOUR_TOKEN', admin.refresh_token, `${admin.access_token}x`]) {
        assert.deepEqual(await answerOf(401, as(title, token)), invalid);
      }
      assert.deepEqual(await answerOf(403, as(title, lesserKey)),
        { detail: "This key lacks the scope 'monitor'." });
    });
  }

  test('a model that is not there', async () => {
    const line = replaced(as('8. Get Queue Metrics', admin.access_token), { gemma: 'nobody' });
    assert.deepEqual(await answerOf(404, line), { detail: "The model 'nobody' does not exist." });
  });

  for (const [what, method, route] of [
    ['switch the OCR resolution', 'POST', '/admin/ocr/resolution?resolution=gundam'],
  ]) {
    test(`left until the route exists: ${what}`, async () => {
      const { status, json } = await gateway.send(method, route);
      assert.equal(status, 404, `${method} ${route} exists: take the seed's curl line here`);
      assert.deepEqual(json, noRoute);
    });
  }

  const files = { 'document.jpg': 'no picture' };
  for (const file of ['001-example-1.sh', '001-example-2.sh']) {
    test(`left until the route exists: the second half of ${file}`, async () => {
      const run = await runShell(here(textOf(file)), { files });
      assert.deepEqual(run.answers.map(({ status }) => status), [200, 404], 'test all of it now');
      assert.deepEqual(JSON.parse(run.output), noRoute);
    });
  }

  test('left until the routes exist: chat() and ocr() of the Python class', async () => {
    const [chat, ocr] = here(textOf('001-client.py')).split('\n# OCR\n');
    const print = '\nprint(json.dumps(result))\n';
    const run = await runPython(`import json\n${chat}${print}${ocr}${print}`, { files });
    assert.equal(run.code, 0, run.errors);
    assert.deepEqual(run.output.trim().split('\n').map((text) => JSON.parse(text)),
      [noRoute, noRoute], 'test what they return now');
  });
});
