// Users: they log in with a password, get tokens, exchange them, and lose them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { residentBytes, waitFor } from './harness/processes.mjs';
import { addUser, login, post, users } from './harness/users.mjs';

const run = promisify(execFile);
const secret = 'a-secret-for-tests-of-more-than-32-bytes';
const config = { server: { shards: 2 },
  models: [simModel('one'), simModel('slow', { 'decode-tps': 50 })] };

const form = (fields) => new URLSearchParams(fields).toString();
const refresh = (gateway, token) =>
  post(gateway, '/auth/refresh', form({ refresh_token: token }));
const chat = (gateway, key) => gateway.chat('one', {}, { key });

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
function forge(claims, { header = { alg: 'HS256', typ: 'JWT' }, key = secret,
  hash = 'sha256' } = {}) {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
}

describe('users', () => {
  let gateway;
  before(async () => {
    gateway = await startGateway({ config: { ...config, security: { jwt_secret: secret,
      login_failures: 5, login_failures_per_address: 0 } } });
    await gateway.chat('one');
  });
  after(() => gateway.stop());

  test('the lines of the documentation work', async () => {
    await addUser(gateway, 'admin', 'admin', '--scope', 'admin');
    const { stdout } = await run('curl', ['-sS', '-X', 'POST', `${gateway.base}/auth/token`,
      '-d', 'username=admin&password=admin']);
    const tokens = JSON.parse(stdout);
    assert.deepEqual(Object.keys(tokens).sort(), ['access_token', 'refresh_token', 'token_type']);
    assert.equal(tokens.token_type, 'bearer');
    assert.match(tokens.access_token, /^eyJ/);
    const health = await run('curl', ['-sS', `${gateway.base}/health`]);
    assert.equal(JSON.parse(health.stdout).status, 'healthy');
    const metrics = await run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}',
      '-H', `Authorization: Bearer ${tokens.access_token}`, `${gateway.base}/metrics`]);
    assert.equal(metrics.stdout, '200');
  });

  test('a token has the claims and the scopes of its user', async () => {
    const tokens = await addUser(gateway, 'größe "x"', 'pass word é');
    const claims = claimsOf(tokens.access_token);
    assert.equal(claims.sub, 'größe "x"');
    assert.equal(claims.client_id, 'größe "x"');
    assert.deepEqual(claims.scopes, ['realtime']);
    assert.equal(claims.type, 'access');
    assert.equal(claims.exp - claims.iat, 3600);
    const long = claimsOf(tokens.refresh_token);
    assert.equal(long.type, 'refresh');
    assert.equal(long.exp - long.iat, 7 * 86400);
    assert.equal((await chat(gateway, tokens.access_token)).status, 200);
    const metrics = (key) => gateway.send('GET', '/metrics', { key });
    assert.equal((await metrics(tokens.access_token)).status, 403);

    // Its scopes at the time of use; those of the token bound them.
    await users(gateway, ['scopes', 'größe "x"', '--scope', 'monitor', '--scope', 'realtime']);
    const wide = await waitFor('the user has another scope', async () => {
      const answer = (await login(gateway, 'größe "x"', 'pass word é', { client_id: 'app' })).json;
      return claimsOf(answer.access_token).scopes.includes('monitor') ? answer : undefined;
    });
    assert.equal(claimsOf(wide.access_token).client_id, 'app');
    assert.equal((await metrics(wide.access_token)).status, 200);
    assert.equal((await metrics(tokens.access_token)).status, 403);
    const narrow = (await login(gateway, 'größe "x"', 'pass word é', { scope: 'realtime' })).json;
    assert.equal((await metrics(narrow.access_token)).status, 403);
  });

  test('a refresh token is no credential, works once, and takes its session along', async () => {
    const first = await addUser(gateway, 'refresher', 'a good password');
    const other = (await login(gateway, 'refresher', 'a good password')).json;
    for (const token of [first.refresh_token, 'x.y.z', '']) {
      const answer = await chat(gateway, token);
      assert.equal(answer.status, 401);
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
    }
    const second = await refresh(gateway, first.refresh_token);
    assert.equal(second.status, 200, second.text);
    assert.equal(second.headers['cache-control'], 'no-store');
    assert.equal((await chat(gateway, second.json.access_token)).status, 200);
    const third = (await refresh(gateway, second.json.refresh_token)).json;
    assert.equal((await refresh(gateway, first.refresh_token)).status, 401);
    assert.equal((await refresh(gateway, third.refresh_token)).status, 401);
    assert.match(gateway.log, /refresher: a used refresh token came back/);
    assert.equal((await refresh(gateway, other.refresh_token)).status, 200);
    assert.equal((await refresh(gateway, other.access_token)).status, 401);
    assert.equal((await refresh(gateway, 'x.y.z')).status, 401);
  });

  test('a disabled user and an old password are out within a second or so', async () => {
    const name = 'leaver', old = 'the old password', fresh = 'the new password';
    const tokens = await addUser(gateway, name, old);
    const out = (token) => waitFor('the token is refused',
      async () => (await chat(gateway, token)).status === 401, 5000);
    await users(gateway, ['passwd', name], `${fresh}\n`);
    await out(tokens.access_token);
    assert.equal((await refresh(gateway, tokens.refresh_token)).status, 401);
    assert.equal((await login(gateway, name, old)).status, 401);
    const again = (await login(gateway, name, fresh)).json;
    assert.equal((await chat(gateway, again.access_token)).status, 200);
    await users(gateway, ['disable', name]);
    await out(again.access_token);
    assert.equal((await refresh(gateway, again.refresh_token)).status, 401);
    assert.equal((await login(gateway, name, fresh)).status, 401);
    const list = JSON.parse(await users(gateway, ['list', '--json']));
    assert.equal(list.find((user) => user.name === name).disabled, true);
    await users(gateway, ['enable', name]);
    await waitFor('the user is back',
      async () => (await login(gateway, name, fresh)).status === 200, 5000);
    assert.equal((await chat(gateway, again.access_token)).status, 401);
  });

  test('no other token gets in', async () => {
    const { access_token: token } = await addUser(gateway, 'forged', 'a good password');
    const claims = claimsOf(token);
    assert.equal((await chat(gateway, forge(claims))).status, 200);
    const now = Math.floor(Date.now() / 1000);
    const wrong = [
      forge(claims, { key: 'x'.repeat(40) }),
      forge(claims, { header: { alg: 'none' } }), `${encode({ alg: 'none' })}.${encode(claims)}.`,
      forge(claims, { header: { alg: 'RS256' } }),
      forge(claims, { header: { alg: 'HS512' }, hash: 'sha512' }),
      forge({ ...claims, exp: now - 1 }), forge({ ...claims, nbf: now + 600 }),
      forge({ ...claims, iat: now + 600 }), forge({ ...claims, sub: 'nobody' }),
      forge({ ...claims, sub: 'forged\u0000' }), forge({ ...claims, generation: 2 }),
      forge({ ...claims, type: 'refresh' }), forge({ ...claims, exp: 'soon' }), forge([]),
      token.slice(0, -2), `${token}.`, '...', 'a'.repeat(10_000), `${'a'.repeat(9_000)}.b.c`,
    ];
    for (const text of wrong) {
      assert.equal((await chat(gateway, text)).status, 401, text.slice(0, 100));
    }
    assert.match((await chat(gateway, wrong[5])).text, /expired/);
    const asKey = await gateway.send('GET', '/v1/models',
      { key: null, headers: { 'x-api-key': token } });
    assert.equal(asKey.status, 401);
  });

  test('bad forms are told from bad passwords', async () => {
    await addUser(gateway, 'formal', 'a good password');
    const good = 'username=formal&password=a+good+password';
    const cases = [
      [400, ''], [400, 'username=formal'], [400, 'password=x'], [400, 'username=&password=x'],
      [400, `${good}&username=formal`], [400, `${good}&pass%77ord=x`], [400, 'username=%zz'],
      [400, 'username=a%00b&password=x'], [400, 'username=%ff%fe&password=x'],
      [400, `username=${'x'.repeat(201)}&password=x`],
      [400, `username=formal&password=${'x'.repeat(1025)}`],
      [400, `${good}&grant_type=refresh_token`], [400, `${good}&scope=root`],
      [400, `${good}&client_id=%00`], [413, `${good}&more=${'x'.repeat(20_000)}`],
      [401, 'username=formal&password=wrong'], [401, 'username=FORMAL&password=a+good+password'],
      [401, 'username=%C3%A9&password=%00'], [200, good], [200, `${good}&grant_type=password`],
    ];
    for (const [status, body] of cases) {
      const answer = await post(gateway, '/auth/token', body);
      assert.equal(answer.status, status, `${body.slice(0, 80)}: ${answer.text}`);
      if (status !== 200) assert.deepEqual(Object.keys(answer.json), ['detail']);
    }
    for (const type of [undefined, 'application/json', 'text/plain', 'multipart/form-data']) {
      const headers = type ? { 'content-type': type } : {};
      assert.equal((await post(gateway, '/auth/token', good, headers)).status, 415, type);
      assert.equal((await post(gateway, '/auth/refresh', 'x=1', headers)).status, 415, type);
    }
    assert.equal((await post(gateway, '/auth/refresh', '')).status, 400);
    assert.equal((await gateway.send('GET', '/auth/token')).status, 405);
  });

  test('what fails often has to wait, whoever it is', async () => {
    for (const name of ['sluggish', 'nobody at all']) {
      if (name === 'sluggish') await addUser(gateway, name, 'a good password');
      for (let i = 0; i < 5; ++i) assert.equal((await login(gateway, name, 'wrong')).status, 401);
      const refused = await login(gateway, name, 'a good password');
      assert.equal(refused.status, 429);
      assert.equal(refused.headers['retry-after'], '1');
    }
    await waitFor('the wait is over',
      async () => (await login(gateway, 'sluggish', 'a good password')).status === 200);
  });

  test('a thousand bad logins at once leave a chat alone', async () => {
    const { access_token: token } = await addUser(gateway, 'chatter', 'a good password');
    const stream = await gateway.openChat('slow', { sim_completion_tokens: 100_000 },
      { key: token });
    await stream.next();
    const answers = await Promise.all(Array.from({ length: 1000 },
      (_, i) => login(gateway, `stranger ${i}`, 'wrong')));
    const seen = new Set(answers.map(({ status }) => status));
    for (const status of seen) assert.ok([401, 503].includes(status), `${status}`);
    assert.ok(seen.has(503), 'not all of them wait');
    for (const answer of answers) {
      if (answer.status === 503) assert.ok(Number(answer.headers['retry-after']) > 0);
    }
    assert.equal((await chat(gateway, token)).status, 200);
    assert.ok(await stream.next(), 'the stream goes on');
    stream.close();
    assert.equal((await login(gateway, 'chatter', 'a good password')).status, 200);
  });

  test('the logins of one user leave those of others alone', async () => {
    await addUser(gateway, 'busy', 'a good password');
    await addUser(gateway, 'other', 'a good password');
    let going = true;
    const loops = Array.from({ length: 40 }, async () => {
      while (going) await login(gateway, 'busy', 'a good password');
    });
    for (let i = 0; i < 10; ++i) {
      assert.equal((await login(gateway, 'other', 'a good password')).status, 200);
    }
    going = false;
    await Promise.all(loops);
  });

  test('strangers by the thousand take no memory', async () => {
    const name = () => randomBytes(24).toString('base64url');
    const knocks = [
      () => gateway.send('GET', '/v1/models', { key: name() }),
      () => gateway.send('GET', '/v1/models', { key: null, headers: { 'x-api-key': name() } }),
      () => gateway.send('GET', '/v1/models', { key: forge({ sub: name(), client_id: 'x',
        scopes: ['admin'], type: 'access', iat: 1, exp: 4e9 }, { key: name() }) }),
      () => refresh(gateway, name()),
    ];
    const burst = async (count) => {
      const worker = async () => {
        for (let i = 0; i < count / 32; ++i) {
          assert.equal((await knocks[i % knocks.length]()).status, 401);
        }
      };
      const logins = Array.from({ length: 100 }, () => login(gateway, name(), name()));
      await Promise.all([...Array.from({ length: 32 }, worker), ...logins]);
    };
    await burst(2000);
    const before = residentBytes(gateway.pid);
    await burst(10_000);
    const grown = (residentBytes(gateway.pid) - before) / 1024 / 1024;
    assert.ok(grown < (process.env.SIGNALBOX_SANITIZED === 'ON' ? Infinity : 8), `${grown} MiB`);
  });

  test('what a user does is accounted for by name', async () => {
    const { access_token: token } = await addUser(gateway, 'counted', 'a good password');
    await chat(gateway, token);
    await chat(gateway, token);
    const socket = path.join(gateway.folder, 'data', 'postgres');
    await waitFor('the usage is written', async () => {
      const { stdout } = await run('psql', ['-h', socket, '-U', 'signalbox', 'postgres', '-Atc',
        "SELECT sum(requests) FROM usage_daily WHERE key_id = 'user:counted'"]);
      return stdout.trim() === '2';
    });
  });

  test('the command line names what is wrong', async () => {
    await users(gateway, ['add', 'twice'], 'a good password\n');
    const wrong = [
      [['add', 'twice'], 'a good password\n', /already/], [['add', 'new'], '', /no password/],
      [['add', 'new'], '\n', /0 bytes/], [['add', 'new', '--scope', 'root'], 'x\n', /no scope/],
      [['add', 'a\tb'], 'x\n', /name/], [['add', 'x'.repeat(201)], 'x\n', /name/],
      [['passwd', 'nobody'], 'x\n', /no user/], [['disable', 'nobody'], '', /no user/],
    ];
    for (const [args, input, message] of wrong) {
      await assert.rejects(users(gateway, args, input), { message }, args.join(' '));
    }
    assert.match(await users(gateway, ['list']), /^twice +valid .* realtime$/m);
  });
});

test('a restart keeps the secret; one before is accepted when it is named', async () => {
  const folder = makeFolder();
  const options = { folder, config: { ...config,
    security: { user_requests_per_minute: 1, user_burst: 4 } } };
  const first = await startGateway(options);
  const tokens = await addUser(first, 'stayer', 'a good password');
  const file = path.join(folder, 'data', 'jwt-secret');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal((await chat(first, tokens.access_token)).status, 200);
  const log = first.log + first.output;
  assert.ok(!log.includes(readFileSync(file, 'utf8').trim()));
  await first.stop();

  const second = await startGateway(options);
  assert.equal((await chat(second, tokens.access_token)).status, 200);
  await second.stop();

  const before = readFileSync(file, 'utf8').trim();
  const third = await startGateway({ ...options, env: { SIGNALBOX_JWT_SECRET: secret,
    SIGNALBOX_JWT_SECRET_PREVIOUS: before } });
  assert.equal((await chat(third, tokens.access_token)).status, 200);
  const renewed = await refresh(third, tokens.refresh_token);
  assert.equal(renewed.status, 200);
  const limited = await chat(third, tokens.access_token);
  assert.equal(limited.status, 429, 'four requests, counted over restarts');
  await third.stop();

  writeFileSync(file, 'short\n');
  const fourth = await startGateway({ ...options, env: { SIGNALBOX_JWT_SECRET: secret } });
  assert.equal((await chat(fourth, tokens.access_token)).status, 401);
  assert.notEqual((await chat(fourth, renewed.json.access_token)).status, 401);
  await fourth.stop();
});

test('exchanged tokens count as requests of their user', async () => {
  const gateway = await startGateway({ config: { ...config,
    security: { user_requests_per_minute: 1, user_burst: 3 } } });
  let token = (await addUser(gateway, 'keen', 'a good password')).refresh_token;
  for (let i = 0; i < 3; ++i) {
    const answer = await refresh(gateway, token);
    assert.equal(answer.status, 200);
    token = answer.json.refresh_token;
  }
  const refused = await refresh(gateway, token);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers['retry-after']) > 50);
  await gateway.stop();
});

test('a stop with logins, orders and reports under way is a clean one', async () => {
  const gateway = await startGateway({ config });
  await gateway.chat('one');
  const asked = [];
  for (let i = 0; i < 30; ++i) {
    asked.push(login(gateway, `stranger ${i}`, 'wrong'), gateway.post('/v1/keys', {}),
      gateway.send('GET', '/v1/usage'), gateway.send('GET', '/admin/queue/one'));
  }
  const ends = Promise.allSettled(asked);
  await Promise.any(asked);
  await gateway.stop();
  await ends;
});
