// GPU leases for programs that are not the gateway's: over HTTP, by `signalbox lease`, and by the
// examples of docs/operate.md.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { adminKey, build, makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor, within } from './harness/processes.mjs';

const scopes = ['realtime', 'batch', 'eval', 'monitor'];
const keyOf = (scope) => `sk-test-lease-key-${scope}`;
const config = {
  keys: [{ id: 'administrator', token: adminKey, scopes: ['admin'] },
    { id: 'other', token: keyOf('other'), scopes: ['batch'] },
    ...scopes.map((scope) => ({ id: scope, token: keyOf(scope), scopes: [scope] }))],
  gpus: [{ memory: '24GiB' }],
  scheduling: { min_residency_s: 0.1, max_swap_wait_s: 1, yield_grace_s: 4, release_grace_s: 1 },
  models: [simModel('demo', {}, { gpu: { memory: '16GiB' }, idle_unload_s: 0 })],
};
const wish = { class: 'batch', memory: '1GiB', ttl_s: 30 };

const ask = (gateway, body, { wait, key = keyOf('batch') } = {}) =>
  gateway.post(`/v1/leases${wait === undefined ? '' : `?wait=${wait}`}`, body, { key });
const renew = (gateway, lease, key = keyOf('batch')) =>
  gateway.post(`/v1/leases/${lease.id}/renew`, { token: lease.token }, { key });
const release = (gateway, lease) => gateway.send('DELETE', `/v1/leases/${lease.id}`);
const show = async (gateway, lease) => (await gateway.send('GET', `/v1/leases/${lease.id}`)).json;

async function granted(gateway, body = wish, options = { wait: 20 }) {
  const { status, json, text } = await ask(gateway, body, options);
  assert.equal(status, 201, text);
  assert.equal(json.state, 'granted');
  return json;
}

function refused({ status, json }, expected, code, param) {
  assert.equal(status, expected, JSON.stringify(json));
  assert.equal(json.error.code, code);
  if (param !== undefined) assert.equal(json.error.param, param);
}

// A program with its output, which is killed at the end of the test file.
const programs = new Set();
const sanitizers = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^[A-Z]+SAN_OPTIONS$/.test(name)));
process.on('exit', () => programs.forEach((run) => run.child.kill('SIGKILL')));

function start(command, args, env = {}) {
  const child = spawn(command, args, {
    env: { ...sanitizers, PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = { child, out: '', err: '' };
  programs.add(run);
  child.stdout.on('data', (data) => { run.out += data; });
  child.stderr.on('data', (data) => { run.err += data; });
  run.ended = once(child, 'close').then(([code, signal]) => {
    programs.delete(run);
    return code ?? signal;
  });
  run.status = () => within(30_000, `the end of ${command}: ${run.err}`, run.ended);
  return run;
}

const leaseCommand = (gateway, args) => start(path.join(build, 'signalbox'),
  ['lease', '--data', path.join(gateway.folder, 'data'), ...args]);
const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('leases over HTTP', () => {
  let gateway;
  before(async () => { gateway = await startGateway({ config }); });
  after(() => gateway.stop());

  test('granted, renewed, listed and released', async () => {
    const lease = await granted(gateway, { ...wish, reason: 'a test' });
    assert.match(lease.token, /^[1-9][0-9]*$/);
    assert.deepEqual(lease.gpus.map((gpu) => [gpu.index, gpu.memory_bytes]), [[0, 2 ** 30]]);
    assert.equal(lease.yield_requested, false);
    const again = (await renew(gateway, lease)).json;
    assert.equal(again.token, lease.token);
    assert.ok(again.expires_at > lease.expires_at);
    const list = await gateway.send('GET', '/v1/leases', { key: keyOf('batch') });
    assert.deepEqual(list.json.data.map((one) => one.id), [lease.id]);
    const behind = (id) => gateway.send('GET', `/v1/leases?after=${id}`, { key: keyOf('batch') });
    assert.deepEqual((await behind(lease.id)).json.data, []);
    const lost = await behind('lease_0'); // from the start again, it would never end
    assert.deepEqual([lost.status, lost.json.error.param], [400, 'after']);
    assert.equal((await release(gateway, lease)).json.end, 'released');
    refused(await renew(gateway, lease), 409, 'stale_token');
    const later = await granted(gateway);
    assert.ok(BigInt(later.token) > BigInt(lease.token));
    await release(gateway, later);
  });

  test('the scope is that of the class', async () => {
    for (const scope of ['realtime', 'batch', 'eval']) {
      const body = { ...wish, class: scope };
      await release(gateway, await granted(gateway, body, { key: keyOf(scope), wait: 20 }));
      const key = keyOf(scope === 'batch' ? 'eval' : 'batch');
      refused(await ask(gateway, body, { key }), 403, 'insufficient_scope', 'class');
    }
    refused(await ask(gateway, { ...wish, class: 'training' }), 403, 'insufficient_scope');
    const training = await granted(gateway, { ...wish, class: 'training' },
      { key: adminKey, wait: 20 });
    await release(gateway, training);
  });

  test('a lease belongs to its key; a monitor sees it without its token', async () => {
    const lease = await granted(gateway);
    const route = `/v1/leases/${lease.id}`;
    const other = { key: keyOf('other') };
    refused(await gateway.send('GET', route, other), 404, 'not_found');
    refused(await gateway.send('DELETE', route, other), 404, 'not_found');
    refused(await renew(gateway, lease, keyOf('other')), 404, 'not_found');
    assert.deepEqual((await gateway.send('GET', '/v1/leases', other)).json.data, []);
    const monitor = { key: keyOf('monitor') };
    assert.equal((await gateway.send('GET', route, monitor)).json.token, null);
    refused(await gateway.send('DELETE', route, monitor), 403, 'insufficient_scope');
    assert.equal((await release(gateway, lease)).status, 200); // by an admin
  });

  test('what is wrong is named', async () => {
    for (const [body, param] of [
      [{ ...wish, prio: 1 }, 'prio'], [{ ...wish, gpus: 1 }, 'memory'],
      [{ class: 'batch' }, 'memory'], [{ memory: '1GiB' }, 'class'],
      [{ ...wish, ttl_s: 4 }, 'ttl_s'], [{ ...wish, memory: 'much' }, 'memory'],
      [{ ...wish, memory: '25GiB' }, 'memory'], [{ class: 'batch', gpus: 2 }, 'gpus'],
      [{ ...wish, pid: 2 ** 22 + 1 }, 'pid'],
    ]) {
      refused(await ask(gateway, body, { wait: 20 }), 400, 'invalid_value', param);
    }
    refused(await ask(gateway, 'no json'), 400, 'invalid_json');
    refused(await ask(gateway, wish, { wait: 61 }), 400, 'invalid_value', 'wait');
    refused(await gateway.post('/v1/leases/lease_none/renew', { token: 7 }), 400,
      'invalid_value', 'token');
    refused(await gateway.send('GET', '/v1/leases/lease_none'), 404, 'not_found');
  });

  test('it waits for an idle model, and a request asks it back', async () => {
    assert.equal((await gateway.chat('demo', { max_tokens: 1 })).status, 200);
    const body = { class: 'batch', all: true, ttl_s: 30 };
    const first = await ask(gateway, body, { wait: 0 });
    assert.equal(first.status, 202);
    assert.equal(first.json.token, null);
    const lease = (await gateway.send('GET', `/v1/leases/${first.json.id}?wait=30`)).json;
    assert.equal(lease.state, 'granted');
    assert.equal((await gateway.states()).demo, 'stopped');

    const request = gateway.chat('demo', { max_tokens: 1 });
    const asked = await waitFor('it is asked back', async () => {
      const { json } = await renew(gateway, lease);
      return json.yield_requested && json;
    });
    assert.ok(asked.yield_by > new Date().toISOString());
    assert.equal((await release(gateway, lease)).json.end, 'released');
    assert.equal((await request).status, 200);
  });

  test('not given back in time, its token is stale and the request is served', async () => {
    const lease = await granted(gateway, { class: 'batch', all: true, ttl_s: 30 });
    const request = gateway.chat('demo', { max_tokens: 1 });
    const { json } = await waitFor('it is over', async () => {
      const answer = await renew(gateway, lease);
      return answer.status === 409 && answer;
    }, 20_000);
    assert.equal(json.error.code, 'stale_token');
    assert.equal((await show(gateway, lease)).end, 'unyielded');
    assert.equal((await request).status, 200);
  });

  test('its TTL over: its token is stale, and others get the memory', async () => {
    const lost = await granted(gateway, { class: 'batch', all: true, ttl_s: 5 });
    const next = await granted(gateway, { class: 'batch', all: true }, { wait: 20 });
    assert.ok(BigInt(next.token) > BigInt(lost.token));
    refused(await renew(gateway, lost), 409, 'stale_token');
    assert.ok(['expired', 'unyielded'].includes((await show(gateway, lost)).end));
    await release(gateway, next);
  });

  test('a process that outlives the TTL keeps the memory until it ends', async () => {
    const { child } = start('sleep', ['300']);
    const lost = await granted(gateway,
      { class: 'batch', all: true, ttl_s: 5, pid: child.pid });
    const { json: next } = await ask(gateway, { class: 'batch', all: true }, { wait: 0 });
    await waitFor('it is over', async () => (await show(gateway, lost)).state === 'ending', 20_000);
    const still = await gateway.send('GET', `/v1/leases/${next.id}?wait=2`); // over the grace
    assert.equal(still.json.state, 'waiting');
    child.kill('SIGKILL');
    const then = await gateway.send('GET', `/v1/leases/${next.id}?wait=20`);
    assert.equal(then.json.state, 'granted');
    await release(gateway, next);
  });

  test('one that nobody asks about is dropped', async () => {
    const { child } = start('sleep', ['300']); // keeps the memory, also when it is asked back
    const held = await granted(gateway, { class: 'batch', all: true, pid: child.pid });
    const { json: waiting } = await ask(gateway, { class: 'eval', all: true, ttl_s: 5 },
      { wait: 0, key: keyOf('eval') });
    assert.equal(waiting.state, 'waiting');
    await waitFor('it is dropped',
      async () => (await show(gateway, waiting)).end === 'dropped', 20_000);
    child.kill('SIGKILL');
    await waitFor('the memory is back', async () => (await show(gateway, held)).state === 'ended');
  });
});

describe('a gateway that is killed', () => {
  test('gives each lease its memory back and a full TTL', async () => {
    const folder = makeFolder();
    const first = await startGateway({ folder, config });
    const lease = await granted(first, { class: 'batch', all: true, ttl_s: 6 });
    first.child.kill('SIGKILL');
    await within(10_000, 'it is dead', first.exited);

    const second = await startGateway({ folder, config });
    const { json } = await renew(second, lease);
    assert.equal(json.state, 'granted');
    assert.equal(json.token, lease.token);
    assert.deepEqual(json.gpus, lease.gpus);
    const { json: next } = await ask(second, { class: 'batch', all: true }, { wait: 0 });
    assert.equal(next.state, 'waiting'); // nobody else has the memory meanwhile
    await release(second, lease);
    const then = await second.send('GET', `/v1/leases/${next.id}?wait=20`);
    assert.equal(then.json.state, 'granted');
    assert.ok(BigInt(then.json.token) > BigInt(lease.token));
    await second.stop();
  });
});

describe('signalbox lease', () => {
  let gateway;
  before(async () => { gateway = await startGateway({ config }); });
  after(() => gateway.stop());

  const leases = async () => (await gateway.send('GET', '/v1/leases')).json.data;

  test('runs a command with its GPU, and returns its status', async () => {
    const run = leaseCommand(gateway, ['--memory', '1GiB', '--reason', 'words of people', '--',
      'sh', '-c', 'echo "gpu=$CUDA_VISIBLE_DEVICES $SIGNALBOX_LEASE_ID"; exit 7']);
    assert.equal(await run.status(), 7);
    assert.match(run.out, /^gpu=0 lease_[0-9a-f]{16}\n$/);
    assert.deepEqual(await leases(), []);
  });

  test('a command that is not there, and one that a signal ends', async () => {
    const none = leaseCommand(gateway, ['--memory', '1GiB', '--', 'no-such-program']);
    assert.equal(await none.status(), 127);
    assert.match(none.err, /no-such-program/);
    const killed = leaseCommand(gateway, ['--memory', '1GiB', '--', 'sh', '-c', 'kill -9 $$']);
    assert.equal(await killed.status(), 137);
  });

  test('waits and says so, and gives up when it is told how long', async () => {
    const held = await granted(gateway, { class: 'batch', all: true });
    const late = leaseCommand(gateway, ['--gpus', '1', '--wait', '0.5', '--', 'true']);
    assert.equal(await late.status(), 75);
    assert.match(late.err, /waits for GPU memory/);
    const run = leaseCommand(gateway, ['--gpus', '1', '--', 'echo', 'it', 'runs']);
    await waitFor('it waits', () => /waits for GPU memory/.test(run.err));
    assert.equal(run.out, '');
    await release(gateway, held);
    assert.equal(await run.status(), 0);
    assert.equal(run.out, 'it runs\n');
    assert.deepEqual(await leases(), []);
  });

  test('passes signals on', async () => {
    const run = leaseCommand(gateway, ['--memory', '1GiB', '--', 'sh', '-c',
      'trap "echo hup" HUP; trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done']);
    await waitFor('it runs', () => run.out.includes('ready'));
    run.child.kill('SIGHUP');
    await waitFor('the signal arrives', () => run.out.includes('hup'));
    run.child.kill('SIGTERM');
    assert.equal(await run.status(), 5);
  });

  test('asked back, it sends the signal of choice, and a request is served', async () => {
    const run = leaseCommand(gateway, ['--all', '--ttl', '5', '--yield-signal', 'USR1', '--',
      'sh', '-c', 'trap "echo saved; exit 0" USR1; echo ready; while :; do sleep 0.05; done']);
    await waitFor('it runs', () => run.out.includes('ready'));
    assert.equal((await gateway.chat('demo', { max_tokens: 1 })).status, 200);
    assert.equal(await run.status(), 0);
    assert.match(run.out, /saved/);
    assert.match(run.err, /asked to give the GPU back/);
  });

  test('one that does not yield is killed, and all that it started', async () => {
    const run = leaseCommand(gateway, ['--all', '--ttl', '5', '--', 'sh', '-c',
      'trap "" TERM; sleep 300 & setsid sleep 300 & echo $! ready; while :; do sleep 0.05; done']);
    await waitFor('it runs', () => run.out.includes('ready'));
    assert.equal((await gateway.chat('demo', { max_tokens: 1 })).status, 200);
    assert.equal(await run.status(), 137);
    assert.match(run.err, /the lease is over: killing the command/);
    const pid = Number.parseInt(run.out, 10);
    await waitFor('nothing is left', () => !isAlive(pid));
  });

  test('killed itself, its command dies with it, and its lease ends after the TTL', async () => {
    const run = leaseCommand(gateway, ['--all', '--ttl', '5', '--', 'sh', '-c',
      'echo $$; exec sleep 300']);
    await waitFor('it runs', () => /\d+\n/.test(run.out));
    run.child.kill('SIGKILL');
    assert.equal(await run.status(), 'SIGKILL');
    await waitFor('the command is gone', () => !isAlive(Number(run.out)));
    await release(gateway, await granted(gateway, { class: 'batch', all: true }, { wait: 20 }));
  });

  test('without a gateway it goes on until its TTL is over', async () => {
    const lonely = await startGateway({ config });
    const run = leaseCommand(lonely, ['--memory', '1GiB', '--ttl', '6', '--', 'sh', '-c',
      'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
    await waitFor('it runs', () => run.out.includes('ready'));
    lonely.child.kill('SIGKILL');
    await waitFor('it notices', () => /goes on until the lease's time is over/.test(run.err));
    assert.equal(run.child.exitCode, null);
    assert.equal(await run.status(), 137);
    assert.match(run.err, /nearly over: sending SIGTERM/);
    assert.match(run.err, /the lease is over: killing the command/);
  });
});

describe('the examples of docs/operate.md', () => {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/operate.md'), 'utf8');
  const section = text.slice(text.indexOf('## GPU leases for other programs'));
  const example = (language, folder) => {
    const blocks = [...section.matchAll(/```(\w+)\n([^]*?)```/g)]
      .filter(([, named, code]) => named === language && !code.includes('build/signalbox'));
    const file = path.join(folder, `example.${language}`);
    writeFileSync(file, blocks[0][2]);
    return file;
  };
  let gateway;
  before(async () => { gateway = await startGateway({ config }); });
  after(() => gateway.stop());
  const env = () => ({ URL: gateway.base, KEY: keyOf('batch'), HOME: gateway.folder });
  const isReleased = () => waitFor('the lease has ended', async () =>
    (await gateway.send('GET', '/v1/leases')).json.data.length === 0);
  // A realtime program that wants what the example has.
  const askBack = () => ask(gateway, { class: 'realtime', all: true },
    { key: keyOf('realtime'), wait: 20 });

  test('sh: acquires, runs, releases', async () => {
    const run = start('sh', [example('sh', gateway.folder), 'sh', '-c',
      'echo gpu $CUDA_VISIBLE_DEVICES; exit 4'], env());
    assert.equal(await run.status(), 4, run.err);
    assert.equal(run.out, 'gpu 0\n');
    await isReleased();
  });

  test('sh: yields', async () => {
    const run = start('sh', [example('sh', gateway.folder), 'sh', '-c',
      'trap "echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done'], env());
    await waitFor(`it runs: ${run.err}`, () => run.out.includes('ready'));
    const { status, json } = await askBack();
    assert.equal(status, 201, run.err);
    assert.equal(await run.status(), 0, run.err);
    assert.match(run.out, /saved/);
    await release(gateway, json);
  });

  test('Python: acquires, works, releases', async () => {
    const run = start('python3', [example('python', gateway.folder)], { ...env(), STEPS: '3' });
    assert.equal(await run.status(), 0, run.err);
    assert.equal(run.out, 'working on GPU 0\ndone after 3 steps\n');
    await isReleased();
  });

  test('Python: yields', async () => {
    const run = start('python3', [example('python', gateway.folder)],
      { ...env(), STEPS: '100000' });
    await waitFor(`it works: ${run.err}`, () => run.out.includes('working'));
    const { status, json } = await askBack();
    assert.equal(status, 201, run.err);
    assert.equal(await run.status(), 0, run.err);
    assert.match(run.out, /stopped early after \d+ steps/);
    await release(gateway, json);
  });
});
