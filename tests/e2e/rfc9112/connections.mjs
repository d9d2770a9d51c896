// Connections: how long they last, several requests on one, Expect, Upgrade.
import { body, chat, chunked, chunks, credential, either, get, http10, inChunks, length, refused,
  request, served, smuggled, type } from './parts.mjs';

const text = (value) => JSON.stringify(value);
const live = (fields) => get('/health/live', fields);
const connection = (value) => `Connection: ${value}\r\n`;

const persistence = [
  ...['close', 'Close', 'CLOSE', ' \tclose\t ', 'close, x', 'x, close', 'x,close', 'x\t,\tclose',
    ', close,', 'keep-alive, close', 'close, keep-alive', 'keep-alive\r\nConnection: close',
    'close\r\nConnection: keep-alive', 'x\r\nConnection: close'].map((value) =>
    served('9.3', `Connection: ${text(value)}`, chat(connection(value) + length),
      { closes: true })),
  ...['keep-alive', 'x', 'closed', 'xclose', 'close-not', '', '"close"', 'x; close'].map((value) =>
    served('9.3', `Connection: ${text(value)}`, chat(connection(value) + length))),
  served('9.3', 'nothing said', chat()),
  served('9.3', 'nothing said with HTTP/1.0', http10(chat()), { closes: true }),
  ...['keep-alive', 'Keep-Alive', 'x, keep-alive', 'x,keep-alive'].map((value) =>
    either('9.3', `HTTP/1.0 with Connection: ${value}`, http10(chat(connection(value) + length)),
      '200')),
  ...['close', 'keep-alive, close', 'x'].map((value) =>
    served('9.3', `HTTP/1.0 with Connection: ${value}`, http10(chat(connection(value) + length)),
      { closes: true })),
  served('9.6', 'nothing behind a request that closes is read',
    chat(connection('close') + length) + chat() + smuggled, { closes: true }),
  { rfc: '9.6', name: 'a refusal of a request that closes', answers: '404', closes: true,
    bytes: get('/nowhere', connection('close')) },
];

const pipelining = [
  served('9.3.2', 'three requests', chat() + chat() + chat(),
    { answers: '200 200 200', reached: [body, body, body] }),
  served('9.3.2', 'answers in order', chat() + live() + get('/nowhere') + inChunks(chunks),
    { answers: '200 200 404 200', reached: [body, body] }),
  served('9.3.2', 'a request behind a refusal', get('/nowhere') + chat(),
    { answers: '404 200' }),
  served('9.3.2', 'a refusal that ends the connection, behind a request',
    chat() + request('GET / HTTP/1.1', 'X A: b\r\n') + smuggled,
    { answers: ['200 400', '200 400 404'], closes: undefined }),
  refused('9.3.2', 'what is no request, behind a request', `${chat()}\0\r\n\r\n${smuggled}`,
    '200 400'),
  served('9.3.2', 'empty lines between requests', `${chat()}\r\n${chat()}`,
    { answers: '200 200', reached: [body, body] }),
  served('9.3.2', 'HEAD before a request',
    request('HEAD /health/live HTTP/1.1') + chat(), { answers: '200 200', isHead: true }),
  served('9.3.2', 'HTTP/1.0 before HTTP/1.1', http10(chat()) + chat(), { closes: true }),
  served('9.3.2', '50 requests', chat().repeat(50),
    { answers: Array(50).fill('200').join(' '), reached: Array(50).fill(body) }),
  // The parts may come as they like.
  served('2.2', 'octet by octet', [...chat()]),
  served('2.2', 'octet by octet, in chunks', [...inChunks(`11\r\n${body}\r\n0\r\nX-A: b\r\n\r\n`)]),
  served('2.2', 'cut within a line end',
    [chat(length, '').slice(0, -1), `\n${body}`]),
  served('2.2', 'the end of one request with the beginning of another',
    [chat().slice(0, -5), body.slice(-5) + chat().slice(0, 30), chat().slice(30)],
    { answers: '200 200', reached: [body, body] }),
];

const expecting = (value) => `Expect: ${value}\r\n`;
const wait = (value = '100-continue', fields = length) => chat(expecting(value) + fields, '');
const expectation = [
  ...['100-continue', '100-Continue', ' 100-CONTINUE\t'].map((value) =>
    served('9110 10.1.1', `Expect: ${text(value)}`, [wait(value), body], { answers: '100 200' })),
  served('9110 10.1.1', 'Expect before chunks', [wait('100-continue', chunked), chunks],
    { answers: '100 200' }),
  served('9110 10.1.1', 'Expect, and the body is there already', wait() + body,
    { answers: ['200', '100 200'] }),
  served('9110 10.1.1', 'Expect without a body', live(expecting('100-continue')),
    { answers: ['200', '100 200'], reached: [] }),
  served('9110 10.1.1', 'Expect with HTTP/1.0', [http10(wait()), body], { closes: true }),
  served('9110 10.1.1', 'Expect behind a request', [chat() + wait(), body],
    { answers: '200 100 200', reached: [body, body] }),
  ...['tea', '100-continue, tea', '200-ok', '100-continue=1'].map((value) =>
    // Refused, or ignored.
    either('9110 10.1.1', `Expect: ${text(value)}`, chat(expecting(value) + length),
      ['417', '400', '200', '100 200'])),
  // The final answer is there before the body; then that is read, or the connection ends.
  ...[['without a key', request('POST /v1/chat/completions HTTP/1.1',
    type + expecting('100-continue') + length), '401'],
  ['to nowhere', request('POST /nowhere HTTP/1.1', credential + expecting('100-continue') + length),
    '404'],
  ['with a body that is too large', wait('100-continue', 'Content-Length: 999999999999\r\n'),
    '413']].map(([how, bytes, answers]) =>
    ({ rfc: '9110 10.1.1', name: `Expect ${how}`, bytes: [bytes, ''], answers, closes: true })),
];

const upgrades = [
  ...['websocket', 'h2c', 'TLS/1.2', 'x, y'].flatMap((protocol) => {
    const fields = `Connection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
    return [
      served('9110 7.8', `Upgrade: ${protocol}`, chat(fields + length), { not: /^upgrade:/im }),
      { rfc: '9110 7.8', name: `Upgrade: ${protocol} of a GET`, bytes: live(fields),
        answers: '200', closes: false },
    ];
  }),
  served('9110 7.8', 'Upgrade without Connection', chat(`Upgrade: h2c\r\n${length}`),
    { not: /^upgrade:/im }),
  served('9110 7.8', 'Upgrade with HTTP/1.0',
    http10(chat(`Connection: Upgrade\r\nUpgrade: websocket\r\n${length}`)),
    { closes: true, not: /^upgrade:/im }),
  served('9110 7.8', 'Upgrade and Expect',
    [wait('100-continue', `Connection: Upgrade\r\nUpgrade: h2c\r\n${length}`), body],
    { answers: '100 200', not: /^upgrade:/im }),
  served('9110 7.8', 'Upgrade before another request',
    live('Connection: Upgrade\r\nUpgrade: websocket\r\n') + chat(), { answers: '200 200' }),
];

export const connections = { persistence, pipelining, expectation, upgrades };
