// What a runtime answers, and what its client gets of it. A row is one answer, to the first request
// for a model of its own:
//   bytes    what the runtime sends; `ends`: and then closes. `late`: what it sends once its client
//            has the answer
//   answers  the statuses that the client gets, or an array of choices
//   body     what it gets with a 200
//   has, not what the answer's head must have, and must not have, if it is no refusal
//   kept     whether the next request uses the same connection to the runtime
//   isBroken whether the 200 is that of a stream that cannot end well
// After a refusal and a broken stream that connection is closed. Otherwise another request follows,
// and has its own answer, whatever came behind the first one.
const text = '{"a":1}'; // 7 bytes
const quoted = (value) => JSON.stringify(value);
const ok = 'HTTP/1.1 200 OK\r\n';
const length = `Content-Length: ${text.length}\r\n`;
const chunked = 'Transfer-Encoding: chunked\r\n';
const end = '0\r\n\r\n';
const chunks = `7\r\n${text}\r\n${end}`;
const poison = `${ok}X-Poison: 1\r\nContent-Length: 6\r\n\r\npoison`;
const answer = (fields = length, content = text, line = ok) =>
  `${line}Content-Type: application/json\r\n${fields}\r\n${content}`;

const good = (rfc, name, bytes, more = {}) =>
  ({ rfc, name, bytes, answers: '200', body: text, ...more });
const bad = (rfc, name, bytes, more = {}) =>
  ({ rfc, name, bytes, answers: '502', ...more });
const either = (rfc, name, bytes, more = {}) =>
  good(rfc, name, bytes, { answers: ['200', '502'], ...more });

const statusLine = (line) => answer(length, text, line);
const statusLines = [
  good('4', 'all as it should be', answer(), { kept: true }),
  ...['HTTP/1.1 200 \r\n', 'HTTP/1.1 200 H\xe4 \t!\r\n', `HTTP/1.1 200 ${'x'.repeat(4000)}\r\n`]
    .map((line) => good('4', `the line ${quoted(line.slice(0, 30))}`, statusLine(line))),
  ...['HTTP/1.1 200\r\n', 'HTTP/1.1  200 OK\r\n', 'HTTP/1.1 200  OK\r\n', 'HTTP/1.2 200 OK\r\n',
    'HTTP/1.1\t200 OK\r\n', '\r\nHTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 a\0b\r\n',
    'HTTP/1.1 200 a\rb\r\n', 'HTTP/1.1 200 OK\n']
    .map((line) => either('4', `the line ${quoted(line)}`, statusLine(line), { ends: true })),
  ...['http/1.1 200 OK\r\n', 'HTTP/2.0 200 OK\r\n', 'HTTP/2 200 OK\r\n', 'HTTP/0.9 200 OK\r\n',
    'HTTP 200 OK\r\n', 'HTTP/1.1 OK\r\n', 'HTTP/1.1 20 OK\r\n', 'HTTP/1.1 2000 OK\r\n',
    'HTTP/1.1 +20 OK\r\n', 'HTTP/1.1 2x0 OK\r\n', 'HTTP/1.1 -200 OK\r\n', 'HTTP/1.1 000 OK\r\n',
    'HTTP/1.1 099 OK\r\n', 'HTTP/1.1 600 OK\r\n', 'HTTP/1.1 999 OK\r\n', 'HTTP/1.1 20\xb2 OK\r\n',
    'ICY 200 OK\r\n', 'XTTP/1.1 200 OK\r\n', ' HTTP/1.1 200 OK\r\n', '200 OK\r\n', '\0',
    'GET / HTTP/1.1\r\n'].map((line) =>
    bad('4', `the line ${quoted(line)}`, statusLine(line), { ends: true })),
  ...['206 Partial Content', '302 Found', '307 Temporary Redirect', '409 Conflict',
    '413 Content Too Large', '422 Unprocessable Content', '425 Too Early'].map((line) =>
    good('9110 15', `the client gets the phrase of ${line}`,
      statusLine(`HTTP/1.1 ${line.slice(0, 3)} Another\r\n`),
      { answers: line.slice(0, 3), has: new RegExp(`^HTTP/1\\.1 ${line}\r\n`), kept: true })),
  either('2.2', 'bare LFs only', answer().replaceAll('\r\n', '\n')),
  either('2.2', 'a bare LF behind a field', answer().replace('json\r\n', 'json\n')),
  either('2.2', 'a blank before the first field',
    answer().replace('\r\n', '\r\n X-A: b\r\n'), { not: /X-A/ }),
];

const interim = (status, fields = '') => `HTTP/1.1 ${status} Interim\r\n${fields}\r\n`;
const bodiless = [
  ...[100, 102, 103, 199].map((status) =>
    good('9110 15.2', `${status} before the answer`, interim(status, 'Link: </a>\r\n') + answer(),
      { answers: ['200', `${status} 200`] })),
  good('9110 15.2', 'several interim answers',
    interim(100) + interim(102) + interim(103) + answer(), { answers: ['200', '100 102 103 200'],
      kept: true }),
  either('9110 8.6', 'an interim answer with a length',
    interim(103, 'Content-Length: 7\r\n') + answer(), { answers: ['200', '103 200', '502'] }),
  bad('9110 15.2.2', 'a change of protocol that nobody asked for',
    interim(101, 'Connection: Upgrade\r\nUpgrade: websocket\r\n') + poison),
  bad('9110 15.2', 'an interim answer, and then the end', interim(100), { ends: true }),
  ...[['204 with nothing', '204 No Content', ''], ['304 with nothing', '304 Not Modified', ''],
    ['304 with the length of what it is not', '304 Not Modified', length]]
    .map(([name, line, framing]) => good('6.3', name, answer(framing, '', `HTTP/1.1 ${line}\r\n`),
      { answers: line.slice(0, 3), not: /^content-length: 0\r$/im })),
  // The length counts for nothing, and what comes behind the head answers nothing.
  ...['204 No Content', '304 Not Modified'].flatMap((line) => [
    good('6.3', `${line} with a body`, answer(length, text, `HTTP/1.1 ${line}\r\n`),
      { answers: [line.slice(0, 3), '502'], kept: false }),
    good('6.3', `${line} with chunks`, answer(chunked, chunks, `HTTP/1.1 ${line}\r\n`),
      { answers: [line.slice(0, 3), '502'], kept: false }),
  ]),
];

const withLength = (value, content = text) => answer(`Content-Length: ${value}\r\n`, content);
const lengths = [
  ...['7', '007', ' 7 '].map((value) =>
    good('6.3', `Content-Length: ${quoted(value)}`, withLength(value), { kept: true })),
  ...['7, 7', '7,7', '7\r\nContent-Length: 7', '\t7', '7\t'].map((value) =>
    either('6.3', `Content-Length: ${quoted(value)}`, withLength(value))),
  ...['+7', '-7', '7.0', '0x7', '7x', 'x', '', '7 7', '"7"', '7;', '7, 3', '3, 7', '7, x',
    '7\r\nContent-Length: 3', '3\r\nContent-Length: 7', '7\r\nContent-Length:',
    '18446744073709551623', '4294967303999999999999999', '\xb2', '7\x0b'].map((value) =>
    bad('6.3', `Content-Length: ${quoted(value)}`, withLength(value), { ends: true })),
  bad('8', 'less than the length', withLength(8), { ends: true }),
  good('6.3', 'an answer behind the answer', answer() + poison, { kept: false }),
  good('9.2', 'an answer that nobody waits for', answer(), { late: poison, kept: false }),
  good('6.3', 'octets behind the answer', `${answer()}\r\n\r\n`, { kept: false }),
  good('6.3', 'no length', answer(''), { ends: true, kept: false }),
  good('6.3', 'no length with HTTP/1.0', answer('', text, 'HTTP/1.0 200 OK\r\n'),
    { ends: true, kept: false }),
  good('9.3', 'HTTP/1.0 with a length', answer(length, text, 'HTTP/1.0 200 OK\r\n'),
    { kept: false }),
  good('9.3', 'HTTP/1.0 that stays',
    answer(`${length}Connection: keep-alive\r\n`, text, 'HTTP/1.0 200 OK\r\n')),
  ...['close', 'Close', 'x, close', 'keep-alive, close', 'x\t,\tclose', ',close,',
    'x\r\nConnection: close'].map((value) =>
    good('9.6', `Connection: ${quoted(value)}`, answer(`${length}Connection: ${value}\r\n`),
      { kept: false })),
];

const withCoding = (value, content = chunks) => answer(`Transfer-Encoding: ${value}\r\n`, content);
const sized = (line, more = end) => answer(chunked, `${line}\r\n${text}\r\n${more}`);
const codings = [
  ...['chunked', 'CHUNKED', ' chunked '].map((value) =>
    good('7', `Transfer-Encoding: ${quoted(value)}`, withCoding(value), { kept: true })),
  ...['\tchunked', 'chunked\t', ', chunked', 'chunked,'].map((value) =>
    either('7', `Transfer-Encoding: ${quoted(value)}`, withCoding(value), { ends: true })),
  ...['gzip', 'gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'xchunked', 'chunkedx',
    'chunked\x0b', '"chunked"', 'chunked;q=1', 'gzip\r\nTransfer-Encoding: chunked',
    'chunked\r\nTransfer-Encoding: chunked', 'chunked\r\nTransfer-Encoding: gzip'].map((value) =>
    bad('6.3', `Transfer-Encoding: ${quoted(value)}`, withCoding(value), { ends: true })),
  ...[length + chunked, chunked + length, `Content-Length: 3\r\n${chunked}`,
    `Content-Length: ${chunks.length}\r\n${chunked}`, `Content-Length: 0\r\n${chunked}`,
    `${chunked}Content-Length: ${chunks.length + poison.length}\r\n`].map((fields) =>
    either('6.3', `a length and chunks: ${quoted(fields)}`, answer(fields, chunks))),
  ...[`${length}Transfer-Encoding: gzip\r\n`, `${length}Transfer-Encoding: chunked\x0b\r\n`,
    `${length}Transfer-Encoding: xchunked\r\n`].map((fields) =>
    bad('6.3', `a length and another encoding: ${quoted(fields)}`, answer(fields))),
  either('6.1', 'HTTP/1.0 with chunks', answer(chunked, chunks, 'HTTP/1.0 200 OK\r\n'),
    { kept: false }),
  either('6.1', 'HTTP/1.0 with chunks that stays',
    answer(`${chunked}Connection: keep-alive\r\n`, chunks, 'HTTP/1.0 200 OK\r\n'),
    { kept: false }),
  good('7.1', 'several chunks', answer(chunked, `1\r\n{\r\n06\r\n"a":1}\r\n000\r\n\r\n`),
    { kept: true }),
  ...[';a', ';a=b', ';a="b;c"', ' ; a = "b"'].map((extension) =>
    good('7.1.1', `the extension ${quoted(extension)}`, sized(`7${extension}`), { kept: true })),
  ...['', ' ', 'x', '-7', '+7', '0x7', '7x', '7,', '7.0', '\t7', '10000000000000007',
    '100000000000000007', 'ffffffffffffffff', '8000000000000007', '\xb2', '7\x00', '7\x0b']
    .map((size) => bad('7.1', `the size ${quoted(size)}`, sized(size), { ends: true })),
  ...['7 ', '7\t', ' 7', '7;a b'].map((size) =>
    either('7.1', `the size ${quoted(size)}`, sized(size))),
  either('7.1', 'bare LFs in chunks', answer(chunked, chunks.replaceAll('\r\n', '\n'))),
  ...['\rx', '\r\r', ';a\rx'].flatMap((octets) => [
    bad('7.1', `${quoted(octets)} behind a size`,
      answer(chunked, `7${octets}${text}\r\n${end}`), { ends: true }),
    bad('7.1', `${quoted(octets)} behind the last size`,
      answer(chunked, `7\r\n${text}\r\n0${octets}\r\n`), { ends: true }),
  ]),
  bad('7.1', 'no end behind data', answer(chunked, `7\r\n${text}${end}`), { ends: true }),
  ...['xx', '\rx', 'x\n', '\n\r', '\r\r'].map((octets) =>
    bad('7.1', `${quoted(octets)} behind data`, answer(chunked, `7\r\n${text}${octets}${end}`),
      { ends: true })),
  bad('7.1', 'data longer than the size', answer(chunked, `6\r\n${text}\r\n${end}`),
    { ends: true }),
  bad('8', 'no last chunk', answer(chunked, `7\r\n${text}\r\n`), { ends: true }),
  bad('8', 'a last chunk without its end', answer(chunked, `7\r\n${text}\r\n0\r\n`),
    { ends: true }),
  good('7.1.2', 'trailers', sized('7', '0\r\nX-A: b\r\nContent-Length: 3\r\nX-B: c\r\n\r\n'),
    { not: /^(X-A|X-B|Content-Length: 3)/im, kept: true }),
  good('7.1.2', 'an answer behind the trailers', sized('7', `0\r\nX-A: b\r\n\r\n${poison}`),
    { kept: false }),
];

const withField = (line, more = {}) => [answer(`${line}\r\n${length}`), more];
const dropped = ['X-Drop', 'x-drop, keep-alive', 'keep-alive,X-Drop', 'close ,\tX-Drop',
  'x\r\nConnection: X-Drop'];
const fields = [
  ...['\r\n ', '\r\n\t', '\r\n \r\n '].flatMap((fold) => [
    either('5.2', `a fold in a value: ${quoted(fold)}`, ...withField(`X-A: a${fold}b`,
      { has: /^x-a: a[ \t]+b\r$/im })),
    either('5.2', `a fold that looks like a length: ${quoted(fold)}`,
      ...withField(`X-A: a${fold}Content-Length: 3`)),
    either('5.2', `a folded length: ${quoted(fold)}`, answer(length.replace(' ', fold))),
    either('5.2', `a folded encoding: ${quoted(fold)}`,
      answer(chunked.replace(' ', fold), chunks)),
  ]),
  ...['X-A : b', 'X-A\t: b'].map((line) =>
    either('5.1', `a blank before a colon: ${quoted(line)}`, ...withField(line))),
  either('5.1', 'a blank before the colon of the only length', answer(length.replace(':', ' :')),
    { ends: true }),
  either('5.1', 'a blank before the colon of the only encoding',
    answer(chunked.replace(':', ' :'), chunks), { ends: true }),
  ...['X-A: a\0b', 'X-A: a\rb', 'X-A: a\r', 'X-A', ': b', 'X(A: b', 'X A: b', 'X-\0A: b',
    'X\xe4A: b'].map((line) => either('9110 5.5', `the field ${quoted(line)}`, ...withField(line))),
  good('2.2', 'octets above 127 in a value', ...withField('X-A: \xe4\xff',
    { has: /^x-a: \xe4\xff\r$/im })),
  good('5.1', 'blanks around a value', ...withField('X-A: \t b \t ',
    { has: /^x-a: b[ \t]*\r$/im })),
  good('9110 5.3', 'a field twice', ...withField('X-A: 1\r\nX-A: 2',
    { has: /^x-a: 1(\r\nx-a: 2|, ?2)\r$/im })),
  ...dropped.map((options) => good('9110 7.6.1', `Connection: ${quoted(options)}`,
    ...withField(`X-Drop: a\r\nConnection: ${options}\r\nX-Drop: b\r\nX-Keep: c`,
      { not: /^x-drop:/im, has: /^x-keep: c\r$/im }))),
  ...['Keep-Alive: timeout=5', 'Proxy-Connection: close', 'Upgrade: h2c', 'TE: trailers',
    'Trailer: X-A', 'Proxy-Authenticate: Basic'].map((line) =>
    good('9110 7.6.1', `not for the client: ${line}`, ...withField(line,
      { not: /^(keep-alive: timeout=5|proxy-|upgrade|te:|trailer:)/im }))),
  good('9110 6.6.1', 'a date', ...withField('Date: Tue, 15 Nov 1994 08:12:31 GMT')),
  bad('9110 5.4', 'a head without end', `${ok}${'X-A: b\r\n'.repeat(20_000)}\r\n`, { ends: true }),
  bad('9110 5.4', 'a value without end', `${ok}X-A: ${'y'.repeat(200_000)}\r\n\r\n`,
    { ends: true }),
];

const incomplete = ['', 'HTTP', 'HTTP/1.1 200', ok, answer(length, '').slice(0, -2),
  answer(length, ''), answer().slice(0, -1), answer(chunked, ''), answer(chunked, '7\r\n{')]
  .map((bytes) => bad('8', `the runtime stops after ${quoted(bytes.slice(-25))}`, bytes,
    { ends: true }));

const event = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n';
const done = 'data: [DONE]\n\n';
const chunk = (data) => `${data.length.toString(16)}\r\n${data}\r\n`;
const streaming = (bytes, framing = chunked) =>
  `${ok}Content-Type: text/event-stream\r\n${framing}\r\n${bytes}`;
const broken = (rfc, name, bytes, more = {}) => ({ rfc, name, bytes, answers: '200', isBroken: true,
  body: /^data: \{"choices":[^]*\n\ndata: \{"error":\{(?![^]*\[DONE\])/, ...more });
const streams = [
  ...[['in chunks', streaming(chunk(event) + chunk(done) + end)],
    ['in chunks with extensions',
      streaming(chunk(event).replace('\r', ';a=b\r') + chunk(done) + end)],
    ['with a length', streaming(event + done, `Content-Length: ${(event + done).length}\r\n`)]]
    .map(([name, bytes]) => good('6.3', `a stream ${name}`, bytes,
      { body: event + done, kept: true })),
  good('6.3', 'a stream until the end of the connection', streaming(event + done, ''),
    { body: event + done, ends: true, kept: false }),
  good('6.3', 'a stream, and an answer behind it',
    streaming(chunk(event) + chunk(done) + end + poison), { body: event + done, kept: false }),
  broken('8', 'a stream that ends within a chunk',
    streaming(`${chunk(event)}ff\r\n${event}`), { ends: true }),
  broken('8', 'a stream without its last chunk', streaming(chunk(event)), { ends: true }),
  broken('8', 'a stream shorter than its length',
    streaming(event, 'Content-Length: 1000\r\n'), { ends: true }),
  ...['x', '-1', '', '10000000000000001', 'ffffffffffffffff'].map((size) =>
    broken('7.1', `a stream with the size ${quoted(size)}`,
      streaming(`${chunk(event)}${size}\r\n${done}\r\n${end}`), { ends: true })),
  broken('7.1', 'a stream with other octets behind data',
    streaming(`${chunk(event).slice(0, -2)}xx${chunk(done)}${end}`), { ends: true }),
  broken('7.1', 'a stream with another octet behind the CR of a size',
    streaming(`${chunk(event)}${chunk(done).replace('\r\n', '\rx')}${end}`), { ends: true }),
  broken('7.1', 'a stream with data longer than the size',
    streaming(chunk(event) + chunk(done).replace(/^e/, 'd') + end), { ends: true }),
];

export const answers = { 'status lines': statusLines, bodiless, lengths, codings, fields,
  incomplete, streams };
