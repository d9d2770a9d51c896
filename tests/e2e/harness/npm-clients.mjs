// The official clients from npm, each with what a runtime that speaks its API answers: "Hello
// there" in two pieces.
import Anthropic from '@anthropic-ai/sdk';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';

const text = 'Hello there', pieces = ['Hello', ' there'];
const event = (data, name) => `${name ? `event: ${name}\n` : ''}data: ${JSON.stringify(data)}\n\n`;
const line = (data) => `${JSON.stringify(data)}\n`;
const messages = [{ role: 'user', content: 'hi' }];
const boundMs = 30_000;

// A client has
//   whole, parts   the runtime's answer and the parts of its stream: a piece each, then the end
//   type           of the stream
//   failure        the body of an error, with the runtime's words
//   failedPart     an error within the stream
//   comments       whether a stream that waits has them, and therefore a 200 already
//   make           a client with chat() and stream(), of which each piece comes as it is; both take
//                  the model and a signal to abort, and throw the client's error
//   statusOf       the status that the error tells

const openaiChunk = (delta, reason = null) => event({ id: 'c', object: 'chat.completion.chunk',
  created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: reason }] });
const openaiChat = {
  route: '/v1/chat/completions',
  whole: { id: 'c', object: 'chat.completion', created: 1, model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
  parts: [...pieces.map((content) => openaiChunk({ content })),
    `${openaiChunk({}, 'stop')}data: [DONE]\n\n`],
  type: 'text/event-stream',
  failure: (message) => ({ error: { message, type: 'server_error', param: null, code: 'x' } }),
  failedPart: (message) => event(openaiChat.failure(message)),
  comments: true,
};

const openai = {
  ...openaiChat,
  name: 'openai',
  make({ base, key, fetch }) {
    const client = new OpenAI({ apiKey: key, baseURL: `${base}/v1`, maxRetries: 0, fetch,
      timeout: boundMs });
    const create = (model, signal, stream) =>
      client.chat.completions.create({ model, messages, stream }, { signal });
    return {
      chat: async (model, signal) => (await create(model, signal)).choices[0].message.content,
      async *stream(model, signal) {
        for await (const { choices } of await create(model, signal, true)) {
          if (choices[0].delta.content) yield choices[0].delta.content;
        }
      },
    };
  },
  statusOf: (error) => error.status,
};

const response = (status, output) =>
  ({ id: 'r', object: 'response', created_at: 1, status, model: 'm', output });
const responseOutput = [{ type: 'message', id: 'o', role: 'assistant', status: 'completed',
  content: [{ type: 'output_text', text, annotations: [] }] }];
const ofResponse = (type, more) => event({ type, ...more }, type);
const openaiResponses = {
  ...openai,
  name: 'openai, responses',
  route: '/v1/responses',
  whole: { ...response('completed', responseOutput),
    usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 } },
  parts: [
    ofResponse('response.created', { response: response('in_progress', []) }) +
      ofResponse('response.output_text.delta', { delta: pieces[0], item_id: 'o' }),
    ofResponse('response.output_text.delta', { delta: pieces[1], item_id: 'o' }),
    ofResponse('response.completed', { response: response('completed', responseOutput) }),
  ],
  make({ base, key, fetch }) {
    const client = new OpenAI({ apiKey: key, baseURL: `${base}/v1`, maxRetries: 0, fetch,
      timeout: boundMs });
    const create = (model, signal, stream) =>
      client.responses.create({ model, input: 'hi', stream }, { signal });
    return {
      chat: async (model, signal) => (await create(model, signal)).output_text,
      async *stream(model, signal) {
        for await (const { type, delta } of await create(model, signal, true)) {
          if (type === 'response.output_text.delta') yield delta;
        }
      },
    };
  },
};

const aiSdk = {
  ...openaiChat,
  name: 'ai',
  make({ base, key, fetch }) {
    const provider = createOpenAICompatible({ name: 'gateway', baseURL: `${base}/v1`, apiKey: key,
      fetch });
    const options = (model, abortSignal) =>
      ({ model: provider(model), prompt: 'hi', maxRetries: 0, abortSignal });
    return {
      chat: async (model, signal) => (await generateText(options(model, signal))).text,
      async *stream(model, signal) {
        const { fullStream } = streamText({ ...options(model, signal), onError() {} });
        for await (const part of fullStream) {
          if (part.type === 'text-delta') yield part.text;
          if (part.type === 'error') throw part.error;
          if (part.type === 'abort') throw new Error('aborted');
        }
      },
    };
  },
  statusOf: (error) => error.statusCode,
};

const ofMessage = (type, more) => event({ type, ...more }, type);
const message = (content, reason) => ({ id: 'a', type: 'message', role: 'assistant', model: 'm',
  content, stop_reason: reason, stop_sequence: null,
  usage: { input_tokens: 3, output_tokens: 2 } });
const textDelta = (piece) => ofMessage('content_block_delta',
  { index: 0, delta: { type: 'text_delta', text: piece } });
const anthropic = {
  name: '@anthropic-ai/sdk',
  isAnthropic: true,
  route: '/v1/messages',
  whole: message([{ type: 'text', text }], 'end_turn'),
  parts: [
    ofMessage('message_start', { message: message([], null) }) +
      ofMessage('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
      textDelta(pieces[0]),
    textDelta(pieces[1]),
    ofMessage('content_block_stop', { index: 0 }) +
      ofMessage('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { output_tokens: 2 } }) + ofMessage('message_stop'),
  ],
  type: 'text/event-stream',
  failure: (words) => ({ type: 'error', error: { type: 'api_error', message: words } }),
  failedPart: (words) => event(anthropic.failure(words), 'error'),
  comments: true,
  make({ base, key, fetch }) {
    const client = new Anthropic({ apiKey: key, baseURL: base, maxRetries: 0, fetch,
      timeout: boundMs });
    const create = (model, signal, stream) =>
      client.messages.create({ model, messages, max_tokens: 10, stream }, { signal });
    return {
      client,
      chat: async (model, signal) => (await create(model, signal)).content[0].text,
      async *stream(model, signal) {
        for await (const { type, delta } of await create(model, signal, true)) {
          if (type === 'content_block_delta') yield delta.text;
        }
      },
    };
  },
  statusOf: (error) => error.status,
};

// Chat and generate differ in where the text is.
function ollama(route, wish, answer, textOf) {
  const object = (piece, more) => ({ model: 'm', created_at: '2026-01-01T00:00:00Z',
    ...answer(piece), done: false, ...more });
  const end = { done: true, done_reason: 'stop', prompt_eval_count: 3, eval_count: 2 };
  const me = {
    name: `ollama, ${route}`,
    isOllama: true,
    route: `/api/${route}`,
    whole: object(text, end),
    parts: [...pieces.map((piece) => line(object(piece))), line(object('', end))],
    type: 'application/x-ndjson',
    failure: (words) => ({ error: words }),
    failedPart: (words) => line(me.failure(words)),
    comments: false,
    make({ base, key, fetch = globalThis.fetch }) {
      // Only its streams can be aborted otherwise.
      const headers = { authorization: `Bearer ${key}` };
      const client = (signal) => new Ollama({ host: base, headers,
        fetch: (url, options) => fetch(url, { ...options,
          signal: AbortSignal.any([options.signal, signal].filter(Boolean)) }) });
      return {
        client: client(),
        chat: async (model, signal) => textOf(await client(signal)[route]({ model, ...wish })),
        async *stream(model, signal) {
          for await (const part of await client(signal)[route]({ model, ...wish, stream: true })) {
            if (textOf(part)) yield textOf(part);
          }
        },
      };
    },
    statusOf: (error) => error.status_code,
  };
  return me;
}

export const npmClients = [
  openai, openaiResponses, aiSdk, anthropic,
  ollama('chat', { messages }, (content) => ({ message: { role: 'assistant', content } }),
    (part) => part.message.content),
  ollama('generate', { prompt: 'hi' }, (piece) => ({ response: piece }), (part) => part.response),
];
