// What the tables build requests from.
//
// A row is one connection:
//   rfc      the section of RFC 9112, or of RFC 9110 when that is named
//   bytes    what the client sends; an array: the gateway has read one part before the next is sent
//   answers  the statuses in order, as in '100 200'; an array: the RFC leaves the choice. Where it
//            asks for a 400 by SHOULD, other refusals stand beside it
//   closes   whether the connection ends after that, which the RFC leaves open where it is missing.
//            Behind the bytes another request follows at once: it is served if the connection goes
//            on, and not even forwarded if it ends
//   reached  the bodies that the runtime got if anything was served
//   has, not what the head that the runtime got last must have, and must not have
//   isHead   the first answer has no body
//   isCut    the client sends no more after the bytes
import { adminKey } from '../harness/gateway.mjs';

export const credential = `Authorization: Bearer ${adminKey}\r\n`;
export const type = 'Content-Type: application/json\r\n';
export const body = '{"model":"plain"}'; // 0x11 bytes
export const length = `Content-Length: ${body.length}\r\n`;
export const chunked = 'Transfer-Encoding: chunked\r\n';
export const chunks = `11\r\n${body}\r\n0\r\n\r\n`;

export const request = (line, fields = '', content = '') =>
  `${line}\r\nHost: x\r\n${fields}\r\n${content}`;
export const get = (target, fields) => request(`GET ${target} HTTP/1.1`, fields);
// A request with all but its framing.
export const chat = (fields = length, content = body) =>
  request('POST /v1/chat/completions HTTP/1.1', credential + type + fields, content);
export const inChunks = (content) => chat(chunked, content);
export const http10 = (bytes) => bytes.replace('HTTP/1.1', 'HTTP/1.0');
// What nobody asked for, if it is taken for a request.
export const smuggled = get('/smuggled');

// A row that is refused, and whose end nobody can tell.
export const refused = (rfc, name, bytes, answers = '400') =>
  ({ rfc, name, bytes, answers, closes: true, reached: [body] });
// A row that is served as one request of the body above.
export const served = (rfc, name, bytes, more = {}) =>
  ({ rfc, name, bytes, answers: '200', closes: false, reached: [body], ...more });
// A row that may be served, or refused.
export const either = (rfc, name, bytes, answers = ['200', '400'], more = {}) =>
  ({ rfc, name, bytes, answers, reached: [body], ...more });
