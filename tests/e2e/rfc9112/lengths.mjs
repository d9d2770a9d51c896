// How long a body is: Content-Length, Transfer-Encoding, both, neither.
import { body, chat, chunked, chunks, either, get, http10, inChunks, length, refused, request,
  served, smuggled } from './parts.mjs';

const text = (value) => JSON.stringify(value);
const withLength = (value, content) => chat(`Content-Length: ${value}\r\n`, content);
const withCoding = (value, content = chunks) => chat(`Transfer-Encoding: ${value}\r\n`, content);
const size = String(body.length);

const lengths = [
  ...[size, `0${size}`, `000000000000000000000000${size}`].map((value) =>
    served('9110 8.6', `Content-Length: ${value}`, withLength(value))),
  ...['  17  ', '\t17', '17\t'].map((value) =>
    either('5.1', `blanks around a length: ${text(value)}`, withLength(value))),
  served('9110 5.1', 'a length in another case', chat(length.toUpperCase())),
  ...['', '+17', '-17', '-0', '0x11', '17.0', '17.', '1e1', '1_7', '1 7', '1\t7', '17a', 'a17',
    '17;', '"17"', "'17'", '17\x0b', '\x0b17', '17\xa0', '\xb2', '17, 3', '3, 17', '17 3', '17,',
    ',17', '17;17', '17, x', '17, -1', '17, 0x11'].map((value) =>
    (/^(17,|,17)$/.test(value)
      ? either('6.3', `Content-Length: ${text(value)}`, withLength(value))
      : refused('6.3', `Content-Length: ${text(value)}`, withLength(value)))),
  // 17 past what 32, 63 and 64 bits hold, and far past.
  ...[32n, 63n, 64n].map((bits) => refused('6.3', `a length of 2^${bits} + 17`,
    withLength(String((1n << bits) + 17n)), ['400', '413'])),
  refused('6.3', 'a length of 400 digits', withLength('9'.repeat(400)), ['400', '413']),
  ...[['twice', `${length}${length}`], ['in a list', `Content-Length: ${size}, ${size}\r\n`],
    ['in a list without a blank', `Content-Length: ${size},${size}\r\n`],
    ['with and without a zero', `${length}Content-Length: 0${size}\r\n`]].map(([how, fields]) =>
    either('6.3', `the same length ${how}`, chat(fields))),
  ...[`${length}Content-Length: 3\r\n`, `Content-Length: 3\r\n${length}`,
    `${length}Content-Length: 0\r\n`, `Content-Length: 0\r\n${length}`,
    `${length}Content-Length:\r\n`, `Content-Length:\r\n${length}`,
    `${length}content-length: 18\r\n`, `${length}${length}Content-Length: 16\r\n`].map((fields) =>
    refused('6.3', `lengths that differ: ${text(fields)}`, chat(fields))),
];

const codings = [
  ...['chunked', 'CHUNKED', 'Chunked', ' chunked '].map((value) =>
    served('7', `Transfer-Encoding: ${text(value)}`, withCoding(value))),
  ...['\tchunked', 'chunked\t'].map((value) =>
    either('5.1', `Transfer-Encoding: ${text(value)}`, withCoding(value),
      ['200', '400', '411', '501'])),
  served('9110 5.1', 'an encoding in another case',
    chat(chunked.replace('Transfer', 'tRANSFER'), chunks)),
  // Empty members of a list mean nothing.
  ...[', chunked', 'chunked,', 'chunked ,'].map((value) =>
    either('9110 5.6.1', `Transfer-Encoding: ${text(value)}`, withCoding(value),
      ['200', '400', '501'])),
  // Chunked is not the last.
  ...['gzip', 'identity', 'chunked, gzip', 'chunked, identity', 'chunked,gzip', 'gzip, identity',
    'xchunked', 'chunkedx', 'chunked x', 'x chunked', '"chunked"', "'chunked'", 'chunked;q=1',
    'chunked;', 'chunked\x0b', '\x0bchunked', 'chunked\x0c', '\x00chunked', 'chunked\x00',
    'chunked\x7f', 'chunked\xa0', '\xffchunked', 'chun ked', 'chunk', 'chunked\x08', '', ',',
    'chunked/1.1', 'chunked=', 'chunked:', '[chunked]'].map((value) =>
    refused('6.3', `Transfer-Encoding: ${text(value)}`, withCoding(value), ['400', '501'])),
  // Chunked is the last of several.
  ...['gzip, chunked', 'gzip,chunked', 'chunked, chunked', 'identity, chunked', 'x, chunked',
    'identity\r\nTransfer-Encoding: chunked', 'chunked\r\nTransfer-Encoding: chunked',
    'gzip\r\nTransfer-Encoding: chunked'].map((value) =>
    refused('6.1', `Transfer-Encoding: ${text(value)}`, withCoding(value), ['400', '501'])),
  ...['chunked\r\nTransfer-Encoding: identity', 'chunked\r\nTransfer-Encoding: x',
    'chunked\r\nTransfer-Encoding:', 'chunked\r\nX-A: b\r\ntransfer-encoding: gzip'].map((value) =>
    refused('6.3', `Transfer-Encoding: ${text(value)}`, withCoding(value), ['400', '501'])),
  ...['Transfer_Encoding', 'X-Transfer-Encoding', 'TransferEncoding']
    .map((name) => served('6.1', `no encoding: ${name}`, chat(`${name}: chunked\r\n${length}`))),
];

// Chunks count or nothing does, and the connection ends in any case.
const both = [
  ...[length + chunked, chunked + length, `${length}X-A: b\r\n${chunked}`,
    `Content-Length: ${chunks.length}\r\n${chunked}`, `Content-Length: 0\r\n${chunked}`,
    `${chunked}Content-Length: ${chunks.length + smuggled.length}\r\n`].map((fields) =>
    either('6.1', `a length and chunks: ${text(fields)}`, chat(fields, chunks), undefined,
      { closes: true })),
  ...[`${chunked}Content-Length: x\r\n`, `${chunked}Content-Length: -1\r\n`,
    `${chunked}Content-Length:\r\n`].map((fields) =>
    either('6.1', `a length that is none and chunks: ${text(fields)}`, chat(fields, chunks),
      undefined, { closes: true })),
  ...['chunked ', 'chunked\t', '\tchunked'].map((coding) =>
    either('6.1', `a length and the encoding ${text(coding)}`,
      chat(`${length}Transfer-Encoding: ${coding}\r\n`, chunks), undefined, { closes: true })),
  ...['gzip', 'identity', 'xchunked', 'chunked\x0b', 'chunked, identity', ''].map((coding) =>
    refused('6.3', `a length and the encoding ${text(coding)}`,
      chat(`${length}Transfer-Encoding: ${coding}\r\n`), ['400', '501'])),
  // The length reaches over the chunks to a request that hides behind them, and the other way.
  refused('6.1', 'a request within the length and behind the chunks',
    chat(`Content-Length: ${`0\r\n\r\n${smuggled}`.length}\r\n${chunked}`, `0\r\n\r\n${smuggled}`)),
  refused('6.1', 'a request within the chunks and behind the length',
    chat(`Content-Length: 4\r\n${chunked}`,
      `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`)),
];

const versions = [
  served('6', 'HTTP/1.0 with a length', http10(chat()), { closes: true }),
  either('6.1', 'HTTP/1.0 with chunks', http10(inChunks(chunks)), undefined, { closes: true }),
  either('6.1', 'HTTP/1.0 with chunks, to be kept',
    http10(chat(`${chunked}Connection: keep-alive\r\n`, chunks)), undefined, { closes: true }),
  either('6.1', 'HTTP/1.0 with a length and chunks', http10(chat(length + chunked, chunks)),
    undefined, { closes: true }),
];

const neither = [
  { rfc: '6.3', name: 'neither length nor chunks', bytes: chat('', ''), answers: ['400', '411'] },
  refused('6.3', 'a body that nothing announces', chat('', `${body}\r\n\r\n`), ['400', '411']),
  { rfc: '6.3', name: 'a length of zero', bytes: chat('Content-Length: 0\r\n', ''),
    answers: '400', closes: false },
  refused('6.3', 'more than the length says', chat(length, `${body}}\r\n\r\n`), '200 400'),
  ...['GET', 'HEAD', 'DELETE', 'OPTIONS'].map((method) => ({
    rfc: '9.3', name: `a request in the body of a ${method}`, isHead: method === 'HEAD',
    bytes: request(`${method} /nowhere HTTP/1.1`, `Content-Length: ${smuggled.length}\r\n`,
      smuggled), answers: '404',
  })),
  { rfc: '9.3', name: 'a request in the chunks of a GET', answers: '200', closes: false,
    bytes: get('/health/live', chunked) +
      `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n` },
  { rfc: '9.3', name: 'a request in the body of a refusal',
    bytes: chat(`Content-Length: ${smuggled.length}\r\n`, smuggled), answers: '400' },
];

const incomplete = [
  ['nothing', ''], ['half a line', 'POST /v1/chat/com'], ['half a head', chat().slice(0, 120)],
  ['a head without its last line', chat(length, '').slice(0, -2)],
  ['a head without a body', chat(length, '')], ['all but the last octet', chat().slice(0, -1)],
  ['a head before chunks', inChunks('')], ['half a size', inChunks('1')],
  ['a chunk without data', inChunks('11\r\n')], ['half a chunk', inChunks(chunks.slice(0, 12))],
  ['no last chunk', inChunks(chunks.slice(0, -5))],
  ['a last chunk without its end', inChunks(chunks.slice(0, -2))],
  ['half an end', inChunks(chunks.slice(0, -1))],
  ['half a trailer', inChunks(`${chunks.slice(0, -2)}X-A: b`)],
].map(([name, bytes]) => ({
  rfc: '8', name: `the client stops after ${name}`, bytes, isCut: true, closes: true,
  answers: ['', '400', '408'],
}));

export const framing = { lengths, codings, both, 'HTTP/1.0': versions, neither, incomplete };
