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
      '{"model":tru}', '{"model":"plain"', '{"model":"plain"} {}', '[{"model":"plain"]', '["a" 1]',
      'tru', '1 2', '"a" 1']) {
      const answer = await post(text);
      assert.equal(answer.status, 400, text);
      assert.equal(answer.json.error.code, 'invalid_json', text);
      assert.equal(answer.json.error.param, null);
    }
    assert.equal(upstream.requests.length, heard);
  });

  test('what is JSON, and yet no request, has another code, and its field is named', async () => {
    const heard = upstream.requests.length;
    for (const [text, code, param] of [
      ['{}', 'missing_required_parameter', 'model'],
      ['{"messages":[]}', 'missing_required_parameter', 'model'],
      ['{"model":7}', 'invalid_value', 'model'],
      ['{"model":"plain","stream":"yes"}', 'invalid_value', 'stream'],
      ['{"model":"plain","model":"plain"}', 'invalid_value', 'model'],
      ['{"model":"plain","stream":true,"stream_options":7}', 'invalid_value', 'stream_options'],
      [`{"model":"plain","a":${'['.repeat(512)}${']'.repeat(512)}}`, 'invalid_value', null],
      [`{"model":"plain","a":${'['.repeat(1_000_000)}`, 'invalid_json', null],
      ['[{"model":"plain"}]', 'invalid_value', null], ['null', 'invalid_value', null],
      ['"plain"', 'invalid_value', null], ['1', 'invalid_value', null],
    ]) {
      const { status, json } = await post(text);
      assert.equal(status, 400, text.slice(0, 100));
      assert.deepEqual([json.error.code, json.error.param], [code, param], text.slice(0, 100));
      assert.equal(json.error.type, 'invalid_request_error');
    }
    assert.equal(upstream.requests.length, heard);
  });

  test('an order that is no object has the code of what it is', async () => {
    for (const [body, code] of [['{', 'invalid_json'], ['[]', 'invalid_value']]) {
      const { status, json } = await gateway.send('POST', '/v1/keys', { body });
      assert.equal(status, 400);
      assert.equal(json.error.code, code);
    }
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
