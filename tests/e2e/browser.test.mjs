// CORS and pages: a browser gets what it needs of a gateway, and no more.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rendered, startSite } from './harness/browser.mjs';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { plainAnswer, Upstream } from './harness/upstream.mjs';

const page = 'https://chat.example.org';
const cors = (headers) => Object.fromEntries(Object.entries(headers)
  .filter(([name]) => name.startsWith('access-control-') || name === 'vary'));
const preflight = (gateway, origin, more = {}) => gateway.send('OPTIONS', '/v1/chat/completions',
  { key: null, headers: { origin, 'access-control-request-method': 'POST', ...more } });

describe('pages of other origins', () => {
  let gateway, runtime;
  before(async () => {
    runtime = await Upstream.start(() => plainAnswer(undefined,
      'Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n'));
    gateway = await startGateway({ config: {
      cors: { allowed_origins: [page, 'http://localhost:3000'], max_age_s: 60 },
      models: [simModel('one'), runtime.model('outside')],
    } });
    await gateway.chat('one');
  });
  after(async () => {
    await gateway.stop();
    await runtime.stop();
  });

  test('are told beforehand what they may send, without a credential', async () => {
    const names = 'authorization, content-type,x-stainless-os';
    const answer = await preflight(gateway, page, { 'access-control-request-headers': names });
    assert.equal(answer.status, 200);
    assert.deepEqual(cors(answer.headers), {
      'access-control-allow-origin': page, 'access-control-allow-methods': 'POST',
      'access-control-allow-headers': names, 'access-control-max-age': '60',
      'access-control-expose-headers': '*', vary: 'Origin',
    });
    const keys = await gateway.send('OPTIONS', '/v1/keys/some', { key: null,
      headers: { origin: page, 'access-control-request-method': 'DELETE' } });
    assert.equal(keys.headers['access-control-allow-methods'], 'GET, HEAD, PATCH, DELETE');
  });

  test('may read every kind of answer', async () => {
    const readable = (answer) => assert.deepEqual(cors(answer.headers), {
      'access-control-allow-origin': 'http://localhost:3000', 'access-control-expose-headers': '*',
      vary: 'Origin',
    });
    const headers = { origin: 'http://localhost:3000' };
    readable(await gateway.chat('one', {}, { headers }));
    const stream = await gateway.openChat('one', {}, { headers });
    readable(stream);
    await stream.rest();
    readable(await gateway.chat('nobody', {}, { headers }));
    readable(await gateway.chat('one', {}, { headers, key: 'sk-wrong' }));
    readable(await gateway.send('GET', '/v1/models', { headers }));
    readable(await gateway.send('GET', '/nowhere', { headers }));
  });

  test('that are not named are given nothing', async () => {
    const others = ['https://evil.example.org', `${page}.evil.org`, 'null',
      'https://CHAT.example.org', 'http://localhost'];
    for (const origin of others) {
      const answer = await preflight(gateway, origin);
      assert.equal(answer.status, 405, origin);
      assert.deepEqual(cors(answer.headers), { vary: 'Origin' });
      assert.deepEqual(cors((await gateway.chat('one', {}, { headers: { origin } })).headers),
        { vary: 'Origin' });
    }
    const noRoute = await gateway.send('OPTIONS', '/nowhere', { key: null,
      headers: { origin: page, 'access-control-request-method': 'GET' } });
    assert.equal(noRoute.status, 404);
    const noPreflight = await gateway.send('OPTIONS', '/v1/models', { headers: { origin: page } });
    assert.equal(noPreflight.status, 405);
    const odd = await preflight(gateway, page, { 'access-control-request-headers': 'a b, c' });
    assert.equal(odd.headers['access-control-allow-headers'], undefined);
  });

  test('are not let in by a runtime, which never hears of them', async () => {
    const answer = await gateway.chat('outside', {}, { headers: { origin: 'https://evil.org' } });
    assert.equal(answer.status, 200);
    assert.deepEqual(cors(answer.headers), { vary: 'Origin' });
    assert.doesNotMatch(runtime.requests.at(-1).head, /^origin:/im);
  });
});

test('all origins, when the configuration says so; none by default', async () => {
  const open = await startGateway({
    config: { cors: { allowed_origins: ['*'] }, models: [simModel('one')] } });
  const asked = await preflight(open, 'https://anywhere.org');
  assert.equal(asked.headers['access-control-allow-origin'], '*');
  assert.equal(asked.headers['access-control-allow-credentials'], undefined);
  assert.equal(asked.headers.vary, undefined);
  await open.stop();
  const closed = await startGateway({ config: { models: [simModel('one')] } });
  assert.deepEqual(cors((await preflight(closed, page)).headers), {});
  const answer = await closed.send('GET', '/v1/models', { headers: { origin: page } });
  assert.deepEqual(cors(answer.headers), {});

  const html = await closed.send('GET', '/docs', { key: null });
  assert.equal(html.status, 200);
  assert.match(html.headers['content-type'], /^text\/html/);
  const policy = html.headers['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  for (const [name, value] of Object.entries({ 'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin' })) {
    assert.equal(html.headers[name], value, name);
  }
  // All that it loads is there, and nothing is inline, which the policy would stop.
  const files = [...html.text.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)].map(([, file]) => file);
  assert.equal(files.length, 2);
  for (const file of files) {
    const { status, headers } = await closed.send('GET', file, { key: null });
    assert.equal(status, 200, file);
    assert.match(headers['content-type'], file.endsWith('.js') ? /javascript/ : /css/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
  }
  assert.doesNotMatch(html.text, /<script>|<style| on\w+=/);
  for (const file of ['no.js', '..%2Fopenapi.json', '%2e%2e/docs']) {
    assert.equal((await closed.send('GET', `/docs/${file}`, { key: null })).status, 404, file);
  }
  assert.equal((await closed.send('GET', '/v1/models', { key: adminKey }))
    .headers['x-content-type-options'], 'nosniff');
  await closed.stop();
});

test('a browser keeps to it, and shows the contract', async () => {
  let gateway;
  const asking = () => `<p id="out"></p><script>
    const out = document.getElementById('out');
    const ask = (stream) => fetch('${gateway.base}/v1/chat/completions', { method: 'POST',
      headers: { authorization: 'Bearer ${adminKey}', 'content-type': 'application/json',
        'x-stainless-lang': 'js' },
      body: JSON.stringify({ model: 'one', stream, messages: [{ role: 'user', content: 'x' }] }) });
    (async () => {
      const whole = await ask(false);
      const text = await (await ask(true)).text();
      out.textContent = [whole.status, (await whole.json()).object,
        whole.headers.get('x-selected-model'), text.includes('data: [DONE]')].join();
    })().catch((error) => { out.textContent = error.name; });
  </script>`;
  const friend = await startSite(asking), stranger = await startSite(asking);
  gateway = await startGateway({ config: { models: [simModel('one')],
    cors: { allowed_origins: [friend.origin] } } });
  await gateway.chat('one');
  assert.match(await rendered(friend.origin), /<p id="out">200,chat.completion,one,true<\/p>/);
  assert.match(await rendered(stranger.origin), /<p id="out">TypeError<\/p>/);

  const page = await rendered(`${gateway.base}/docs`);
  const { json: contract } = await gateway.send('GET', '/openapi.json', { key: null });
  for (const [path, operations] of Object.entries(contract.paths)) {
    for (const [method, { summary }] of Object.entries(operations)) {
      assert.ok(page.includes(`<section id="${method}${path}">`), `${method} ${path}`);
      assert.ok(page.includes(summary.replaceAll('&', '&amp;')), summary);
    }
  }
  assert.doesNotMatch(page, /undefined|\[object|Loading|cannot be read/);
  await gateway.stop();
  friend.stop();
  stranger.stop();
});
