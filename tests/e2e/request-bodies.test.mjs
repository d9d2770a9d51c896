// What a body may be, and what reaches the runtime of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startGateway } from './harness/gateway.mjs';
import { Upstream } from './harness/upstream.mjs';

describe('bodies', () => {
  let gateway, upstream;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({ config: { server: { shards: 1 },
      models: [upstream.model('plain', { upstream_model: 'other' })] } });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const post = (text) => gateway.post('/v1/chat/completions', text);

  test('what nobody reads is JSON, too', async () => {
    const heard = upstream.requests.length;
    for (const text of ['{"model":"plain","a":[1}}', '{"a":{"b":[1,]},"model":"plain"}',
      '{"model":"plain","a":tru}', '{"model":"plain","a":"\\x"}', '{"model":"plain","stream":nul}',
      `{"model":"plain","a":${'['.repeat(512)}${']'.repeat(512)}}`,
      `{"model":"plain","a":${'['.repeat(1_000_000)}`]) {
      const answer = await post(text);
      assert.equal(answer.status, 400, text.slice(0, 100));
      assert.equal(answer.json.error.code, 'invalid_json');
    }
    assert.equal(upstream.requests.length, heard);
  });

  test('valid JSON reaches the runtime as it came, but for the name of the model', async () => {
    for (const text of [
      ' {"model" : "plain","a":[1e400,18446744073709551616,"\\ud83d",-0.0,{"b":null}] } ',
      `{"a":${'['.repeat(511)}${']'.repeat(511)},"model":"plain"}`,
    ]) {
      assert.equal((await post(text)).status, 200, text.slice(0, 100));
      assert.equal(upstream.last.body, text.replace('plain', 'other'));
    }
  });

  test('an order that nests deep is refused at once', async () => {
    const deep = (open, close, length = 16_000) => {
      const levels = Math.floor(length / (open.length + close.length));
      return open.repeat(levels) + close.repeat(levels);
    };
    for (const text of [deep('[', ''), deep('[', ']'), deep('{"a":', ''), `[${deep('[],', '')}1]`,
      `{"name":${deep('[', ']')}}`, `{"limits":{"burst":${deep('[', ']')}}}`]) {
      const began = performance.now();
      assert.equal((await gateway.post('/v1/keys', text)).status, 400, text.slice(0, 100));
      assert.ok(performance.now() - began < 1_000, text.slice(0, 100));
    }
  });

  test('a byte order mark before the body is dropped', async () => {
    const mark = '\ufeff';
    for (const text of ['{"model":"plain","a":"é"}', ' {"a":1, "model":"plain","stream":true}']) {
      await post(text);
      const { body } = upstream.last;
      assert.equal((await post(mark + text)).status, 200);
      assert.equal(upstream.last.body, body);
      assert.equal((await post(mark + mark + text)).status, 400);
    }
    assert.equal((await post(mark)).status, 400);
    const key = await gateway.post('/v1/keys', `${mark}{"name":"with a mark"}`);
    assert.equal(key.status, 201, key.text);
    assert.equal(key.json.name, 'with a mark');
  });
});
