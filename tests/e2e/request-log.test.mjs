// The log of all requests: what stands in it, and what never does.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { build, launchGateway, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

const linesOf = (file) => readFileSync(file, 'utf8').trimEnd().split('\n').filter(Boolean)
  .map((line) => JSON.parse(line));
const formType = { 'content-type': 'application/x-www-form-urlencoded' };

// Every file below a folder. (A database that lives moves and removes its own.)
function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const here = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(here);
    else if (entry.isFile()) yield here;
  }
}

test('each answered request is one line, with what it was', async () => {
  const gateway = await startGateway({ config: { log: { requests: 'requests.log' },
    models: [simModel('one'), simModel('slow', { 'decode-tps': 5 })] } });
  const file = path.join(gateway.folder, 'data', 'requests.log');
  const lineOf = (id) => waitFor(`the line of ${id}`, () =>
    linesOf(file).find((line) => line.request_id === id));
  const named = (id, more = {}) => ({ headers: { 'x-request-id': id, ...more } });

  await gateway.chat('one', { sim_prompt_tokens: 7, sim_completion_tokens: 3 },
    named('whole', { 'x-client-id': 'app' }));
  const whole = await lineOf('whole');
  assert.deepEqual(Object.keys(whole), ['time', 'request_id', 'address', 'key', 'client', 'method',
    'route', 'status', 'duration_ms', 'model', 'stream', 'outcome', 'queue_ms', 'prompt_tokens',
    'completion_tokens', 'cached_tokens', 'reasoning_tokens', 'estimated']);
  const { time, duration_ms: took, queue_ms: queued, ...rest } = whole;
  assert.deepEqual(rest, { request_id: 'whole', address: '127.0.0.1', key: 'administrator',
    client: 'app', method: 'POST', route: '/v1/chat/completions', status: 200, model: 'one',
    stream: false, outcome: 'completed', prompt_tokens: 7, completion_tokens: 3,
    cached_tokens: 0, reasoning_tokens: 0, estimated: false });
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000 && took >= queued && queued >= 0);

  const stream = await gateway.openChat('slow', { sim_completion_tokens: 1000 }, named('left'));
  await stream.next((block) => block.startsWith('data: '));
  stream.close();
  const left = await lineOf('left');
  assert.deepEqual([left.status, left.outcome, left.stream, left.estimated],
    [499, 'cancelled', true, true]);

  await gateway.send('GET', '/v1/models/one?detail=true', named('model'));
  assert.equal((await lineOf('model')).route, '/v1/models/{id}');
  await gateway.send('GET', '/no/such/route', named('nowhere'));
  const nowhere = await lineOf('nowhere');
  assert.deepEqual([nowhere.status, nowhere.route, nowhere.key], [404, undefined, undefined]);
  await gateway.send('GET', '/metrics', { ...named('stranger'), key: 'sk-not-known-here' });
  assert.equal((await lineOf('stranger')).status, 401);
  await gateway.chat('none-such', {}, named('missing'));
  const missing = await lineOf('missing');
  assert.deepEqual([missing.status, missing.key, missing.model], [404, 'administrator', undefined]);

  const before = linesOf(file).length;
  await Promise.all(Array.from({ length: 200 }, () => gateway.chat('one')));
  await gateway.stop(); // what is not yet written is written then
  assert.equal(linesOf(file).length, before + 200);
});

test('a file that cannot be had stops the start; - is standard output', async () => {
  const models = [simModel('one')];
  const wrong = launchGateway({ config: { log: { requests: '/proc/none/requests.log' }, models } });
  assert.equal(await wrong.exited, 1);
  assert.match(wrong.log, /cannot write the request log: .*\/proc\/none/);
  const gateway = await startGateway({ config: { log: { requests: '-' }, models } });
  await gateway.send('GET', '/health', { headers: { 'x-request-id': 'to-stdout' } });
  await waitFor('the line', () => gateway.output.includes('"to-stdout"'));
  await gateway.stop();
});

test('the next file begins at the size that is configured, readable for few', async () => {
  const before = process.umask(0);
  const started = startGateway({ config: { models: [simModel('one')],
    log: { requests: 'logs/r.log', requests_max_bytes: '1MiB', requests_files: 2 } } });
  process.umask(before);
  const gateway = await started;
  const folder = path.join(gateway.folder, 'data', 'logs');
  const stats = () => readdirSync(folder).filter((name) => /^r(\.\d)?\.log$/.test(name))
    .map((name) => statSync(path.join(folder, name)));
  const sizes = () => stats().map(({ size }) => size);
  const longest = 'x'.repeat(128);
  await waitFor('three files, and never a fourth', async () => {
    await Promise.all(Array.from({ length: 100 }, () => gateway.send('GET', '/health',
      { headers: { 'x-request-id': longest, 'x-client-id': longest } })));
    return sizes().length === 3 && sizes().every((size) => size > 0);
  }, 60_000);
  await gateway.stop();
  assert.ok(sizes().length === 3 && sizes().every((size) => size <= 1024 * 1024));
  assert.deepEqual(stats().map(({ mode }) => mode & 0o777), [0o640, 0o640, 0o640]);
});

test('no secret is ever written, however it comes', async () => {
  const gateway = await startGateway({ config: { models: [simModel('one')],
    security: { login_failures_per_address: 0 }, // all of these clients have one address
    log: { requests: 'requests.log', level: 'trace' } } });
  const secrets = [];
  const secret = (prefix = '') => {
    const made = prefix + randomBytes(18).toString('base64url');
    secrets.push(made);
    return made;
  };
  const password = secret('pw');
  const cli = ['--config', path.join(gateway.folder, 'signalbox.yaml'),
    '--data', path.join(gateway.folder, 'data')];
  const signalbox = (args, input) => {
    const { status, stderr } = spawnSync(path.join(build, 'signalbox'), [...args, ...cli],
      { input, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  };
  signalbox(['users', 'add', 'someone', '--scope', 'realtime'], password);

  const { key } = (await gateway.post('/v1/keys', { scopes: ['realtime'] })).json;
  secrets.push(key);
  assert.equal((await gateway.chat('one', {}, { key })).status, 200);
  const login = (name, word) => gateway.send('POST', '/auth/token', { key: null,
    headers: formType, body: new URLSearchParams({ username: name, password: word }).toString() });
  const { json: tokens } = await waitFor('the user is known', async () => {
    const answer = await login('someone', password);
    return answer.status === 200 && answer;
  });
  secrets.push(tokens.access_token, tokens.refresh_token);
  assert.equal((await gateway.chat('one', {}, { key: tokens.access_token })).status, 200);
  const renewed = (await gateway.send('POST', '/auth/refresh', { key: null, headers: formType,
    body: `refresh_token=${tokens.refresh_token}` })).json;
  secrets.push(renewed.access_token, renewed.refresh_token);
  await gateway.send('POST', '/auth/refresh', { key: null, headers: formType,
    body: `refresh_token=${tokens.refresh_token}` }); // used: its family is revoked

  // Any client's mistakes. Each status is one that says so; nothing is a failure of ours.
  const fields = [
    () => `Authorization: Bearer ${secret()}`, () => `authorization: bearer  ${secret()}`,
    () => `Authorization: ${secret()}`, () => `Authorization: Basic ${secret()}`,
    () => `Authorization: Bearer ${secret()}\r\nAuthorization: Bearer ${secret()}`,
    () => `Authorization : Bearer ${secret()}`, () => `Authorization: Bearer\r\n ${secret()}`,
    () => `Authorization: Bearer ${secret()}\u0000`, () => `Authorization: Bearer ${secret()}é`,
    () => `Authorization: Bearer ${secret()}${'A'.repeat(40_000)}`,
    () => `Authorization: Bearer ${secret('eyJhbGciOiJub25lIn0.')}.${secret()}.`,
    () => `X-API-Key: ${secret()}`, () => `X-API-Key: ${secret()}\r\nX-API-Key: ${secret()}`,
    () => `X-Admin-Token: ${secret()}`, () => `Cookie: session=${secret()}`,
    () => `Proxy-Authorization: Basic ${secret()}`, () => `X-Api-Key: Bearer ${secret()}`,
  ];
  const targets = [
    () => ['POST', '/v1/chat/completions', JSON.stringify({ model: 'one', x: secret() })],
    () => ['POST', '/v1/chat/completions', `{"model":"one","messages":${secret()}`],
    () => ['GET', `/v1/models?api_key=${secret()}`, ''], () => ['GET', `/${secret()}`, ''],
    () => ['DELETE', `/v1/keys/${secret()}`, ''], () => ['GET', `/metrics?key=${secret()}%zz`, ''],
    () => ['POST', '/v1/keys', JSON.stringify({ key: secret() })],
    () => ['POST', '/auth/token', `username=${secret()}&password=${secret()}`],
    () => ['POST', '/auth/refresh', `refresh_token=${secret()}`],
    () => ['PUT', `/health?token=${secret()}`, secret()],
  ];
  const answered = async (field, [method, target, body]) => {
    const connection = await gateway.connect();
    const type = target.startsWith('/auth/') ? formType['content-type'] : 'application/json';
    connection.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
      `Content-Type: ${type}\r\n${field}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n` +
      body);
    const text = await connection.untilClosed();
    assert.match(text, /^HTTP\/1\.1 4\d\d |^HTTP\/1\.1 200 |^$/, `${method} ${target} ${field}`);
    return text;
  };
  let refused = 0;
  for (const target of targets) {
    const answers = await Promise.all(fields.map((field) => answered(field(), target())));
    refused += answers.filter((text) => text.startsWith('HTTP/1.1 4')).length;
  }
  assert.ok(refused > (fields.length - 3) * targets.length / 2, `${refused} were refused`);
  assert.equal((await gateway.chat('one')).status, 200);
  await gateway.stop();

  const written = [['its output', gateway.output], ['its log', gateway.log],
    ...[...filesBelow(path.join(gateway.folder, 'data'))]
      .map((file) => [file, readFileSync(file, 'latin1')])];
  assert.ok(written.length > 100 && secrets.length > 300, 'the database, too, was looked through');
  assert.ok(linesOf(path.join(gateway.folder, 'data', 'requests.log')).length > 100);
  for (const [where, text] of written) {
    const found = secrets.filter((one) => text.includes(one));
    assert.deepEqual(found, [], `in ${where}`);
  }
});
