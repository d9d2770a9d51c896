// The lines of a request up to its fields: line ends, method, target, version, host.
import { body, chat, either, get, http10, length, refused, request, served } from './parts.mjs';

const health = '/health/live';
const line = (text) => request(text);
const target = (text) => get(text);
const host = (text) => `GET ${health} HTTP/1.1\r\n${text}\r\n`;
const version = (text) => line(`GET ${health} ${text}`);
const open = (rfc, name, bytes, more = {}) => served(rfc, name, bytes, { reached: [], ...more });
const refusals = ['400', '404', '405', '501'];

const lineEnds = [
  served('2.2', 'an empty line before a request', `\r\n${chat()}`),
  either('2.2', 'two empty lines before a request', `\r\n\r\n${chat()}`),
  either('2.2', 'a bare LF before a request', `\n${chat()}`),
  either('2.2', 'a bare LF behind the request line', chat().replace('\r\n', '\n')),
  either('2.2', 'a bare LF behind a field', chat().replace('Host: x\r\n', 'Host: x\n')),
  either('2.2', 'a bare LF for the empty line', chat(length, '').replace(/\r\n$/, '\n') + body),
  either('2.2', 'bare LFs only', chat().replaceAll('\r\n', '\n')),
  refused('2.2', 'a bare CR behind the request line', chat().replace('\r\n', '\r')),
  refused('2.2', 'a bare CR behind a field', chat().replace('Host: x\r\n', 'Host: x\r')),
  refused('2.2', 'a bare CR for the empty line', chat(length, '').replace(/\r\n$/, '\r') + body),
  refused('2.2', 'a bare CR in the method', line(`GE\rT ${health} HTTP/1.1`)),
  refused('2.2', 'a bare CR in the target', line('GET /health\r/live HTTP/1.1')),
  refused('2.2', 'a bare CR before the version', line(`GET ${health}\rHTTP/1.1`)),
  refused('2.2', 'two CRs before the LF', chat().replace('\r\n', '\r\r\n')),
  refused('2.2', 'NUL before the request line', `\0${chat()}`),
  refused('2.2', 'a mark of UTF-8 before the request line', `\xef\xbb\xbf${chat()}`),
  refused('2.2', 'an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  refused('2.2', 'TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  refused('2.2', 'the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ['400', '501', '505']),
  ...[' ', '\t'].flatMap((blank) => [
    either('2.2', `${JSON.stringify(blank)} before the first field`,
      chat().replace('\r\nHost: x', `\r\n${blank}X-A: b\r\nHost: x`)),
    // Taken away with the line that begins with it, or refused: never a field.
    either('2.2', `${JSON.stringify(blank)} before an encoding as the first field`,
      chat().replace('\r\n', `\r\n${blank}Transfer-Encoding: chunked\r\n`)),
    refused('2.2', `${JSON.stringify(blank)} before the only host`,
      chat().replace('\r\nHost', `\r\n${blank}Host`)),
    refused('3', `${JSON.stringify(blank)} before the request line`, blank + chat()),
  ]),
];

const requestLines = [
  refused('2.2', 'no version and no fields', `GET ${health}\r\n`, ['400', '505']),
  refused('2.2', 'no version', line(`GET ${health}`), ['400', '505']),
  refused('3', 'no target', line('GET HTTP/1.1')),
  refused('3', 'an empty target', line('GET  HTTP/1.1')),
  refused('3', 'no method', line(` ${health} HTTP/1.1`)),
  refused('3', 'only a method', line('GET')),
  refused('3', 'a blank in the target', line('GET /health /live HTTP/1.1')),
  refused('3', 'four words', line(`GET ${health} HTTP/1.1 HTTP/1.1`)),
  // Words may be parted by other blanks than the one that the grammar has.
  ...[['two blanks', '  '], ['a tab', '\t'], ['a form feed', '\f'], ['VT', '\v']]
    .flatMap(([name, blank]) => [
      either('3', `${name} behind the method`, chat().replace('POST ', `POST${blank}`)),
      either('3', `${name} before the version`, chat().replace(' HTTP', `${blank}HTTP`),
        ['200', '400', '505']),
    ]),
  either('3', 'a blank behind the version', chat().replace('/1.1', '/1.1 ')),
];

const methods = [
  ...[['a method that there is not', 'BREW'], ['a method in lower case', 'get'],
    ['a method of 100 letters', 'A'.repeat(100)]].map(([name, method]) =>
    ({ rfc: '3.1', name, bytes: line(`${method} ${health} HTTP/1.1`), answers: refusals })),
  ...['G(T', 'G:T', 'G/T', 'G"T', 'G\0T', 'G\xe4T', '"GET"'].map((method) =>
    refused('3.1', `the method ${JSON.stringify(method)}`, line(`${method} ${health} HTTP/1.1`),
      ['400', '501'])),
  ...['GET', 'POST'].map((method) => ({
    rfc: '3.1', name: `a whole word behind ${method}`, answers: refusals,
    bytes: chat().replace('POST', `${method}X`),
  })),
  { rfc: '9110 9.3.2', name: 'HEAD', bytes: line(`HEAD ${health} HTTP/1.1`), isHead: true,
    answers: '200', closes: false },
  { rfc: '9110 9.3.2', name: 'HEAD of nothing', bytes: line('HEAD /nowhere HTTP/1.1'),
    isHead: true, answers: '404', closes: false },
  { rfc: '9110 9.3.6', name: 'CONNECT', bytes: 'CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n',
    answers: refusals },
  { rfc: '9110 9.3.8', name: 'TRACE', bytes: line(`TRACE ${health} HTTP/1.1`), answers: refusals },
  { rfc: '9110 15.5.6', name: 'a method that the path has not',
    bytes: line('DELETE /v1/models HTTP/1.1'), answers: '405', closes: false },
];

const targets = [
  open('3.2.1', 'a path and a query', target(`${health}?`)),
  open('3.2.2', 'a whole address', target(`http://x${health}`)),
  open('3.2.2', 'a whole address in upper case', target(`HTTP://X${health}`)),
  open('3.2.2', 'a whole address without a path', target('http://x')),
  open('3.2.2', 'a whole address without a path, with a query', target('http://x?'),
    { answers: ['200', '400'] }),
  // Its host counts, not that of the field. Any host is ours, or only the one that agrees.
  open('3.2.2', 'a whole address of another host', target(`http://y${health}`),
    { answers: ['200', '421'] }),
  { rfc: '9110 4.2.1', name: 'a whole address without a host', bytes: target(`http://${health}`),
    answers: ['400', '421'] },
  { rfc: '9110 4.2.4', name: 'a user in a whole address', bytes: target(`http://me@x${health}`),
    answers: ['400', '421'] },
  { rfc: '3.2.2', name: 'an address of another scheme', bytes: target(`ftp://x${health}`),
    answers: ['400', '404', '421'] },
  { rfc: '3.2.3', name: 'a host and a port', bytes: target('x:80'), answers: ['400', '404'] },
  { rfc: '3.2.4', name: 'GET *', bytes: target('*'), answers: ['400', '404', '405'] },
  { rfc: '3.2.4', name: 'OPTIONS *', bytes: line('OPTIONS * HTTP/1.1'), closes: false,
    answers: ['200', '204', '404', '405', '501'] },
  ...['health/live', '?', '#', `${health}#a`, '\\health', `${health}\x7f`, `${health}\x01`,
    `${health}\xe4`, '/health/l\xc3\xafve', `"${health}"`].map((text) =>
    ({ rfc: '3.2', name: `the target ${JSON.stringify(text)}`, bytes: target(text),
      answers: ['400', '404'] })),
  refused('3.2', 'NUL in the target', target('/health\0/live')),
  served('3', 'a request line of 8000 octets',
    chat().replace('completions', 'completions?a='.padEnd(7960, 'b'))),
  ...[20_000, 100_000, 1_000_000].map((size) => refused('3',
    `a request line of ${size} octets`, target('/'.padEnd(size, 'y')), '414')),
];

const versions = [
  ...['http/1.1', 'Http/1.1', 'HTTP/1', 'HTTP/1.', 'HTTP/.1', 'HTTP/1.x', 'HTTP/11.1', 'HTTP/1.11',
    'HTTP/01.1', 'HTTP/1.01', 'HTTP/+1.1', 'HTTP/1,1', 'HTTP/ 1.1', 'HTTP /1.1', 'HTTP/1.1x',
    'HTTP/1.1\0', 'HTTPS/1.1', 'HTTP\\1.1', 'HTTP-1.1', 'XTTP/1.1', 'HTTP/0.9', 'HTTP/2.0',
    'HTTP/2', 'HTTP/3.0', 'HTTP/9.9', 'HTTP/65537.1', 'HTTP/4294967297.1', 'HXYZ/1.1', 'HHHHH1.1',
    'ICE/1.1']
    .map((text) => ({ rfc: '2.3', name: `the version ${JSON.stringify(text)}`,
      bytes: version(text), answers: ['400', '505'] })),
  // Good for all of HTTP/1.1, if one wants to.
  ...['HTTP/1.2', 'HTTP/1.9'].map((text) => either('9110 2.5', `the version ${text}`,
    chat().replace('HTTP/1.1', text), ['200', '400', '505'])),
  { rfc: '9.3', name: 'HTTP/1.0', bytes: http10(chat()), answers: '200', closes: true,
    reached: [body], has: /^POST \/v1\/chat\/completions HTTP\/1\.1\r\n/ },
];

const hosts = [
  ...['X', 'x:80', 'x:', 'x.example', '127.0.0.1:80', '[::1]:80', 'a-b_c~', 'x!$&()*+,;=', '%41',
    'x\t', '\tx '].map((text) =>
    open('3.2', `Host: ${JSON.stringify(text)}`, host(`Host: ${text}\r\n`))),
  open('3.2', 'the host without a blank', host('Host:x\r\n')),
  open('3.2', 'the host in another case', host('hOST: x\r\n')),
  open('3.2', 'the host as the last field', host('X-A: b\r\nHost: x\r\n')),
  open('3.2', 'an empty host', host('Host:\r\n'), { answers: ['200', '400'] }),
  ...['x y', 'x, x', 'x/y', 'x?y', 'x#y', 'me@x', 'http://x', 'x:y', 'x:80:80', 'x:-1',
    '[::1', '::1]', '[x]y', 'x\\y', 'x"y', '<x>', 'x{', '%4', '%zz', 'x\xe4', 'x\x01', 'x\0']
    .map((text) => ({ rfc: '3.2', name: `Host: ${JSON.stringify(text)}`,
      bytes: host(`Host: ${text}\r\n`), answers: '400' })),
  ...[['no host', ''], ['two hosts', 'Host: x\r\nHost: y\r\n'],
    ['the same host twice', 'Host: x\r\nHost: x\r\n'],
    ['a host and an empty one', 'Host: x\r\nHost:\r\n']]
    .map(([name, fields]) => ({ rfc: '3.2', name, bytes: host(fields), answers: '400' })),
  { rfc: '3.2', name: 'no host beside a whole address', answers: '400',
    bytes: `GET http://x${health} HTTP/1.1\r\n\r\n` },
  { rfc: '3.2', name: 'two hosts with HTTP/1.0', answers: '400', closes: true,
    bytes: http10(host('Host: x\r\nHost: y\r\n')) },
  { rfc: '3.2', name: 'no host with HTTP/1.0', answers: '200', closes: true,
    bytes: http10(host('')) },
];

export const lines = { 'line ends': lineEnds, 'request lines': requestLines, methods, targets,
  versions, hosts };
