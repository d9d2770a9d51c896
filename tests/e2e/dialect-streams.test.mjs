// Streams and errors of other APIs than OpenAI's reach their clients in those APIs' shapes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startGateway } from './harness/gateway.mjs';
import { EventStream } from './harness/http.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const streamed = (type, text) => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n` +
  `Transfer-Encoding: chunked\r\n\r\n${[...text.match(/.{1,9}/gs)].map(chunk).join('')}0\r\n\r\n`;
const refused = (status, body) => `HTTP/1.1 ${status} No\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

describe('a stream of another API', () => {
  let gateway, upstream, script;

  before(async () => {
    upstream = await Upstream.start((head, body, socket) => script(body, socket));
    gateway = await startGateway({
      config: {
        // One shard, so that the latest connection to the runtime is that of the latest request.
        server: { shards: 1, stream_comment_grace_s: 0.2, stream_comment_interval_s: 0.2 },
        models: [
          ...['ollama', 'anthropic', 'responses'].map((name) => upstream.model(name)),
          upstream.model('one', { max_concurrent: 1, stream_idle_timeout_s: 1 }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const ask = (route, model, fields = {}) => gateway.post(route, { model, ...fields });

  // Each tells a usage of 9 tokens, 4 of them generated.
  const streams = [
    ['ollama', '/api/chat', 'application/x-ndjson',
      '{"message":{"content":"a"},"done":false}\n' +
      '{"message":{"content":""},"done":true,"prompt_eval_count":5,"eval_count":4}\n'],
    ['anthropic', '/v1/messages', 'text/event-stream',
      'event: message_start\ndata: {"type":"message_start","message":{"usage":' +
      '{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":1}}}\n\n' +
      'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"a"}}\n\n' +
      'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":4}}\n\n' +
      'event: message_stop\ndata: {"type":"message_stop"}\n\n'],
    ['responses', '/v1/responses', 'text/event-stream',
      'event: response.completed\ndata: {"type":"response.completed","response":{"usage":' +
      '{"input_tokens":5,"output_tokens":4,"input_tokens_details":{"cached_tokens":2}}}}\n\n'],
  ];
  for (const [model, route, type, text] of streams) {
    test(`passes as it came, and is counted: ${route}`, async () => {
      script = () => streamed(type, text);
      const answer = await ask(route, model, { stream: true });
      assert.equal(answer.text, text);
      assert.equal(answer.headers['content-type'], type);
      await waitFor('usage is written', async () => {
        const { json } = await gateway.send('GET', '/v1/usage?group_by=model');
        const row = json.data.find((one) => one.model === model);
        return row?.prompt_tokens === 5 && row.completion_tokens === 4 && row.estimated === 0;
      });
    });
  }

  // Holds the only place of model one until `run` has seen that its request waits.
  async function whileBusy(run) {
    script = () => null;
    const holder = gateway.chat('one');
    await waitFor('it runs', async () => (await gateway.queue('one')).processing === 1);
    const socket = [...upstream.sockets].at(-1);
    return run(async () => {
      await waitFor('one waits', async () => (await gateway.queue('one')).waiting === 1);
      socket.write(plainAnswer());
      await holder;
    });
  }
  const open = (route) => EventStream.open(gateway.base, route, gateway.withKey(
    { body: '{"model":"one","stream":true}', headers: { 'content-type': 'application/json' } }));

  test('an Anthropic client hears of a refusal after comments by the event it looks for',
    async () => {
      const { blocks } = await whileBusy(async (release) => {
        const stream = await open('/v1/messages');
        assert.match(await stream.next(), /^: queued/);
        script = () => refused(400, '{"detail":"too long"}');
        await release();
        return stream.rest();
      });
      assert.equal(blocks.at(-1), 'event: error\ndata: ' +
        '{"error":{"message":"too long","type":"api_error"},"type":"error"}');
    });

  test('an Ollama client hears nothing while it waits, and then the status', async () => {
    const answer = await whileBusy(async (release) => {
      const stream = open('/api/generate');
      script = () => streamed('application/x-ndjson', '{"done":true}\n');
      await release();
      return stream;
    });
    const { blocks } = await answer.rest();
    assert.deepEqual([answer.status, blocks], [200, ['{"done":true}\n']]);
    script = () => refused(400, '{"error":"too long"}');
    const refusal = await ask('/api/generate', 'one');
    assert.deepEqual([refusal.status, refusal.json], [400, { error: 'too long' }]);
  });

  test('a stream of lines that breaks off ends with a line of error', async () => {
    script = (body, socket) => {
      setImmediate(() => socket.destroySoon());
      return streamed('application/x-ndjson', '{"response":"a","done":false}\n').slice(0, -5);
    };
    const answer = await ask('/api/generate', 'ollama');
    const lines = answer.text.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, 2);
    assert.match(lines[1].error, /closed the connection/);
  });

  test('a runtime without the route is told as 404 in the dialect of the route', async () => {
    for (const body of ['404 page not found', '{"detail":"Not Found"}']) {
      script = () => refused(404, body);
      const { status, json } = await ask('/v1/messages', 'anthropic');
      assert.deepEqual([status, json], [404, { type: 'error', error: { type: 'not_found_error',
        message: "The runtime of model 'anthropic' has no route /v1/messages." } }]);
      assert.match((await ask('/api/embed', 'ollama')).json.error, /has no route \/api\/embed/);
      assert.equal((await ask('/v1/rerank', 'ollama')).json.error.code, 'not_found');
    }
    script = () => refused(404, '{"error":"model \\"x\\" not found"}');
    assert.equal((await ask('/api/embed', 'ollama')).json.error, 'model "x" not found');
  });
});
