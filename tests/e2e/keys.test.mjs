// Keys made, changed, rotated and revoked while the gateway runs, and what they limit.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminKey, makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { Postgres } from './harness/postgres.mjs';
import { waitFor } from './harness/processes.mjs';

const config = {
  keys: [{ id: 'administrator', token: adminKey, scopes: ['admin'] }],
  server: { shards: 3 }, // what is said to one holds on all
  models: [simModel('one', {}, { aliases: ['uno'] }), simModel('two', {}, { max_concurrent: 1 }),
    simModel('slow', { 'prefill-tps': 1000, 'decode-tps': 2000 })],
};

describe('keys', () => {
  let postgres, gateway;
  before(async () => {
    postgres = await Postgres.start();
    gateway = await startGateway({ env: { DATABASE_URL: await postgres.url('keys') }, config });
    await gateway.chat('one');
  });
  after(async () => {
    await gateway.stop();
    await postgres.down();
  });

  const make = async (fields = {}) => {
    const made = await gateway.post('/v1/keys', fields);
    assert.equal(made.status, 201, made.text);
    return made.json;
  };
  const chat = (key, model = 'one', fields = {}) => gateway.chat(model, fields, { key });
  // Every request takes a connection of its own, so the kernel spreads them over the shards.
  const statusOnAllShards = async (key) => {
    const all = await Promise.all(Array.from({ length: 24 }, () => chat(key)));
    const seen = new Set(all.map(({ status }) => status));
    assert.equal(seen.size, 1, `one answer everywhere, not ${[...seen]}`);
    return [...seen][0];
  };

  test('a key is made with the least, and its secret told once', async () => {
    const made = await make();
    assert.match(made.key, /^sbk_[A-Za-z0-9_-]{32}$/);
    assert.ok(made.key.startsWith(made.hint) && made.hint.length < 12);
    assert.deepEqual(made.scopes, ['realtime']);
    assert.equal(await statusOnAllShards(made.key), 200);
    assert.equal((await gateway.send('GET', '/metrics', { key: made.key })).status, 403);
    const shown = await gateway.send('GET', `/v1/keys/${made.id}`);
    assert.equal(shown.status, 200);
    assert.ok(!shown.text.includes(made.key));
    const { key, ...rest } = made;
    assert.deepEqual(shown.json, rest);
    assert.ok(!gateway.log.includes(key) && !gateway.output.includes(key));
    const dump = JSON.stringify(await postgres.query('SELECT * FROM api_keys', 'keys'));
    assert.ok(!dump.includes(key));
  });

  test('a key is changed, and keeps its secret', async () => {
    const { id, key } = await make({ name: 'before', models: ['one'] });
    assert.equal((await chat(key, 'two')).status, 403);
    assert.equal((await chat(key, 'two')).json.error.code, 'model_not_allowed');
    assert.equal((await chat(key, 'uno')).status, 200);
    const changed = await gateway.send('PATCH', `/v1/keys/${id}`,
      { body: JSON.stringify({ models: [], scopes: ['realtime', 'monitor'], name: 'after' }) });
    assert.equal(changed.status, 200, changed.text);
    assert.equal(changed.json.name, 'after');
    assert.equal((await chat(key, 'two')).status, 200);
    assert.equal((await gateway.send('GET', '/metrics', { key })).status, 200);
  });

  test('a key that is bound to models finds no others', async () => {
    for (const scopes of [['realtime'], ['realtime', 'monitor'], ['admin']]) {
      const { key } = await make({ models: ['uno'], scopes }); // an alias of one
      const get = (rest) => gateway.send('GET', `/v1/models${rest}`, { key });
      for (const query of ['', '?detail=true']) {
        assert.deepEqual((await get(query)).json.data.map((model) => model.id), ['one']);
      }
      for (const name of ['one', 'uno']) assert.equal((await get(`/${name}`)).json.id, 'one');
      const [other, unknown] = [await get('/two'), await get('/nobody')];
      assert.deepEqual([other.status, unknown.status], [404, 404]);
      assert.equal(other.text.replace('two', 'nobody'), unknown.text);
    }
    const all = (await gateway.send('GET', '/v1/models')).json.data.map((model) => model.id);
    assert.ok(all.includes('one') && all.includes('two'), `${all}`);
  });

  test('a rotated key has both secrets until the grace is over', async () => {
    const { id, key: first } = await make();
    const rotated = await gateway.post(`/v1/keys/${id}/rotate`, { grace_s: 3600 });
    assert.equal(rotated.status, 200, rotated.text);
    const second = rotated.json.key;
    assert.notEqual(first, second);
    assert.equal(rotated.json.id, id);
    assert.equal(await statusOnAllShards(first), 200);
    assert.equal(await statusOnAllShards(second), 200);
    const again = await gateway.post(`/v1/keys/${id}/rotate`, { grace_s: 0 });
    assert.equal(await statusOnAllShards(first), 401);
    assert.equal(await statusOnAllShards(second), 401);
    assert.equal(await statusOnAllShards(again.json.key), 200);
  });

  test('a revoked key is refused everywhere, at once and for ever', async () => {
    const { id, key } = await make();
    assert.equal(await statusOnAllShards(key), 200);
    const revoked = await gateway.send('DELETE', `/v1/keys/${id}`);
    assert.equal(revoked.status, 200);
    assert.ok(revoked.json.revoked_at);
    assert.equal(await statusOnAllShards(key), 401);
    assert.equal((await gateway.post(`/v1/keys/${id}/rotate`, {})).status, 409);
    assert.equal((await gateway.send('PATCH', `/v1/keys/${id}`, { body: '{}' })).status, 409);
  });

  test('a key expires', async () => {
    const { key } = await make({ expires_in_s: 1 });
    assert.equal((await chat(key)).status, 200);
    const refused = await waitFor('the key has expired', async () => {
      const answer = await chat(key);
      return answer.status === 401 ? answer : undefined;
    });
    assert.match(refused.json.error.message, /expired/);
    assert.equal(refused.headers['www-authenticate'], 'Bearer');
  });

  test('another program\'s change is known within a second or so', async () => {
    const { id, key } = await make();
    await postgres.query(`UPDATE api_keys SET revoked_at = now(),
      version = nextval('api_key_versions') WHERE id = '${id}'`, 'keys');
    await waitFor('the key is refused', async () => (await chat(key)).status === 401, 5000);
  });

  test('so many requests a minute, over all shards', async () => {
    const { id, key } = await make({ limits: { requests_per_minute: 6, burst: 10 } });
    const answers = await Promise.all(Array.from({ length: 40 }, () => chat(key)));
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
    assert.equal(refused.length, 30);
    assert.equal(refused[0].json.error.code, 'rate_limit_exceeded');
    const wait = Number(refused[0].headers['retry-after']);
    assert.ok(wait >= 1 && wait <= 10, `Retry-After: ${wait}`);
    assert.equal(refused[0].headers['x-ratelimit-limit-requests'], '6');
    assert.equal(refused[0].headers['x-ratelimit-remaining-requests'], '0');
    assert.match(refused[0].headers['x-ratelimit-reset-requests'], /^\d+\.\d{3}s$/);
    // Counters belong to the key, whatever its secret.
    const rotated = await gateway.post(`/v1/keys/${id}/rotate`, {});
    assert.equal((await chat(rotated.json.key)).status, 429);
    await gateway.send('PATCH', `/v1/keys/${id}`,
      { body: JSON.stringify({ limits: { requests_per_minute: 0 } }) });
    assert.equal((await chat(key)).status, 200);
  });

  test('limits are told with every answer; a burst needs no word', async () => {
    const { key, limits } = await make({
      limits: { requests_per_minute: 1, tokens_per_minute: 1000 } });
    assert.equal(limits.burst, 10);
    const told = [['/v1/models', '9'], ['/v1/models/none', '8'], ['/metrics', '8']];
    for (const [route, left] of told) {
      const { headers } = await gateway.send('GET', route, { key });
      assert.equal(headers['x-ratelimit-limit-requests'], '1', route);
      assert.equal(headers['x-ratelimit-remaining-requests'], left, route);
      assert.equal(headers['x-ratelimit-remaining-tokens'], '1000', route);
    }
    const open = await gateway.send('GET', '/health', { key });
    assert.equal(open.headers['x-ratelimit-limit-requests'], undefined);
  });

  test('the official client sees a rate limit as one', async () => {
    const { key } = await make({ limits: { requests_per_minute: 1, burst: 1 } });
    const client = gateway.client({ apiKey: key });
    const ask = () => client.chat.completions.create(
      { model: 'one', messages: [{ role: 'user', content: 'hello' }] });
    const { response } = await ask().withResponse();
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '0');
    await assert.rejects(ask(), { name: 'Error', status: 429, code: 'rate_limit_exceeded' });
  });

  test('tokens are settled when the runtime has told them', async () => {
    const { key } = await make({ limits: { tokens_per_minute: 100 } });
    const counts = { sim_prompt_tokens: 90, sim_completion_tokens: 60 };
    const first = await chat(key, 'one', counts);
    assert.equal(first.status, 200);
    const second = await chat(key, 'one', counts);
    assert.equal(second.status, 429);
    assert.equal(second.headers['x-ratelimit-remaining-tokens'], '0');
    const wait = Number(second.headers['retry-after']);
    assert.ok(wait > 20 && wait <= 31, `50 tokens are owed, 100 come back a minute: ${wait}`);
  });

  test('who leaves before the first token has used the prompt', async () => {
    const key = (await make({ limits: { tokens_per_minute: 1000 } })).key;
    const raw = await gateway.connect();
    const body = JSON.stringify({ model: 'slow', messages: [{ content: 'x'.repeat(16_000) }],
      sim_prompt_tokens: 100_000 });
    raw.write('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json' +
      `\r\nAuthorization: Bearer ${key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const running = (count) => waitFor(`${count} run`,
      async () => (await gateway.queue('slow')).processing === count);
    await running(1);
    raw.close();
    await running(0);
    const refused = await chat(key);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers['retry-after']) > 60);
  });

  test('so many tokens a day', async () => {
    const { key } = await make({ limits: { tokens_per_day: 100 } });
    const counts = { sim_prompt_tokens: 90, sim_completion_tokens: 60 };
    assert.equal((await chat(key, 'one', counts)).status, 200);
    const refused = await chat(key, 'one', counts);
    assert.equal(refused.status, 429);
    const wait = Number(refused.headers['retry-after']);
    assert.ok(wait > 0 && wait <= 86400);
  });

  test('so many at once; an aborted one counts no longer', async () => {
    const { key } = await make({ limits: { max_concurrent: 1 } });
    const stream = await gateway.openChat('one', { sim_completion_tokens: 100000,
      sim_decode_tps: 20 }, { key });
    await stream.next();
    assert.equal((await chat(key)).status, 429);
    stream.close();
    await waitFor('it is let in again', async () => (await chat(key)).status === 200, 5000);
  });

  test('what is wrong is named, and changes nothing', async () => {
    const { id } = await make({ name: 'kept' });
    const cases = [
      [{ scopes: [] }, 'scopes'], [{ scopes: ['root'] }, 'scopes'], [{ scopes: 'admin' }, 'scopes'],
      [{ name: 'a\u0000b' }, 'name'], [{ name: 'x'.repeat(201) }, 'name'], [{ name: 7 }, 'name'],
      [{ weight: 0 }, 'weight'], [{ weight: 1e9 }, 'weight'], [{ models: ['a\nb'] }, 'models'],
      [{ models: [''] }, 'models'], [{ limits: { burst: -1 } }, 'limits.burst'],
      [{ limits: { max_concurrent: 1.5 } }, 'limits.max_concurrent'],
      [{ limits: { per_second: 1 } }, 'limits.per_second'], [{ limits: 5 }, 'limits'],
      [{ expires_at: 'tomorrow' }, 'expires_at'],
      [{ expires_at: '2001-01-01T00:00:00Z' }, 'expires_at'],
      [{ expires_at: '2640-01-01T00:00:00Z' }, 'expires_at'],
      [{ expires_at: '2030-02-31T00:00:00Z' }, 'expires_at'],
      [{ expires_in_s: 0 }, 'expires_in_s'], [{ id: 'user:alice' }, 'id'],
      [{ name: 'changed', nam: 'x' }, 'nam'],
    ];
    for (const [fields, param] of cases) {
      for (const [method, route] of [['POST', '/v1/keys'], ['PATCH', `/v1/keys/${id}`]]) {
        const answer = await gateway.send(method, route, { body: JSON.stringify(fields) });
        assert.equal(answer.status, 400, `${method} ${JSON.stringify(fields)}`);
        assert.equal(answer.json.error.param, param);
      }
    }
    for (const body of ['[]', '{', '7', 'null', Buffer.from('{"name":"\xff"}', 'latin1')]) {
      assert.equal((await gateway.send('POST', '/v1/keys', { body })).status, 400, body);
    }
    assert.equal((await gateway.send('GET', `/v1/keys/${id}`)).json.name, 'kept');
    assert.equal((await gateway.post(`/v1/keys/${id}/rotate`, { grace_s: -1 })).status, 400);
    for (const [method, route] of [['GET', '/v1/keys/none'], ['DELETE', '/v1/keys/none'],
      ['PATCH', '/v1/keys/none'], ['POST', '/v1/keys/none/rotate'],
      ['GET', '/v1/keys/a%00b'], ['POST', '/v1/keys/a/b/rotate']]) {
      const answer = await gateway.send(method, route, {});
      assert.ok([404, 405].includes(answer.status), `${method} ${route}: ${answer.status}`);
    }
    assert.equal((await gateway.send('DELETE', '/v1/keys/administrator')).status, 409);
    for (const query of ['limit=0', 'limit=1&x=%zz', '%', 'after=%C3%28']) {
      assert.equal((await gateway.send('GET', `/v1/keys?${query}`)).status, 400, query);
    }
  });

  test('only an administrator makes keys', async () => {
    const { key, id } = await make({ scopes: ['realtime', 'batch', 'eval', 'upload', 'monitor'] });
    for (const [method, route] of [['POST', '/v1/keys'], ['GET', '/v1/keys'],
      ['GET', `/v1/keys/${id}`], ['PATCH', `/v1/keys/${id}`], ['DELETE', `/v1/keys/${id}`],
      ['POST', `/v1/keys/${id}/rotate`]]) {
      assert.equal((await gateway.send(method, route, { key })).status, 403, `${method} ${route}`);
    }
  });

  test('the list goes page by page', async () => {
    const all = (await gateway.send('GET', '/v1/keys?limit=1000')).json.data.map(({ id }) => id);
    const paged = [];
    for (let after = ''; after !== null;) {
      const { json } = await gateway.send('GET', `/v1/keys?limit=3&after=${after}`);
      paged.push(...json.data.map(({ id }) => id));
      after = json.next;
    }
    assert.deepEqual(paged, all);
    assert.ok(all.length > 5);
  });
});

test('a restart keeps keys and gives no new burst; without the database keys go on', async () => {
  const postgres = await Postgres.start();
  const options = { env: { DATABASE_URL: await postgres.url('restart') }, config,
    folder: makeFolder() };
  const first = await startGateway(options);
  const limited = (await first.post('/v1/keys',
    { limits: { requests_per_minute: 1, burst: 5, tokens_per_day: 1000 } })).json.key;
  const counts = { sim_prompt_tokens: 500, sim_completion_tokens: 600 };
  const daily = (await first.post('/v1/keys', { limits: { tokens_per_day: 1000 } })).json.key;
  assert.equal((await first.chat('one', counts, { key: daily })).status, 200);
  // Longer than states wait to be kept: what is told at its end counts too.
  const minute = (await first.post('/v1/keys', { limits: { tokens_per_minute: 100 } })).json.key;
  assert.equal((await first.chat('slow', { sim_completion_tokens: 4000 }, { key: minute })).status,
    200);
  for (let i = 0; i < 5; ++i) {
    assert.equal((await first.chat('one', {}, { key: limited })).status, 200);
  }
  assert.equal((await first.chat('one', {}, { key: limited })).status, 429);
  await first.stop();

  const second = await startGateway(options);
  assert.equal((await second.chat('one', {}, { key: limited })).status, 429);
  assert.equal((await second.chat('one', {}, { key: daily })).status, 429);
  assert.equal((await second.chat('one', {}, { key: minute })).status, 429);
  const other = (await second.post('/v1/keys', {})).json.key;
  await postgres.down();
  assert.equal((await second.chat('one', {}, { key: other })).status, 200);
  const refused = await second.post('/v1/keys', {});
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  await postgres.up();
  await waitFor('keys can be made again',
    async () => (await second.post('/v1/keys', {})).status === 201);
  await second.stop();
  await postgres.down();
});

test('without a credential one may do what the configuration says, with a wrong one nothing',
  async () => {
    const gateway = await startGateway({ config: { ...config,
      security: { anonymous_scopes: ['realtime'] } } });
    assert.equal((await gateway.chat('one', {}, { key: null })).status, 200);
    assert.equal((await gateway.chat('one', {}, { key: 'sk-nobody-has-this' })).status, 401);
    assert.equal((await gateway.send('GET', '/metrics', { key: null })).status, 403);
    await gateway.stop();
  });
