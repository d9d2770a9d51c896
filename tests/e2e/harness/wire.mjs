// What a server wrote on one connection, read as strictly as RFC 9112 says it must be written.
import assert from 'node:assert/strict';

const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

// The values of each field, by its name in lower case.
function fieldsOf(lines) {
  const fields = {};
  for (const line of lines) {
    assert.match(line, fieldLine);
    const [, name, value] = fieldLine.exec(line);
    (fields[name.toLowerCase()] ??= []).push(value);
  }
  return fields;
}

// The data of chunks at the beginning of a text, and how long they are there; undefined while their
// end has not come.
function dechunked(text) {
  for (let at = 0, body = ''; ;) {
    const end = text.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = text.slice(at, end);
    assert.match(line, /^[0-9a-fA-F]{1,8}$/, 'the size of a chunk');
    const size = parseInt(line, 16), after = end + 2 + size;
    if (text.length < after + 2) return undefined;
    assert.equal(text.slice(after, after + 2), '\r\n', 'behind the data of a chunk');
    if (size === 0) return { body, length: after + 2 };
    body += text.slice(end + 2, after);
    at = after + 2;
  }
}

// What follows a head: its body, and how long that is there; undefined while its end has not come.
function bodyOf({ status, fields }, rest, isHead, isClosed) {
  const lengths = fields['content-length'] ?? [], codings = fields['transfer-encoding'] ?? [];
  assert.ok(lengths.length + codings.length <= 1, 'one length or one encoding at most');
  if (status < 200 || status === 204) {
    assert.equal(lengths.length + codings.length, 0, `no framing with a ${status}`);
  }
  if (isHead || status < 200 || status === 204 || status === 304) return { body: '', length: 0 };
  if (codings.length > 0) {
    assert.deepEqual(codings, ['chunked']);
    return dechunked(rest);
  }
  if (lengths.length > 0) {
    assert.match(lengths[0], /^\d+$/);
    const length = Number(lengths[0]);
    return rest.length < length ? undefined : { body: rest.slice(0, length), length };
  }
  assert.deepEqual(fields.connection, ['close'], 'only the end of the connection ends this');
  return isClosed ? { body: rest, length: rest.length } : undefined;
}

// The answers in the text, interim ones as well, each as {status, fields, body}. `isHead`: the
// first one answers a HEAD; `isClosed`: no more text will come. `rest` is what is no whole answer.
export function answersIn(text, { isHead = false, isClosed = false } = {}) {
  const answers = [];
  let rest = text;
  for (let end; (end = rest.indexOf('\r\n\r\n')) >= 0;) {
    const [line, ...lines] = rest.slice(0, end).split('\r\n');
    assert.match(line, /^HTTP\/1\.[01] [1-5]\d\d [\t\x20-\x7e\x80-\xff]*$/);
    const answer = { status: Number(line.slice(9, 12)), fields: fieldsOf(lines) };
    const read = bodyOf(answer, rest.slice(end + 4), isHead && answers.length === 0, isClosed);
    if (!read) break;
    answers.push({ ...answer, body: read.body });
    rest = rest.slice(end + 4 + read.length);
  }
  return { answers, rest };
}

// What each answer owes whoever reads it (RFC 9110).
export function assertProper({ status, fields }) {
  if (status < 200) return;
  assert.equal(fields.date?.length, 1, `one Date (6.6.1), status ${status}`);
  if (status === 401) assert.ok(fields['www-authenticate'], 'a challenge (15.5.2)');
  if (status === 405) assert.ok(fields.allow, 'Allow (15.5.6)');
}
