// HTTP/1.1 as RFC 9112 rules it, to the octet: what clients send, and what runtimes answer. The
// tables are in rfc9112/: parts.mjs says what a row of requests has, answers.mjs one of answers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { startGateway } from './harness/gateway.mjs';
import { within } from './harness/processes.mjs';
import { Upstream, plainAnswer } from './harness/upstream.mjs';
import { answersIn, assertProper } from './harness/wire.mjs';
import { answers as runtimeAnswers } from './rfc9112/answers.mjs';
import { chunking } from './rfc9112/chunks.mjs';
import { connections } from './rfc9112/connections.mjs';
import { fields } from './rfc9112/fields.mjs';
import { framing } from './rfc9112/lengths.mjs';
import { lines } from './rfc9112/lines.mjs';
import { body, chat, length } from './rfc9112/parts.mjs';

const boundMs = 5_000;
const cleanField = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?[\t\x20-\x7e\x80-\xff]*$/;
const named = (id) => chat(`${length}X-Request-Id: ${id}\r\n`);
const idOf = ({ fields: { 'x-request-id': ids } }) => ids?.[0];

// Waits until what has come satisfies the condition, or the connection is closed.
async function until(raw, condition) {
  const deadline = performance.now() + boundMs;
  while (!raw.socket.closed && !condition()) {
    const what = `more behind ${JSON.stringify(raw.received.slice(-300))}`;
    await within(deadline - performance.now(), what,
      Promise.race([once(raw.socket, 'data'), raw.closed]));
  }
}

// Of the statuses that a row allows, the one that came.
function assertStatuses(row, answers) {
  const statuses = answers.map(({ status }) => status).join(' '), allowed = [row.answers].flat();
  assert.ok(allowed.includes(statuses),
    `${statuses} instead of ${allowed.join(' or ')}: ${answers.at(-1)?.body}`);
  answers.forEach(assertProper);
  return statuses;
}

function assertHead(row, head) {
  if (row.has) assert.match(head, row.has);
  if (row.not) assert.doesNotMatch(head, row.not);
}

// What a runtime may be sent (RFC 9112 6.1, 6.3; RFC 9110 7.6.1).
function assertForwarded(head) {
  const all = head.split('\r\n');
  assert.match(all.shift(), /^POST \/v1\/chat\/completions(\?\S*)? HTTP\/1\.1$/);
  assert.equal(all.pop(), '');
  for (const line of all) assert.match(line, cleanField);
  const count = (name) => all.filter((line) => line.toLowerCase().startsWith(`${name}:`)).length;
  assert.deepEqual([count('host'), count('content-length'), count('transfer-encoding')], [1, 1, 0]);
}

function testAll(tables, check) {
  for (const [what, rows] of Object.entries(tables)) {
    describe(what, () => {
      for (const row of rows) test(`${row.rfc}: ${row.name}`, () => check(row));
    });
  }
}

describe('requests by RFC 9112', () => {
  let gateway, upstream, other, passed = 0;

  before(async () => {
    upstream = await Upstream.start();
    gateway = await startGateway({
      config: { server: { shards: 1 }, models: [upstream.model('plain')] },
    });
    other = await gateway.connect();
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  // When this one has been answered on a connection of its own, all that was sent before has been
  // read, and what should go to the runtime has come there.
  async function pass() {
    const id = `pass-${++passed}`;
    other.received = '';
    other.write(named(id));
    await until(other, () => answersIn(other.received).answers.some((one) => idOf(one) === id));
    assert.ok(!other.socket.closed);
  }

  async function send(raw, { bytes, isCut }) {
    const steps = [bytes].flat(), last = steps.pop();
    if (steps.length > 0) await pass(); // it has accepted the connection
    for (const step of steps) {
      raw.write(step);
      await pass();
    }
    raw.write(isCut ? last : last + named('next'));
    if (isCut) raw.socket.end();
  }

  const reachedSince = (count) => upstream.requests.slice(count)
    .filter(({ head }) => !/^x-request-id: pass-\d+\r$/im.test(head));

  async function exchange(raw, row) {
    const heard = upstream.requests.length;
    await send(raw, row);
    const read = () => answersIn(raw.received,
      { isHead: row.isHead, isClosed: raw.socket.closed });
    await until(raw, () => read().answers.some((one) => idOf(one) === 'next'));
    await pass();
    return { ...read(), reached: reachedSince(heard) };
  }

  testAll({ ...lines, ...fields, ...framing, ...chunking, ...connections }, async (row) => {
    const raw = await gateway.connect();
    try {
      const { answers, rest, reached } = await exchange(raw, row);
      const goesOn = answers.length > 0 && idOf(answers.at(-1)) === 'next';
      if (goesOn) {
        assert.equal(answers.pop().status, 200);
        assert.equal(reached.pop()?.body, body);
      }
      const statuses = assertStatuses(row, answers), isServed = /\b200\b/.test(statuses);
      if (row.closes !== undefined) assert.equal(!goesOn, row.closes, `closed after ${statuses}`);
      if (!goesOn) {
        assert.equal(rest, '', 'the last answer is whole');
        if (statuses !== '') assert.deepEqual(answers.at(-1).fields.connection, ['close']);
      }
      assert.deepEqual(reached.map((one) => one.body), isServed ? row.reached ?? [] : []);
      reached.forEach(({ head }) => assertForwarded(head));
      if (isServed) assertHead(row, reached.at(-1)?.head ?? '');
    } finally {
      raw.close();
    }
  });
});

describe('answers of a runtime by RFC 9112', () => {
  const rows = new Map(Object.entries(runtimeAnswers).flatMap(([what, all]) =>
    all.map((row, i) => [`${what}-${i}`.replaceAll(' ', '-'), row])));
  const models = new Map([...rows].map(([model, row]) => [row, model]));
  const modelOf = (content) => JSON.parse(content).model;
  const closedOf = (socket) => (socket.closed ? undefined : once(socket, 'close'));
  let gateway, upstream;

  const exchangesOf = (row) =>
    upstream.requests.filter((one) => modelOf(one.body) === models.get(row));

  // The first request for a model gets what its row says.
  function answer(head, content, socket) {
    const row = rows.get(modelOf(content));
    if (exchangesOf(row).length > 1) return plainAnswer();
    socket.setNoDelay(true); // what comes late must not wait for an acknowledgement
    socket.write(row.bytes, 'latin1');
    if (row.ends) socket.end();
    return null;
  }

  before(async () => {
    upstream = await Upstream.start(answer);
    const patience = { first_byte_timeout_s: 1, request_timeout_s: 1, stream_idle_timeout_s: 1 };
    gateway = await startGateway({
      config: {
        server: { shards: 1 },
        models: [...rows.keys()].map((model) => upstream.model(model, patience)),
      },
    });
  });
  after(async () => {
    await gateway.stop();
    upstream.stop();
  });

  // Asks once more, and returns all answers that came.
  async function ask(raw, row, count) {
    const stream = runtimeAnswers.streams.includes(row);
    const content = JSON.stringify({ model: models.get(row), stream });
    raw.write(chat(`Content-Length: ${content.length}\r\n`, content));
    const read = () => answersIn(raw.received).answers;
    await until(raw, () => read().filter(({ status }) => status >= 200).length === count);
    return read();
  }

  function assertFirst(raw, row, answers) {
    assertStatuses(row, answers);
    const { status, body: got } = answers.at(-1);
    if (status === 200 && row.body instanceof RegExp) assert.match(got, row.body);
    else if (status === 200) assert.equal(got, row.body);
    if (status < 500) assertHead(row, raw.received.slice(0, raw.received.length - got.length));
    return status;
  }

  testAll(runtimeAnswers, async (row) => {
    const raw = await gateway.connect();
    try {
      const status = assertFirst(raw, row, await ask(raw, row, 1));
      const [{ socket }] = exchangesOf(row);
      if (status === 502 || row.isBroken) {
        await within(boundMs, 'the connection to the runtime is closed', closedOf(socket));
        return;
      }
      if (row.late) {
        socket.write(row.late, 'latin1');
        await gateway.send('GET', '/health/live'); // what was sent before has been read
      }
      const next = (await ask(raw, row, 2)).at(-1), exchanges = exchangesOf(row);
      assert.equal(next.status, 200);
      assert.equal(next.body, plainAnswer().split('\r\n\r\n')[1]);
      assert.equal(exchanges.length, 2, 'each request was sent once');
      const isSame = exchanges[1].socket === socket;
      if (row.kept !== undefined) assert.equal(isSame, row.kept, 'the connection was used again');
    } finally {
      raw.close();
    }
  });
});
