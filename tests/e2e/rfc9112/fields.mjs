// Fields: their names, values and folds, and those that are for one connection only.
import { body, chat, chunked, chunks, either, length, refused, served } from './parts.mjs';

const withField = (field) => chat(`${field}\r\n${length}`);
// Refused for what a field is, not for where the request ends: the connection may go on.
const bad = (rfc, name, bytes) => ({ rfc, name, bytes, answers: '400' });
const text = (value) => JSON.stringify(value);

const names = [
  ...[' ', '\t', ' \t '].flatMap((blank) => [
    bad('5.1', `${text(blank)} before a colon`, withField(`X-A${blank}: b`)),
    bad('5.1', `${text(blank)} before the colon of the only length`,
      chat(length.replace(':', `${blank}:`))),
    bad('5.1', `${text(blank)} before the colon of an encoding`,
      chat(chunked.replace(':', `${blank}:`) + length)),
    bad('5.1', `${text(blank)} before the colon of the only encoding`,
      chat(chunked.replace(':', `${blank}:`), chunks)),
    bad('5.1', `${text(blank)} before the colon of the host`,
      chat().replace('Host:', `Host${blank}:`)),
    bad('5.1', `${text(blank)} in a name`, withField(`X${blank}A: b`)),
  ]),
  bad('5', 'no colon', withField('X-A')),
  bad('5', 'no name', withField(': b')),
  bad('5', 'only a colon', withField(':')),
  bad('5', 'no colon behind the name of an encoding', chat(`Transfer-Encoding\r\n${length}`)),
  ...['X(A', 'X"A', 'X/A', 'X;A', 'X=A', 'X@A', 'X[A', 'X\\A', 'X{A', 'X,A', 'X\0A', 'X\x01A',
    'X\x7fA', 'X\xe4A', 'Content-Length\0', '\0Transfer-Encoding', '\vTransfer-Encoding',
    '\xffContent-Length'].map((name) =>
    bad('9110 5.1', `the name ${text(name)}`, withField(`${name}: 1`))),
  served('9110 5.6.2', 'a name of all characters that it may have',
    withField("!#$%&'*+-.^_`|~09aZ: b"), { has: /^!#\$%&'\*\+-\.\^_`\|~09aZ: b\r$/m }),
];

const values = [
  ...['X-A:b', 'X-A: b', 'X-A: \t b \t ', 'X-A:\tb\t'].map((field) =>
    served('5.1', `blanks around a value: ${text(field)}`, withField(field),
      { has: /^X-A: b\r$/m })),
  served('9110 5.5', 'an empty value', withField('X-A:'), { has: /^X-A: ?\r$/m }),
  served('9110 5.5', 'a value of blanks', withField('X-A: \t '), { has: /^X-A: ?\r$/m }),
  served('2.2', 'octets above 127 in a value', withField('X-A: \x80\xe4\xff'),
    { has: /^X-A: \x80\xe4\xff\r$/m }),
  served('9110 5.5', 'a tab in a value', withField('X-A: a\tb'), { has: /^X-A: a\tb\r$/m }),
  served('9110 5.6.4', 'a colon, quotes and commas', withField('X-A: a: "b\\",", c'),
    { has: /^X-A: a: "b\\",", c\r$/m }),
  served('9110 5.3', 'a field twice', withField('X-A: 1\r\nX-A: 2'),
    { has: /^X-A: 1(\r\nX-A: 2|, ?2)\r$/m }),
  ...['\0', '\r', '\r\r'].map((c) =>
    // Refused, or a blank where it was.
    either('9110 5.5', `${text(c)} in a value`, withField(`X-A: a${c}b`), undefined,
      { has: /^X-A: a +b\r$/m })),
  ...['\x01', '\x08', '\x0b', '\x1b', '\x7f'].map((c) =>
    either('9110 5.5', `${text(c)} in a value`, withField(`X-A: a${c}b`))),
  ...[`${'\r'}Transfer-Encoding: chunked`, `${'\n'}Transfer-Encoding: chunked`, `${'\r'}\r`]
    .map((end) => either('2.2', `a field that ends in ${text(end)}`, withField(`X-A: a${end}`),
      undefined, { not: /transfer-encoding/i })),
];

const folds = [
  ...['\r\n ', '\r\n\t', '\r\n \r\n\t '].flatMap((fold) => [
    either('5.2', `a fold in a value: ${text(fold)}`, withField(`X-A: a${fold}b`), undefined,
      { has: /^X-A: a[ \t]+b\r$/m }),
    either('5.2', `a fold before a value: ${text(fold)}`, withField(`X-A:${fold}b`), undefined,
      { has: /^X-A: *b\r$/m }),
    either('5.2', `a fold behind a value: ${text(fold)}`, withField(`X-A: a${fold}`), undefined,
      { has: /^X-A: a *\r$/m }),
    either('5.2', `a fold that looks like a length: ${text(fold)}`,
      withField(`X-A: a${fold}Content-Length: 3`), undefined, { not: /^Content-Length: 3\r$/m }),
    either('5.2', `a folded encoding: ${text(fold)}`,
      chat(chunked.replace(' ', fold), chunks)),
    either('5.2', `a folded length: ${text(fold)}`, chat(length.replace(' ', fold))),
    bad('5.2', `a fold in the number of a length: ${text(fold)}`,
      chat(length.replace('17', `1${fold}7`))),
  ]),
];

// Connection is a list of names, in any case, with blanks around its commas.
const nominated = ['X-Drop', 'x-drop', 'keep-alive, X-Drop', 'X-Drop,keep-alive',
  'keep-alive,X-Drop', 'keep-alive ,\tX-Drop', '\tX-Drop\t,\tTE', ',, X-Drop ,',
  'X-Keep-Not,X-Drop', 'TE\r\nConnection: X-Drop', 'X-Drop\r\nConnection: TE'];
const connectionFields = [
  ...nominated.map((options) => served('9110 7.6.1', `Connection: ${text(options)}`,
    withField(`X-Drop: a\r\nConnection: ${options}\r\nX-Drop: b\r\nX-Keep: c`),
    { not: /^(x-drop|connection):/im, has: /^X-Keep: c\r$/m })),
  ...['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: trailers',
    'Connection: TE\r\nTE: trailers', 'Trailer: X-A', 'Upgrade: websocket',
    'Connection: Upgrade\r\nUpgrade: h2c', 'Proxy-Authorization: Basic eA==',
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk',
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x']
    .map((fields) => served('9110 7.6.1', `not for the runtime: ${text(fields)}`,
      withField(fields), { not: new RegExp(
        '^(keep-alive|proxy-connection|te|trailer|upgrade|proxy-authorization|http2-settings):',
        'im') })),
  // Whoever names the fields of the message itself harms only this one message.
  ...['Content-Length', 'Transfer-Encoding', 'Host', 'Authorization', 'Content-Type',
    'close, Content-Length'].map((name) =>
    either('9110 7.6.1', `Connection names ${name}`, withField(`Connection: ${name}`))),
  either('9110 7.6.1', 'Connection names the encoding of this message',
    chat(`Connection: Transfer-Encoding\r\n${chunked}`, chunks)),
  served('9110 7.6.1', 'Connection names itself', withField('Connection: Connection'),
    { not: /^connection:/im }),
];

const large = [
  ...[['a field of 100 000 octets', `X-A: ${'y'.repeat(100_000)}`],
    ['a name of 100 000 octets', `${'y'.repeat(100_000)}: a`],
    ['10 000 fields', 'X-A: 1\r\n'.repeat(10_000).slice(0, -2)]].map(([name, fields]) =>
    refused('9110 5.4', name, chat(`${fields}\r\n${length}`, body), ['400', '431'])),
];

export const fields = { names, values, folds, 'fields of a connection': connectionFields, large };
