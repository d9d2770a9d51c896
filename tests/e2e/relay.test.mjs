// The relay: every client gets what it would have got from the runtime itself, whatever that sends.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { waitFor } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';

const sse = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
  'Transfer-Encoding: chunked\r\n\r\n';
const end = '0\r\n\r\n';
const done = 'data: [DONE]\n\n';
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const event = (data) => `data: ${JSON.stringify(data)}\n\n`;
const delta = (content, finish = null) => event({
  id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm',
  choices: [{ index: 0, delta: { content }, finish_reason: finish }],
});
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
const chat = {
  id: 'c', object: 'chat.completion', created: 1, model: 'm', usage,
  choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
};
const refused = (status, type, body) => `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe('the relay', () => {
  let gateway, upstream;
  let script; // what the runtime answers next

  before(async () => {
    upstream = await Upstream.start((head, body, socket) => script(body, socket));
    gateway = await startGateway({
      config: {
        server: { stream_comment_grace_s: 0.2, stream_comment_interval_s: 0.2 },
        models: [
          upstream.model('one', { max_concurrent: 1 }),
          upstream.model('many'),
          upstream.model('failing'),
          upstream.model('counted'),
          upstream.model('quick', { first_byte_timeout_s: 1, stream_idle_timeout_s: 1 }),
        ],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const isComment = (block) => block.startsWith(':');
  const hold = () => sse + chunk(delta('held'));

  async function usageOf(model) {
    const { json } = await gateway.send('GET', '/v1/usage?group_by=model');
    return json.data.find((row) => row.model === model) ??
      { requests: 0, prompt_tokens: 0, completion_tokens: 0, estimated: 0 };
  }

  // Runs a stream that waits for its turn until it has heard so; then the runtime says `answer`.
  async function afterWaiting(answer, run) {
    script = hold;
    const holder = await gateway.openChat('one');
    await holder.next((block) => block.startsWith('data:'));
    script = () => answer;
    const running = run(async () => {
      await waitFor('one waits', async () => (await gateway.queue('one')).waiting === 1);
    });
    holder.close();
    return running;
  }

  const shapes = [
    ['detail', refused('404 Not Found', 'application/json', '{"detail":"Not Found"}'), /Not Found/],
    ['an object that is an error', refused('400 Bad Request', 'application/json',
      '{"object":"error","message":"context length is 8 tokens","code":400}'), /context length/],
    ['OpenAI', refused('429 Too Many Requests', 'application/json',
      '{"error":{"message":"slow down","code":429}}'), /slow down/],
    ['text', refused('500 Internal Server Error', 'text/plain', 'out of memory'), /out of memory/],
    ['a page', refused('502 Bad Gateway', 'text/html', '<html>bad</html>'), /status 502/],
    ['nothing', 'HTTP/1.1 204 No Content\r\n\r\n', /status 204/],
    ['a page with 200', refused('200 OK', 'text/html', '<html>hi</html>'), /asked for a stream/],
  ];
  for (const [name, answer, message] of shapes) {
    test(`after comments, a refusal in the shape of ${name} is an error`, async () => {
      const stream = await afterWaiting(answer, async (waits) => {
        const opened = await gateway.openChat('one');
        await opened.next(isComment);
        await waits();
        return opened;
      });
      const { blocks, broken } = await stream.rest();
      assert.equal(broken, false);
      const [data] = dataOf(blocks);
      assert.match(data.error.message, message);

      const official = afterWaiting(answer, async (waits) => {
        const opened = gateway.client().chat.completions.create(
          { model: 'one', messages: [], stream: true });
        await waits();
        return opened;
      });
      await assert.rejects(async () => {
        for await (const part of await official) assert.fail(JSON.stringify(part));
      }, message);
    });
  }

  test('after comments, a whole chat is its chunks', async () => {
    const answer = plainAnswer(JSON.stringify(chat));
    const stream = await afterWaiting(answer, async () => gateway.client().chat.completions.create(
      { model: 'one', messages: [], stream: true, stream_options: { include_usage: true } }));
    let text = '', last;
    for await (const part of stream) {
      text += part.choices[0]?.delta?.content ?? '';
      last = part;
    }
    assert.equal(text, 'ok');
    assert.equal(last.usage.prompt_tokens, 7);
  });

  // `asked`: what the runtime does when usage is asked for; the client did not.
  const streams = [
    ['usage alone, with timings', [delta('a'), delta('', 'stop'),
      event({ choices: [], usage, timings: { n: 41.5 } }), done],
    [delta('a'), delta('', 'stop').replace('}\n\n', ',"timings":{"n":41.5}}\n\n'), done]],
    ['usage without choices', [delta('a'), event({ usage }), done], [delta('a'), done]],
    ['usage with null choices', [delta('a'), event({ choices: null, usage }), done],
      [delta('a'), done]],
    ['CR line ends and a mark', ['\uFEFFdata: {"choices":[{}]}\r\r', 'data: [DONE]\r\r'],
      ['\uFEFFdata: {"choices":[{}]}\r\r', 'data: [DONE]\r\r']],
    ['names and times of events', ['id: 1\nretry: 5\nevent: x\n', delta('a'), done],
      ['id: 1\nretry: 5\nevent: x\n', delta('a'), done]],
  ];
  for (const [name, sent, expected] of streams) {
    test(`a stream with ${name} passes but for what was asked for`, async () => {
      script = () => sse + sent.map(chunk).join('') + end;
      const answer = await gateway.chat('many', { stream: true });
      assert.equal(answer.text, expected.join(''));
    });
  }

  const endings = [
    ['[DONE], and a connection that breaks', delta('a') + done],
    ['a finish_reason, and a connection that breaks', delta('a', 'stop')],
    ['an error, and a connection that breaks', event({ error: { message: 'no', code: 503 } })],
  ];
  for (const [name, text] of endings) {
    test(`nothing is added after ${name}`, async () => {
      script = (body, socket) => {
        setImmediate(() => socket.destroySoon());
        return sse + chunk(text);
      };
      assert.equal((await gateway.chat('many', { stream: true })).text, text);
    });
  }

  test('a stream ends soon after [DONE], though the runtime holds it open', async () => {
    script = () => sse + chunk(delta('a') + done);
    assert.equal((await gateway.chat('many', { stream: true })).text, delta('a') + done);
  });

  test('an error in a stream is one in usage, metrics and the queue', async () => {
    script = () => sse + chunk(event({ error: { message: 'no', code: 503 } }) + done) + end;
    await gateway.chat('failing', { stream: true });
    await waitFor('the queue counts it',
      async () => (await gateway.queue('failing')).total_failed === 1);
    await waitFor('usage counts it', async () => (await usageOf('failing')).errors === 1);
    assert.equal(await gateway.metric('signalbox_requests_total',
      { model: 'failing', route: 'chat_completions', status_class: '5xx' }), 1);
  });

  test('heartbeats pass at once, and do not stand for the first event', async () => {
    script = () => sse + chunk(': beat\n');
    const stream = await gateway.openChat('quick');
    const beat = await stream.next(isComment);
    assert.match(beat, /^: (beat|processing)/);
    const { blocks } = await stream.rest(); // until first_byte_timeout_s
    assert.equal(dataOf(blocks).at(-1).error.code, 'upstream_timeout');
  });

  test('who waits for the first event hears comments, before the head came, too', async () => {
    let runtime;
    script = (body, socket) => {
      runtime = socket;
      return null;
    };
    const stream = await gateway.openChat('many');
    assert.equal(await stream.next(isComment), ': processing');
    runtime.write(sse + chunk(delta('a') + done) + end);
    const { blocks } = await stream.rest();
    assert.equal(dataOf(blocks)[0].choices[0].delta.content, 'a');
  });

  test('comments have a head of their own, whatever the answer that comes has', async () => {
    let runtime;
    script = (body, socket) => {
      runtime = socket;
      return plainAnswer(JSON.stringify(chat), 'Content-Encoding: x\r\n').slice(0, -5);
    };
    const stream = await gateway.openChat('many');
    assert.equal(await stream.next(isComment), ': processing');
    assert.match(stream.headers['content-type'], /^text\/event-stream/);
    assert.equal(stream.headers['content-encoding'], undefined);
    runtime.write(JSON.stringify(chat).slice(-5));
    const { blocks } = await stream.rest();
    assert.equal(dataOf(blocks)[0].choices[0].delta.content, 'ok');
  });

  test('a runtime that refuses stream_options is asked without it, once and for all', async () => {
    const asked = [];
    script = (body) => {
      asked.push(body.includes('stream_options'));
      return asked.at(-1)
        ? refused('422 Unprocessable Entity', 'application/json',
          '{"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted"}]}')
        : sse + chunk(delta('a', 'stop') + done) + end;
    };
    for (let i = 0; i < 2; ++i) {
      const answer = await gateway.chat('quick', { stream: true });
      assert.equal(answer.text, delta('a', 'stop') + done);
    }
    assert.deepEqual(asked, [true, false, false]);
  });

  // What each request adds to the usage of its model.
  const told = [
    ['two answers, one usage for each in a stream', { n: 2, stream: true },
      sse + chunk(event({ choices: [], usage }) + event({ choices: [], usage }) + done) + end,
      [14, 6, 0]],
    ['two answers, usage with each choice', { n: 2, stream: true },
      sse + chunk(event({ choices: [{ index: 0 }], usage }) +
        event({ choices: [{ index: 1 }], usage }) + done) + end, [14, 6, 0]],
    ['several prompts, an array of answers', { prompt: ['a', 'b'] },
      plainAnswer(JSON.stringify([chat, chat])), [14, 6, 0]],
    ['an empty usage is estimated', {},
      plainAnswer(JSON.stringify({ ...chat, usage: {} })), [28, 40, 1]],
  ];
  test('usage adds up whatever is asked, and is estimated where none is told', async () => {
    let before = await usageOf('counted');
    for (const [name, fields, answer, [prompt, completion, estimated]] of told) {
      script = () => answer;
      await gateway.chat('counted', fields);
      const count = before.requests + 1;
      const now = await waitFor(`${name}: usage is written`, async () => {
        const found = await usageOf('counted');
        return found.requests === count ? found : undefined;
      });
      const added = [now.prompt_tokens - before.prompt_tokens,
        now.completion_tokens - before.completion_tokens, now.estimated - before.estimated];
      if (estimated) {
        assert.ok(added[0] > 10 && added[1] > 10 && added[2] === 1, `${name}: ${added}`);
      } else {
        assert.deepEqual(added, [prompt, completion, estimated], name);
      }
      before = now;
    }
  });
});
