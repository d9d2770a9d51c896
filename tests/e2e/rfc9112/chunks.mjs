// Bodies in chunks: sizes, extensions, line ends, trailers.
import { body, either, inChunks, refused, served, smuggled } from './parts.mjs';

const text = (value) => JSON.stringify(value);
const end = '0\r\n\r\n';
// The body as one chunk behind that line.
const sized = (line, more = end) => inChunks(`${line}\r\n${body}\r\n${more}`);
const trailed = (lines) => inChunks(`11\r\n${body}\r\n0\r\n${lines}\r\n`);
const cut = (...sizes) => {
  let at = 0;
  return sizes.map((n) => `${n.toString(16)}\r\n${body.slice(at, at += n)}\r\n`).join('') + end;
};

const sizes = [
  served('7.1', 'one chunk', sized('11')),
  served('7.1', 'several chunks', inChunks(cut(1, 5, 11))),
  served('7.1', 'chunks of one octet', inChunks(cut(...Array(17).fill(1)))),
  ...['A', 'a'].map((ten) => served('7.1', `${ten} for ten`,
    inChunks(`${ten}\r\n${body.slice(0, 10)}\r\n7\r\n${body.slice(10)}\r\n${end}`))),
  ...['0', '00', '0000000000'].map((zero) =>
    served('7.1', `${zero} for the last chunk`, sized('11', `${zero}\r\n\r\n`))),
  ...['011', '0000000011'].map((size) =>
    served('7.1', `zeros before a size: ${size}`, sized(size))),
  either('7.1', '30 zeros before a size', sized('11'.padStart(32, '0'))),
  ...['', ' ', 'g', 'x11', '0x11', '0X11', '+11', '-11', '-1', '1 1', '1\t1', '1_1', '1.1', '11.',
    '11h', '11,', '11 1', '"11"', '\\x11', '#11', '$11', ' 11', '\t11', '\x0b11', '11\x00',
    '\x0011', '11\x0b', '11\x0c', '11\x7f', '11\xa0', '\xb2'].map((size) =>
    refused('7.1', `the size ${text(size)}`, sized(size))),
  // 17 past what 32 and 64 bits hold, the least that is negative in them, and the most.
  ...['80000000', 'ffffffff', '100000011', '7fffffffffffffff', '8000000000000000',
    'fffffffffffffff1', 'ffffffffffffffff', '10000000000000011', '1000000000000000000000011',
    'f'.repeat(400)].map((size) => ({
    rfc: '7.1', name: `a size past all bounds: ${size.slice(0, 30)}`, bytes: sized(size),
    answers: ['', '400', '408', '413'], isCut: true, closes: true, // it may wait for the rest
  })),
  refused('7.1', 'data longer than the size', inChunks(`10\r\n${body}\r\n${end}`)),
  refused('7.1', 'data shorter than the size', inChunks(`12\r\n${body}\r\n${end}`)),
  refused('7.1', 'a size that reaches over the next chunk', inChunks(`13\r\n${body}\r\n${end}`)),
  refused('7.1', 'no size behind data', inChunks(`11\r\n${body}\r\n\r\n${end}`)),
  refused('7.1', 'a request within a chunk too long by two', inChunks(
    `${(smuggled.length + 2).toString(16)}\r\n${smuggled}\r\n${end}`)),
];

const lineEnds = [
  either('7.1', 'a bare LF behind a size', sized('11').replace('11\r\n', '11\n')),
  either('7.1', 'a bare LF behind the last size', inChunks(`11\r\n${body}\r\n0\n\r\n`)),
  either('7.1', 'a bare LF at the end', inChunks(`11\r\n${body}\r\n0\r\n\n`)),
  refused('7.1', 'a bare CR behind a size', sized('11').replace('11\r\n', '11\r')),
  refused('7.1', 'two CRs behind a size', sized('11\r')),
  refused('7.1', 'no end behind data', inChunks(`11\r\n${body}${end}`)),
  refused('7.1', 'a bare LF behind data', inChunks(`11\r\n${body}\n${end}`)),
  refused('7.1', 'a bare CR behind data', inChunks(`11\r\n${body}\r${end}`)),
  refused('7.1', 'two octets that are no end behind data', inChunks(`11\r\n${body}xx${end}`)),
  refused('7.1', 'LF and CR behind data', inChunks(`11\r\n${body}\n\r${end}`)),
  refused('7.1', 'no end behind the last chunk', inChunks(`11\r\n${body}\r\n0\r\n`)),
  refused('7.1', 'an octet in place of the end', inChunks(`11\r\n${body}\r\n0\r\nX`)),
  refused('7.1', 'a bare CR in place of the end', inChunks(`11\r\n${body}\r\n0\r\n\rX`)),
  refused('7.1', 'more behind the end', inChunks(`11\r\n${body}\r\n${end}x\r\n\r\n`), '200 400'),
];

const longest = 16_000; // more than anybody needs
// A recipient must ignore what it does not know of these. The gateway knows none, nobody sends any,
// and two readers have disagreed on where they end: it refuses them all.
const extensions = [
  ...[';a', ';a=b', ';a="b"', ';a="b;c"', ';a="\\""', ';a=""', ';a;b=c;d', ';a="b\\\\"', ';a="\t "',
    ';ieof', ';a=1', ";!#$%&'*+-.^_`|~=b", ';a="\xe4"'].flatMap((extension) => [
    refused('7.1.1', `the extension ${text(extension)}`, sized(`11${extension}`)),
    refused('7.1.1', `the extension ${text(extension)} of the last chunk`,
      sized('11', `0${extension}\r\n\r\n`)),
  ]),
  // Blanks that the grammar has for old senders.
  ...[' ;a', '; a', ' ; a = b', '\t;\ta\t=\t"b"'].map((extension) =>
    refused('7.1.1', `the extension ${text(extension)}`, sized(`11${extension}`))),
  ...[' ', '\t', ';', ';a=', '; ', ';=b', ';a="b', ';a=b"', ';a b', ';a=b c', ';;a', ';a=,', ';a/b',
    ';\x0b', ' a'].map((extension) =>
    either('7.1.1', `no extension: ${text(extension)}`, sized(`11${extension}`))),
  ...[';a\rb', ';a\r', ';a="\r"', ';a\0b', ';a="\0"', ';a\x7f'].map((extension) =>
    refused('2.2', `an octet that no line has: ${text(extension)}`, sized(`11${extension}`))),
  // Whoever takes a bare LF for the end of the line reads the rest as data.
  ...[';a\n', ';a\nb', ';\n', ';a="\n"'].map((extension) =>
    refused('7.1.1', `a bare LF in an extension: ${text(extension)}`, sized(`11${extension}`))),
  refused('7.1.1', 'a size in the line of an extension', inChunks(
    `2;\nxx\r\n${smuggled.length.toString(16)}\r\n0\r\n\r\n${smuggled}\r\n${end}`)),
  refused('7.1.1', `an extension of ${longest} octets`, sized(`11;a=${'b'.repeat(longest)}`),
    ['400', '413', '431']),
  refused('7.1.1', `${longest} extensions`, sized(`11${';a'.repeat(longest)}`),
    ['400', '413', '431']),
  refused('7.1.1', 'long extensions of many chunks', inChunks(
    `1;${'a'.repeat(1000)}\r\n \r\n`.repeat(200) + `11\r\n${body}\r\n${end}`),
  ['400', '413', '431']),
];

// Dropped, and never taken for a field of the head.
const dropped = ['X-A: b', 'Content-Length: 3', 'Transfer-Encoding: gzip', 'Host: y',
  'Authorization: Bearer x', 'Content-Type: text/plain', 'Connection: close', 'Expect: tea',
  'X-Request-Id: other', 'X-Priority: nonsense', 'Trailer: X-A', 'X-A:', 'X-A: \t b \t '];
const taken = new RegExp('^(content-length: 3|transfer-encoding|host: y|authorization|connection' +
  '|trailer|x-a|expect)\\b|text/plain|: (other|nonsense)\\r', 'im');
const trailers = [
  ...dropped.map((field) => served('7.1.2', `the trailer ${text(field)}`, trailed(`${field}\r\n`), {
    not: taken, closes: field === 'Connection: close' ? undefined : false,
  })),
  served('7.1.2', 'several trailers', trailed('X-A: b\r\nX-B: c\r\nX-A: d\r\n')),
  // They are dropped anyway.
  ...['X-A : b', 'X A: b'].map((line) =>
    either('7.1.2', `a blank in the name of a trailer: ${text(line)}`, trailed(`${line}\r\n`))),
  ...['X-A', ': b', 'X-A\t: b', 'X(A: b', 'X-A: a\0b', 'X-A: a\rb',
    'X-A: a\r', 'X-\0A: b'].map((line) =>
    refused('7.1.2', `no trailer: ${text(line)}`, trailed(`${line}\r\n`))),
  ...['X-A: a\r\n b', ' X-A: b', '\tX-A: b', 'X-A: a\r\n Content-Length: 3'].map((line) =>
    either('5.2', `a fold in the trailers: ${text(line)}`, trailed(`${line}\r\n`))),
  ...['X-A: b\n', '\nX-A: b\r\n'].map((lines) =>
    either('2.2', `a bare LF in the trailers: ${text(lines)}`, trailed(lines))),
  refused('7.1.2', 'a request in place of trailers', inChunks(`11\r\n${body}\r\n0\r\n${smuggled}`)),
  ...[['a trailer of 100 000 octets', `X-A: ${'y'.repeat(100_000)}\r\n`],
    ['10 000 trailers', 'X-A: 1\r\n'.repeat(10_000)]].map(([name, lines]) =>
    refused('9110 5.4', name, trailed(lines), ['400', '413', '431'])),
];

export const chunking = { sizes, 'line ends of chunks': lineEnds, extensions, trailers };
